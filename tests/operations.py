"""THE table of operations: calls of every public function, and what its arrays are.

Tests of input, options, torch, threads and GPUs, `fuzz.py` and the benchmarks take them from here. A public function
that is not here fails `test_every_function_is_in_the_table`; one that none of those reaches fails a test, too.
"""

import inspect
import sys
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import siglib


class Operation(NamedTuple):
    """A public function, shapes of arrays that it takes, and options that go with them."""

    name: str
    shapes: list[tuple[int, ...]]
    numbers: tuple[int, ...] = ()
    options: dict[str, Any] = {}

    def arrays(self, dtype: Any = np.float64) -> list[np.ndarray]:
        """Small whole numbers: exact in every dtype."""
        rng = np.random.default_rng(5)
        return [rng.integers(-3, 4, shape).astype(dtype) for shape in self.shapes]

    def __call__(self, *arrays: Any, **more: Any) -> list[Any]:
        """What the function returns, as a list."""
        return results_of(getattr(siglib, self.name)(*arrays, *self.numbers, **self.options, **more))


class Differentiable(Operation):
    """One with gradients, and the only thing that it returns."""

    def tensors(self, *, seed: int = 0, requires_grad: bool = False, dtype: Any = None) -> list[Any]:
        """Random tensors, without a sign or a sum in common."""
        torch, rng = sys.modules["torch"], np.random.default_rng(seed)
        made = [torch.from_numpy(rng.standard_normal(shape)).to(dtype or torch.float64) for shape in self.shapes]
        return [tensor.requires_grad_(requires_grad) for tensor in made]

    def __str__(self) -> str:
        return "-".join([self.name, *map(str, self.numbers), *(f"{k}={v}" for k, v in self.options.items())])

    def __call__(self, *arrays: Any, **more: Any) -> Any:
        (result,) = super().__call__(*arrays, **more)
        return result


def results_of(returned: Any) -> list[Any]:
    return list(returned) if isinstance(returned, tuple) else [returned]


def name_of(operation: Operation) -> str:
    return " ".join([operation.name, *operation.options])


# What the names of parameters say of the arrays that are passed for them.
KINDS = {
    name: kind
    for kind, names in {
        "path": "path path1 path2 sample sample1 sample2 y direction direction1 direction2 correction_direction",
        "displacement": "displacement",
        "sig": "sig sig1 sig2",
        "log_sig": "log_sig log_sig1 log_sig2 ls1 ls2",
        "bsig": "bsig bsig1 bsig2",
        "blogsig": "blogsig blogsig1 blogsig2",
        "out": "coefs",
        "derivs": "derivs deriv d_out sig_derivs log_sig_derivs bsig_derivs blogsig_derivs",
    }.items()
    for name in names.split()
}


@cache
def kinds_of(name: str) -> dict[str, str]:
    """The arrays that a public function must get, or one of two: parameter and kind.

    "out" is the result, which gradients are given.
    """
    parameters = inspect.signature(getattr(siglib, name)).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty or p.name in ("direction1", "direction2")]
    kinds = {parameter: KINDS[parameter] for parameter in needed if parameter in KINDS}
    if name.endswith("_backprop"):
        taken = {*kinds_of(name.removesuffix("_backprop")).values(), "derivs"}
        kinds = {parameter: kind if kind in taken else "out" for parameter, kind in kinds.items()}
    return kinds


# Paths of 3 channels and signatures of degree 2 (length 12).
AUGMENTED = {"time_aug": True, "lead_lag": True, "end_time": 2.0}
# With whole numbers for paths, branched kernels of a depth beyond 1 overflow without it.
SMOOTH = {"static_kernel": siglib.RBFKernel(20.0)}
OPERATIONS = [
    Operation("sig", [(2, 5, 3)], (2,)),
    Operation("sig", [(2, 5, 3)], (2,), AUGMENTED),
    Operation("sig_backprop", [(2, 5, 3), (2, 12), (2, 12)], (2,)),
    Operation("sig", [(2, 5, 3)], (2,), {"correction": [0.5] * 9}),
    Operation("sig_jvp", [(2, 5, 3), (2, 5, 3)], (2,), AUGMENTED),
    Operation("sig_combine", [(2, 12), (2, 12)], (3, 2)),
    Operation("sig_combine_backprop", [(2, 12), (2, 12), (2, 12)], (3, 2)),
    Operation("linear_sig", [(2, 3)], (3, 2)),
    Operation("linear_sig_backprop", [(2, 13), (2, 3)], (3, 2), {"scalar_term": True}),
    Operation("sig_join", [(2, 12), (2, 3)], (3, 2)),
    Operation("sig_join_backprop", [(2, 12), (2, 12), (2, 3)], (3, 2), {"prepend": True}),
    Operation("sig_coef", [(2, 5, 3)], ([(0, 1), (), (2, 2, 0), (0, 1)],)),
    Operation("sig_coef", [(2, 5, 3)], ([(6, 1), (0,)],), {**AUGMENTED, "prefixes": True}),
    Operation("sig_coef_jvp", [(2, 5, 3), (2, 5, 3)], ([(0, 1), (), (2, 2, 0)],)),
    Operation("log_sig", [(2, 5, 3)], (2,)),
    Operation("log_sig", [(2, 5, 3)], (2,), {**AUGMENTED, "method": 2}),
    Operation("log_sig_backprop", [(2, 5, 3), (2, 6)], (2,)),
    Operation("log_sig_jvp", [(2, 5, 3), (2, 5, 3)], (2,), {"method": 2}),
    Operation("sig_to_log_sig", [(2, 12)], (3, 2)),
    Operation("sig_to_log_sig_backprop", [(2, 12), (2, 6)], (3, 2)),
    Operation("sig_to_log_sig_jvp", [(2, 12), (2, 12)], (3, 2)),
    Operation("logsig_to_sig", [(2, 6)], (3, 2)),
    Operation("logsig_to_sig", [(2, 12)], (3, 2), {"method": 0}),
    Operation("logsig_to_sig_backprop", [(2, 6), (2, 12)], (3, 2), {"method": 2}),
    Operation("log_sig_combine", [(2, 6), (2, 6)], (3, 2)),
    Operation("log_sig_combine_backprop", [(2, 6), (2, 6), (2, 6)], (3, 2)),
    Operation("log_sig_join", [(2, 6), (2, 3)], (3, 2)),
    Operation("log_sig_join_backprop", [(2, 6), (2, 6), (2, 3)], (3, 2), {"prepend": True}),
    Operation("linear_log_sig", [(2, 3)], (3, 2)),
    Operation("linear_log_sig_backprop", [(2, 6), (2, 3)], (3, 2), {"method": 3}),
    Operation("transform_path", [(2, 5, 3)], (), AUGMENTED),
    Operation("transform_path_backprop", [(2, 5, 7)], (), AUGMENTED),
    Operation("sig_windows", [(2, 5, 3)], (2, 3)),
    Operation("sig_windows", [(2, 5, 3)], (2,), {"starts": [0, 3, 1], "ends": [2, 5, 5], **AUGMENTED}),
    Operation("sig_windows_backprop", [(2, 5, 3), (2, 3, 12)], (2, 3)),
    Operation("sig_prefixes", [(2, 5, 3)], (2,)),
    Operation("sig_prefixes_backprop", [(2, 5, 3), (2, 5, 12)], (2,)),
    Operation("log_sig_windows", [(2, 5, 3)], (2, 3), {"stride": 2, "method": 2}),
    Operation("log_sig_prefixes", [(2, 5, 3)], (2,), AUGMENTED),
    Operation("sig_kernel", [(2, 5, 3), (2, 4, 3)], (), {"dyadic_order": 0}),
    Operation("sig_kernel", [(2, 5, 3), (2, 4, 3)], (), {"dyadic_order": (1, 0), "return_grid": True, **AUGMENTED}),
    Operation(
        "sig_kernel",
        [(2, 5, 3), (2, 4, 3)],
        (),
        {"dyadic_order": 0, "static_kernel": siglib.RBFKernel(20.0), "log": True},
    ),
    Operation("sig_kernel_backprop", [(2,), (2, 5, 3), (2, 4, 3)], (), {"dyadic_order": 0, "right_deriv": True}),
    Operation("sig_kernel_jvp", [(2, 5, 3), (2, 4, 3), (2, 5, 3), (2, 4, 3)], (), {"dyadic_order": 0, **SMOOTH}),
    # Trees of two nodes: 12 of 3 channels; planar forests: 21, and 15 in logarithms.
    Operation("branched_sig", [(2, 5, 3)], (2,)),
    Operation("branched_sig", [(2, 5, 3)], (2,), {**AUGMENTED, "planar": True, "scalar_term": True}),
    Operation("branched_sig", [(2, 5, 3)], (2,), {"correction": [0.5] * 9, "time_aug": True}),
    Operation("branched_sig_backprop", [(2, 5, 3), (2, 12), (2, 12)], (2,)),
    Operation("branched_sig_combine", [(2, 12), (2, 12)], (3, 2)),
    Operation("branched_sig_combine", [(2, 21), (2, 22)], (3, 2), {"planar": True}),
    Operation("branched_sig_combine_backprop", [(2, 12), (2, 12), (2, 12)], (3, 2)),
    Operation("linear_branched_sig", [(2, 3)], (3, 2)),
    Operation("linear_branched_sig_backprop", [(2, 22), (2, 3)], (3, 2), {"planar": True, "scalar_term": True}),
    Operation("branched_sig_join", [(2, 12), (2, 3)], (3, 2)),
    Operation("branched_sig_join_backprop", [(2, 12), (2, 12), (2, 3)], (3, 2), {"prepend": True}),
    Operation("branched_sig_to_log_sig", [(2, 12)], (3, 2)),
    Operation("branched_sig_to_log_sig_backprop", [(2, 21), (2, 15)], (3, 2), {"planar": True, "method": 2}),
    Operation("branched_logsig_to_sig", [(2, 15)], (3, 2), {"planar": True, "scalar_term": True}),
    Operation("branched_logsig_to_sig_backprop", [(2, 12), (2, 12)], (3, 2)),
    Operation("branched_log_sig", [(2, 5, 3)], (2,)),
    Operation("branched_log_sig", [(2, 5, 3)], (2,), {**AUGMENTED, "planar": True, "method": 3}),
    Operation("linear_branched_log_sig", [(2, 3)], (3, 2), {"planar": True}),
    Operation("linear_branched_log_sig_backprop", [(2, 12), (2, 3)], (3, 2)),
    Operation("branched_log_sig_combine", [(2, 15), (2, 15)], (3, 2)),
    Operation("branched_log_sig_combine_backprop", [(2, 15), (2, 15), (2, 15)], (3, 2)),
    Operation("branched_log_sig_join", [(2, 15), (2, 3)], (3, 2), {"prepend": True}),
    Operation("branched_log_sig_join_backprop", [(2, 15), (2, 15), (2, 3)], (3, 2)),
    Operation("branched_sig_coef", [(2, 5, 3)], ([((0,), 1), None, ((2,), (0,), 2)],)),
    Operation("branched_sig_coef", [(2, 5, 3)], ([((6,), (0,)), (1,)],), {**AUGMENTED, "planar": True}),
    Operation("branched_sig_coef", [(2, 5, 3)], (((0,), 1),), {"correction": [0.5] * 9}),
    Operation("branched_sig_windows", [(2, 5, 3)], (2, 3)),
    Operation(
        "branched_sig_windows", [(2, 5, 3)], (2,), {"starts": [0, 3], "ends": [2, 5], "planar": True, **AUGMENTED}
    ),
    Operation("branched_sig_prefixes", [(2, 5, 3)], (2,), {"scalar_term": True}),
    Operation("branched_log_sig_windows", [(2, 5, 3)], (2, 3), {"stride": 2}),
    Operation("branched_log_sig_prefixes", [(2, 5, 3)], (2,), {**AUGMENTED, "planar": True, "method": 3}),
    Operation("branched_sig_kernel", [(2, 5, 3), (2, 4, 3)], (2, 0), SMOOTH),
    Operation("branched_sig_kernel", [(2, 5, 3), (2, 4, 3)], (3, (1, 0)), {"return_grid": True, **SMOOTH}),
    Operation("branched_sig_kernel", [(2, 5, 3), (2, 4, 3)], (2, 0), {"log": True, **AUGMENTED, **SMOOTH}),
    Operation("branched_sig_kernel_backprop", [(2,), (2, 5, 3), (2, 4, 3)], (2, 0), {"right_deriv": True, **SMOOTH}),
]
# Operations whose result has the batch axes of two arrays, one after the other.
OF_ALL_PAIRS = [
    Operation("sig_kernel_gram", [(2, 5, 3), (3, 4, 3)], (), {"dyadic_order": 0}),
    Operation(
        "sig_kernel_gram",
        [(2, 5, 3), (3, 4, 3)],
        (),
        {"method": "polynomial", "order": 3, "static_kernel": siglib.RBFKernel(20.0)},
    ),
    Operation("sig_kernel_gram_backprop", [(2, 3), (2, 5, 3), (3, 4, 3)], (), {"dyadic_order": 0, "right_deriv": True}),
    Operation("sig_kernel_gram_jvp", [(2, 5, 3), (3, 4, 3), (2, 5, 3), (3, 4, 3)], (), {"dyadic_order": 0, **SMOOTH}),
    Operation("branched_sig_kernel_gram", [(2, 5, 3), (3, 4, 3)], (2, 0), SMOOTH),
    Operation(
        "branched_sig_kernel_gram_backprop",
        [(2, 3), (2, 5, 3), (3, 4, 3)],
        (2, (0, 1)),
        {"right_deriv": True, **SMOOTH},
    ),
    Operation("sig_score", [(2, 5, 3), (3, 4, 3)], (), {"dyadic_order": 0}),
    Operation("expected_sig_score", [(2, 5, 3), (3, 4, 3)], (), {"dyadic_order": 0}),
    Operation("sig_mmd", [(2, 5, 3), (3, 4, 3)], (), {"dyadic_order": 0}),
]
# Sizes at which finite differences are quick.
_SHORT = {"time_aug": True, "lead_lag": True, "end_time": 0.7}
DIFFERENTIABLE = [
    Differentiable("sig", [(2, 4, 2)], (3,)),
    Differentiable("sig", [(4, 3)], (2,), {"scalar_term": True}),
    Differentiable("sig", [(2, 3, 2)], (2,), {**_SHORT, "n_jobs": 2}),
    Differentiable("sig_combine", [(3, 6), (3, 6)], (2, 2)),
    Differentiable("sig_combine", [(7,), (7,)], (2, 2)),
    Differentiable("sig_combine", [(2, 20), (2, 21)], (2, 2), {"lead_lag": True}),
    Differentiable("linear_sig", [(2, 3)], (3, 3), {"scalar_term": True}),
    Differentiable("sig_join", [(2, 14), (2, 2)], (2, 3)),
    Differentiable("sig_join", [(15,), (2,)], (2, 3), {"prepend": True}),
    Differentiable("sig_coef", [(2, 4, 2)], ([(0, 1, 1), (), (1,), (0, 1, 0)],)),
    Differentiable("sig_coef", [(3, 2)], ((3, 4, 0),), {**_SHORT, "prefixes": True, "n_jobs": 2}),
    Differentiable("log_sig", [(2, 4, 3)], (3,)),
    Differentiable("log_sig", [(4, 2)], (3,), {"method": 0, "scalar_term": True}),
    Differentiable("log_sig", [(2, 3, 2)], (2,), {**_SHORT, "method": 2, "n_jobs": 2}),
    Differentiable("log_sig", [(4, 2)], (3,), {"method": 3}),
    Differentiable("sig_to_log_sig", [(3, 14)], (2, 3)),
    Differentiable("sig_to_log_sig", [(15,)], (2, 3), {"method": 0}),
    Differentiable("sig_to_log_sig", [(2, 2, 12)], (1, 2), {"method": 2, "lead_lag": True, "time_aug": True}),
    Differentiable("logsig_to_sig", [(3, 8)], (2, 4), {"scalar_term": True}),
    Differentiable("logsig_to_sig", [(15,)], (2, 3), {"method": 0}),
    Differentiable("logsig_to_sig", [(2, 8)], (2, 4), {"method": 2}),
    Differentiable("log_sig_combine", [(3, 8), (3, 8)], (2, 4)),
    Differentiable("log_sig_join", [(3, 8), (3, 2)], (2, 4)),
    Differentiable("linear_log_sig", [(2, 3)], (3, 2), {"method": 3}),
    Differentiable("transform_path", [(2, 3, 2)], (), _SHORT),
    Differentiable("transform_path", [(3, 2)]),
    Differentiable("sig_windows", [(2, 5, 2)], (3, 3)),
    Differentiable("sig_windows", [(4, 2)], (2, 2, 2), {**_SHORT, "scalar_term": True, "n_jobs": 2}),
    Differentiable("sig_prefixes", [(2, 4, 2)], (3,)),
    Differentiable("sig_prefixes", [(3, 2)], (2,), _SHORT),
    Differentiable("sig_kernel", [(2, 4, 2), (2, 3, 2)], (), {"dyadic_order": 1}),
    Differentiable("sig_kernel", [(4, 2), (3, 2)], (), {"dyadic_order": (0, 1), "normalize": True, **_SHORT}),
    Differentiable("sig_kernel", [(2, 3, 2), (2, 3, 2)], (), {"dyadic_order": 0, "return_grid": True, "n_jobs": 2}),
    Differentiable(
        "sig_kernel",
        [(2, 3, 2), (2, 3, 2)],
        (),
        {"method": "polynomial", "order": 4, "static_kernel": siglib.RBFKernel(2.0)},
    ),
    Differentiable("sig_kernel_gram", [(2, 4, 2), (3, 3, 2)], (), {"dyadic_order": 0}),
    Differentiable(
        "sig_kernel_gram", [(4, 2), (2, 3, 2)], (), {"dyadic_order": (1, 0), "normalize": True, "n_jobs": 2}
    ),
    Differentiable(
        "sig_kernel_gram",
        [(2, 3, 2), (2, 3, 2)],
        (),
        {"dyadic_order": 1, "log": True, "static_kernel": siglib.Matern52Kernel(2.0)},
    ),
    Differentiable("branched_sig", [(2, 4, 2)], (3,)),
    Differentiable("branched_sig", [(3, 2)], (2,), {**_SHORT, "planar": True, "scalar_term": True}),
    Differentiable("branched_sig_combine", [(2, 6), (2, 7)], (2, 2)),
    Differentiable("branched_sig_combine", [(11,), (11,)], (2, 2), {"planar": True}),
    Differentiable("linear_branched_sig", [(2, 2)], (2, 3), {"scalar_term": True}),
    Differentiable("branched_sig_join", [(2, 6), (2, 2)], (2, 2), {"prepend": True}),
    Differentiable("branched_sig_to_log_sig", [(2, 20)], (2, 3)),
    Differentiable("branched_sig_to_log_sig", [(11,)], (2, 2), {"planar": True, "method": 2}),
    Differentiable("branched_logsig_to_sig", [(2, 20)], (2, 3)),
    Differentiable("branched_logsig_to_sig", [(7,)], (2, 2), {"planar": True, "scalar_term": True}),
    Differentiable("branched_log_sig", [(2, 4, 2)], (3,)),
    Differentiable("branched_log_sig", [(3, 2)], (2,), {**_SHORT, "planar": True, "method": 3, "n_jobs": 2}),
    Differentiable("linear_branched_log_sig", [(2, 2)], (2, 2), {"planar": True}),
    Differentiable("branched_log_sig_combine", [(2, 7), (2, 7)], (2, 2)),
    Differentiable("branched_log_sig_join", [(2, 7), (2, 2)], (2, 2)),
    Differentiable("branched_sig_coef", [(2, 4, 2)], ([((0,), (1,), 1), None, (0,)],)),
    Differentiable("branched_sig_coef", [(3, 2)], (((3,), (4,)),), {**_SHORT, "planar": True, "n_jobs": 2}),
    Differentiable("branched_sig_kernel", [(2, 4, 2), (2, 3, 2)], (2, 1), SMOOTH),
    Differentiable("branched_sig_kernel", [(4, 2), (3, 2)], (3, (0, 1)), {"normalize": True, **_SHORT, **SMOOTH}),
    Differentiable("branched_sig_kernel", [(2, 3, 2), (2, 3, 2)], (2, 0), {"return_grid": True, "n_jobs": 2, **SMOOTH}),
    Differentiable("branched_sig_kernel_gram", [(2, 4, 2), (3, 3, 2)], (1, 0), {"log": True}),
    Differentiable("branched_sig_kernel_gram", [(4, 2), (2, 3, 2)], (2, (1, 0)), {"normalize": True, **SMOOTH}),
]
_SAMPLE = np.random.default_rng(0).standard_normal((5, 4, 2))
# What else there is with options, by name and argument.
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("branched_sig_length", {"dimension": 2, "degree": 3}),
    ("branched_log_sig_length", {"dimension": 2, "degree": 3, "planar": True}),
    ("trees", {"dimension": 2, "degree": 2}),
    ("trees_of_order", {"dimension": 2, "order": 2}),
    ("tree_to_idx", {"tree": ((0,), 1), "dimension": 2, "degree": 3}),
    ("idx_to_tree", {"idx": 3, "dimension": 2, "degree": 3}),
    ("extract_branched_sig_coef", {"bsig": np.arange(6.0), "trees": ((0,), 1), "dimension": 2}),
    ("branched_sig_coef_backprop", {"path": np.eye(2), "trees": (0,), "coefs": np.ones(1), "derivs": np.ones(1)}),
    ("prepare_branched_sig", {"dimension": 2, "degree": 3}),
    ("prepare_branched_log_sig", {"dimension": 2, "degree": 3, "method": 0}),
    ("prepare_branched_sig_coef", {"dimension": 2, "trees": ((0,), 1)}),
    *[(name, {"dimension": 2, "degree": 2}) for name in ("BranchedSigStream", "BranchedLogSigStream")],
    ("BranchedSigWindowStream", {"dimension": 2, "degree": 2, "window_size": 2}),
    ("BranchedLogSigWindowStream", {"dimension": 2, "degree": 2, "window_size": 2}),
    ("sig_length", {"dimension": 2, "degree": 3}),
    ("log_sig_length", {"dimension": 2, "degree": 3}),
    ("extract_sig_coef", {"sig": np.arange(6.0), "words": (0, 1), "dimension": 2}),
    ("sig_coef_backprop", {"path": np.eye(2), "words": (0, 1), "coefs": np.ones(2), "derivs": np.ones(2)}),
    ("words", {"alphabet_size": 2, "max_length": 2}),
    ("words_of_length", {"alphabet_size": 2, "length": 2}),
    ("lyndon_words", {"alphabet_size": 2, "max_length": 2}),
    ("lyndon_words_of_length", {"alphabet_size": 2, "length": 2}),
    ("is_lyndon", {"word": (0, 1)}),
    ("word_to_idx", {"word": (0, 1), "alphabet_size": 2}),
    ("idx_to_word", {"idx": 3, "alphabet_size": 2}),
    ("prepare_log_sig", {"dimension": 2, "degree": 3, "method": 2}),
    *[(name, {"dimension": 2, "degree": 2}) for name in ("SigStream", "LogSigStream")],
    *[(name, {"dimension": 2, "degree": 2, "window_size": 2}) for name in ("SigWindowStream", "LogSigWindowStream")],
    ("window_bounds", {"times": np.array([0.0, 1.0, 2.5]), "window": 1.5, "stride": 0.5, "span": None}),
    ("IntervalSignature", {"path": np.eye(2), "degree": 2}),
    *[
        (name, {"sample1": _SAMPLE, "sample2": -_SAMPLE, "permutations": 9, "dyadic_order": 0})
        for name in ("two_sample_test", "independence_test")
    ],
    *[(name, {"sigma": 0.5}) for name in ("RBFKernel", "Matern12Kernel", "Matern32Kernel", "Matern52Kernel")],
    ("RationalQuadraticKernel", {"sigma": 0.5, "alpha": 2.0}),
    ("ScaledLinearKernel", {"scale": 0.5}),
    ("PolynomialKernel", {"degree": 2.0, "gamma": 1.0, "scale": 1.0}),
]
# Three windows of real time, of the five points of a path.
_BY_TIME = {"window": 2.0, "stride": 0.75, "times": np.array([0.0, 0.5, 0.5, 2.0, 3.5])}
WITH_OPTIONS = [
    Operation("sig", [(2, 5, 3)], (2,), {"stream": True}),
    Operation("log_sig", [(2, 5, 3)], (2,), {"stream": True}),
    Operation("log_sig", [(2, 5, 3)], (2,), {"correction": np.full(9, 0.5)}),
    Operation("log_sig_backprop", [(2, 5, 3), (2, 6)], (2,), {"correction": np.full(9, 0.5)}),
    Operation("sig_backprop", [(2, 5, 3), (2, 12), (2, 12)], (2,), {"correction": np.full(9, 0.5)}),
    Operation("sig_windows", [(2, 5, 3)], (2,), {"starts": np.array([0, 3]), "ends": np.array([2, 5])}),
    Operation("sig_windows_backprop", [(2, 5, 3), (2, 2, 12)], (2,), {"starts": np.array([0, 3]), "ends": np.array([2, 5])}),
    Operation("log_sig_windows", [(2, 5, 3)], (2,), {"starts": np.array([0, 3]), "ends": np.array([2, 5])}),
    Operation("sig_windows", [(2, 5, 3)], (2,), _BY_TIME),
    Operation("sig_windows_backprop", [(2, 5, 3), (2, 3, 12)], (2,), _BY_TIME),
    Operation("log_sig_windows", [(2, 5, 3)], (2,), {**_BY_TIME, "time_aug": True}),
    Operation("sig_coef", [(2, 5, 3)], ((0, 1),)),
    Operation("branched_sig_coef", [(2, 5, 3)], ((0,),), {"correction": np.full(9, 0.5)}),
    Operation("branched_sig_windows", [(2, 5, 3)], (2,), _BY_TIME),
    Operation("branched_log_sig_windows", [(2, 5, 3)], (2,), _BY_TIME),
    Operation("branched_sig_windows", [(2, 5, 3)], (2,), {"starts": np.array([0, 3]), "ends": np.array([2, 5])}),
    Operation("branched_log_sig_windows", [(2, 5, 3)], (2,), {"starts": np.array([0, 3]), "ends": np.array([2, 5])}),
    Operation("sig_score", [(2, 5, 3), (3, 4, 3)], (), {"method": "polynomial", "order": 2}),
]  # fmt: skip
ALL = OPERATIONS + OF_ALL_PAIRS + WITH_OPTIONS
# What takes neither arrays nor numbers, and can do little wrong.
WITHOUT_NUMBERS = {"show_config", "clear_cache", "set_cache_dir", "Context", "LinearKernel", "StaticKernel", "progress"}
# What writes files has tests of its own.
WITH_FILES = {"gram_to_file"}
# All that is public, by the table.
NAMES = sorted({*(operation.name for operation in ALL), *(name for name, _ in OTHERS), *WITHOUT_NUMBERS, *WITH_FILES})
# Functions of arrays: what can run on a GPU, and has a speed.
OF_ARRAYS = [
    name
    for name in NAMES
    if inspect.isfunction(getattr(siglib, name, None)) and name not in WITH_FILES and kinds_of(name)
]

"""Random calls of all that is in the table of operations; for a build with sanitizers, which see what a right result may hide.

    python tests/fuzz.py --seconds 300
    python tests/fuzz.py --calls 1000000 --seed 7

A call ends with a result or with an error that it documents. It leaves its arguments as they were, and what takes
`n_jobs` gives the same bits with any. Calls are numbered, and depend on seed and number alone: `--first 123 --calls 1`
makes one of them again. Its number is in the file `--last` while it runs, for calls that end the process.

Nothing here is about one function of arrays: arguments go by the names of parameters. A name that is new gets what goes
with the rest in `Inputs.argument`; `test_fuzz.py` fails where a function of the table gives no result.
"""

import argparse
import copy
import functools
import inspect
import math
import os
import pickle
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from operations import KINDS, NAMES, OF_ALL_PAIRS, kinds_of

import siglib

# What functions may raise, for arguments that they do not take.
REFUSALS = (TypeError, ValueError, IndexError, MemoryError)
# How many numbers a signature may have here.
LONGEST = 3000
STRANGE = [-1, 0, 1, 2, 7, 10**30, -(2**63), 2.5, math.nan, math.inf, None, True, "a", [], (), [1], (0, 1), np.int8(3)]
STRANGE += [np.float32(1), np.bool_(True), np.zeros(0), np.zeros((2, 0)), np.zeros((1, 1)), np.array("a"), object(), {}]


class Given(siglib.StaticKernel):
    """A kernel of the user's."""

    def __init__(self, sigma: float) -> None:
        self.kernel = siglib.RBFKernel(sigma)

    def __call__(self, ctx: Any, x: Any, y: Any) -> Any:
        return self.kernel(ctx, x, y)

    def grad_x(self, ctx: Any, derivs: Any) -> Any:
        return self.kernel.grad_x(ctx, derivs)

    def grad_y(self, ctx: Any, derivs: Any) -> Any:
        return self.kernel.grad_y(ctx, derivs)


STATIC_KERNELS = [
    value
    for value in map(vars(siglib).get, NAMES)
    if inspect.isclass(value) and issubclass(value, siglib.StaticKernel) and value is not siglib.StaticKernel
] + [Given]
# Flags that ask for much more, or rule out much else.
COSTLY = {"stream", "log", "return_grid", "correction_deriv"}
WITH_ALL_PAIRS = {operation.name for operation in OF_ALL_PAIRS}


class Inputs:
    """Arguments that go together, by the names of parameters."""

    def __init__(self, rng: np.random.Generator, name: str) -> None:
        self.rng, self.name = rng, name
        self.kinds = kinds_of(name)
        self.parameters = inspect.signature(getattr(siglib, name)).parameters
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.options: dict[str, Any] = {
            "time_aug": self.chance(0.3),
            "lead_lag": self.chance(0.3),
            "end_time": float(rng.uniform(-2, 2)),
        }
        if self.takes("static_kernel"):
            if self.takes("method") and self.chance(0.3):
                self.options |= {"method": "polynomial", "order": int(rng.integers(2, 12))}
            else:
                orders = rng.integers(0, 3, 2).tolist()
                self.options["dyadic_order"] = orders[0] if self.chance(0.7) else tuple(orders)
            if self.takes("depth"):
                self.options["depth"] = int(rng.integers(0, 5))
            self.options["static_kernel"] = None if self.chance(0.1) else self.static_kernel()
        else:
            self.options["method"] = int(rng.integers(0, 4))
        if self.takes("scalar_term") and {"sig", "bsig"} & {*self.kinds.values()}:
            self.options["scalar_term"] = self.chance(0.5)
        if self.takes("planar"):
            self.options["planar"] = self.chance(0.5)
            self.options["method"] = int(rng.integers(0, 4)) if self.options["planar"] else self.pick([0, None])
        self.d = int(self.pick([1, 2, 2, 3, 3, 4, 5, 6, 7, 9, 17, 40]))
        while True:
            self.degree = int(rng.integers(0, 9))
            self.width = (2 * self.d if self.options["lead_lag"] else self.d) + self.options["time_aug"]
            self.length = siglib.sig_length(self.width if self.takes("time_aug") else self.d, self.degree)
            if self.length <= LONGEST and self.n_trees() <= LONGEST:
                break
        self.batch = self.pick([(), (), (1,), (2,), (3,), (2, 3), (0,), (17,), (40,)])
        self.n_points = int(self.pick([0, 1, 2, 3, *rng.integers(2, 40, 6), rng.integers(40, 700)]))
        n = int(rng.integers(0, 20))
        self.bounds = None if self.chance(0.5) else np.sort(rng.integers(0, self.n_points + 1, (2, n)), axis=0)
        self.dtype = self.pick([np.float64, np.float64, np.float32, np.float32, np.float16, np.int32])

    def n_trees(self) -> int:
        """Length of branched signatures; 0 for what has none."""
        if not self.takes("planar"):
            return 0
        width = self.width if self.takes("time_aug") else self.d
        return siglib.branched_sig_length(width, self.degree, planar=self.options["planar"])

    def takes(self, parameter: str) -> bool:
        return parameter in self.parameters

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, of: list[Any]) -> Any:
        return of[self.rng.integers(len(of))]

    def static_kernel(self) -> Any:
        """One with parameters that it takes."""
        cls = self.pick(STATIC_KERNELS)
        numbers = [float(self.rng.uniform(0.3, 2)) for _ in inspect.signature(cls).parameters]
        if cls is siglib.PolynomialKernel and self.chance(0.5):
            numbers[0] = round(3 * numbers[0])
        return cls(*numbers)

    def array(self, *shape: int) -> Any:
        """Numbers in memory of some order, strides and offset; now and then what is not finite, or a list."""
        numbers = self.rng.standard_normal(shape) / math.sqrt(shape[-2] + 1 if len(shape) > 1 else 1)
        if self.chance(0.03) and numbers.size:
            numbers.flat[self.rng.integers(numbers.size)] = self.pick([math.nan, math.inf, 1e30, 1e300])
        with np.errstate(all="ignore"):
            array = numbers.astype(self.dtype)
        layout = self.rng.integers(9)
        if layout == 0:
            return np.asfortranarray(array)
        if layout == 1:
            return array[::-1].copy()[::-1] if array.ndim else array
        if layout == 2:
            room = np.full((*shape[:-1], 2 * shape[-1] + 1), 9, self.dtype)
            room[..., 1::2] = array
            return room[..., 1::2]
        if layout == 3:
            array.flags.writeable = False
        if layout == 4 and 0 < array.size < 100 and self.dtype == np.float64:
            return array.tolist()
        return array

    def path(self, parameter: str) -> Any:
        """The second one is as long as it likes. Samples have one batch axis."""
        first = list(self.kinds)[0] == parameter
        batch, n_points = self.batch, self.n_points if first else int(self.rng.integers(0, 30))
        if parameter == "path2" and self.name in WITH_ALL_PAIRS:
            batch = (int(self.rng.integers(0, 5)),)
        if parameter.startswith("sample") or parameter == "y":
            batch, n_points = (int(self.rng.integers(1, 6)),), min(n_points, 20)
        return self.array(*batch, n_points, self.d)

    def sig(self) -> Any:
        return self.array(*self.batch, self.length + self.options.get("scalar_term", self.chance(0.2)))

    def log_sig(self) -> Any:
        method, width = self.options.get("method", 1), self.width if self.takes("time_aug") else self.d
        n = self.length if method == 0 and self.takes("method") else siglib.log_sig_length(width, self.degree)
        return self.array(*self.batch, n)

    def bsig(self) -> Any:
        return self.array(*self.batch, self.n_trees() + self.options.get("scalar_term", self.chance(0.2)))

    def blogsig(self) -> Any:
        if not self.takes("planar"):
            return self.array(*self.batch, siglib.branched_log_sig_length(self.d, self.degree, planar=True))
        if self.options["method"] in (0, None) and not (self.options["planar"] and self.options["method"] is None):
            return self.bsig()
        return self.array(*self.batch, siglib.branched_log_sig_length(self.d, self.degree, planar=True))

    def words(self) -> Any:
        n = int(self.rng.integers(1, 12))
        longest = self.degree if "sig" in self.kinds else int(self.pick([2, 4, 7, 20, 40]))
        return [
            tuple(self.rng.integers(0, self.width, self.rng.integers(0, longest + 1)).tolist())
            for _ in range(n)
        ]  # fmt: skip

    def trees(self) -> Any:
        """Some trees, their children in any order if they have none."""
        width = self.width if self.takes("time_aug") else self.d
        listed = siglib.trees(width, min(self.degree, 5), planar=self.options["planar"])
        chosen = [self.pick(listed) for _ in range(self.rng.integers(1, 8))]
        if not self.options["planar"] and self.chance(0.5):
            chosen = [None if tree is None else (*tree[-2::-1], tree[-1]) for tree in chosen]
        return chosen[0] if self.chance(0.1) else chosen

    def argument(self, parameter: str, default: Any) -> Any:
        """What goes with the rest, or `inspect.Parameter.empty` for the default."""
        if parameter in self.options:
            return self.options[parameter]
        if parameter == "correction_direction":
            return inspect.Parameter.empty
        if parameter.startswith("direction"):
            # Of the shape of what moves: path1 by direction1.
            moved = next(name for name in self.kinds if name.endswith(parameter.removeprefix("direction")))
            return self.array(*self.shapes[moved])
        found = self.needed(parameter, default)
        self.shapes[parameter] = np.shape(found) if parameter in self.kinds else ()
        return found

    def needed(self, parameter: str, default: Any) -> Any:
        """The same for all but directions."""
        rng, kind = self.rng, KINDS.get(parameter)
        if kind == "path":
            return self.path(parameter)
        if kind == "displacement":
            return self.array(*self.batch, self.d)
        if kind in ("sig", "log_sig", "bsig", "blogsig"):
            return getattr(self, kind)()
        if parameter == "words":
            return self.words()
        if parameter == "trees":
            return self.trees()
        if parameter in ("dimension", "degree"):
            return self.d if parameter == "dimension" else self.degree
        if parameter in ("starts", "ends") and self.bounds is not None:
            return self.bounds[parameter == "ends"]
        needed = default is inspect.Parameter.empty
        if parameter in ("window", "stride") and (needed or self.bounds is None):
            return int(rng.integers(1, 20))
        if parameter == "times" and (needed or (self.bounds is None and self.chance(0.4))):
            return np.sort(rng.uniform(0, 30, (*self.pick([(), self.batch]), self.n_points)))
        if parameter == "correction" and self.chance(0.15):
            m = int(rng.integers(2, 4))
            row = sum(self.d**k for k in range(2, m + 1))
            return self.array(*self.pick([(), (max(self.n_points - 1, 0),)]), row)
        if parameter in ("permutations", "rng"):
            return int(rng.integers(1, 50))
        if parameter == "max_batch":
            return int(self.pick([-1, 1, 2, 5]))
        if isinstance(default, bool):
            return self.chance(0.15 if parameter in COSTLY else 0.4)
        if parameter == "n_jobs":
            return int(self.pick([1, 1, 1, 2, 3, -1]))
        return inspect.Parameter.empty


def bound(name: str, inputs: Inputs) -> dict[str, Any]:
    """Arguments for a function, by name."""
    parameters = inspect.signature(getattr(siglib, name)).parameters
    forward = name.removesuffix("_backprop")
    if forward == name:
        found = {key: inputs.argument(key, parameter.default) for key, parameter in parameters.items()}
        return {key: value for key, value in found.items() if value is not inspect.Parameter.empty}
    # Derivatives have the shape of what the function itself gives.
    options = bound(forward, inputs)
    if "prefixes" in options:
        options["prefixes"] = True
    options.pop("stream", None), options.pop("normalize", None), options.pop("log", None)
    out = np.asarray(getattr(siglib, forward)(**options))
    # Some gradients call arrays by other names than the function: the next one of the kind is meant.
    taken = [(kind, options[parameter]) for parameter, kind in kinds_of(forward).items()]
    found = {}
    for parameter in parameters:
        kind = kinds_of(name).get(parameter)
        if parameter in options:
            found[parameter] = options[parameter]
        elif kind in ("out", "derivs"):
            found[parameter] = out if kind == "out" else inputs.array(*out.shape)
        elif kind is not None:
            found[parameter] = taken.pop(next(i for i, pair in enumerate(taken) if pair[0] == kind))[1]
        elif (value := inputs.argument(parameter, parameters[parameter].default)) is not inspect.Parameter.empty:
            found[parameter] = value
    return found


def same(a: Any, b: Any) -> bool:
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and (a.dtype.kind == "O" or a.tobytes() == b.tobytes())


def call(name: str, rng: np.random.Generator) -> bool:
    """One call of a function. Whether it gave a result."""
    inputs = Inputs(rng, name)
    try:
        arguments = bound(name, inputs)
    except REFUSALS:
        return False
    if inputs.chance(0.1) and arguments:
        arguments[inputs.pick(list(arguments))] = inputs.pick(STRANGE)
    before = {key: copy.deepcopy(value) for key, value in arguments.items() if isinstance(value, np.ndarray)}
    try:
        result = getattr(siglib, name)(**arguments)
    except REFUSALS:
        return False
    for key, value in before.items():
        assert same(value, arguments[key]), f"{key} was changed"
    if "n_jobs" in arguments and arguments.get("rng", 0) is not None:
        again = getattr(siglib, name)(**{**arguments, "n_jobs": int(inputs.pick([1, 2, 3]))})
        assert same(result, again), f"other bits with n_jobs={arguments['n_jobs']} than with another"
    return True


def use_intervals(rng: np.random.Generator) -> bool:
    inputs = Inputs(rng, "sig")
    path = siglib.IntervalSignature(
        inputs.array(*inputs.batch, inputs.n_points + 1, inputs.d), inputs.degree, scalar_term=inputs.chance(0.3)
    )
    for _ in range(4):
        n = len(path)
        starts, ends = rng.integers(0, n, (2, rng.integers(0, 30)))
        path.sig_batch(starts, ends)
        path.sig(*rng.integers(0, n, 2).tolist())
        path.log_sig(0, n - 1, method=int(rng.integers(0, 3)))
        path.append(inputs.array(*inputs.batch, int(rng.integers(0, 200)), inputs.d))
        if inputs.chance(0.2):
            path = inputs.pick([copy.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])(path)
    return True


def for_stream(rng: np.random.Generator, cls: Any) -> tuple[Inputs, dict[str, Any]]:
    """Inputs for a stream, and options of its own."""
    if not issubclass(cls, (siglib.BranchedSigStream, siglib.BranchedSigWindowStream)):
        return Inputs(rng, "sig"), {}
    inputs = Inputs(rng, "branched_sig_windows")
    return inputs, {"planar": inputs.options["planar"], "scalar_term": inputs.chance(0.4)}


def use_stream(rng: np.random.Generator, cls: Any) -> bool:
    inputs, options = for_stream(rng, cls)
    stream = cls(inputs.d, inputs.degree, n_jobs=int(inputs.pick([1, 2])), **options)
    for _ in range(6):
        for _ in range(rng.integers(0, 40)):
            stream.push(inputs.array(*inputs.batch, inputs.d))
        n = int(inputs.pick([1, 5, 40, 3000]))
        stream.push_batch(inputs.array(*inputs.batch, n, inputs.d), checkpoints=inputs.chance(0.8))
        for _ in range(rng.integers(0, stream.size)):
            stream.pop_front()
        stream.sig_batch(rng.integers(stream.start_index, stream.end_index + 1, (rng.integers(1, 12), 2)))
        stream.sig(stream.start_index, stream.end_index)
        if stream.size * inputs.length * math.prod(inputs.batch) < 10**6:
            stream.sig_all(rebase=inputs.chance(0.5))
        if inputs.chance(0.2):
            stream = inputs.pick([copy.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])(stream)
    return True


def use_window_stream(rng: np.random.Generator, cls: Any) -> bool:
    inputs, options = for_stream(rng, cls)
    stream = cls(inputs.d, inputs.degree, int(rng.integers(1, 30)), stride=int(rng.integers(1, 40)), **options)
    for _ in range(4):
        stream.push(inputs.array(*inputs.batch, inputs.d))
        n = int(inputs.pick([1, 40, 9000 if inputs.length < 100 and math.prod(inputs.batch) < 4 else 60]))
        stream.push_batch(inputs.array(*inputs.batch, n, inputs.d))
        if stream.num_windows:
            stream.sig()
    return True


def use_words(rng: np.random.Generator) -> bool:
    n, length = int(rng.integers(1, 6)), int(rng.integers(0, 5))
    for word in siglib.words(n, length):
        assert siglib.is_lyndon(word) == (0 < len(word) and all(word < word[i:] for i in range(1, len(word))))
        assert siglib.idx_to_word(siglib.word_to_idx(word, n, scalar_term=True), n, scalar_term=True) == word
    assert len(siglib.words_of_length(n, length)) == n**length
    assert len(siglib.lyndon_words_of_length(n, length)) <= len(siglib.words_of_length(n, length))
    siglib.lyndon_words(n, length)
    return True


def use_trees(rng: np.random.Generator) -> bool:
    d, degree, planar = int(rng.integers(1, 4)), int(rng.integers(0, 5)), bool(rng.integers(2))
    listed = siglib.trees(d, degree, planar=planar)
    assert len(listed) == siglib.branched_sig_length(d, degree, planar=planar, scalar_term=True)
    assert len(siglib.trees_of_order(d, degree, planar=planar)) <= len(listed)
    i = int(rng.integers(len(listed)))
    assert siglib.tree_to_idx(listed[i], d, degree, planar=planar, scalar_term=True) == i
    assert siglib.idx_to_tree(i, d, degree, planar=planar, scalar_term=True) == listed[i]
    return True


def use_tables(rng: np.random.Generator) -> bool:
    d, degree, planar = int(rng.integers(1, 5)), int(rng.integers(0, 5)), bool(rng.integers(2))
    siglib.prepare_log_sig(d, degree, int(rng.integers(0, 4)), use_disk=True)
    d = min(d, 3)
    siglib.prepare_branched_sig(d, degree, planar=planar, use_disk=True)
    siglib.prepare_branched_log_sig(d, degree, 2 if planar else 0, planar=planar)
    siglib.prepare_branched_sig_coef(d, [*siglib.trees(d, min(degree, 3), planar=planar)], planar=planar)
    siglib.clear_cache(use_disk=bool(rng.integers(2)))
    return True


def use_lengths(rng: np.random.Generator) -> bool:
    d, degree, planar = int(rng.integers(1, 4)), int(rng.integers(0, 5)), bool(rng.integers(2))
    transform = {"time_aug": bool(rng.integers(2)), "lead_lag": bool(rng.integers(2))}
    width = d * (1 + transform["lead_lag"]) + transform["time_aug"]
    assert siglib.sig_length(d, degree, **transform) == len(siglib.words(width, degree)) - 1
    assert siglib.log_sig_length(d, degree, **transform) == len(siglib.lyndon_words(width, degree))
    assert siglib.branched_log_sig_length(d, degree) <= siglib.branched_sig_length(d, degree, planar=planar)
    return True


def use_static_kernel(rng: np.random.Generator) -> bool:
    kernel, x = Inputs(rng, "sig_kernel").static_kernel(), rng.standard_normal((2, 3, 2))
    assert np.isfinite(siglib.sig_kernel(x, x, dyadic_order=0, static_kernel=kernel)).all()
    return True


Use = Callable[[np.random.Generator], bool]
# What arguments by the names of parameters do not make: objects that are asked more than once, words, trees, tables.
APART: dict[Use, str] = {
    use_intervals: "IntervalSignature",
    use_stream: "SigStream LogSigStream BranchedSigStream BranchedLogSigStream",
    use_window_stream: "SigWindowStream LogSigWindowStream BranchedSigWindowStream BranchedLogSigWindowStream",
    use_words: "words words_of_length lyndon_words lyndon_words_of_length is_lyndon word_to_idx idx_to_word",
    use_trees: "trees trees_of_order tree_to_idx idx_to_tree",
    use_lengths: "sig_length log_sig_length branched_sig_length branched_log_sig_length",
    use_tables: "prepare_log_sig prepare_branched_sig prepare_branched_log_sig prepare_branched_sig_coef clear_cache",
    use_static_kernel: " ".join(cls.__name__ for cls in STATIC_KERNELS if cls is not Given),
}
# Nothing to give them; `main` sets the folder of the cache.
NOTHING_TO_TRY = {"show_config", "set_cache_dir", "Context", "StaticKernel", "progress", "gram_to_file"}


def all_calls() -> dict[str, Use]:
    """A call of everything in the table, by name."""
    calls: dict[str, Use] = {
        name: functools.partial(
            use, **{"cls": getattr(siglib, name)} if "cls" in inspect.signature(use).parameters else {}
        )
        for use, names in APART.items()
        for name in names.split()
    }
    calls |= {name: functools.partial(call, name) for name in {*NAMES} - calls.keys() - NOTHING_TO_TRY}
    return dict(sorted(calls.items()))


def main() -> int:
    parser = argparse.ArgumentParser(description="Random calls of all that is in the table of operations.")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after so many seconds")
    parser.add_argument("--calls", type=int, default=sys.maxsize, help="stop after so many calls")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first call")
    parser.add_argument("--only", help="call this function only")
    parser.add_argument("--last", default=os.devnull, help="file for the number of the call that is running")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    calls = all_calls()
    names = [options.only] if options.only else list(calls)
    siglib.set_cache_dir(tempfile.mkdtemp())
    made, good = Counter[str](), Counter[str]()
    stop = time.monotonic() + options.seconds
    number = options.first
    with open(options.last, "wb", buffering=0) as last:
        while number - options.first < options.calls and time.monotonic() < stop:
            name = names[number % len(names)]
            last.seek(0)
            last.write(f"{number} {name:<40}\n".encode())
            rng = np.random.default_rng([options.seed, number])
            made[name] += 1
            try:
                good[name] += calls[name](rng)
            except BaseException:
                print(f"call {number} of seed {options.seed}: {name}", file=sys.stderr)
                raise
            number += 1
    for name in names:
        print(f"{name:<26} {made[name]:>8} calls {good[name]:>8} results")
    print(f"{number - options.first} calls, all as they should be")
    # Otherwise only refusals are tried.
    silent = [name for name in names if made[name] > 100 and not good[name]]
    assert not silent, f"no result of {silent}"
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What callers may pass for a parameter, by its name: things that go together, things that do not, and junk."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from operations import KINDS

import siglib

junk = st.one_of(
    st.none(), st.booleans(), st.text(max_size=2), st.floats(), st.complex_numbers(), st.just(10**30), st.just(-(2**63)),
    st.just(object), st.just(...), st.binary(max_size=2), st.just(np.ma.masked_array([[1.0]])), st.sampled_from([np.nan, 2.0, np.bool_(1)]),
)  # fmt: skip
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
kinds = st.sampled_from(["f8", "f4", "f2", "i8", "u1", "?", ">f8", "c16", "O", "g", "S1", "M8[s]"])


@st.composite
def arbitrary_arrays(draw: st.DrawFn) -> Any:
    """Arrays of any shape and dtype, well-shaped ones among them, transposed or reversed now and then; lists; junk."""
    choice = draw(st.integers(0, 9))
    if choice == 0:
        return draw(junk)
    shape = (
        draw(st.sampled_from([(3, 2), (2, 3, 2), (6,), (7,), (2, 6), (14,), (0, 3, 2), (3,), (2, 2, 3, 1)]))
        if choice < 7
        else draw(shapes)
    )
    array = np.zeros(shape, "f8" if choice < 8 else draw(kinds))
    if array.dtype == float:
        array = np.random.default_rng(0).standard_normal(shape) * draw(st.sampled_from([1.0, 1e300, np.nan, 0.0]))
    how = draw(st.integers(0, 5))
    if how == 0:
        return array.tolist()
    if how == 1:
        return array.T
    if how == 2 and array.ndim:
        return array[::-1]
    return array


small = st.one_of(
    st.integers(0, 4), st.integers(0, 4), st.integers(-2, 5), st.sampled_from([np.int64(2), 63, 2**62, 10**30]), junk
)
flags = st.one_of(st.booleans(), st.booleans(), st.booleans(), st.sampled_from([1, None, np.True_, "yes"]))
times = st.one_of(st.floats(), st.sampled_from([1, np.float32(2)]), junk)
threads = st.one_of(st.sampled_from([1, 2, -1]), st.integers(-5, 5), junk)

orders = st.one_of(
    st.integers(0, 3), st.tuples(st.integers(0, 2), st.integers(0, 2)), st.sampled_from([None, (1,), [1, 0], (1, 1.5), 31, 2**62, -1]), junk
)  # fmt: skip
kernels = st.sampled_from(
    [None, siglib.LinearKernel(), siglib.RBFKernel(1.0), siglib.PolynomialKernel(2.5), siglib.Matern12Kernel(0.5), siglib.LinearKernel, "rbf"]
)  # fmt: skip

chosen_words = st.one_of(
    st.lists(st.lists(st.integers(0, 2), max_size=3).map(tuple), max_size=3), st.lists(small, max_size=4).map(tuple),
    st.lists(st.lists(small, max_size=4).map(tuple), max_size=3), arbitrary_arrays(),
)  # fmt: skip
points = st.one_of(
    st.none(), st.lists(st.integers(0, 3), max_size=3), st.lists(small, max_size=3), arbitrary_arrays().map(np.shape), arbitrary_arrays()
)  # fmt: skip
# Mostly none: the rest of the options is for windows in points then.
moments = st.one_of(
    st.none(), st.none(), st.lists(st.floats(), max_size=3), st.lists(st.floats(0, 9), min_size=3, max_size=3).map(sorted), arbitrary_arrays()
)  # fmt: skip

# Trees: leaves, nested tuples and lists, forests, junk.
leaves = st.one_of(small.map(lambda label: (label,)), small.map(lambda label: [label]), junk)
forms = st.recursive(
    leaves, lambda parts: st.tuples(parts, parts, small) | st.tuples(parts, small) | st.tuples(parts), max_leaves=4
)
STRATEGIES: dict[str, st.SearchStrategy] = {
    **dict.fromkeys(KINDS, arbitrary_arrays()),
    **dict.fromkeys(("degree", "dimension", "alphabet_size", "max_length", "length", "window_size", "idx", "depth"), small),
    **dict.fromkeys(("sigma", "alpha", "scale", "gamma"), st.one_of(st.floats(), junk)),
    "words": chosen_words, "word": st.one_of(st.lists(small, max_size=4), arbitrary_arrays()), "dyadic_order": orders,
    "dir": st.one_of(junk.filter(lambda x: not isinstance(x, str)), st.just("/no/such/directory")),
    "time_aug": flags, "lead_lag": flags, "scalar_term": flags, "horner": flags, "stream": flags, "end_time": times, "n_jobs": threads,
    "correction": st.one_of(st.none(), junk, arbitrary_arrays()),
    "method": st.one_of(st.sampled_from(["finite_difference", "polynomial"]), st.integers(-1, 4), junk),
    "order": st.one_of(st.none(), st.integers(0, 6), junk), "static_kernel": kernels, "lam": times, "max_batch": threads,
    "return_grid": flags, "prefixes": flags, "normalize": flags, "log": flags, "left_deriv": flags, "right_deriv": flags,
    "permutations": small, "rng": st.one_of(st.just(0), junk.filter(lambda seed: seed is not None)),
    "window": st.one_of(small, st.floats()), "stride": st.one_of(small, st.floats()), "starts": points, "ends": points,
    "times": moments, "span": st.one_of(st.none(), st.tuples(times | st.none(), times | st.none()), junk),
    "k_grid": st.one_of(st.none(), arbitrary_arrays()), "k_stack": st.one_of(st.none(), arbitrary_arrays()),
    "prepend": flags, "planar": flags, "tree": forms, "trees": st.one_of(st.none(), forms, st.lists(st.none() | forms, max_size=3)), "correction_deriv": flags,
    "device": st.one_of(st.sampled_from(["cpu", "cuda", "both"]), junk),
    "file": junk.filter(lambda x: not isinstance(x, (str, bytes))),
    "use_disk": flags.filter(lambda x: not (isinstance(x, (bool, np.bool_)) and x)),  # a test leaves the user's files alone
}  # fmt: skip
# Where a name means something else.
OTHERS = {
    ("trees_of_order", "order"): small,
    ("PolynomialKernel", "degree"): st.one_of(st.floats(), junk),
    ("prepare_branched_log_sig", "method"): st.one_of(st.integers(-1, 4), junk),
    ("prepare_log_sig", "method"): st.one_of(st.integers(-1, 4), junk),
}


def strategy_for(function: str, parameter: str) -> st.SearchStrategy:
    return OTHERS.get((function, parameter), STRATEGIES.get(parameter, junk))

"""Series with times, gaps and augmentations: what each path becomes by definition, and functions of what it becomes."""

import inspect
from typing import Any

import numpy as np
import pytest
from checking import optional
from hypothesis import given, settings
from hypothesis import strategies as st
from operations import OPERATIONS
from reference_series import prepared

import siglib

LENGTHS = [4, 1, 6, 2, 5]
RNG = np.random.default_rng(11)
PATHS = [RNG.standard_normal((length, 2)) for length in LENGTHS]
TIMES = [np.sort(RNG.uniform(0, 5, length)).round(2) for length in LENGTHS]
MORE_TIMES = [np.append(times, 6.0) for times in TIMES]


def with_gaps(paths: list[np.ndarray]) -> list[np.ndarray]:
    """At the beginning, in the middle, at the end; twice at one time; and none."""
    paths = [path.copy() for path in paths]
    paths[0][[0, 2], 0] = np.nan
    paths[2][[1, 2, 5], 1] = np.nan
    paths[2][3, 0] = np.nan
    paths[4][:4, 0] = np.nan
    return paths


WITH_GAPS = with_gaps(PATHS)
# Options of `Series`, and those of the transform.
CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"times": TIMES}, {"time_aug": True}),
    ({"times": TIMES}, {"time_aug": True, "lead_lag": True}),
    ({"times": TIMES}, {}),
    ({"gaps": "forward"}, {}),
    ({"gaps": "linear"}, {"time_aug": True, "end_time": 2.0}),
    ({"gaps": "linear", "times": TIMES}, {"time_aug": True}),
    ({"gaps": "drop", "times": TIMES}, {"time_aug": True, "lead_lag": True}),
    ({"gaps": "drop"}, {"time_aug": True}),
    ({"gaps": "forward", "cumulative_sum": True, "scale": [2.0, -0.5]}, {}),
    ({"gaps": "linear", "scale": 3.0, "base_point": [1.0, 2.0], "times": TIMES}, {"time_aug": True}),
    ({"base_point": True}, {"lead_lag": True}),
    ({"base_point": True, "invisibility_reset": True}, {"time_aug": True, "lead_lag": True, "end_time": -1.5}),
    ({"invisibility_reset": True, "times": TIMES}, {"time_aug": True}),
    ({"interpolation": "rectilinear"}, {"time_aug": True, "end_time": 3.0}),
    ({"interpolation": "rectilinear", "times": TIMES, "base_point": [0.5, 1.0]}, {"time_aug": True}),
    ({"interpolation": "rectilinear", "gaps": "forward", "invisibility_reset": True}, {"time_aug": True}),
    ({"increments": True}, {}),
    ({"increments": True, "base_point": [1.0, -1.0], "gaps": "linear", "times": MORE_TIMES}, {"time_aug": True}),
    ({"increments": True, "invisibility_reset": True, "times": MORE_TIMES}, {"time_aug": True, "lead_lag": True}),
]
cases = pytest.mark.parametrize(("options", "transform"), CASES, ids=[str(i) for i in range(len(CASES))])


def points_for(options: dict[str, Any]) -> list[np.ndarray]:
    return WITH_GAPS if options.get("gaps", "propagate") != "propagate" else PATHS


def of_path(options: dict[str, Any], i: int) -> dict[str, Any]:
    """The options of one of the paths."""
    return options | {"times": options["times"][i]} if "times" in options else options


def by_definition(options: dict[str, Any], transform: dict[str, Any]) -> list[np.ndarray]:
    points = points_for(options)
    return [prepared(path, **of_path(options, i), **transform) for i, path in enumerate(points)]


@cases
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_paths_by_definition(options: dict[str, Any], transform: dict[str, Any], dtype: Any) -> None:
    points = [path.astype(dtype) for path in points_for(options)]
    close = {"rtol": 1e-12, "atol": 1e-12} if dtype == np.float64 else {"rtol": 1e-5, "atol": 1e-5}
    expected = by_definition(options, transform)
    found = siglib.transform_path(siglib.Series(points, **options), **transform)
    for i, (mine, want) in enumerate(zip(found, expected, strict=True)):
        assert mine.dtype == dtype
        np.testing.assert_allclose(mine, want, **close)
        alone = siglib.transform_path(siglib.Series(points[i], **of_path(options, i)), **transform)
        np.testing.assert_array_equal(alone, mine)
    padded = np.full((5, 7, 2), np.nan, dtype)
    for row, path in zip(padded, points, strict=True):
        row[: len(path)] = path
    more = {}
    if "times" in options:
        clocks = np.full((5, 7 + options.get("increments", False)), np.nan)
        for row, times in zip(clocks, options["times"], strict=True):
            row[: len(times)] = times
        more["times"] = clocks
    from_padded = siglib.transform_path(siglib.Series(padded, lengths=LENGTHS, **options | more), **transform)
    longest = prepared(np.zeros((7, 2)), **{k: v for k, v in options.items() if k != "times"}, **transform)
    assert from_padded.shape == (5, *longest.shape)
    for mine, same in zip(from_padded, found, strict=True):
        np.testing.assert_array_equal(mine[: len(same)], same)
        assert not mine[len(same) :].any()


@cases
def test_functions_of_paths(options: dict[str, Any], transform: dict[str, Any]) -> None:
    series, paths = siglib.Series(points_for(options), **options), by_definition(options, transform)
    np.testing.assert_allclose(siglib.sig(series, 3, **transform), siglib.sig(paths, 3), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(
        siglib.log_sig(series, 2, method=2, **transform), siglib.log_sig(paths, 2, method=2), rtol=1e-9, atol=1e-11
    )
    for name, args in (("sig_prefixes", (2,)), ("log_sig_prefixes", (2,)), ("branched_sig_prefixes", (2,))):
        mine, want = getattr(siglib, name)(series, *args, **transform), getattr(siglib, name)(paths, *args)
        for one, other in zip(mine, want, strict=True):
            # One for each point, of which there may be two rows.
            twice = transform.get("lead_lag") or options.get("interpolation") == "rectilinear"
            np.testing.assert_allclose(one, other[::2] if twice else other, rtol=1e-9, atol=1e-11)
    for name, args in (("branched_sig", (2,)), ("sig_coef", ([(0, 1), (1,)],))):
        found = getattr(siglib, name)(series, *args, **transform)
        np.testing.assert_allclose(found, getattr(siglib, name)(paths, *args), rtol=1e-9, atol=1e-11)


@cases
def test_functions_of_pairs(options: dict[str, Any], transform: dict[str, Any]) -> None:
    kernel = {"dyadic_order": 0, "static_kernel": siglib.RBFKernel(5.0)}
    series, paths = siglib.Series(points_for(options), **options), by_definition(options, transform)
    plain = [RNG.standard_normal((4, 2 + options.get("invisibility_reset", False))) for _ in range(3)]
    others = [prepared(path, **transform) for path in plain]
    gram = siglib.sig_kernel_gram(series, series, **kernel, **transform)
    np.testing.assert_allclose(gram, siglib.sig_kernel_gram(paths, paths, **kernel), rtol=1e-10)
    np.testing.assert_array_equal(gram, gram.T)
    for other in (plain, np.stack(plain)):
        found = siglib.sig_kernel_gram(series, other, **kernel, **transform)
        np.testing.assert_allclose(found, siglib.sig_kernel_gram(paths, others, **kernel), rtol=1e-10)
        found = siglib.sig_kernel_gram(other, series, **kernel, **transform)
        np.testing.assert_allclose(found, siglib.sig_kernel_gram(others, paths, **kernel), rtol=1e-10)
    found = siglib.sig_kernel(series, siglib.Series(points_for(options), **options), **kernel, **transform)
    np.testing.assert_allclose(found, siglib.sig_kernel(paths, paths, **kernel), rtol=1e-10)
    mmd = siglib.sig_mmd(series, plain, **kernel, **transform)
    np.testing.assert_allclose(mmd, siglib.sig_mmd(paths, others, **kernel), rtol=1e-9)
    test = siglib.two_sample_test(series, plain, rng=0, permutations=9, **kernel, **transform)
    assert test.p_value == siglib.two_sample_test(paths, others, rng=0, permutations=9, **kernel).p_value


@cases
def test_public_gradients(options: dict[str, Any], transform: dict[str, Any]) -> None:
    """The adjoint, since what is prepared is linear in the points: tested by a difference, which is exact."""
    points = points_for(options)
    series = siglib.Series(points, **options)
    paths = by_definition(options, transform)
    sigs = siglib.sig(paths, 2)
    derivs = RNG.standard_normal(sigs.shape)
    inner = siglib.sig_backprop(paths, sigs, derivs, 2)
    found = siglib.sig_backprop(series, siglib.sig(series, 2, **transform), derivs, 2, **transform)
    for i, (path, mine) in enumerate(zip(points, found, strict=True)):
        assert mine.shape == path.shape
        for at in np.ndindex(*path.shape):
            if np.isnan(path[at]):
                assert mine[at] == 0
                continue
            moved = path.copy()
            moved[at] += 1.0
            change = prepared(moved, **of_path(options, i), **transform) - paths[i]
            np.testing.assert_allclose(mine[at], (change * inner[i]).sum(), rtol=1e-9, atol=1e-9)


def test_arrays_of_any_batch_axes() -> None:
    points, times = RNG.standard_normal((2, 3, 5, 2)), np.sort(RNG.uniform(0, 1, (2, 3, 5)))
    base = RNG.standard_normal((2, 3, 2))
    for layout in (points, np.asfortranarray(points), points[::-1, :, ::1, ::-1]):
        found = siglib.sig(siglib.Series(layout, times=times, base_point=base), 2, time_aug=True)
        for at in np.ndindex(2, 3):
            path = prepared(layout[at], times=times[at], base_point=base[at], time_aug=True)
            np.testing.assert_allclose(found[at], siglib.sig(path, 2), atol=1e-12)
    shared = siglib.sig(siglib.Series(points, times=times[0, 0]), 2, time_aug=True)
    assert shared.shape == (2, 3, 12)
    path = prepared(points[1, 2], times=times[0, 0], time_aug=True)
    np.testing.assert_allclose(shared[1, 2], siglib.sig(path, 2), atol=1e-12)
    points[0, 1, 2, 1] = np.nan
    dropped = siglib.sig(siglib.Series(points, times=times, gaps="drop"), 2, time_aug=True)
    assert dropped.shape == (2, 3, 12)
    path = prepared(points[0, 1], times=times[0, 1], gaps="drop", time_aug=True)
    np.testing.assert_allclose(dropped[0, 1], siglib.sig(path, 2), atol=1e-12)
    gradient = siglib.sig_backprop(siglib.Series(points, gaps="drop"), siglib.sig(siglib.Series(points, gaps="drop"), 2), RNG.standard_normal((2, 3, 6)), 2)  # fmt: skip
    assert gradient.shape == points.shape
    assert not gradient[0, 1, 2].any() and gradient[0, 1, 1].all()
    single = siglib.sig_prefixes(siglib.Series(points[0, 1], gaps="drop"), 1)
    assert single.shape == (4, 2)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_lengths_and_gaps(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 6))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    d = data.draw(st.integers(1, 3))
    share = data.draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
    paths, times = [], []
    for _ in range(n):
        length = data.draw(st.integers(0, 9))
        path = rng.standard_normal((length, d))
        path[rng.uniform(size=path.shape) < share] = np.nan
        paths.append(path)
        times.append(np.sort(rng.integers(0, 8, length)).astype(float))
    increments = data.draw(st.booleans())
    options: dict[str, Any] = {
        "gaps": data.draw(st.sampled_from(["propagate", "forward", "linear"] + ["drop"] * (not increments))),
        "cumulative_sum": not increments and data.draw(st.booleans()),
        "increments": increments,
        "base_point": data.draw(st.sampled_from([None, True, np.arange(d) + 1.0])),
        "invisibility_reset": data.draw(st.booleans()),
        "interpolation": data.draw(st.sampled_from(["linear", "rectilinear"])),
    }
    with_times = data.draw(st.booleans())
    if with_times:
        options["times"] = [np.append(t, 9.0) if increments else t for t in times]
    transform = {"time_aug": options["interpolation"] == "rectilinear" or data.draw(st.booleans())}
    transform["lead_lag"] = options["interpolation"] == "linear" and data.draw(st.booleans())
    found = siglib.transform_path(
        siglib.Series(paths, **options), n_jobs=data.draw(st.sampled_from([1, 2])), **transform
    )
    for i, (mine, path) in enumerate(zip(found, paths, strict=True)):
        expected = prepared(path, **of_path(options, i), **transform)
        if isinstance(found, np.ndarray) and options["gaps"] == "drop":
            # Points of one length came as one array: what is shorter now is padded.
            assert not mine[len(expected) :].any()
            mine = mine[: len(expected)]
        np.testing.assert_allclose(mine, expected, rtol=1e-11, atol=1e-11)


def test_even_times_are_the_clock_that_no_times_give() -> None:
    points, times = RNG.standard_normal((3, 9, 2)), np.linspace(0, 1, 9)
    for lead_lag in (False, True):
        for function in (lambda path, **o: siglib.sig(path, 3, **o), siglib.transform_path):
            options = {"time_aug": True, "lead_lag": lead_lag}
            found = function(siglib.Series(points, times=times), **options)
            np.testing.assert_allclose(found, function(points, **options), rtol=1e-12, atol=1e-13)


def test_many_paths_are_prepared_some_at_a_time() -> None:
    """More than fit into one part, so that parts are put together."""
    rng = np.random.default_rng(0)
    points, times = rng.standard_normal((300, 700, 2)), np.sort(rng.uniform(0, 1, (300, 700)))
    base = rng.standard_normal((300, 2))
    found = siglib.sig(siglib.Series(points, times=times, base_point=base), 2, time_aug=True)
    whole = np.concatenate([base[:, None], points], 1)
    clocks = np.concatenate([times[:, :1], times], 1)
    expected = siglib.sig(np.concatenate([whole, clocks[..., None]], 2), 2)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    lengths = rng.integers(1, 700, 300)
    ragged = siglib.sig(siglib.Series(points, times=times, base_point=base, lengths=lengths), 2, time_aug=True)
    for i in (0, 63, 64, 299):
        path = np.concatenate([whole[i], clocks[i, :, None]], 1)[: lengths[i] + 1]
        np.testing.assert_allclose(ragged[i], siglib.sig(path, 2), rtol=1e-10, atol=1e-10)


def test_the_plain_series_is_what_it_was_before() -> None:
    padded = RNG.standard_normal((3, 5, 2))
    np.testing.assert_array_equal(
        siglib.sig(siglib.Series(padded, lengths=[5, 2, 3]), 3), siglib.sig(padded, 3, lengths=[5, 2, 3])
    )
    np.testing.assert_array_equal(
        siglib.sig(siglib.Series(padded), 3, lead_lag=True), siglib.sig(padded, 3, lead_lag=True)
    )
    np.testing.assert_array_equal(siglib.sig(siglib.Series(PATHS), 3), siglib.sig(PATHS, 3))


def test_samples_of_any_batch_axes_and_none() -> None:
    points, times = RNG.standard_normal((4, 5, 2)), np.arange(5.0)
    options = {"dyadic_order": 0, "time_aug": True}
    paths = np.stack([prepared(path, times=times, time_aug=True) for path in points])
    expected = siglib.sig_score(paths, paths[:1], dyadic_order=0)
    series = siglib.Series(points, times=times)
    for y, shape in ((points[0], (1,)), (points[:1, None], (1, 1))):
        found = siglib.sig_score(series, siglib.Series(y, times=times), **options)
        np.testing.assert_allclose(found, expected.reshape(shape), rtol=1e-10)
    for none in ({"times": np.zeros((0, 5))}, {"times": times}, {"gaps": "drop", "lengths": []}):
        empty = siglib.sig(siglib.Series(np.zeros((0, 5, 2)), base_point=True, **none), 2, time_aug=True)
        assert empty.shape == (0, 12)


def test_functions_that_take_no_series_say_so() -> None:
    series = siglib.Series(PATHS[0], base_point=True)
    for call in (
        lambda: siglib.SigStream(2, 2).push(series),
        lambda: siglib.IntervalSignature(series, 2),
        lambda: siglib.sig_jvp(series, PATHS[0], 2),
    ):
        with pytest.raises(TypeError, match="is a series, which this function does not take"):
            call()
    for path, more in ((series, {}), (PATHS[0], {"times": TIMES[0], "time_aug": True})):
        with pytest.raises(ValueError, match="out is for results of arrays .* path has times, gaps or the like"):
            siglib.sig(path, 2, out=np.zeros(6), **more)


def test_half_precision_comes_back_as_it_came() -> None:
    points = np.arange(8, dtype=np.float16).reshape(2, 2, 2) / 4
    found = siglib.sig(siglib.Series(points, base_point=True, scale=0.5), 2)
    assert found.dtype == np.float16
    expected = siglib.sig(siglib.Series(points.astype(np.float32), base_point=True, scale=0.5), 2)
    np.testing.assert_array_equal(found, expected.astype(np.float16))
    options = {"dyadic_order": 0, "time_aug": True}
    for other in (points, list(points), [points[0], points[1, :1]]):
        found = siglib.sig_kernel_gram(siglib.Series(points, base_point=True), other, **options)
        single = [path.astype(np.float32) for path in other]
        expected = siglib.sig_kernel_gram(siglib.Series(points.astype(np.float32), base_point=True), single, **options)
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, expected.astype(np.float16))


@pytest.mark.parametrize("options", [{}, {"interpolation": "rectilinear"}, {"lead_lag": True}], ids=str)
def test_points_added_to_paths_without_any_have_time_zero(options: dict[str, Any]) -> None:
    """Whether other paths of the call have times or not."""
    transform = {"time_aug": True, "lead_lag": options.get("lead_lag", False)}
    more = {name: value for name, value in options.items() if name != "lead_lag"}
    points, times = np.full((2, 3, 2), np.nan), np.array([1.0, 2.0, 4.0])
    for gaps, lengths in (("drop", None), ("propagate", [0, 0])):
        given = {"gaps": gaps, "base_point": [1.0, 2.0], "invisibility_reset": True, **more}
        path = siglib.transform_path(siglib.Series(points, lengths=lengths, times=times, **given), **transform)
        assert (path[..., -1] == 0).all()
        assert path[..., 0].any()


def takes_times(name: str) -> bool:
    """As a clock: those of windows say where windows are."""
    return "times" in inspect.signature(getattr(siglib, name)).parameters and "windows" not in name


WITH_TIMES = sorted(filter(takes_times, {operation.name for operation in OPERATIONS}))


@pytest.mark.parametrize("name", [name for name in WITH_TIMES if not name.endswith("_backprop")])
def test_times_of_every_function(name: str) -> None:
    """As those of a series; gradients, too."""
    what: dict[str, tuple[Any, ...]] = {"sig_coef": ([(0, 1)],), "branched_sig_coef": ([((0,), 1)],), "transform_path": ()}  # fmt: skip
    args = what.get(name, (2,))
    function, backprop = getattr(siglib, name), getattr(siglib, f"{name}_backprop", None)
    more = {"prefixes": True} if name == "sig_coef" else {}
    for lead_lag in (False, True):
        options = {"time_aug": True, "lead_lag": lead_lag}
        calls = [({"times": TIMES}, PATHS), ({}, siglib.Series(PATHS, times=TIMES))]
        values = [function(path, *args, **more, **options, **clock) for clock, path in calls]
        for mine, same in zip(*values, strict=True):
            np.testing.assert_array_equal(mine, same)
        if name == "transform_path" or backprop is None:
            continue
        derivs = [RNG.standard_normal(value.shape) for value in values[0]]
        together = derivs if isinstance(values[0], list) else np.stack(derivs)
        given = (together, *args)
        if name in ("sig", "branched_sig"):
            given = (values[0], together, *args)
        elif name.endswith("_coef"):
            given = (*args, values[0], together)
        gradients = [backprop(path, *given, **options, **clock) for clock, path in calls]
        for mine, same, path in zip(*gradients, PATHS, strict=True):
            assert mine.shape == path.shape
            np.testing.assert_array_equal(mine, same)
    if name != "transform_path":
        with pytest.raises(ValueError, match="times are for time_aug=True"):
            function(PATHS, *args, times=TIMES)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"gaps": "nearest"},
            ValueError,
            "gaps must be one of 'propagate', 'forward', 'linear', 'drop', got 'nearest'",
        ),
        ({"gaps": None}, TypeError, "gaps must be one of"),
        ({"interpolation": "cubic"}, ValueError, "interpolation must be one of 'linear', 'rectilinear', got 'cubic'"),
        ({"cumulative_sum": 1}, TypeError, "cumulative_sum must be True or False"),
        ({"increments": True, "cumulative_sum": True}, ValueError, "increments and cumulative_sum"),
        ({"increments": True, "gaps": "drop"}, ValueError, 'gaps must not be "drop" for increments'),
        ({"scale": [1.0, 2.0, 3.0]}, ValueError, r"scale must be a number or have shape \(2,\), .* got \(3,\)"),
        ({"scale": "std"}, TypeError, "scale must be an array of real numbers"),
        ({"base_point": [1.0]}, ValueError, r"base_point must be True or have shape \(2,\) or \(3, 2\), got \(1,\)"),
        (
            {"times": [0.0, 1.0]},
            ValueError,
            r"times must have shape \(4,\) or \(3, 4\), as the points have, got \(2,\)",
        ),
        ({"times": 1.0}, ValueError, r"times must have shape \(4,\) or \(3, 4\), as the points have, got \(\)"),
        ({"times": [0.0, 1.0, np.nan, 2.0]}, ValueError, "times must be finite, got nan at point 2 of path 0"),
        (
            {"times": [[0, 1, 2, 3], [0, 1, 1, 2], [0, 3, 2, 4]]},
            ValueError,
            "times must not decrease, got 3.0 and then 2.0 at points 1 and 2 of path 2",
        ),
        ({"times": np.array(["2020-01-01"] * 4, "M8[s]")}, TypeError, "times must hold real numbers, such as seconds"),
        ({"times": np.zeros(4, complex)}, TypeError, "times must be an array of real numbers"),
        ({"times": np.zeros(4), "increments": True}, ValueError, r"times must have shape \(5,\)"),
        ({"lengths": [1, 2]}, ValueError, r"lengths must have shape \(3,\)"),
    ],
)
def test_refused_options(options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        siglib.Series(np.zeros((3, 4, 2)), **options)


def test_transform_path_has_the_options_of_a_series() -> None:
    for options, transform in CASES:
        found = siglib.transform_path(points_for(options), **options, **transform)
        for mine, expected in zip(found, by_definition(options, transform), strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="a series has its options already"):
        siglib.transform_path(siglib.Series(PATHS), gaps="forward")


def test_refused_calls() -> None:
    series = siglib.Series(np.zeros((3, 4, 2)), times=[0.0, 1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"times say when a path ends: leave out end_time, got 2.0"):
        siglib.sig(series, 2, time_aug=True, end_time=2.0)
    rectilinear = siglib.Series(np.zeros((3, 4, 2)), interpolation="rectilinear")
    with pytest.raises(ValueError, match="so it needs time_aug=True"):
        siglib.sig(rectilinear, 2)
    with pytest.raises(ValueError, match='"rectilinear" does not go together with lead_lag'):
        siglib.sig(rectilinear, 2, time_aug=True, lead_lag=True)
    with pytest.raises(TypeError, match="points is a series already"):
        siglib.Series(series)
    with pytest.raises(ValueError, match=r"times must be one array, or one for each of 5 paths, got 4"):
        siglib.Series(PATHS, times=TIMES[:4])
    with pytest.raises(ValueError, match=r"times\[1\] must have shape \(1,\), as path 1 has, got \(0,\)"):
        siglib.Series(PATHS, times=[TIMES[0], [], *TIMES[2:]])
    with pytest.raises(ValueError, match=r"times\[1\] must have shape \(1,\), as path 1 has, got \(4,\)"):
        siglib.Series(PATHS, times=[TIMES[0], TIMES[0], *TIMES[2:]])
    with pytest.raises(ValueError, match="path is a series, which has its lengths already"):
        siglib.sig(series, 2, lengths=[4, 4, 4])
    with pytest.raises(ValueError, match="path2 is a series, which has its lengths2 already"):
        siglib.sig_kernel_gram(PATHS, series, lengths2=[4, 4, 4], dyadic_order=0)
    for call in (lambda path: siglib.sig(path, 2, times=[0.0], time_aug=True), siglib.transform_path):
        with pytest.raises(TypeError, match="path must be an array of real numbers"):
            call("path", **({"gaps": "drop"} if call is siglib.transform_path else {}))
    with pytest.raises(ValueError, match=r"path2 must have shape \(..., length, dimension\), got \(4,\)"):
        siglib.sig_kernel_gram(series, np.zeros(4), dyadic_order=0, time_aug=True)
    with pytest.raises(ValueError, match="a correction leaves time out, and does not go together with times"):
        siglib.sig(PATHS[0], 2, times=TIMES[0], time_aug=True, correction=np.zeros(4))
    with pytest.raises(ValueError, match="windows count points, and times together with lead_lag makes two rows"):
        siglib.sig_windows(siglib.Series(PATHS[0], times=TIMES[0]), 2, 2, time_aug=True, lead_lag=True)
    with pytest.raises(ValueError, match="path is a series, whose windows count points"):
        siglib.sig_windows(siglib.Series(PATHS[0]), 2, 2.0, times=TIMES[0])
    with pytest.raises(ValueError, match="times belong to the series"):
        siglib.sig(series, 2, times=[0.0], time_aug=True)
    clock = np.array([1.7e9, 1.7e9 + 1.0])
    siglib.Series(np.zeros((2, 1)), times=clock)
    with pytest.raises(ValueError, match="are one number in float32, which the points have"):
        siglib.Series(np.zeros((2, 1), np.float32), times=clock)


# PyTorch


@pytest.fixture
def torch() -> Any:
    return optional("torch")


@cases
def test_gradients_of_tensors(torch: Any, options: dict[str, Any], transform: dict[str, Any]) -> None:
    points = [torch.tensor(path, requires_grad=True) for path in points_for(options)]
    series = siglib.Series(points, **options)
    derivs = torch.tensor(RNG.standard_normal((5, len(siglib.sig(series, 2, **transform)[0]))))
    (siglib.sig(series, 2, **transform) * derivs).sum().backward()
    of_numpy = siglib.Series(points_for(options), **options)
    sigs = siglib.sig(of_numpy, 2, **transform)
    expected = siglib.sig_backprop(of_numpy, sigs, derivs.numpy(), 2, **transform)
    for point, want in zip(points, expected, strict=True):
        np.testing.assert_allclose(point.grad, want, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "transform"),
    [
        ({"gaps": "linear", "cumulative_sum": True, "base_point": True}, {"time_aug": True}),
        ({"gaps": "forward", "invisibility_reset": True, "scale": [2.0, 3.0]}, {"lead_lag": True}),
        ({"gaps": "drop", "interpolation": "rectilinear"}, {"time_aug": True}),
        ({"increments": True, "base_point": [1.0, 2.0]}, {}),
    ],
    ids=str,
)
def test_derivatives_of_first_and_second_order(torch: Any, options: Any, transform: Any) -> None:
    points = torch.tensor(WITH_GAPS[0] if "gaps" in options else PATHS[0])
    observed = ~torch.isnan(points)
    numbers = points[observed].requires_grad_()

    def function(numbers: Any) -> Any:
        at = torch.full(points.shape, torch.nan, dtype=torch.float64).masked_scatter(observed, numbers)
        return siglib.sig(siglib.Series(at, **options), 2, **transform)

    assert torch.autograd.gradcheck(function, numbers)
    assert torch.autograd.gradgradcheck(function, numbers)


def test_gradients_of_scale_and_base_point(torch: Any) -> None:
    points = torch.tensor(np.stack(WITH_GAPS[:1] * 2)).requires_grad_(False)
    scale = torch.tensor([2.0, -1.0], dtype=torch.float64, requires_grad=True)
    for shape in ((2,), (2, 2)):
        base = torch.tensor(RNG.standard_normal(shape), requires_grad=True)
        for more in ({}, {"increments": True}):

            def function(scale: Any, base: Any, more: Any = more) -> Any:
                series = siglib.Series(points, gaps="linear", scale=scale, base_point=base, **more)
                return siglib.sig(series, 2, lead_lag=True)

            assert torch.autograd.gradcheck(function, (scale, base))


@pytest.mark.parametrize("gaps", ["propagate", "forward", "linear", "drop"])
def test_padding_has_no_part_in_the_gradient_of_the_scale(torch: Any, gaps: str) -> None:
    points = RNG.standard_normal((3, 4, 2))
    gradients = []
    for padding in (np.nan, 0.0):
        for row, length in zip(points, (4, 2, 0), strict=True):
            row[length:] = padding
        scale = torch.tensor([2.0, -1.0], dtype=torch.float64, requires_grad=True)
        series = siglib.Series(torch.tensor(points), lengths=[4, 2, 0], scale=scale, gaps=gaps, base_point=True)
        siglib.sig(series, 2).sum().backward()
        gradients.append(scale.grad.numpy())
    assert gradients[1].all()
    np.testing.assert_array_equal(*gradients)


def test_vmap_and_forward_mode(torch: Any) -> None:
    points = torch.tensor(RNG.standard_normal((3, 4, 2)))
    options = {"times": [0.0, 1.0, 1.5, 4.0], "base_point": True, "cumulative_sum": True}

    def function(path: Any) -> Any:
        return siglib.sig(siglib.Series(path, **options), 2, time_aug=True)

    expected = siglib.sig(siglib.Series(points, **options), 2, time_aug=True)
    torch.testing.assert_close(torch.func.vmap(function)(points), expected)
    jacobian = torch.func.jacrev(function)(points[0])
    torch.testing.assert_close(torch.func.jacfwd(function)(points[0]), jacobian)
    torch.testing.assert_close(torch.autograd.functional.jacobian(function, points[0]), jacobian)
    times = torch.tensor(options["times"])
    constant = {"times": times, "time_aug": True}
    found = torch.func.vmap(lambda path: siglib.sig(path, 2, **constant))(points)
    torch.testing.assert_close(found, siglib.sig(points, 2, **constant))
    slopes = torch.func.grad(lambda path: siglib.sig(path, 1, **constant)[0, 0])(points)
    torch.testing.assert_close(slopes[0, :, 0], torch.tensor([-1.0, 0.0, 0.0, 1.0], dtype=torch.float64))
    with pytest.raises(TypeError, match="times is transformed by torch, and there is no derivative"):
        torch.func.vmap(lambda times: siglib.sig(points, 2, times=times, time_aug=True))(torch.stack([times, times]))
    forward = torch.autograd.forward_ad
    with forward.dual_level(), pytest.raises(TypeError, match="times is transformed by torch, and there is no"):
        siglib.Series(points, times=forward.make_dual(times, times))
    with pytest.raises(TypeError, match='gaps="linear" looks at numbers, which tensors do not have where torch'):
        torch.func.vmap(lambda path: siglib.sig(siglib.Series(path, gaps="linear"), 2))(points)


def test_what_torch_has_for_paths_of_unequal_lengths(torch: Any) -> None:
    tensors = [torch.tensor(path) for path in PATHS]
    expected = siglib.sig(siglib.Series(PATHS, times=TIMES, base_point=True), 2, time_aug=True)
    packed = torch.nn.utils.rnn.pack_sequence(tensors, enforce_sorted=False)
    data = packed.data.requires_grad_()
    out = siglib.sig(siglib.Series(packed, times=[torch.tensor(t) for t in TIMES], base_point=True), 2, time_aug=True)
    np.testing.assert_allclose(out.detach(), expected, rtol=1e-12)
    out[:, 0].sum().backward()
    assert data.grad[:, 0].abs().sum() == len(PATHS)  # level 1: the last point minus zero
    nested = [
        torch.nested.nested_tensor([torch.tensor(one) for one in ones], layout=torch.jagged) for ones in (PATHS, TIMES)
    ]
    out = siglib.sig(siglib.Series(nested[0], times=nested[1], base_point=True), 2, time_aug=True)
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    with pytest.raises(TypeError, match="times requires a gradient, and there is none"):
        siglib.Series(tensors[0], times=torch.arange(4.0, requires_grad=True))


def test_the_compiler_says_what_to_do(torch: Any) -> None:
    def function(points: Any) -> Any:
        return siglib.sig(siglib.Series(points, base_point=True), 2)

    points = torch.zeros(3, 2)
    compiled = torch.compile(function, backend="eager", fullgraph=True)
    with pytest.raises((TypeError, torch._dynamo.exc.TorchDynamoException), match="torch.compile does not see"):
        compiled(points)
    series = siglib.Series(points, base_point=True)
    compiled = torch.compile(lambda: siglib.sig(series, 2), backend="eager", fullgraph=True)
    with pytest.raises(
        (TypeError, torch._dynamo.exc.TorchDynamoException), match="a series, which torch.compile cannot"
    ):
        compiled()


# JAX


@pytest.mark.parametrize(
    ("options", "transform"), [({"times": [0.0, 1.0, 1.5, 4.0], "base_point": [1.0, 2.0]}, {"time_aug": True, "lead_lag": True}), ({"interpolation": "rectilinear", "scale": 2.0}, {"time_aug": True})], ids=str
)  # fmt: skip
def test_arrays_of_jax(options: dict[str, Any], transform: dict[str, Any]) -> None:
    jax = optional("jax")
    points = RNG.standard_normal((3, 4, 2)).astype(np.float32)

    def function(points: Any) -> Any:
        return siglib.sig(siglib.Series(points, **options), 2, **transform)

    expected = function(points)
    given = jax.numpy.asarray(points)
    np.testing.assert_allclose(function(given), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(function)(given), expected, rtol=1e-6, atol=1e-6)
    gradient = jax.jit(jax.grad(lambda points: function(points).sum()))(given)
    series = siglib.Series(points, **options)
    of_numpy = siglib.sig_backprop(series, expected, np.ones_like(expected), 2, **transform)
    np.testing.assert_allclose(gradient, of_numpy, rtol=1e-4, atol=1e-5)
    with_gaps = given.at[1, 2, 0].set(np.nan)
    filled = siglib.sig(siglib.Series(with_gaps, gaps="linear"), 2)
    of_scale = jax.grad(lambda scale: siglib.sig(siglib.Series(with_gaps, gaps="linear", scale=scale), 1)[0].sum())
    moved = np.asarray(with_gaps)[0]
    np.testing.assert_allclose(of_scale(jax.numpy.ones(2)), moved[-1] - moved[0], rtol=1e-4, atol=1e-5)
    of_numpy = siglib.sig(siglib.Series(np.asarray(with_gaps), gaps="linear"), 2)
    np.testing.assert_allclose(filled, of_numpy, rtol=1e-6, atol=1e-6)
    for function in (
        lambda times: siglib.sig(given, 2, times=times, time_aug=True),
        lambda times: siglib.sig_windows(given, 2, 2.0, times=times),
    ):
        with pytest.raises(TypeError, match="times must hold numbers, which traced arrays of JAX do not have"):
            jax.jit(function)(jax.numpy.arange(4.0))
    with pytest.raises(TypeError, match="looks at numbers, which traced arrays of JAX do not have"):
        jax.jit(lambda points: siglib.sig(siglib.Series(points, gaps="forward"), 2))(given)


def test_each_path_ends_at_a_time_of_its_own() -> None:
    rng = np.random.default_rng(8)
    paths, ends = [rng.standard_normal((length, 2)) for length in (5, 1, 9)], [0.5, 3.0, 20.0]
    found = siglib.sig(siglib.Series(paths, end_times=ends), 3, time_aug=True)
    for one, path, end in zip(found, paths, ends, strict=True):
        np.testing.assert_allclose(one, siglib.sig(path, 3, time_aug=True, end_time=end), rtol=1e-12, atol=1e-14)
    both = np.stack([paths[0], paths[2][:5]])
    found = siglib.sig(siglib.Series(both, end_times=np.array([2.0, 0.0])), 3, time_aug=True, lead_lag=True)
    for one, path, end in zip(found, both, (2.0, 0.0), strict=True):
        expected = siglib.sig(path, 3, time_aug=True, lead_lag=True, end_time=end)
        np.testing.assert_allclose(one, expected, rtol=1e-12, atol=1e-14)
    rows = siglib.transform_path(siglib.Series(both[0], end_times=4.0, increments=True), time_aug=True)
    np.testing.assert_allclose(rows[:, 2], np.linspace(0, 4, 6))
    with pytest.raises(ValueError, match=r"end_times must have shape \(3,\), a number for each path, got \(2,\)"):
        siglib.Series(paths, end_times=[1.0, 2.0])
    with pytest.raises(ValueError, match="end_times must hold finite numbers of at least 0"):
        siglib.Series(paths, end_times=[1.0, -2.0, 1.0])
    with pytest.raises(ValueError, match="give either times or end_times"):
        siglib.Series(both, times=np.arange(5.0), end_times=[1.0, 2.0])

"""What is nearly an array: tables whose columns NumPy takes for objects, and paths of different lengths."""

import decimal
import fractions
from typing import Any

import numpy as np
import pytest
from checking import assert_same_bits, optional

import siglib

RAGGED = [np.zeros((4, 2)), np.zeros((5, 2))]


def objects(items: list[Any]) -> np.ndarray:
    """An array of objects."""
    out = np.empty(len(items), object)
    out[:] = items
    return out


# Tables


@pytest.fixture
def frame() -> Any:
    pandas = optional("pandas")
    return pandas.DataFrame({"a": [0.0, 1.0, 1.0, 0.5], "b": [0, 0, 1, 3]})


@pytest.mark.parametrize("kind", ["Float64", "Int64", "Float32", object, "boolean"])
def test_columns_of_any_kind_of_number(frame: Any, kind: Any) -> None:
    if kind == "boolean":
        frame = frame > 0
    elif kind == "Int64":
        frame = frame.round()
    expected = siglib.sig(frame.to_numpy(float), 3)
    assert_same_bits(siglib.sig(frame.astype(kind), 3), expected)
    columns = (frame[name].astype(kind) for name in ("a", "b"))
    np.testing.assert_array_equal(siglib.sig_combine(*columns, 4, 1), frame.to_numpy(float).sum(1))


def test_mixed_columns(frame: Any) -> None:
    frame = frame.assign(
        flag=[True, False, True, True],
        nullable=frame["a"].astype("Float64"),
        exact=[decimal.Decimal(1), fractions.Fraction(1, 2), 3, 4.5],
    )
    expected = np.column_stack([frame["a"], frame["b"], [1, 0, 1, 1], frame["a"], [1, 0.5, 3, 4.5]])
    assert_same_bits(siglib.sig(frame, 2), siglib.sig(expected, 2))
    frame.columns = ["same"] * 5
    assert_same_bits(siglib.sig(frame, 2), siglib.sig(expected, 2))


def test_missing_values_are_nan(frame: Any) -> None:
    frame = frame.astype("Float64")
    frame.loc[1, "b"] = None
    result = siglib.sig(frame, 2)
    expected = frame.to_numpy(float, na_value=np.nan)
    np.testing.assert_array_equal(result, siglib.sig(expected, 2))
    assert np.isnan(result).any()


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (["1", "2", "3", "x"], "str|object"),
        (["1", "2", "3", "4"], "str|object"),
        (np.array(["2020", "2021", "2022", "2023"], "M8[s]"), "datetime64"),
        (np.array([1, 2, 3, 4], "m8[s]"), "timedelta64"),
        (np.array([1j, 2, 3, 4]), "complex128"),
        ([1, 2, None, {}], "object"),
        pytest.param(np.ones(4, np.longdouble), "float128", marks=pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is double here")),
    ],
)  # fmt: skip
def test_errors_name_the_column(frame: Any, column: Any, dtype: str) -> None:
    for flag in (1.0, True):
        with pytest.raises(TypeError, match=rf"path must hold real numbers.*got column 'what' of dtype ({dtype})"):
            siglib.sig(frame.assign(flag=flag, what=column), 2)


# Paths of different lengths


@pytest.mark.parametrize(
    "paths",
    [RAGGED, tuple(RAGGED), objects(RAGGED), [p.tolist() for p in RAGGED], [RAGGED, RAGGED]],
    ids=["list", "tuple", "objects", "lists", "nested"],
)
@pytest.mark.parametrize(
    "call",
    [lambda p: siglib.IntervalSignature(p, 2), lambda p: siglib.SigStream(2, 2).push_batch(p)],
    ids=["intervals", "stream"],
)
def test_ragged_paths_where_they_are_refused(paths: Any, call: Any) -> None:
    with pytest.raises(ValueError, match=r"holds paths of lengths 4, 5(, 4, 5)?, .* pad .* or take them one by one"):
        call(paths)


def test_ragged_paths_in_lists_of_lists() -> None:
    with pytest.raises(ValueError, match=r"path\[0\] holds paths of lengths 4, 5, and an array has one length"):
        siglib.sig([RAGGED, RAGGED], 2)


def test_padding_by_the_last_point_changes_no_signature(rng: np.random.Generator) -> None:
    """What the error advises."""
    path = rng.standard_normal((4, 2))
    padded = np.concatenate([path, path[-1:], path[-1:]])
    for lead_lag in (False, True):
        np.testing.assert_allclose(
            siglib.sig(padded, 3, lead_lag=lead_lag), siglib.sig(path, 3, lead_lag=lead_lag), atol=1e-14
        )
    assert not np.allclose(siglib.sig(padded, 3, time_aug=True), siglib.sig(path, 3, time_aug=True))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([np.zeros((4, 2)), np.zeros((5, 3))], r"paths of shapes \(4, 2\), \(5, 3\): .* same number of channels"),
        ([np.zeros(4), np.zeros(5)], "cannot be turned into an array: its rows have lengths 4, 5"),
        ([[0.0, 1.0], 2.0], "cannot be turned into an array"),
    ],
)
def test_other_lists_that_are_no_arrays(paths: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        siglib.sig(paths, 2)


def test_ragged_indices_of_windows() -> None:
    with pytest.raises(ValueError, match="starts cannot be turned into an array"):
        siglib.sig_windows(np.zeros((2, 5, 2)), 2, starts=[[0], [1, 2]], ends=[[2], [3, 4]])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_ragged_tensors() -> None:
    torch = optional("torch")
    tensors = [torch.zeros(4, 2), torch.zeros(5, 2), torch.zeros(3, 2)]
    packed = torch.nn.utils.rnn.pack_sequence(tensors, enforce_sorted=False)
    ordered = torch.nn.utils.rnn.pack_sequence([tensors[i] for i in (1, 0, 2)])
    for paths, what in [
        (tensors, "path holds paths of lengths 4, 5, 3"),
        (packed, "path is a PackedSequence of paths of lengths 4, 5, 3"),
        (ordered, "path is a PackedSequence of paths of lengths 5, 4, 3"),
        (torch.nested.nested_tensor(tensors), "path is a nested tensor of paths of lengths 4, 5, 3"),
        (
            torch.nested.nested_tensor(tensors, layout=torch.jagged),
            "path is a nested tensor of paths of lengths 4, 5, 3",
        ),
    ]:
        with pytest.raises(TypeError, match=rf"{what}, .* pad .* or take them one by one"):
            siglib.IntervalSignature(paths, 2)
    with pytest.raises(TypeError, match="list of arrays: stack them into one first"):
        siglib.IntervalSignature([tensors[0], tensors[0]], 2)
    many = [np.zeros((n, 1)) for n in range(10)]
    with pytest.raises(ValueError, match=r"of lengths 0, 1, 2, 3, 4, 5, \.\.\., and"):
        siglib.IntervalSignature(many, 2)

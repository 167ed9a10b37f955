"""Golden files: calls with the results that other libraries gave, checked against definitions when they were recorded.

Every `data/*.npz` holds, besides its arrays, `meta`: a JSON text with the list of cases
`{"function", "args", "kwargs", "outputs", "returns_tuple", "source", ...}`. Arguments are plain JSON values,
`{"array": key}`, `{"tuple": [...]}`, `{"list": [...]}`, `{"value": ...}` or
`{"static_kernel": class, "params": {...}}`.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import siglib

DATA = Path(__file__).parent / "data"
TOLERANCE = 1e-11


class Case(NamedTuple):
    """One recorded call: `getattr(siglib, function)(*args, **kwargs)` gave `outputs`, all that it returned."""

    function: str
    args: list[Any]
    kwargs: dict[str, Any]
    outputs: list[Any]
    source: str
    record: dict[str, Any]


@cache
def arrays(file: str) -> dict[str, np.ndarray]:
    """All arrays of a golden file, read-only."""
    with np.load(DATA / f"{file}.npz") as data:
        contents = {key: data[key] for key in data.files}
    for array in contents.values():
        array.flags.writeable = False
    return contents


def _decode(file: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(file, item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"static_kernel", "params"}:
        return getattr(siglib, value["static_kernel"])(**value["params"])
    (kind, content), *others = value.items()
    if others:
        raise ValueError(f"unknown encoding {value}")
    if kind == "array":
        return arrays(file)[content]
    if kind == "tuple":
        return tuple(_decode(file, item) for item in content)
    if kind in ("list", "value"):
        return _decode(file, content)
    raise ValueError(f"unknown encoding {kind!r}")


def _decode_case(file: str, case: dict[str, Any]) -> Case:
    outputs = [_decode(file, output) for output in case["outputs"]]
    kwargs = {name: _decode(file, value) for name, value in case["kwargs"].items()}
    return Case(case["function"], [_decode(file, arg) for arg in case["args"]], kwargs, outputs, case["source"], case)


def cases(file: str, *functions: str, accept: Any = None) -> list[Any]:
    """The cases of `file` for these functions as pytest parameters; `accept(record)` may leave some out."""
    chosen = []
    for number, record in enumerate(json.loads(str(arrays(file)["meta"]))["cases"]):
        if record["function"] in functions and (accept is None or accept(record)):
            options = ",".join(f"{k}={v}" for k, v in record["kwargs"].items() if not isinstance(v, dict))
            numbers = ",".join(str(arg) for arg in record["args"] if isinstance(arg, int))
            chosen.append(
                pytest.param(_decode_case(file, record), id=f"{number}-{record['function']}({numbers};{options})")
            )
    if not chosen:
        raise LookupError(f"{file} has no case of {', '.join(functions)}")
    return chosen


def without_correction(record: dict[str, Any]) -> bool:
    """For `accept`: leaves out the calls with a higher-order correction."""
    return record["kwargs"].get("correction") is None

"""The CUDA sources: how they are put together, and that all of them are installed."""

import re
from importlib import resources
from pathlib import Path

import pytest

from siglib._gpu import _source

CUDA = resources.files("siglib._gpu").joinpath("cuda")
KERNELS = sorted(file.name for file in CUDA.iterdir() if file.name.endswith(".cu"))
IN_REPOSITORY = Path(__file__).parents[1] / "siglib" / "_gpu"


@pytest.mark.parametrize("name", KERNELS)
def test_headers_are_inlined_once(name: str) -> None:
    source = _source.read(name)
    assert "#include" not in source
    assert "#pragma once" not in source
    files = re.findall(r'^#line 1 "(.+)"$', source, re.M)
    assert files[0] == name
    assert len(files) == len(set(files))


@pytest.mark.parametrize("name", KERNELS)
def test_marks_give_every_line_its_number(name: str) -> None:
    file, number = "", 0
    for line in _source.read(name).splitlines():
        mark = re.fullmatch(r'#line (\d+) "(.+)"', line)
        if mark:
            file, number = mark[2], int(mark[1])
            continue
        original = _source.text(file).splitlines()[number - 1]
        assert line == original or original.startswith("#"), f"{file}:{number}"
        number += 1


def test_house_rules() -> None:
    """What NVRTC has no headers for, and what CuPy would hand over wrongly, is not used."""
    for file in CUDA.iterdir():
        text = _source.text(file.name)
        assert "#include <" not in text
        assert "atomic" not in text
        for parameters in re.findall(r"__global__[^{;]*?\b\w+\(((?:[^()]|\n)*)\)\s*\{", text):
            for parameter in filter(None, map(str.strip, parameters.split(","))):
                assert "*" in parameter or re.match(r"(long long|double|const Paths<T>) \w+$", parameter), (
                    f"{file.name}: {parameter}"
                )


def test_every_file_is_installed() -> None:
    if not IN_REPOSITORY.is_dir():
        pytest.skip("the tests run without the sources")
    for folder, kinds in ((IN_REPOSITORY, ("py",)), (IN_REPOSITORY / "cuda", ("cu", "cuh"))):
        listed = (IN_REPOSITORY / "meson.build").read_text()
        for file in (file for kind in kinds for file in folder.glob(f"*.{kind}")):
            assert f"'{file.relative_to(IN_REPOSITORY).as_posix()}'" in listed, f"{file.name} is not in meson.build"

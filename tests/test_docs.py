"""The documentation: its examples run, it lists every public name, and the files it points to exist.

The pages are checked from a source tree; docstrings are those of the installed package.
"""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import siglib

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("*.md"))]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
FUNCTIONS = [name for name, value in vars(siglib).items() if inspect.isfunction(value) and not name.startswith("_")]

CLASSES = [name for name, value in vars(siglib).items() if inspect.isclass(value) and not name.startswith("_")]


def fenced(page: Path, language: str) -> list[tuple[int, str]]:
    """First line number and text of the page's code blocks in this language, without their indentation."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    for match in re.finditer(rf"^( *)```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, match.start(2))
        blocks.append((line, re.sub(rf"^{match[1]}", "", match[2], flags=re.MULTILINE)))
    return blocks


def run(test: doctest.DocTest) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


# Torch uses functions of its own that it has deprecated.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("page", [page for page in PAGES if fenced(page, "pycon")], ids=lambda page: page.name)
def test_examples_of_the_pages(page):
    text = page.read_text(encoding="utf-8")
    for package in ("torch", "sklearn", "pandas"):
        if re.search(rf">>> (import|from) {package}\b", text):
            pytest.importorskip(package, reason=f"{package} is not installed")
    # One namespace a page; blank lines keep the line numbers of the page.
    source = ""
    for line, block in fenced(page, "pycon"):
        source += "\n" * (line - source.count("\n")) + block
    run(doctest.DocTestParser().get_doctest(source, {}, page.name, str(page), 0))


@pytest.mark.parametrize("module", sorted(m.name for m in pkgutil.iter_modules(siglib.__path__)))
def test_examples_of_the_docstrings(module):
    for guest in {"sklearn": ["sklearn"], "jax_api": ["jax"]}.get(module, []):
        pytest.importorskip(guest, reason=f"{guest} is not installed")
    for test in doctest.DocTestFinder().find(importlib.import_module(f"siglib.{module}")):
        run(test)


def test_example_of_the_readme():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    ((_, code),) = fenced(ROOT / "README.md", "python")
    namespace: dict = {}
    exec(compile(ast.parse(code), "README.md", "exec"), namespace)
    assert namespace["features"].shape == (32, 30)
    assert len(namespace["words"]) == 30
    assert namespace["words"][4] == (0, 1)
    assert torch.isfinite(namespace["tensor"].grad).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_reference_lists_every_function(name):
    assert re.search(rf"function:: siglib\.{name}$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", CLASSES)
def test_reference_lists_every_class(name):
    assert re.search(rf"class:: siglib\.{name}$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_reference_lists_every_estimator():
    pytest.importorskip("sklearn", reason="sklearn is not installed")
    estimators = importlib.import_module("siglib.sklearn")
    public = [name for name, value in vars(estimators).items() if callable(value) and not name.startswith("_")]
    listed = re.findall(r":: siglib\.sklearn\.(\w+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(public)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_is_complete(name):
    function = getattr(siglib, name)
    text = inspect.getdoc(function)
    assert text, "no docstring"
    parameters = inspect.signature(function).parameters
    sections = set(re.findall(r"^(\w+)\n-+$", text, re.MULTILINE))
    assert "Examples" in sections
    assert not parameters or "Parameters" in sections
    for parameter in parameters:
        assert re.search(rf"^(\w+, )*{parameter}(, \w+)*( : |$)", text, re.MULTILINE), f"{parameter} is not described"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_the_pages_name_exist(page):
    named = re.findall(r"`((?:siglib|tests|benchmarks|examples|docs|\.ci)/[\w./]+)`", page.read_text(encoding="utf-8"))
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing


def test_design_lists_every_kernel_file():
    text = (DOCS / "design.md").read_text(encoding="utf-8")
    folders = ROOT / "siglib" / "_cpu", ROOT / "siglib" / "_gpu" / "cuda"
    kernels = [path for folder in folders for path in folder.iterdir()]
    missing = [
        path.name
        for path in kernels
        if path.suffix in {".pyx", ".pxd", ".pxi", ".cu", ".cuh"}
        and not path.stem.startswith("_")
        and f"{path.relative_to(ROOT).as_posix()}`" not in text
    ]
    assert not missing

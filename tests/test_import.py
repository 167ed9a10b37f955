"""What `import siglib` loads, the rules between layers, and that every public name is documented with an example that runs."""

import ast
import doctest
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import siglib
import siglib.torch_api

PACKAGE = Path(siglib.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
PUBLIC = sorted(name for name in vars(siglib) if not name.startswith("_") and not inspect.ismodule(vars(siglib)[name]))
CLASSES = [name for name in PUBLIC if inspect.isclass(vars(siglib)[name])]
FUNCTIONS = [name for name in PUBLIC if name not in CLASSES]
MODULES = sorted(m.name for m in pkgutil.walk_packages([str(PACKAGE)], "siglib.") if "._" not in m.name)


def run_python(code: str, **environment: str) -> str:
    """Output of a program in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_no_framework() -> None:
    loaded = run_python(
        """
        import sys, siglib, siglib.torch_api
        siglib.sig([[0, 0], [1, 2]], 2)
        guests = {"torch", "cupy", "scipy", "sklearn", "pandas", "polars", "jax", "dask", "tqdm"}
        print({name.partition(".")[0] for name in sys.modules} & guests)
        """
    )
    assert loaded == "set()\n"


def test_estimators_import_no_frames() -> None:
    """Nor frameworks. pandas may come with scikit-learn itself."""
    pytest.importorskip("sklearn", reason="sklearn is not installed")
    loaded = run_python(
        """
        import sys
        from siglib.sklearn import SignatureTransformer
        SignatureTransformer(2).fit_transform([[1.0, 2.0, 4.0], [0.0, 1.0, 1.0]])
        print(set(sys.modules) & {"torch", "cupy", "polars", "jax"})
        """
    )
    assert loaded == "set()\n"


def test_works_where_frameworks_cannot_be_imported() -> None:
    code = """
        import sys
        sys.modules["torch"] = sys.modules["cupy"] = None
        import siglib
        print(siglib.sig([[0, 0], [1, 2]], 1))
        """
    assert run_python(code) == "[1. 2.]\n"


def test_torch_may_be_imported_after_siglib() -> None:
    pytest.importorskip("torch")
    code = """
        import siglib
        siglib.sig([[0, 0], [1, 2]], 1)
        import torch
        path = torch.tensor([[0.0, 0.0], [1.0, 2.0]], requires_grad=True)
        siglib.sig(path, 1).sum().backward()
        print(path.grad.tolist())
        """
    assert run_python(code) == "[[-1.0, -1.0], [1.0, 1.0]]\n"


@pytest.mark.parametrize("name", ["torch", "cupy"])
def test_frameworks_of_which_a_part_is_imported(name: str) -> None:
    """What other threads see while one imports a framework."""
    code = f"""
        import importlib.machinery, sys, types
        import numpy as np
        import siglib
        path = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]])
        def results():
            stream = siglib.SigStream(2, 2)
            stream.push(path[0])
            stream.push_batch(path[1:].tolist())
            return [
                siglib.sig(path, 2), siglib.sig(path.tolist(), 2), siglib.sig(path, 2, correction=[0.5] * 4),
                siglib.sig_backprop(path, np.ones(6), np.ones(6), 2), siglib.log_sig(path, 2), siglib.sig_coef(path, (0, 1)),
                siglib.sig_windows(path, 2, starts=[0, 1], ends=[2, 3]), siglib.transform_path(path, lead_lag=True),
                siglib.sig_kernel(path, path, dyadic_order=0, static_kernel=siglib.RBFKernel(2.0)),
                siglib.sig_mmd([path, -path], [path, path], dyadic_order=0), stream.sig(0, 1),
                siglib.IntervalSignature(path, 2).sig(0, 2),
            ]
        expected = results()
        bare = types.ModuleType("{name}")
        begun = types.ModuleType("{name}")
        begun.Tensor = begun.ndarray = type("Tensor", (), {{}})
        begun.__spec__ = importlib.machinery.ModuleSpec("{name}", None)
        begun.__spec__._initializing = True
        for module in (bare, begun):
            sys.modules["{name}"] = module
            assert all(map(np.array_equal, results(), expected))
            siglib.show_config()
        """
    assert f"{name} " in run_python(code)


def test_calls_while_a_thread_imports_torch() -> None:
    pytest.importorskip("torch")
    code = """
        import threading
        import numpy as np
        import siglib
        path = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]])
        expected, done, n = siglib.sig(path, 2), threading.Event(), 0
        def load():
            try:
                import torch
            finally:
                done.set()
        thread = threading.Thread(target=load)
        thread.start()
        while not done.is_set() or n == 0:
            assert np.array_equal(siglib.sig(path, 2), expected)
            assert np.array_equal(siglib.sig(path.tolist(), 2), expected)
            n += 1
        thread.join()
        import torch
        tensor = torch.from_numpy(path).requires_grad_()
        out = siglib.sig(tensor, 2)
        out.sum().backward()
        print(np.array_equal(out.detach().numpy(), expected), tensor.grad is not None)
        """
    assert run_python(code) == "True True\n"


def test_impossible_instruction_set() -> None:
    code = """
        try:
            import siglib
        except ImportError as error:
            print(error)
        """
    assert "SIGLIB_CPU='z80' cannot run here; possible: " in run_python(code, SIGLIB_CPU="z80")


def imports_of(source: Path) -> set[str]:
    """Names of the modules that a file imports, at any place: 'numpy', 'siglib._call.backend', ..."""
    names: set[str] = set()
    package = ["siglib", *source.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), f"{source} imports *"
            base = ".".join([*package[: len(package) + 1 - node.level], *filter(None, [node.module])])
            base = base if node.level else node.module or ""
            modules = {f"{base}.{alias.name}" for alias in node.names} & PLACES.keys()
            names.update(modules or {base})
    return names


def module_name(source: Path) -> str:
    parts = ["siglib", *source.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PLACES = {module_name(source): source for source in SOURCES}
# A folder imports from itself and from those before it.
ORDER = [
    "_tables",
    "_cpu",
    "_gpu",
    "_call",
    "paths",
    "signatures",
    "log_signatures",
    "branched",
    "kernels",
    "streams",
    "sklearn",
]
# Frameworks are looked for here only.
GUESTS = {
    "backend",
    "cpu_backends",
    "dask_arrays",
    "formats",
    "indices",
    "libraries",
    "torch",
    "torch_autograd",
    "torch_operator",
    "torch_second_order",
    "torch_vmap",
    "tracing",
}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_layers(source: Path) -> None:
    imported = imports_of(source)
    roots = {name.partition(".")[0] for name in imported}
    folder, name = source.parent.name, source.stem
    assert not roots & {"torch", "pysiglib", "pandas", "polars"}
    assert folder == "sklearn" or "sklearn" not in roots
    if folder != "_gpu":
        assert "cupy" not in roots
    if folder != "siglib":
        for other in (found.split(".")[1] for found in imported if found.startswith("siglib.")):
            assert ORDER.index(other) <= ORDER.index(folder), f"{folder} comes before {other}"
    knows_kernels = (("_call", "backend"), ("_call", "cpu_backends"), ("siglib", "_config"))
    if folder not in ("_cpu", "_gpu") and (folder, name) not in knows_kernels:
        below = {found for found in imported if found.startswith(("siglib._cpu", "siglib._gpu"))}
        # What the machine is holds no kernels.
        assert below <= {"siglib._cpu._cpuid"}, "only the dispatch knows kernels"
    if (folder, name) != ("_gpu", "backends") and not (folder == "_call" and name in GUESTS) and name != "_config":
        assert "sys.modules" not in source.read_text(), "only the dispatch and its guests look for frameworks"
    if folder != "_cpu":
        assert "avx" not in source.read_text(), "only _cpu knows instruction sets"


def test_no_circle_of_imports() -> None:
    waiting = {name: imports_of(source) & PLACES.keys() - {name} for name, source in PLACES.items()}
    while waiting:
        free = {name for name, imported in waiting.items() if not imported & waiting.keys()}
        assert free, f"a circle among {sorted(waiting)}"
        waiting = {name: imported for name, imported in waiting.items() if name not in free}


def test_sources_were_found() -> None:
    assert len(SOURCES) > 8
    assert "siglib.signatures.sig" in MODULES
    assert {"sig", "transform_path", "words", "show_config"} <= set(PUBLIC)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring(name: str) -> None:
    function = getattr(siglib, name)
    doc = inspect.getdoc(function)
    assert doc
    assert "Examples\n--------\n" in doc
    assert "\n>>> " in doc
    if name != "show_config":
        assert "Parameters\n----------\n" in doc
        assert ("Returns\n-------\n" in doc) == (inspect.signature(getattr(siglib, name)).return_annotation is not None)
        assert "Raises\n------\n" in doc


@pytest.mark.parametrize("name", CLASSES)
def test_docstring_of_class(name: str) -> None:
    cls = getattr(siglib, name)
    doc = inspect.getdoc(cls)
    assert doc
    assert "Examples\n--------\n" in doc
    assert "\n>>> " in doc
    parameters = inspect.signature(cls).parameters
    assert ("Parameters\n----------\n" in doc) == bool(parameters)
    for parameter in parameters.values():
        assert parameter.annotation is not parameter.empty
        assert f"\n{parameter.name} : " in doc
    for method, value in vars(cls).items():
        if callable(value) and not method.startswith("_"):
            assert any(inspect.getdoc(getattr(base, method, None)) for base in cls.__mro__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_is_documented_and_typed(name: str) -> None:
    function = getattr(siglib, name)
    doc = inspect.getdoc(function)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    listed = {
        word for line in doc.splitlines() if not line.startswith(" ") for word in line.partition(":")[0].split(", ")
    }
    for parameter in signature.parameters.values():
        assert parameter.annotation is not parameter.empty
        assert parameter.name in {word.strip() for word in listed}, f"{parameter.name} is not documented"


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module: str) -> None:
    for guest in {"siglib.sklearn": ["sklearn"], "siglib.jax_api": ["jax"]}.get(module, []):
        pytest.importorskip(guest, reason=f"{guest} is not installed")
    found = importlib.import_module(module)
    results = doctest.testmod(found, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0
    public = [name for name in PUBLIC if getattr(siglib, name).__module__ == module]
    assert results.attempted or not public


def test_configuration_example_runs(capsys: pytest.CaptureFixture) -> None:
    siglib.show_config()
    printed = capsys.readouterr().out
    assert printed.startswith(f"siglib {siglib.__version__}\n")
    for word in ("python", "instruction set", "processors", "numpy", "torch", "cupy"):
        assert f"  {word} " in printed


def test_torch_api_is_the_same_api() -> None:
    """Every public name but derivatives, which autograd replaces, and the very same objects."""
    expected = {name for name in PUBLIC if not name.endswith(("_backprop", "_jvp")) and name != "show_config"}
    offered = {name for name in vars(siglib.torch_api) if not name.startswith("_")}
    assert offered == expected
    for name in expected:
        assert getattr(siglib.torch_api, name) is getattr(siglib, name)


def test_signature_is_sig() -> None:
    assert siglib.signature is siglib.sig

"""CUDA kernels on the CPU: builds a source with g++, launches its kernels through ctypes.

    library = build(source, ("fill<float>", "fill<double>"))          # cached by content, on disk
    library.launch("fill<float>", grid, block, (array, 3, 1.5), shared=0)

Two builds of every source. "exact" follows the source operation by operation, nothing fused. "check" is slower and
reports races, accesses outside of arrays, reads of what nobody wrote, misaligned accesses, indices outside of local
arrays, and integer overflow, with the lines that did it (see cuda_check.cpp). Both report threads that wait for each
other in vain, and compare the types of arguments with those of the kernel's parameters.
"""

import contextlib
import ctypes
import functools
import hashlib
import itertools
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_HERE = Path(__file__).parent
# -fno-ipa-icf: g++ 12 gives functions that differ one body otherwise.
_FLAGS = (
    *("-std=c++17", "-g", "-fPIC", "-ffp-contract=off", "-fno-ipa-icf", "-fno-gnu-unique", "-fno-strict-aliasing"),
    *("-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-unused-variable", "-Wno-attributes"),
)
_KERNEL_FLAGS = {
    "exact": ("-O2",),
    "check": (
        *("-O1", "-fsanitize=thread", "--param=tsan-instrument-func-entry-exit=0"),
        "-fsanitize=alignment,null,bounds-strict,shift,integer-divide-by-zero,signed-integer-overflow,float-cast-overflow",
    ),
}
_RUN_TIME_FLAGS = {"exact": ("-O2",), "check": ("-O2", "-DEMU_CHECK")}
DTYPES = {
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
    "int": np.dtype(np.int32),
    "unsigned": np.dtype(np.uint32),
    "long long": np.dtype(np.int64),
    "unsigned long long": np.dtype(np.uint64),
    "unsigned char": np.dtype(np.uint8),
    "bool": np.dtype(bool),
}
_lock = threading.Lock()


class EmulatorError(Exception):
    """A kernel did what it must not do."""


class BuildError(Exception):
    """The compiler refused a source."""


class _Region(ctypes.Structure):
    _fields_ = [
        ("first", ctypes.c_size_t),
        ("end", ctypes.c_size_t),
        ("base", ctypes.c_size_t),
        ("written", ctypes.c_void_p),
        ("argument", ctypes.c_int),
    ]


@dataclass(frozen=True)
class Buffer:
    """An array as argument, and which of its memory has been written: a byte for each 4 bytes from `base` on."""

    array: np.ndarray
    written: np.ndarray | None = None
    base: int = 0


@dataclass(frozen=True)
class Struct:
    """A struct as argument, a scalar of a structured dtype; and the arrays that its pointers point to."""

    value: np.void
    arrays: dict[str, Any]


@functools.cache
def available() -> bool:
    """Whether kernels can be built and run here: Linux with GCC."""
    return sys.platform == "linux" and shutil.which("g++") is not None and "clang" not in _compiler_version()


@functools.lru_cache(maxsize=512)
def build(source: str, names: tuple[str, ...], mode: str = "exact") -> "Library":
    """The kernels called `names`, "fill<float>" and so on, of a CUDA source without `#include`."""
    with _lock:
        return Library(_compiled(_prepared(source, names), mode), names, _structs(source))


def _prepared(source: str, names: Sequence[str]) -> str:
    """The source as g++ takes it, and the table of its kernels."""
    source = re.sub(
        r"extern\s+__shared__\s+(?:__align__\s*\(\d+\)\s*)?([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;",
        r"\1* const \2 = static_cast<\1*>(emu::dynamic_shared());",
        source,
    )
    source = _check_launchbounds(source)
    table = "".join(f'    emu::entry("{name}", {name}),\n' for name in names)
    return (
        f'#include "cuda_emu.h"\n{source}\n#line 1 "table"\n'
        f"static volatile thread_local char emu_touched;\n"  # so that this library has thread_local memory
        f"static const emu::Kernel emu_table[] = {{\n{table}}};\n"
        f'extern "C" const emu::Kernel* emu_kernel(int k) {{ emu_touched = 0; return &emu_table[k]; }}\n'
        f'extern "C" const char* emu_type(int k, int i) {{ return i < emu_table[k].n_types ? emu_table[k].types[i] : ""; }}\n'
        f'extern "C" size_t emu_size(int k, int i) {{ return emu_table[k].sizes[i]; }}\n'
    )


def _check_launchbounds(source: str) -> str:
    """`__launch_bounds__(n, ...)` becomes a check at the start of the kernel's body."""
    pieces, done = [], 0
    for match in re.finditer(r"__launch_bounds__\s*\(", source):
        end = _closing(source, match.end())
        bound = source[match.end() : end - 1]
        name = re.compile(r"\s*(\w+)\s*\(").match(source, end)
        if name is None:
            continue
        body = source.index("{", _closing(source, name.end())) + 1
        pieces += [source[done:body], f' emu::check_block(emu_first({bound}), "{name[1]}");']
        done = body
    helper = (
        "template <typename T, typename... R>\nstatic constexpr long long emu_first(T first, R...) { return first; }\n"
    )
    return f'{helper}#line 1 "kernel.cu"\n{"".join(pieces)}{source[done:]}'


def _structs(source: str) -> dict[str, list[tuple[str, str]]]:
    """The templates of structs in a source that have no functions: name and type of each of their members."""
    found = {}
    source = re.sub(r"//[^\n]*", "", source)
    for name, body in re.findall(r"template <typename T>\s*struct (\w+) \{([^(){}]*)\};", source):
        declarations = (
            re.fullmatch(r"\s*((?:const )?[\w ]+?\*?)\s*(\w+(?:, \w+)*)\s*", line) for line in body.split(";")
        )
        found[name] = [(member, d[1]) for d in declarations if d for member in d[2].split(", ")]
    return found


def _spelled(kind: bytes) -> str:
    """A parameter's type as the library spells it; Paths<float> from "... [with T = Paths<float>]"."""
    return kind.decode().partition("[with T = ")[2].removesuffix("]") or kind.decode()


def _closing(text: str, start: int) -> int:
    """Behind the parenthesis that closes the one before `start`."""
    depth = 1
    while depth:
        depth += {"(": 1, ")": -1}.get(text[start], 0)
        start += 1
    return start


def _compiled(source: str, mode: str) -> Path:
    """The shared library: from the cache, or built."""
    kernel_flags = (*_FLAGS, *_KERNEL_FLAGS[mode])
    # One library has the run-time, and its stacks, for all kernels of a mode.
    files = ("cuda_emu.cpp", "cuda_check.cpp") if mode == "check" else ("cuda_emu.cpp",)
    parts = (f'#line 1 "{file}"\n{(_HERE / file).read_text()}' for file in files)
    run_time = _library("run_time.cpp", "".join(parts), (*_FLAGS, *_RUN_TIME_FLAGS[mode]))
    return _library("kernel.cpp", source, kernel_flags, str(run_time))


@functools.cache
def _header(flags: tuple[str, ...]) -> Path:
    """A folder with the header, compiled in advance: that takes a third off each kernel."""
    text = (_HERE / "cuda_emu.h").read_text()
    folder = _cache() / _key(text, *flags)
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            made = Path(work, "made")
            made.mkdir()
            (made / "cuda_emu.h").write_text(text)
            _gxx([*flags, "-w", "-x", "c++-header", str(made / "cuda_emu.h"), "-o", str(made / "cuda_emu.h.gch")])
            with contextlib.suppress(OSError):  # somebody else was faster
                made.rename(folder)
    return folder


def _key(*texts: str) -> str:
    return hashlib.sha256("\0".join([_compiler_version(), *texts]).encode()).hexdigest()[:32]


def _library(name: str, source: str, flags: tuple[str, ...], *libraries: str) -> Path:
    header = _header(flags)
    library = _cache() / f"{_key(source, header.name, *flags, *libraries)}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=library.parent) as work:
            (Path(work) / name).write_text(source)
            # Linked without the flags: the sanitizers' own libraries must stay away.
            compiled, linked = str(Path(work) / "compiled.o"), Path(work) / "linked.so"
            _gxx([*flags, f"-I{header}", "-c", str(Path(work) / name), "-o", compiled])
            _gxx(["-shared", "-Wl,-Bsymbolic", compiled, *libraries, "-o", str(linked)])
            linked.replace(library)
    return library


def _gxx(arguments: list[str]) -> None:
    done = subprocess.run(["g++", *arguments], capture_output=True, text=True)
    if done.returncode or done.stderr.strip():
        raise BuildError(done.stderr)


@functools.cache
def _compiler_version() -> str:
    return subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout


@functools.cache
def _cache() -> Path:
    folder = os.environ.get("SIGLIB_EMULATOR_CACHE") or os.path.join(
        tempfile.gettempdir(), f"siglib-emulator-{os.getuid()}"
    )
    Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(folder)


class Library:
    """Kernels that were built together."""

    def __init__(self, path: Path, names: Sequence[str], structs: dict[str, list[tuple[str, str]]]) -> None:
        self.path = path
        self._structs = structs
        self._c = ctypes.CDLL(str(path))
        self._c.emu_message.restype = self._c.emu_type.restype = ctypes.c_char_p
        self._c.emu_size.restype = ctypes.c_size_t
        self._c.emu_kernel.restype = ctypes.c_void_p
        self._numbers = {name: k for k, name in enumerate(names)}
        self.types = {
            name: [_spelled(kind) for kind in iter(functools.partial(self._type_after, k, itertools.count()), b"")]
            for k, name in enumerate(names)
        }

    @functools.cached_property
    def static_shared(self) -> int:
        """Bytes of the static shared arrays of all its kernels: its thread_local memory, less `emu_touched`."""
        return max(_thread_local_bytes(self.path.read_bytes()) - 1, 0) // 4 * 4

    def _type_after(self, k: int, counter: Iterator[int]) -> bytes:
        return self._c.emu_type(k, next(counter))

    def launch(
        self,
        name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        args: Sequence[Any],
        shared: int = 0,
        falling: bool = False,
    ) -> None:
        """Run the kernel. Arguments are arrays or `Buffer`s, 0 for no array, numbers of the parameter's size, `Struct`s.

        `falling`: the threads run from the last to the first instead of from the first to the last.
        """
        types = self.types[name]
        if len(args) != len(types):
            raise EmulatorError(f"{name} has {len(types)} parameters, got {len(args)} arguments")
        regions: list[_Region] = []
        values = [
            self._struct(f"{name}, argument {i}", value, c_type, (self._numbers[name], i), regions)
            if "<" in c_type
            else _argument(f"{name}, argument {i}", value, c_type, i, regions)
            for i, (value, c_type) in enumerate(zip(args, types, strict=True))
        ]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        regions = _joined(regions)
        with _lock:
            status = self._c.emu_launch(
                ctypes.c_void_p(self._c.emu_kernel(self._numbers[name])),
                (ctypes.c_uint * 3)(*grid),
                (ctypes.c_uint * 3)(*block),
                ctypes.c_size_t(shared),
                pointers,
                (_Region * len(regions))(*regions),
                len(regions),
                int(falling),
            )
            message = self._c.emu_message().decode() if status else ""
        if status:
            raise EmulatorError(f"{name}: {self._with_lines(message)}")

    def _struct(self, what: str, value: Any, c_type: str, place: tuple[int, int], regions: list[_Region]) -> Any:
        """A struct of the parameter's layout, as ctypes holds it; the arrays that it has are added to `regions`."""
        template, _, of = c_type.rstrip(">").partition("<")
        members = [(name, re.sub(r"\bT\b", of, kind)) for name, kind in self._structs[template]]
        expected = np.dtype([(name, np.uintp if "*" in kind else DTYPES[kind]) for name, kind in members], align=True)
        if not isinstance(value, Struct) or value.value.dtype != expected:
            got = value.value.dtype if isinstance(value, Struct) else type(value).__name__
            raise EmulatorError(f"{what} must be a struct of {expected} for {c_type}, got {got}")
        if self._c.emu_size(*place) != expected.itemsize:
            raise EmulatorError(f"{what}: {c_type} has another layout than its members have in NumPy")
        for name, kind in members:
            if "*" in kind:
                pointer = _argument(f"{what}, {name}", value.arrays.get(name, 0), kind, place[1], regions)
                if (pointer.value or 0) != value.value[name]:
                    raise EmulatorError(f"{what}, {name} is the address of no array")
        return (ctypes.c_char * expected.itemsize).from_buffer_copy(value.value.tobytes())

    def _with_lines(self, message: str) -> str:
        """@1a2b@ -> (kernel.cu:12)."""
        places = re.findall(r"@([0-9a-f]+)@", message)
        if places and shutil.which("addr2line"):
            found = subprocess.run(
                ["addr2line", "-s", "-e", str(self.path), *places], capture_output=True, text=True
            ).stdout.splitlines()
            for place, line in zip(places, found, strict=True):
                message = message.replace(f"@{place}@", f"({line.split(' ')[0]})")
        return message


def _thread_local_bytes(elf: bytes) -> int:
    """Of a library of 64 bits: `p_memsz` of its program header of type PT_TLS."""
    (first,) = struct.unpack_from("Q", elf, 32)
    size, n = struct.unpack_from("HH", elf, 54)
    headers = (struct.unpack_from("IIQQQQQQ", elf, first + i * size) for i in range(n))
    return sum(header[6] for header in headers if header[0] == 7)


def _argument(what: str, value: Any, c_type: str, index: int, regions: list[_Region]) -> Any:
    """The value as ctypes holds it; arrays are added to `regions`."""
    if c_type.endswith("*"):
        if isinstance(value, int) and value == 0:
            return ctypes.c_void_p(0)
        buffer = value if isinstance(value, Buffer) else Buffer(value)
        element = c_type.removesuffix("*").removeprefix("const ")
        if not isinstance(buffer.array, np.ndarray) or buffer.array.dtype != DTYPES[element]:
            got = getattr(buffer.array, "dtype", type(value).__name__)
            raise EmulatorError(f"{what} must be an array of {DTYPES[element]} for {c_type}, got {got}")
        if not c_type.startswith("const ") and not buffer.array.flags.writeable:
            raise EmulatorError(f"{what} is read-only and the kernel takes it as {c_type}")
        if buffer.array.size:
            first, end = bounds(buffer.array)
            written = None if buffer.written is None else buffer.written.ctypes.data
            regions.append(_Region(first, end, buffer.base or first, written, index))
        return ctypes.c_void_p(buffer.array.ctypes.data)
    if c_type not in DTYPES:
        raise EmulatorError(f"{what}: parameters are pointers to numbers, or numbers, not {c_type}")
    dtype = DTYPES[c_type]
    if isinstance(value, bool) or not isinstance(value, (int, float, np.generic)):
        raise EmulatorError(f"{what} must be a number for {c_type}, got {type(value).__name__}")
    # What CuPy makes of them: an int has 8 bytes, a float is a double, a NumPy scalar is what its dtype says.
    given = value.dtype if isinstance(value, np.generic) else np.dtype(np.float64 if isinstance(value, float) else int)
    if given != dtype:
        raise EmulatorError(f"{what} is a {given} and the kernel takes {c_type}")
    return np.ctypeslib.as_ctypes_type(dtype)(value)


def bounds(array: np.ndarray) -> tuple[int, int]:
    """Addresses of the first byte of an array and behind its last."""
    spans = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
    address = array.ctypes.data
    return address + sum(min(0, span) for span in spans), address + sum(max(0, span) for span in spans) + array.itemsize


def _joined(regions: list[_Region]) -> list[_Region]:
    """Regions without overlap: those that share memory become one."""
    joined: list[_Region] = []
    for region in sorted(regions, key=lambda r: r.first):
        if joined and region.first < joined[-1].end:
            joined[-1].end = max(joined[-1].end, region.end)
        else:
            joined.append(region)
    return joined

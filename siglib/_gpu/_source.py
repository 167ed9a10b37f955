"""The text of the CUDA sources: a file of `cuda/` with its headers put in place of their `#include` lines.

The compiler is given one text, because CuPy's cache of compiled functions looks at that text, not at what it includes.
"""

import re
from functools import cache
from importlib import resources

_INCLUDE = re.compile(r'\s*#include "([\w.]+)"\s*')


@cache
def read(name: str) -> str:
    """The file `cuda/<name>`, each header it needs once, with `#line` marks so that messages name the file and line."""
    return _inlined(name, set())


def text(name: str) -> str:
    """The file `cuda/<name>` as it is."""
    return (resources.files(__package__) / "cuda" / name).read_text(encoding="utf-8")


def parameters(name: str, kernel: str) -> tuple[str, ...]:
    """The names of a CUDA function's parameters, in their order, as `cuda/<name>` declares them."""
    found = re.search(rf"__global__[^;{{}}]*?\b{kernel}\(([^()]*)\)\s*\{{", read(name))
    if found is None:
        raise ValueError(f"there is no kernel {kernel} in {name}")
    return tuple(parameter.split()[-1].lstrip("*") for parameter in found[1].split(","))


def _inlined(name: str, seen: set[str]) -> str:
    lines = [f'#line 1 "{name}"']
    for number, line in enumerate(text(name).splitlines(), start=1):
        included = _INCLUDE.fullmatch(line)
        if included is None:
            lines.append("" if line.strip() == "#pragma once" else line)
            continue
        header = included[1]
        if header in seen:
            lines.append("")
            continue
        seen.add(header)
        lines += [_inlined(header, seen), f'#line {number + 1} "{name}"']
    return "\n".join(lines)

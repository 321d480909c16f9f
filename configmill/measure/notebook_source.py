"""A digest of a notebook that only a change of its code changes.

    notebook_token(open("notebooks/forecasting.ipynb", "rb").read())  ->  "9c41…"

The code cells count, in order: not their outputs, counts, ids and metadata, nor markdown and raw cells, nor comments
and white space. It neither imports IPython nor asks it: a magic (`%time`, `!ls`, `files = !ls`, `model?`) is put into
quotes, and then the cell is Python. What still is none (R, a `%%bash` cell) counts as its lines.
"""

from __future__ import annotations

import json

from configmill.config.hashing import sha256_hex
from configmill.measure.source import UNPARSABLE, Source, read_source

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

#: Cell magics that run what stands below them as Python.
_PYTHON_CELLS = frozenset({"%%time", "%%timeit", "%%capture", "%%prun"})
#: Those whose `#` begins no comment: what they keep or show.
_TEXT_CELLS = frozenset(
    {"%%writefile", "%%file", "%%html", "%%HTML", "%%markdown", "%%latex", "%%svg", "%%SVG", "%%javascript", "%%js"}
)


def notebook_token(content: bytes | str) -> str:
    """The digest (64 hex digits) of a notebook's JSON. Raises ValueError for what is no notebook."""
    return read_notebook(content).token


def read_notebook(content: bytes | str) -> Source:
    """The token of a notebook, and what its cells import. Raises ValueError for what is no notebook."""
    tokens: list[str] = []
    imports = []
    for text in code_cells(content):
        cell = _read_cell(text)
        if cell is not None:
            tokens.append(cell.token)
            imports += cell.imports
    return Source(sha256_hex("\n".join(tokens)), imports)


def code_cells(content: bytes | str) -> list[str]:
    """The sources of a notebook's code cells. Raises ValueError for what is no notebook (of format 3 or 4)."""
    try:
        notebook = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    cells = _cells(notebook)
    if cells is None or not all(isinstance(cell, dict) for cell in cells):
        raise ValueError("it is no notebook: it has no list of cells")
    return [_joined(cell.get("source", cell.get("input"))) for cell in cells if cell.get("cell_type") == "code"]


def _cells(notebook: Any) -> list[Any] | None:
    match notebook:
        case {"cells": list(cells)}:
            return cells
        case {"worksheets": [{"cells": list(cells)}, *_]}:  # format 3, which had a single one
            return cells
    return None


def _joined(source: Any) -> str:
    """A cell's source, which is a text or a list of its lines."""
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _read_cell(text: str) -> Source | None:
    """What is to know of a cell; None where it holds nothing but comments and white space."""
    lines = text.replace("\r\n", "\n").split("\n")
    while lines and not lines[0].strip():
        del lines[0]
    if lines and lines[0].startswith("%%"):
        return _read_magic_cell(lines)
    if not _without_comments(lines):
        return None
    for candidate in ("\n".join(lines), "\n".join(_with_magics_quoted(lines))):
        try:
            return read_source(candidate, "<cell>", is_cell=True)
        except UNPARSABLE:
            continue
    return _as_text(_without_comments(lines))


def _read_magic_cell(lines: list[str]) -> Source:
    name = lines[0].split()[0]
    if name in _PYTHON_CELLS:
        below = _read_cell("\n".join(lines[1:]))
        token, imports = (below.token, below.imports) if below else ("", [])
        return Source(sha256_hex(f"{lines[0].rstrip()}\n{token}"), imports)
    if name in _TEXT_CELLS:
        return _as_text([line.rstrip() for line in lines])
    return _as_text(_without_comments(lines))


def _as_text(lines: list[str]) -> Source:
    return Source(sha256_hex("\n".join(lines)), [])


def _without_comments(lines: list[str]) -> list[str]:
    """The lines without those that are blank or a comment alone, and without white space at their ends."""
    return [line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _with_magics_quoted(lines: list[str]) -> list[str]:
    """The lines as Python: each magic is a string where IPython has a call that is given it as one."""
    quoted: list[str] = []
    rest = iter(lines)
    for line in rest:
        start = _magic_start(line)
        if start is None:
            quoted.append(line)
            continue
        while line.endswith("\\"):
            line = line[:-1] + next(rest, "")
        quoted.append(f"{line[:start]}get_ipython({line[start:].rstrip()!r})")
    return quoted


def _magic_start(line: str) -> int | None:
    """Where in the line a magic begins: at its first character, or after the `=` of an assignment; None without one."""
    text = line.strip()
    asks_for_help = text.endswith("?") and " " not in text and "#" not in text
    if asks_for_help or text.startswith(("%", "!", "?")):
        return len(line) - len(line.lstrip())
    value = line.partition("=")[2].lstrip()
    return len(line) - len(value) if value.startswith(("%", "!")) else None

"""A config for the eye: `config.txt`.

It is not meant to be read back (`saved`, `encoding` are); it is stable: no addresses, no order of a set.

    print(tree({"model": {"lr": 0.1}, "seed": 0}))
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def tree(mapping: dict[str, Any], indent: str = "") -> str:
    """Return one line a leaf, nested mappings indented by two spaces; every line ends in a newline."""
    lines = []
    for key, value in mapping.items():
        name = key if key.isprintable() and key.strip() else repr(key)
        if type(value) is dict and value:
            lines.append(f"{indent}{name}:\n{tree(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{name}: {describe(value)}\n")
    return "".join(lines)


def describe(value: Any) -> str:
    """Return a one-line description of a value, the same in every process."""
    kind = type(value)
    if kind is list:
        return f"[{', '.join(map(describe, value))}]"
    if kind is tuple:
        return f"({', '.join(map(describe, value))}{',' if len(value) == 1 else ''})"
    if kind in (set, frozenset) and value:
        return f"{{{', '.join(sorted(map(describe, value)))}}}"
    if kind is dict:
        return f"{{{', '.join(f'{describe(k)}: {describe(v)}' for k, v in value.items())}}}"
    if hasattr(value, "__qualname__") and hasattr(value, "__module__"):
        return f"{value.__module__}.{value.__qualname__}"
    return _one_line(repr(value))


def _one_line(text: str) -> str:
    import re

    return " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", text).split())

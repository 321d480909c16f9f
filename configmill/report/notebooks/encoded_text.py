"""An encoded value of a config for the eye, without importing what it was made of.

encoded_text({"__type__": "tuple", "items": [1, 2]})  ->  "(1, 2)"

It is not meant to be read back: `configmill.config.encoding` is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAX_LENGTH = 1_000
#: Around the items of encoded collections, as Python writes them.
_BRACKETS = {"tuple": "()", "set": "{}", "frozenset": "{}"}


def encoded_text(value: Any) -> str:
    """One line: text as it is, a function by its name, a dataclass with its fields; other values as JSON or Python."""
    text = value if isinstance(value, str) else _inner(value)
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


def _inner(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_inner, value))}]"
    if not isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    if "__type__" in value:
        return _typed(value)
    return f"{{{', '.join(f'{key}: {_inner(item)}' for key, item in value.items())}}}"


def _typed(value: Mapping[str, Any]) -> str:
    kind = value["__type__"]
    if kind in _BRACKETS and isinstance(value.get("items"), list):
        items = ", ".join(map(_inner, value["items"]))
        only = "," if kind == "tuple" and len(value["items"]) == 1 else ""
        return f"{_BRACKETS[kind][0]}{items}{only}{_BRACKETS[kind][1]}"
    if "qualname" in value:
        return f"{value.get('module')}.{value['qualname']}"
    name = value.get("class", kind)
    name = name.get("qualname", kind) if isinstance(name, Mapping) else name
    if kind == "enum" and value.get("name"):
        return f"{name}.{value['name']}"
    if "value" in value:
        return str(value["value"])
    parts = value.get("fields", {part: item for part, item in value.items() if part not in ("__type__", "class")})
    if not isinstance(parts, Mapping):
        return f"{name}({_inner(parts)})"
    return f"{name}({', '.join(f'{part}={_inner(item)}' for part, item in parts.items())})"

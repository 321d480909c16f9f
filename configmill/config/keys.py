"""Keys of a config: strings without dots, dotted paths and tuples of them.

It doesn't look anything up.

    split_key("model.lr") == split_key(("model", "lr")) == ["model", "lr"]
"""

from __future__ import annotations

from configmill.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def checked_key(key: Any, prefix: str) -> str:
    """Return a key of one level as a plain string; raises UsageError for one that isn't a string or holds a dot."""
    if type(key) is str and "." not in key:
        return key
    if isinstance(key, str) and "." not in key:
        return str.__str__(key)  # a str subclass (StrEnum, numpy.str_) is stored as the string it is
    raise bad_key(key, prefix)


def bad_key(key: object, prefix: str) -> UsageError:
    """Return the error for what can't be a key of the config at `prefix` (dotted, with a dot at its end)."""
    where = f' in "{prefix[:-1]}"' if prefix else ""
    if isinstance(key, str):
        return UsageError(
            f'The key "{key}"{where} holds a dot, which separates nested keys: write the nesting '
            "({'a': {'b': ...}} for 'a.b'), or put the mapping in a list to keep it as a value."
        )
    return UsageError(
        f"The key {key!r:.200} (a {type(key).__qualname__}){where} isn't a string. "
        "Use a string as key, or put the mapping in a list to keep it as a value."
    )


def split_key(key: object) -> list[str] | None:
    """Return the parts of a key, dotted path or tuple of them; None for what can't be a key."""
    if isinstance(key, str):
        return str.__str__(key).split(".")
    if isinstance(key, tuple) and key and all(isinstance(part, str) for part in key):
        return [part for name in key for part in str.__str__(name).split(".")]
    return None

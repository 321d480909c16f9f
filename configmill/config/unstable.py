"""What is said of a value that can't be hashed stably.

    raise unstable_value(object(), "model.sampler")

It decides nothing: `encoding` finds the value.
"""

from __future__ import annotations

from configmill.errors import UnstableDigestError

_ADVICE = (
    "Give its class a method __configmill_digest__() that returns a string, or put a name or a function in the config "
    "and build the object inside the experiment."
)


def type_name(value: object) -> str:
    """Return the value's type as a user writes it: `int`, `pandas.DataFrame`."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def value_of(key: str) -> str:
    """Return how an error speaks of the value at a dotted key ("" outside a config)."""
    return f'The value of "{key if len(key) < 200 else key[:200] + "..."}"' if key else "The value"


def unstable_value(value: object, key: str, why: str = "") -> UnstableDigestError:
    """Return the error for a value that has no stable digest, naming its key and type."""
    reason = why or f'an object of type "{type_name(value)[:200]}" may differ from process to process'
    return UnstableDigestError(f"{value_of(key)} can't be hashed stably: {reason}. {_ADVICE}")


def cyclic_value(key: str) -> UnstableDigestError:
    """Return the error for a list or dict that contains itself (or is nested without end)."""
    return UnstableDigestError(
        f"{value_of(key)} can't be hashed stably: it contains itself or is nested too deeply. "
        "Put a copy without the reference to itself in the config."
    )

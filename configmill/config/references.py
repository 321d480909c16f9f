"""Functions, classes and modules by name: module and qualified name, and back.

It doesn't look at what a function does: `functions` does.

    reference(json.JSONEncoder) == ("json.encoder", "JSONEncoder")
    resolve("json.encoder", "JSONEncoder") is json.JSONEncoder
"""

from __future__ import annotations

import sys

from configmill.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def reference(named: Any) -> tuple[str, str]:
    """Return the module and qualified name of a function or class; the main script is always `__main__`."""
    return main_module_name(str(named.__module__)), str(named.__qualname__)


def main_module_name(name: str) -> str:
    """Return `__main__` for the names that a script goes by in its process and in its children."""
    return "__main__" if name == "__mp_main__" else name


def main_script_is_file() -> bool:
    """Say whether the main script can be imported again: it can't in a notebook, a REPL or `python -c`."""
    import os

    path = getattr(sys.modules.get("__mp_main__") or sys.modules["__main__"], "__file__", None)
    return path is not None and os.path.isfile(path)


def import_module(name: str) -> Any:
    """Import a module by name; raises UsageError where that fails."""
    if name == "__main__":
        # A child imports the script under another name, so that its `if __name__ == "__main__"` part doesn't run.
        return sys.modules.get("__mp_main__") or sys.modules["__main__"]
    import importlib

    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever user code raises
        raise UsageError(
            f'The module "{name}" of a value can\'t be imported: {type(error).__name__}: {error}. '
            "Put it where the project's other modules are, and start from the project's directory."
        ) from error


def resolve(module: str, qualname: str) -> Any:
    """Return the function or class of that name; raises UsageError where there is none (any more)."""
    if "<" in qualname:
        raise UsageError(
            f'"{module}.{qualname}" is a lambda or a local function, which can\'t be imported. '
            "Define it with def at the top level of a module."
        )
    found = import_module(module)
    for part in qualname.split("."):
        if not hasattr(found, part):
            raise UsageError(
                f'The module "{module}" has no "{qualname}". Define it at the top level of that module, '
                "under the name that it has there."
            )
        found = getattr(found, part)
    return found

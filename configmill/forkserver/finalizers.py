"""What runs at a process's end because something was imported.

    removals = Removals()            # from here on it sees what is registered with atexit
    import mine
    removals.harm_done()             # "the temporary directory '/tmp/x' is there, which each fork would ...", or None
    leave_to_the_system()

torch registers 134 finalizers that undo its own registrations one by one: in a fork that ends they took 28 ms of 39,
for memory that the system takes back at once.
"""

from __future__ import annotations

import atexit
import os
import re
import sys

from configmill.child.after_import import after_import

TYPE_CHECKING = False  # what the server imports for itself makes each fork dearer
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

#: How functions are called that take files away, by whatever library.
_REMOVING = re.compile(r"(^|_)(rm|rmtree|rmdir|remove|removedirs|unlink|delete|clean|cleanup)(_|$)", re.IGNORECASE)
_INSTALLED = ("/site-packages/", "/dist-packages/")


class Removals:
    """Notices what would remove files at the end of each fork, and so under the hands of the others."""

    def __init__(self) -> None:
        self._registered: list[tuple[Any, tuple[Any, ...]]] = []
        self._temporary: list[str] = []
        register = atexit.register

        def noting_register(function: Any, *arguments: Any, **keywords: Any) -> Any:
            self._registered.append((function, arguments))
            return register(function, *arguments, **keywords)

        atexit.register = noting_register  # type: ignore[assignment]
        after_import("tempfile", self._watch_temporary)

    def _watch_temporary(self) -> None:
        tempfile: Any = sys.modules["tempfile"]
        make = tempfile.mkdtemp

        def noting_make(*arguments: Any, **keywords: Any) -> Any:
            path = make(*arguments, **keywords)
            self._temporary.append(os.fsdecode(path))
            return path

        tempfile.mkdtemp = noting_make

    def harm_done(self) -> str | None:
        """Why a fork is not safe; None where it is."""
        for function, arguments in self._registered:
            if any(map(_REMOVING.search, _names_in(function))):
                what = ", ".join(map(repr, arguments)) or getattr(function, "__qualname__", repr(function))
                return f"something is to be removed at the end of each fork (atexit: {what})"
        kind = _known("tempfile", "TemporaryDirectory")
        for finalizer in _registered():
            alive = finalizer.peek()
            if kind is not None and alive is not None and isinstance(alive[0], kind):
                return f"the temporary directory {alive[0].name!r} is there, which each fork would remove at its end"
        left = next((path for path in self._temporary if os.path.isdir(path)), None)
        return None if left is None else f"the temporary directory {left!r} is there, which all forks would share"


def _names_in(function: Any) -> Iterable[str]:
    """The names of a function, of what it is a method of, and of what its code mentions."""
    yield getattr(function, "__name__", "")
    yield type(getattr(function, "__self__", None)).__name__
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    yield from () if code is None else code.co_names


def leave_to_the_system() -> None:
    """Don't run the finalizers of installed packages at the end of a fork, as multiprocessing doesn't in its own."""
    for finalizer in _registered():
        alive = finalizer.peek()
        code = None if alive is None else getattr(alive[1], "__code__", None)
        if code is not None and any(part in code.co_filename for part in _INSTALLED):
            finalizer.atexit = False


def _registered() -> list[Any]:
    # There is no public way to find those that somebody else has made.
    return list(getattr(_known("weakref", "finalize"), "_registry", {}))


def _known(module: str, name: str) -> Any:
    """What somebody has imported, None otherwise."""
    return getattr(sys.modules.get(module), name, None)

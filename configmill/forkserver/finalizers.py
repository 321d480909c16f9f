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
import sys

TYPE_CHECKING = False  # what the server imports for itself makes each fork dearer
if TYPE_CHECKING:
    from typing import Any

_REMOVING = (os.remove, os.unlink, os.rmdir, os.removedirs)
_INSTALLED = ("/site-packages/", "/dist-packages/")


class Removals:
    """Notices what would remove files at the end of each fork, and so under the hands of the others."""

    def __init__(self) -> None:
        self._registered: list[tuple[Any, tuple[Any, ...]]] = []
        register = atexit.register

        def noting_register(function: Any, *arguments: Any, **keywords: Any) -> Any:
            self._registered.append((function, arguments))
            return register(function, *arguments, **keywords)

        atexit.register = noting_register  # type: ignore[assignment]

    def harm_done(self) -> str | None:
        """Why a fork is not safe; None where it is."""
        for function, arguments in self._registered:
            if function in _REMOVING or function is _known("shutil", "rmtree"):
                return f"{', '.join(map(repr, arguments))} is to be removed at the process's end (atexit)"
        kind = _known("tempfile", "TemporaryDirectory")
        for finalizer in _registered():
            alive = finalizer.peek()
            if kind is not None and alive is not None and isinstance(alive[0], kind):
                return f"the temporary directory {alive[0].name!r} is there, which each fork would remove at its end"
        return None


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

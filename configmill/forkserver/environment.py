"""Which variables user code looks at while the server imports it: some are known only when an attempt starts.

    with Watch() as watch:
        import mine
    watch.finding            # 'experiments/mine.py:3 looks at CUDA_VISIBLE_DEVICES as it is imported', or None

A module that keeps what it saw there would keep it for every fork. What native code reads is not seen.
"""

from __future__ import annotations

import os
import sys

from configmill.protocol.attempt import STRICT, VARIABLES
from configmill.protocol.energy import ENERGY

TYPE_CHECKING = False  # what the server imports for itself makes each fork dearer
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType
    from typing import Any, Self

#: What is set for each attempt by itself.
PER_ATTEMPT = frozenset({*VARIABLES, "CUDA_VISIBLE_DEVICES", STRICT, ENERGY})

_KIND: Any = type(os.environ)
_LIBRARY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_STANDARD_LIBRARY = os.path.join(os.path.dirname(os.path.abspath(os.__file__)), "")
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Watch:
    """While it is open, looks over the shoulder of whoever uses `os.environ`."""

    def __init__(self) -> None:
        #: The first thing that makes a fork unsafe, None where there was none.
        self.finding: str | None = None
        #: Where somebody goes through all variables: what they look at there is meant for all.
        self._bulk: tuple[Any, int] | None = None

    def __enter__(self) -> Self:
        self._originals = {
            name: getattr(_KIND, name) for name in ("__getitem__", "__setitem__", "__delitem__", "__iter__")
        }
        get, put, delete, iterate = self._originals.values()

        # Of `os.environb` as well, whose names and values are bytes.
        def watched_get(environ: Any, name: Any) -> Any:
            self._look_at(name, "looks at")
            return get(environ, name)

        def watched_put(environ: Any, name: Any, value: Any) -> None:
            self._look_at(name, "sets")
            put(environ, name, value)

        def watched_delete(environ: Any, name: Any) -> None:
            self._look_at(name, "removes")
            delete(environ, name)

        def watched_iterate(environ: Any) -> Iterator[Any]:
            self._go_through()
            return iter(iterate(environ))

        _KIND.__getitem__, _KIND.__setitem__, _KIND.__delitem__ = watched_get, watched_put, watched_delete
        _KIND.__iter__ = watched_iterate
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name, original in self._originals.items():
            setattr(_KIND, name, original)

    def _look_at(self, given: Any, what: str) -> None:
        name = os.fsdecode(given) if isinstance(given, str | bytes) else ""
        if name not in PER_ATTEMPT or self.finding is not None:
            return
        frame = _user_frame(sys._getframe(2))
        if frame is None or self._bulk == (frame.f_code, frame.f_lasti):
            return
        self.finding = f"{_place(frame)} {what} {name} as it is imported, which is set for each experiment"

    def _go_through(self) -> None:
        frame = _user_frame(sys._getframe(2))
        if frame is None:
            return
        self._bulk = (frame.f_code, frame.f_lasti)
        path = frame.f_code.co_filename
        if self.finding is None and not any(part in path for part in _INSTALLED):
            self.finding = f"{_place(frame)} copies the environment as it is imported, before an experiment's is set"


def _user_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame that is not this library's, nor of the import system or of `os`; None where there is none.

    None as well where the standard library asks on its own account.
    """
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_LIBRARY) or path == "<frozen importlib._bootstrap>" or _is_about_environ(path):
            frame = frame.f_back
            continue
        return None if path.startswith(_STANDARD_LIBRARY) and not any(part in path for part in _INSTALLED) else frame
    return None


def _is_about_environ(path: str) -> bool:
    return path.startswith("<frozen") or path in (os.__file__, _STANDARD_LIBRARY + "_collections_abc.py")


def _place(frame: FrameType) -> str:
    path = frame.f_code.co_filename
    shown = os.path.relpath(path) if path.startswith(os.path.join(os.getcwd(), "")) else path
    return f"{shown}:{frame.f_lineno}"

"""Standard logging, configured for user code before it can use it: time, name, level, message, on stderr.

    configure_on_import("INFO")

The module `logging` takes a third of a cold start (it brings traceback, string and threading along), and not every
experiment logs. So it is configured at the moment when it is first imported, by whoever that is.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"


def configure_on_import(level: str) -> None:
    """Have the root logger write to stderr from `level` on, now or when `logging` is imported."""
    if "logging" in sys.modules:
        _configure(level)
    else:
        sys.meta_path.insert(0, _LoggingFinder(level))


def _configure(level: str) -> None:
    import logging

    logging.basicConfig(level=level, format=FORMAT, stream=sys.stderr)


class _LoggingFinder:
    """A finder that stands aside for every module but `logging`, and for that one gives way after the first time."""

    def __init__(self, level: str) -> None:
        self._level = level

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of `logging` whose loader also configures it; None for any other module."""
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_configure(module: ModuleType) -> None:
                execute(module)
                _configure(self._level)

            spec.loader.exec_module = execute_and_configure  # type: ignore[method-assign]
        return spec

"""What the process of a notebook's experiment imports, without what a notebook that lies on disk never needs.

    perform_notebook = import_runner()

papermill imports packages for notebooks that lie on the web and for its command line, which take a fifth of the time of
all that a runner imports. Those are imported when they are first used, as `importlib.util.LazyLoader` has it.
"""

from __future__ import annotations

import gc
import sys
from importlib.machinery import PathFinder
from importlib.util import LazyLoader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from configmill.protocol.report import Report

_SELDOM_USED = ("requests", "click")


class _LaterFinder:
    """Finds those modules, to be imported later."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """What an import asks for."""
        spec = PathFinder.find_spec(name, path, target) if name in _SELDOM_USED else None
        if spec is None or spec.loader is None:
            return None
        spec.loader = LazyLoader(spec.loader)
        return spec


def import_runner() -> Callable[..., Report]:
    """The function that runs a notebook (child/notebook/runner.py), with what it imports."""
    sys.meta_path.insert(0, _LaterFinder)
    gc.disable()  # of what is imported next to nothing is garbage
    try:
        from configmill.child.notebook.runner import perform_notebook
    finally:
        gc.freeze()
        gc.enable()
        sys.meta_path.remove(_LaterFinder)
    return perform_notebook

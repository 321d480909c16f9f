"""Packages that run notebooks and whose names the user's own modules bear: which of the two an import finds.

    set_aside({"colors", "colors.colors"}, [project_dir, folder])    # in the fork server: the user's are found
    take_back()                                                      # in the runner: the packages'

The fork server has imported what the runner needs, and a kernel doesn't; a module of the user's must not be taken for
one of those, in the builder or in a kernel that is forked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from types import ModuleType

_set_aside: dict[str, ModuleType] = {}


def set_aside(names: Iterable[str], folders: Iterable[str]) -> None:
    """Forget those of the imported modules `names` for which one of the folders has its own; none of Python's own."""
    folders = list(folders)
    names = list(names)
    roots = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    taken = {root for root in roots if _has_another(root, folders)}
    for name in names:
        if name.partition(".")[0] in taken:
            _set_aside[name] = sys.modules.pop(name)


def take_back() -> None:
    """Have them imported again."""
    sys.modules.update(_set_aside)


def has_module(root: str, folders: Iterable[str]) -> bool:
    """Whether one of the folders has a module or a package of that name.

    A folder without an `__init__.py` is none: it gives way to an installed package.
    """
    return any(True for _ in _files_of(root, folders))


def _has_another(root: str, folders: Iterable[str]) -> bool:
    """Whether one of the folders has a module of that name, and not the one imported: it may be searched itself."""
    imported = getattr(sys.modules.get(root), "__file__", None)
    own = None if imported is None else os.path.realpath(imported)
    return any(os.path.realpath(file) != own for file in _files_of(root, folders))


def _files_of(root: str, folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        spec = PathFinder.find_spec(root, [folder])
        if spec is not None and spec.has_location and spec.origin is not None:
            yield spec.origin

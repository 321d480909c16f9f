"""The experiment's function, found by its target: `module:function` or `/path/to/script.py:function`."""

from __future__ import annotations

import sys

from configmill.errors import ConfigmillError

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

#: The name under which a script is loaded as a module, so that its `if __name__ == "__main__"` part does not run;
#: the one that multiprocessing uses, which pickle and others already know.
MAIN_AS_MODULE = "__mp_main__"


def load_target(target: str) -> Callable[[Any], Any]:
    """Import the target's module and return its function. Raises ConfigmillError where it isn't there."""
    module_name, _, qualified_name = target.rpartition(":")
    module = load_script(target) or _import(module_name)
    found: Any = module
    for name in qualified_name.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ConfigmillError(
                f"The module {module_name!r} has no {qualified_name!r}. Define the function there, at its top level."
            ) from None
    if not callable(found):
        raise ConfigmillError(f"{target!r} is no function but a {type(found).__name__}. Name a function.")
    function: Callable[[Any], Any] = found
    return function


def module_of(target: str) -> str:
    """The name under which the target's module is loaded."""
    module_name = target.rpartition(":")[0]
    return MAIN_AS_MODULE if module_name.endswith(".py") else module_name


def load_script(target: str) -> ModuleType | None:
    """The script of a target that is a function of one, loaded once as a module; None for any other target."""
    path = target.rpartition(":")[0]
    if not path.endswith(".py"):
        return None
    main = sys.modules["__main__"]
    if main.__name__ == MAIN_AS_MODULE:
        return main
    from importlib.util import module_from_spec, spec_from_file_location  # only for scripts: 1 ms

    spec = spec_from_file_location(MAIN_AS_MODULE, path)
    if spec is None or spec.loader is None:
        raise ConfigmillError(f"The script {path!r} can't be loaded. Name a Python file.")
    module = module_from_spec(spec)
    # As multiprocessing's spawn does it: the script is this process's main module, under another name; without a spec
    # it is found by its path in a process that user code spawns.
    module.__spec__ = None
    sys.modules["__main__"] = sys.modules[MAIN_AS_MODULE] = module
    spec.loader.exec_module(module)
    return module


def _import(name: str) -> ModuleType:
    __import__(name)
    return sys.modules[name]

"""Config builders: strings such as `config_builders.forecasting.build_ar_configs(max_lag=8)`, parsed and called.

A builder string is one call of a dotted name; its arguments are evaluated in the builder's own module. The caller has
set sys.path. It doesn't run experiments, and applies no overrides.

    configs = build("config_builders.forecasting.build_ar_configs(max_lag=8)")
"""

from __future__ import annotations

import _ast
import sys

from configmill.config.config import Config
from configmill.config.config_list import ConfigList, as_config_list
from configmill.config.frames import last_user_frame, message_of, user_traceback
from configmill.errors import ConfigmillError, UsageError

# `_ast` holds the very classes of `ast`, without the 3 ms that the latter's helpers cost every cold start.

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Failure = Callable[[BaseException], UsageError]


class BuilderCall:
    """A parsed builder string: its text, the dotted name that it calls, and the call."""

    __slots__ = ("_call", "dotted_name", "text")

    def __init__(self, text: str, dotted_name: str, call: _ast.Call) -> None:
        self.text = text
        self.dotted_name = dotted_name
        self._call = call

    def __repr__(self) -> str:
        return f"BuilderCall({self.text!r})"

    def evaluate(self, function: Any, namespace: dict[str, Any]) -> Any:
        """Return what the call of `function` returns, its arguments evaluated in `namespace`."""
        place = {"lineno": self._call.lineno, "col_offset": self._call.col_offset}
        name = _ast.Name("configmill_builder", _ast.Load(), **place)
        expression = _ast.Expression(_ast.Call(name, self._call.args, self._call.keywords, **place))
        # The name is a local of this evaluation only: the module's namespace stays as it is.
        return eval(compile(expression, "<config builder>", "eval"), namespace, {"configmill_builder": function})


def parse_call(string: str) -> BuilderCall:
    """Parse a builder string; raises UsageError, which quotes it, for all but one call of a dotted name."""
    node = _parsed(string, "config builder", "package.module.build(key=value)")
    text = string.strip()
    if isinstance(node, _ast.Call):
        name = _dotted_name(node.func)
        if name is not None and "." in name:
            return BuilderCall(text, name, node)
        if name is not None:
            raise UsageError(
                f'The config builder "{text}" names no module. Write the module before the function: my_module.{text}'
            )
    elif (name := _dotted_name(node)) is not None:
        raise UsageError(f'The config builder "{text}" names a function but doesn\'t call it. Add "()": {name}()')
    raise UsageError(
        f'The config builder "{text}" is more than one call of a dotted name, or none. '
        "Write one function that returns the list, and call it: package.module.build()"
    )


def parse_dotted_name(string: str) -> str:
    """Return the dotted name of an experiment; raises UsageError, which quotes the string, for anything else."""
    node = _parsed(string, "experiment", "package.module.run")
    text = string.strip()
    if isinstance(node, _ast.Call) and (called := _dotted_name(node.func)) is not None:
        raise UsageError(f'The experiment "{text}" is a call. Drop the parentheses: {called}')
    name = _dotted_name(node)
    if name is None or "." not in name:
        raise UsageError(
            f'The experiment "{text}" isn\'t the dotted name of a function. Name its module too: package.module.run'
        )
    return name


def _parsed(string: object, what: str, example: str) -> _ast.expr:
    if not isinstance(string, str) or not string.strip():
        raise UsageError(f"The {what} {string!r:.200} is no dotted name. Write one: {example}")
    try:
        tree: Any = compile(string.strip(), "<config builder>", "eval", _ast.PyCF_ONLY_AST)
        compile(tree, "<config builder>", "eval")  # finds what the parser lets pass: a repeated keyword, a yield
        body: _ast.expr = tree.body
        return body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = getattr(error, "msg", None) or str(error) or type(error).__name__
        raise UsageError(
            f'The {what} "{string.strip()}" isn\'t a Python expression: {reason}. Write it like this: {example}'
        ) from error


def _dotted_name(node: _ast.expr) -> str | None:
    parts = []
    while isinstance(node, _ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, _ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def build(string: str) -> ConfigList:
    """Return the configs that a builder string builds.

    Raises UsageError for a string that can't be parsed, a module or function that isn't there, user code that raises
    (with the last frame in user code, and the traceback as `user_traceback`), and for what is no list of configs.
    KeyboardInterrupt passes.
    """
    call = parse_call(string)
    function, namespace = _resolved(call)
    try:
        built = call.evaluate(function, namespace)
        if not isinstance(built, ConfigList) and hasattr(type(built), "__next__"):
            built = list(built)  # a generator is user code still
    except BaseException as error:
        raise _failure(call, error) from error
    return as_config_list(built, f'The config builder "{call.text}" returned')


def import_module_of(string: str) -> None:
    """Import the module that a builder string names, and look its function up; raises UsageError as `build` does."""
    _resolved(parse_call(string))


def entry(configs: ConfigList, index: int, string: str) -> Config:
    """Return config `index` of the list that a builder string built; a lazy list runs user code only here.

    Raises UsageError as `build` does.
    """
    try:
        return configs[index]
    except ConfigmillError:
        raise
    except BaseException as error:
        raise _failure(parse_call(string), error, f"made a list whose config {index} raised") from error


def _failure(call: BuilderCall, error: BaseException, doing: str = "raised") -> UsageError:
    if isinstance(error, KeyboardInterrupt):
        raise error
    message = " ".join(message_of(error).split())
    shown = f"{type(error).__name__}: {message[:500]}" if message else type(error).__name__
    frame = last_user_frame(error)
    where = f" ({frame})" if frame else ""
    return UsageError(
        f'The config builder "{call.text}" {doing} {shown}{where}. Correct it there, or the builder\'s arguments.',
        user_traceback=user_traceback(error),
    )


def _resolved(call: BuilderCall) -> tuple[Any, dict[str, Any]]:
    """Return the function that is called and the namespace of the module that holds it."""
    parts = call.dotted_name.split(".")
    modules = _imported(call, parts)
    # The longest prefix that is a module comes first; a package may define a name that hides its own submodule.
    for depth in range(len(modules), 0, -1):
        found = modules[depth - 1]
        for part in parts[depth:]:
            if not hasattr(found, part):
                break
            found = getattr(found, part)
        else:
            return _checked_function(call, found), vars(modules[depth - 1])
    raise _unknown_name(call, parts, modules)


def _imported(call: BuilderCall, parts: list[str]) -> list[Any]:
    """Return the modules of all prefixes of the dotted name that are modules, shortest first."""
    modules: list[Any] = []
    for depth in range(1, len(parts)):
        if modules and not hasattr(modules[-1], "__path__"):
            break
        name = ".".join(parts[:depth])
        try:
            __import__(name)
            modules.append(sys.modules[name])
        except ModuleNotFoundError as error:
            # The module itself, or one that it imports?
            if error.name != name:
                raise _failure(call, error, "can't be imported:") from error
            break
        except BaseException as error:
            raise _failure(call, error, "can't be imported:") from error
    if not modules:
        raise _unknown_module(call, parts[0], None)
    return modules


def _checked_function(call: BuilderCall, found: Any) -> Any:
    if callable(found):
        return found
    raise UsageError(
        f'The config builder "{call.text}" calls "{call.dotted_name}", which is a {type(found).__qualname__} and no '
        "function. Name a function that returns the list."
    )


def _is_module(name: str) -> bool:
    import importlib.util

    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _unknown_module(call: BuilderCall, name: str, parent: Any) -> UsageError:
    import pkgutil

    from configmill.config.nearest import nearest_name

    within = None if parent is None else parent.__path__
    close = nearest_name(name, [module.name for module in pkgutil.iter_modules(within)])
    prefix = "" if parent is None else f"{parent.__name__}."
    hint = f'Did you mean "{prefix}{close}"?' if close else "Start from the directory that holds it, or install it."
    return UsageError(f'The config builder "{call.text}" names a module that isn\'t there: "{prefix}{name}". {hint}')


def _unknown_name(call: BuilderCall, parts: list[str], modules: list[Any]) -> UsageError:
    from configmill.config.nearest import nearest_name

    module = modules[-1]
    if hasattr(module, "__path__") and len(modules) + 1 < len(parts) and not hasattr(module, parts[len(modules)]):
        return _unknown_module(call, parts[len(modules)], module)
    if hasattr(module, "__path__") and _is_module(call.dotted_name):
        return UsageError(
            f'The config builder "{call.text}" calls "{call.dotted_name}", which is a module. Name a function of it.'
        )
    holder, missing = module, parts[len(modules)]
    for part in parts[len(modules) :]:
        missing = part
        if not hasattr(holder, part):
            break
        holder = getattr(holder, part)
    names = [name for name in dir(holder) if not name.startswith("_")]
    close = nearest_name(missing, names)
    holder_name = getattr(holder, "__name__", type(holder).__name__)
    hint = f'Did you mean "{close}"?' if close else f'Define it in "{holder_name}", or name another function.'
    return UsageError(
        f'The config builder "{call.text}" names a function that isn\'t there: '
        f'"{holder_name}" has no "{missing}". {hint}'
    )

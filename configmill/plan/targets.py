"""Whether the experiment's function exists, found out without importing it into the manager.

    resolve_target("experiments.forecasting.run_experiment")  ->  "experiments.forecasting:run_experiment"

Importing would cost the manager what every child pays again (torch takes seconds), run user code in the process that
is to outlive it, and, worse, initialise devices before a fork. So the module is found on the path and its source read.
"""

from __future__ import annotations

import ast
import os
import pkgutil
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec

from configmill.config.builder import parse_dotted_name
from configmill.config.nearest import nearest_sentence
from configmill.errors import UsageError
from configmill.protocol.layout import is_notebook


def resolve_target(dotted_name: str) -> str:
    """The target `module:function` that `dotted_name` means. Raises UsageError where there is no such thing.

    `sys.path` is the child's: the project's directory first.
    """
    if is_notebook(dotted_name):
        raise UsageError(
            f"--experiment_builder {dotted_name!r} names a notebook. Give it to run_notebook.py, as --notebook."
        )
    parse_dotted_name(dotted_name)
    spec, rest = _longest_module(dotted_name)
    if spec is None or not rest:
        found = f"{dotted_name!r} is a module" if spec else f"there is no module {dotted_name.partition('.')[0]!r}"
        raise UsageError(
            f"--experiment_builder {dotted_name!r} names no function: {found}. "
            "Give module.function, with the module importable from the current directory."
        )
    names = _names_of(spec, dotted_name)
    if names is not None and rest[0] not in names:
        if len(rest) > 1 and spec.submodule_search_locations is not None:
            raise _no_submodule(dotted_name, spec, rest[0])
        raise UsageError(
            f"--experiment_builder {dotted_name!r} names no function: the module {spec.name!r} has no {rest[0]!r}. "
            f"{nearest_sentence(rest[0], sorted(names))} Define the function at the top level of {spec.origin}."
        )
    return f"{spec.name}:{'.'.join(rest)}"


def _no_submodule(dotted_name: str, spec: ModuleSpec, name: str) -> UsageError:
    submodules = [f"{spec.name}.{module.name}" for module in pkgutil.iter_modules(spec.submodule_search_locations)]
    return UsageError(
        f"--experiment_builder {dotted_name!r} names no function: there is no module {f'{spec.name}.{name}'!r}. "
        f"{nearest_sentence(f'{spec.name}.{name}', submodules)}"
    )


def _longest_module(dotted_name: str) -> tuple[ModuleSpec | None, list[str]]:
    """The innermost module along the name, and what of the name is left."""
    parts = dotted_name.split(".")
    found, search_path = None, None
    for depth in range(1, len(parts) + 1):
        spec = _find_spec(".".join(parts[:depth]), search_path)
        if spec is None:
            return found, parts[depth - 1 :]
        found, search_path = spec, spec.submodule_search_locations
        if search_path is None:
            return found, parts[depth:]
    return found, []


def _find_spec(name: str, path: object) -> ModuleSpec | None:
    # importlib.util.find_spec would import the parent packages.
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)  # type: ignore[arg-type]
        if spec is not None:
            return spec
    return None


def _names_of(spec: ModuleSpec, dotted_name: str) -> set[str] | None:
    if spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        with open(spec.origin, "rb") as file:
            return top_level_names(file.read(), spec.origin)
    except (SyntaxError, ValueError) as error:
        raise UsageError(
            f"--experiment_builder {dotted_name!r} can't be used: {spec.origin} is not valid Python ({error}). Mend it."
        ) from error


def top_level_names(source: bytes, filename: str) -> set[str] | None:
    """The names that an import of the source binds; None where only running it could tell. Raises SyntaxError."""
    tree = ast.parse(source, filename)
    names = _names_bound_by(tree)
    makes_names = any(
        isinstance(node, ast.Name) and node.id in ("globals", "exec", "setattr") for node in ast.walk(tree)
    )
    return None if makes_names or "*" in names or "__getattr__" in names else names


def defines(target: str, name: str, project_dir: str) -> bool:
    """Whether an import of the target's module visibly binds `name`: what only running it would show is not found."""
    module_name = target.rpartition(":")[0]
    if module_name.endswith(".py"):
        path: str | None = os.path.join(project_dir, module_name)
    else:
        spec, _ = _longest_module(module_name)
        path = None if spec is None else spec.origin
    if path is None or not path.endswith(".py"):
        return False
    try:
        with open(path, "rb") as file:
            source = file.read()
        # Most modules don't have it, and parsing a long one takes as long as the rest of a plan.
        return name.encode() in source and name in _names_bound_by(ast.parse(source, path))
    except (OSError, SyntaxError, ValueError):  # found out where the module is imported
        return False


def _names_bound_by(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for statement in _top_level_statements(tree.body):
        names |= _bound_names(statement)
    return names


def _top_level_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or _is_main_guard(statement):
            continue
        for inner in ast.iter_child_nodes(statement):
            if isinstance(inner, ast.stmt):
                yield from _top_level_statements([inner])
            elif isinstance(inner, ast.ExceptHandler | ast.match_case):
                yield from _top_level_statements(inner.body)


def _is_main_guard(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )


def _bound_names(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if _is_main_guard(statement):
        return set()
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}

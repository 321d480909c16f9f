"""What is imported ahead for notebooks: the runner's packages, the kernel's, and what the notebook begins with."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, NamedTuple

from configmill.child.failures import describe
from configmill.child.notebook import namesakes
from configmill.child.notebook.executed import cells_to_run

#: What a runner and its minder import on the way.
_RUNNER_MODULES = (
    "configmill.child.notebook.runner", "configmill.child.notebook.sockets", "configmill.measure.notebook_source",
    "configmill.config.codecs", "configmill.config.held_functions", "tornado.platform.asyncio",
    "configmill.child.notebook.importing", "configmill.child.notebook.provisioner", "ipykernel.kernelspec",
)  # fmt: skip
#: What a kernel imports when it starts, or when it is asked for the first time; the `debugger` takes longest.
_KERNEL_MODULES = (
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "ipykernel.control", "ipykernel.heartbeat",
    "ipykernel.parentpoller", "ipykernel.debugger", "ipykernel.iostream", "IPython.extensions.storemagic",
    "IPython.core.completer", "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger",
    "IPython.core.oinspect", "IPython.core.pylabtools", "jedi", "sqlite3", "configmill.child.notebook.kernel",
)  # fmt: skip
#: What a library imports at its first plot; never the inline backend itself, which needs a kernel to be there.
_FIRST_USE = {
    "matplotlib": (
        "matplotlib.pyplot", "matplotlib.backends.backend_agg", "PIL.PngImagePlugin",
        "PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin", "PIL.PpmImagePlugin",
    ),
}  # fmt: skip
#: What does its work with the kernel's shell as it is imported: it waits for the kernel.
_WITH_SHELL = ("matplotlib_inline",)
#: The magics that notebooks begin with; none of them changes what an import finds.
_MAGICS = ("%matplotlib", "%load_ext autoreload", "%autoreload", "%config")
#: The names of the modules that only runners need.
_only_for_runners: set[str] = set()
#: Stands for any other magic: a statement that is no import.
_ANY_STATEMENT = "0"


class LeadingImport(NamedTuple):
    """`from module import names`, or `import module`."""

    module: str
    names: tuple[str, ...] = ()


def import_for_kernels() -> None:
    """Import all that a Python kernel imports at its start."""
    for name in _KERNEL_MODULES:
        importlib.import_module(name)
    from configmill.child.notebook.kernel_fork import note_own_modules

    note_own_modules()


def import_for_runners() -> None:
    """Import all that runs a notebook, and do what need be done only once.

    jupyter_client finds its plugins in every package's metadata.
    """
    before = set(sys.modules)
    for name in _RUNNER_MODULES:
        importlib.import_module(name)
    from jupyter_client.provisioning.factory import KernelProvisionerFactory

    KernelProvisionerFactory.instance()
    _only_for_runners.update(set(sys.modules) - before)


def prepare_for_notebook(notebook: str, folders: Iterable[str]) -> None:
    """Do what need be done only once for the notebook at that path; after `import_for_runners`.

    nbformat reads the schema of a notebook's version. What the user has in `folders` is imported in place of a namesake
    that only runners need.
    """
    from configmill.child.notebook.source import prepare_validator

    before = set(sys.modules)
    prepare_validator(notebook)
    namesakes.set_aside(_only_for_runners | (set(sys.modules) - before), folders)


def leading_imports(notebook: str, project_dir: str, folder: str) -> list[LeadingImport]:
    """What the notebook at the path `notebook` imports of installed packages before it does anything else.

    What comes after another statement may depend on it (a variable that is set before an import), and so waits for the
    kernel. So do the modules of the project and of `folder`, where the notebook lies, and all that comes after the
    first of them: their imports may do anything.
    """
    from configmill.child.notebook.source import load_source

    found: list[LeadingImport] = []
    for cell in cells_to_run(load_source(notebook)):
        imports, is_over = _imports_of("".join(cell["source"]))
        for each in imports:
            root = each.module.partition(".")[0]
            if root in sys.stdlib_module_names or root == "configmill" or root in _WITH_SHELL:
                continue
            if namesakes.has_module(root, (project_dir, folder)) or not _is_installed(root):
                is_over = True
                break
            found.append(each)
        if is_over:
            break
    roots = dict.fromkeys(each.module.partition(".")[0] for each in found)
    return list(dict.fromkeys(found)) + [LeadingImport(name) for root in roots for name in _FIRST_USE.get(root, ())]


def import_ahead(wanted: LeadingImport) -> None:
    """Import what the statement does; where that fails, the notebook itself will say so, or handle it."""
    try:
        module: Any = importlib.import_module(wanted.module)
        for name in wanted.names:
            if not hasattr(module, name):  # asking has a lazy module import it
                importlib.import_module(f"{wanted.module}.{name}")
    except Exception as error:
        print(f"{wanted.module} is not imported ahead: {describe(error)}", file=sys.stderr)


def _imports_of(source: str) -> tuple[list[LeadingImport], bool]:
    """What a cell imports up to its first statement of another kind, and whether there is one."""
    lines = [_without_magic(line) for line in source.split("\n")]
    try:
        body = ast.parse("\n".join(lines)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a cell magic, say, or what ast has no depth for
        return [], True
    found: list[LeadingImport] = []
    for statement in body:
        if isinstance(statement, ast.Import):
            found += [LeadingImport(alias.name) for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0 and statement.module:
            names = tuple(alias.name for alias in statement.names if alias.name != "*")
            found.append(LeadingImport(statement.module, names))
        else:
            return found, True
    return found, False


def _without_magic(line: str) -> str:
    """The line as Python, where it is one of IPython's own."""
    if not line.startswith(("%", "!")) or line.startswith("%%"):
        return line
    return "" if line.startswith(_MAGICS) else _ANY_STATEMENT


def _is_installed(root: str) -> bool:
    try:
        return find_spec(root) is not None
    except (ImportError, ValueError):
        return False

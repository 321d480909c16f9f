"""What is imported ahead for notebooks: the runner's packages, the kernel's, and what the notebook begins with."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import sys

#: What a runner and its minder import on the way.
_RUNNER_MODULES = (
    "configmill.child.notebook.runner", "configmill.child.notebook.sockets", "configmill.measure.notebook_source",
    "configmill.config.codecs", "configmill.config.held_functions", "tornado.platform.asyncio",
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
        "matplotlib.pyplot", "matplotlib.backends.backend_agg", "matplotlib_inline.config", "PIL.PngImagePlugin",
        "PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin", "PIL.PpmImagePlugin",
    ),
}  # fmt: skip


def import_for_runners(notebook: str) -> None:
    """Import all that runs a notebook, and do what need be done only once, with the notebook at that path.

    jupyter_client finds its plugins in every package's metadata; nbformat compiles the schema of a notebook's version.
    """
    for name in _RUNNER_MODULES:
        importlib.import_module(name)
    from jupyter_client.provisioning.factory import KernelProvisionerFactory
    from papermill.iorw import load_notebook_node

    KernelProvisionerFactory.instance()
    load_notebook_node(notebook)


def import_for_kernels() -> None:
    """Import all that a Python kernel imports at its start."""
    for name in _KERNEL_MODULES:
        importlib.import_module(name)


def leading_imports(notebook: str, project_dir: str) -> list[str]:
    """The installed modules that the notebook at the path `notebook` imports before it does anything else.

    What comes after another statement may depend on it (a variable that is set before an import), and so waits for the
    kernel; so do the project's own modules, whose imports may print.
    """
    with open(notebook, encoding="utf-8") as file:
        cells = json.load(file)["cells"]
    names: list[str] = []
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        found, is_over = _imports_of("".join(cell["source"]))
        names += found
        if is_over:
            break
    installed = [name for name in dict.fromkeys(names) if _is_installed(name, project_dir)]
    roots = dict.fromkeys(name.partition(".")[0] for name in installed)
    return installed + [name for root in roots for name in _FIRST_USE.get(root, ())]


def _imports_of(source: str) -> tuple[list[str], bool]:
    """The modules that a cell imports up to its first statement of another kind, and whether there is one."""
    # Lines of IPython's own are no Python; `%matplotlib inline` and `%autoreload 2` are what notebooks begin with.
    lines = ["" if line.startswith("%") and not line.startswith("%%") else line for line in source.split("\n")]
    try:
        body = ast.parse("\n".join(lines)).body
    except SyntaxError:
        return [], True
    names: list[str] = []
    for statement in body:
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0 and statement.module:
            names.append(statement.module)
        else:
            return names, True
    return names, False


def _is_installed(name: str, project_dir: str) -> bool:
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names or root == "configmill":
        return False
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return False
    origin = "" if spec is None else spec.origin or ""
    return any(f"{os.sep}{part}{os.sep}" in origin for part in ("site-packages", "dist-packages")) or (
        bool(origin) and not origin.startswith(os.path.join(project_dir, ""))
    )

"""Whether there is a notebook to run, and a kernel to run it in, found out before anything is created.

notebook = resolve_notebook("notebooks/forecasting.ipynb", project_dir, kernel_name=None)
notebook.target, notebook.kernel_name   ->  "notebooks/forecasting.ipynb", "python3"
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from dataclasses import dataclass
from typing import Any

from configmill.config.nearest import nearest_sentence
from configmill.errors import UsageError
from configmill.protocol.layout import NOTEBOOK_SUFFIX

DEFAULT_KERNEL = "python3"
#: For the debugger; ipykernel adds it to its own specification.
_OF_NO_EFFECT = ("-Xfrozen_modules=off",)


@dataclass(frozen=True)
class Notebook:
    """`target` is its path, relative to the project where it is inside of it: a moved project keeps its results."""

    target: str
    kernel_name: str
    #: Why a fork of this Python can't be the kernel; None where it can.
    cold_kernel: str | None


def resolve_notebook(path: str, project_dir: str, kernel_name: str | None) -> Notebook:
    """The notebook at `path` and the kernel it runs in. Raises UsageError where there is none that can be used."""
    absolute = os.path.normpath(os.path.join(project_dir, path))
    content = _read(path, absolute)
    own = content["metadata"].get("kernelspec", {}).get("name")
    spec = _existing_kernel(path, kernel_name, own)
    return Notebook(_target(absolute, project_dir), spec.name, _why_cold(spec))


def _target(absolute: str, project_dir: str) -> str:
    inside = absolute.startswith(os.path.join(project_dir, ""))
    return os.path.relpath(absolute, project_dir) if inside else absolute


def _read(given: str, path: str) -> Any:
    """The notebook, in the format's version 4."""
    if not given.endswith(NOTEBOOK_SUFFIX):
        raise UsageError(f"--notebook {given!r} is no notebook: its name doesn't end in {NOTEBOOK_SUFFIX}. Give one.")
    if not os.path.lexists(path):
        raise UsageError(f"--notebook {given!r} doesn't exist. {_like_it(given, path)}")
    if not os.path.isfile(path):
        what = "is a directory" if os.path.isdir(path) else "is no file that can be read twice"
        raise UsageError(f"--notebook {given!r} {what}. Give a notebook's path, from the current directory.")
    import nbformat  # 0.1 s, which a misspelt path need not pay

    try:
        with warnings.catch_warnings(), open(path, encoding="utf-8") as file:
            warnings.simplefilter("ignore")  # of cells without an id, which run as well
            text = file.read()
            notebook = nbformat.reads(text, as_version=4)
            nbformat.validate(notebook)
            if not isinstance(json.loads(text).get("nbformat"), int):
                raise ValueError("it doesn't say which version of the format it has")
    except OSError as error:
        raise UsageError(f"--notebook {given!r} can't be read: {error.strerror}. Give one that can.") from error
    except Exception as error:  # nbformat raises whatever it stumbles over
        reason = str(error).strip().partition("\n")[0][:200]
        raise UsageError(
            f"--notebook {given!r} is no valid notebook ({reason}). Open it in Jupyter and save it again, or mend it."
        ) from error
    return notebook


def _like_it(given: str, path: str) -> str:
    folder = os.path.dirname(path)
    names = os.listdir(folder) if os.path.isdir(folder) else []
    beside = [os.path.join(os.path.dirname(given), name) for name in names if name.endswith(NOTEBOOK_SUFFIX)]
    return nearest_sentence(given, sorted(beside)) if beside else "Give a notebook's path, from the current directory."


@dataclass(frozen=True)
class _Kernel:
    name: str
    spec: Any
    #: Whether the specification says `python`, for which jupyter_client starts the Python that runs it.
    is_this_python: bool


def _existing_kernel(path: str, given: str | None, own: str | None) -> _Kernel:
    """The kernel: the one asked for, else the notebook's own, else Python's."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    name = given or own or DEFAULT_KERNEL
    asked = f"--kernel_name {name!r}" if given else f"The kernel {name!r}, which --notebook {path!r} asks for,"
    specs = KernelSpecManager()
    try:
        spec = specs.get_kernel_spec(name)
        program = spec.argv[0]
    except NoSuchKernel:
        known = sorted(specs.find_kernel_specs())
        raise UsageError(
            f"{asked} is not installed. {nearest_sentence(name, known)} Or install it (jupyter kernelspec list shows "
            "what there is)."
        ) from None
    this_python = ("python", f"python{sys.version_info[0]}", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    if program not in this_python and shutil.which(program) is None:
        raise UsageError(
            f"{asked} can't be started: its program {program!r} is gone. Install it again, or give another."
        )
    return _Kernel(name, spec, program in this_python or _is_same_file(program, sys.executable))


def _is_same_file(program: str, other: str) -> bool:
    """Whether both are one program of one environment: environments share what their links lead to."""
    same_folder = os.path.abspath(os.path.dirname(program)) == os.path.abspath(os.path.dirname(other))
    return same_folder and os.path.realpath(program) == os.path.realpath(other)


def _why_cold(kernel: _Kernel) -> str | None:
    """Why a fork of this Python can't be the kernel, None where it can."""
    spec = kernel.spec
    if not kernel.is_this_python:
        return f"the kernel {kernel.name!r} starts cold, since it runs another program: {spec.argv[0]}"
    options = [argument for argument in spec.argv[1:] if argument not in _OF_NO_EFFECT]
    if options[:2] != ["-m", "ipykernel_launcher"]:
        return f"the kernel {kernel.name!r} starts cold, since it is started in its own way: {' '.join(spec.argv)}"
    if spec.env:
        return f"the kernel {kernel.name!r} starts cold, since it sets variables of its own: {', '.join(spec.env)}"
    if spec.metadata.get("kernel_provisioner"):
        return f"the kernel {kernel.name!r} starts cold, since it has a provisioner of its own"
    return None

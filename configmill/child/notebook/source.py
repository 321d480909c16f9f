"""The notebook that is to run, as papermill would load it, and without a look at all of its schema.

    notebook = load_source("/dst/runs/20260131-235959-123.ipynb")
    validate_by_parts()

nbformat compiles its schema to validate a whole notebook: 30 ms of every cold start, for what the manager has found
valid before it made this copy. Of what cells put out, each piece is validated by itself, for which nothing need be
compiled.
"""

from __future__ import annotations

import os
from typing import Any

from nbformat import reader, v4
from nbformat.converter import convert
from nbformat.validator import get_validator
from papermill.version import version

_VERSION = 4
#: nbformat's own variable. Only for a whole notebook are its two validators not one and the same.
_VALIDATOR = "NBFORMAT_VALIDATOR"
_LIGHT = "jsonschema"


def load_source(path: str) -> Any:
    """The notebook in the newest format, with the metadata that papermill gives one that has none of its own."""
    with open(path, encoding="utf-8") as file:
        notebook = v4.upgrade(convert(reader.reads(file.read()), _VERSION))
    if "papermill" not in notebook.metadata:
        none: dict[str, Any] = {"default_parameters": {}, "parameters": {}, "environment_variables": {}}
        notebook.metadata["papermill"] = {**none, "version": version}
    for cell in notebook.cells:
        for name, value in (("tags", []), ("papermill", {})):
            if name not in cell.metadata:
                cell.metadata[name] = value
    return notebook


def validate_by_parts() -> None:
    """From here on have nbformat compile nothing; in a process that is no kernel, and starts none any more."""
    os.environ.setdefault(_VALIDATOR, _LIGHT)


def prepare_validator(path: str) -> None:
    """Have what `validate_by_parts` leads to ready for forks that run the notebook."""
    notebook = load_source(path)
    get_validator(notebook.nbformat, notebook.nbformat_minor, name=_LIGHT)

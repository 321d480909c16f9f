"""Notebooks that tests write, and what is left of them when they have run."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from tests.conftest import Project

PYTHON = {"name": "python3", "display_name": "Python 3", "language": "python"}


def write_notebook(
    project: Project, *cells: str | dict[str, Any], name: str = "nb.ipynb", kernel: dict[str, Any] | None = PYTHON
) -> Path:
    """Write a notebook; a cell is its code, or a dict of its fields."""
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {} if kernel is None else {"kernelspec": kernel},
        "cells": [_cell(number, cell) for number, cell in enumerate(cells)],
    }
    return project.write(name, json.dumps(content, indent=1))


def _cell(number: int, cell: str | dict[str, Any]) -> dict[str, Any]:
    fields = {"source": cell} if isinstance(cell, str) else cell
    made: dict[str, Any] = {"id": f"cell-{number}", "cell_type": "code", "metadata": {}, **fields}
    made["source"] = textwrap.dedent(made["source"])
    return made if made["cell_type"] != "code" else {**made, "execution_count": None, "outputs": []}


class Executed:
    """The notebook that a run left in an experiment's directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = json.loads(path.read_text())
        self.status = self.content["metadata"]["configmill"]["status"]
        self.cells = [cell for cell in self.content["cells"] if "configmill" in cell["metadata"]]

    @property
    def states(self) -> list[str]:
        """What became of each code cell."""
        return [cell["metadata"]["configmill"]["state"] for cell in self.cells]

    def printed(self, number: int) -> str:
        """What the cell (from 1) wrote to stdout and stderr."""
        outputs = self.cells[number - 1]["outputs"]
        return "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")

    def errors(self, number: int) -> list[str]:
        """The names of the errors among the cell's outputs."""
        return [out["ename"] for out in self.cells[number - 1]["outputs"] if out["output_type"] == "error"]

    def evalues(self, number: int) -> list[str]:
        """The messages of the errors among the cell's outputs."""
        return [out["evalue"] for out in self.cells[number - 1]["outputs"] if out["output_type"] == "error"]


def executed(project: Project, index: int, name: str = "nb.ipynb") -> Executed:
    """What is left of the notebook of `result_<index>`."""
    return Executed(project.result_dir(index) / name)

"""What a user of the repository has beside the library, and its notebooks run by hand.

notebook, metrics = by_hand(with_our_user_land(project), "notebooks/forecasting.ipynb", ask="metrics")
"""

from __future__ import annotations

import base64
import json
import shutil
from io import BytesIO
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

from tests.conftest import REPOSITORY, Project


def with_our_user_land(project: Project) -> Project:
    """Give a project copies of what a user of the repository has beside the library."""
    for folder in ("experiments", "config_builders", "notebooks"):
        shutil.copytree(REPOSITORY / folder, project.root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return project


def by_hand(project: Project, name: str, *, ask: str = "None") -> tuple[Any, Any]:
    """Run a notebook as Jupyter does, in its own folder; return it, and what `ask` gives at its end."""
    folder = project.root / "notebooks"
    notebook = nbformat.read(project.root / name, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(f"import json\nprint(json.dumps({ask}))"))
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}})
    client.execute(env=project.environment())
    return notebook, json.loads(notebook.cells.pop().outputs[0].text)


def images(notebook: Any) -> list[Image.Image]:
    """The plots of an executed notebook, in order."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    encoded = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    return [Image.open(BytesIO(base64.b64decode(png))) for png in encoded]


def texts(notebook: Any) -> str:
    """All Markdown and text that an executed notebook put out."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    return "\n".join(output.data.get("text/markdown", output.data.get("text/plain", "")) for output in outputs)

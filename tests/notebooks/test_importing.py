"""What a runner imports and loads: papermill and its notebook, without what neither needs here."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from papermill.iorw import load_notebook_node

from configmill.child.notebook import namesakes
from configmill.child.notebook.source import load_source
from tests.conftest import Project

CODE = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": "1"}
TEXT = {"cell_type": "markdown", "metadata": {"tags": ["kept"], "papermill": {"status": "kept"}}, "source": ["a", "b"]}
OLD_CELL = {"cell_type": "code", "collapsed": False, "input": "1", "language": "python", "metadata": {}, "outputs": []}


@pytest.mark.parametrize(
    "notebook",
    [
        {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{**CODE, "id": "a"}, {**TEXT, "id": "b"}]},
        {"nbformat": 4, "nbformat_minor": 5, "metadata": {"papermill": {"version": "1"}}, "cells": []},
        {"nbformat": 4, "nbformat_minor": 0, "metadata": {"a": {"b": 1}}, "cells": [CODE, TEXT]},
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [OLD_CELL]}]},
    ],
)
def test_loaded_as_papermill_does(notebook: dict[str, Any], tmp_path: Path) -> None:
    """The same notebook, with the same metadata, of whatever version; all of it nbformat's own kind of object."""
    path = tmp_path / "nb.ipynb"
    path.write_text(json.dumps(notebook))
    ours, papermills = load_source(str(path)), load_notebook_node(str(path))
    nbformat.validate(ours)
    for each in (ours, papermills):
        for cell in each.cells:
            if "id" not in notebook.get("cells", [{}])[0]:
                del cell["id"]  # drawn at random
    assert ours == papermills
    assert type(ours.metadata.papermill) is type(papermills.metadata.papermill)
    assert [type(cell.metadata.papermill) for cell in ours.cells] == [
        type(cell.metadata.papermill) for cell in papermills.cells
    ]


def test_what_is_seldom_used_is_imported_later(project: Project) -> None:
    """papermill is there, requests is not until somebody asks for something of it; and nothing stays in the way."""
    project.write(
        "start.py",
        """
        import sys
        from configmill.child.notebook.importing import import_runner

        before = list(sys.meta_path)
        print(import_runner().__name__, sys.meta_path == before)
        print("papermill.engines" in sys.modules, "urllib3" in sys.modules, "click.core" in sys.modules)
        from papermill.iorw import requests
        print(requests.Session.__module__, "urllib3" in sys.modules, type(requests).__name__)
        """,
    )
    done = project.call([sys.executable, "start.py"])
    said = ["perform_notebook True", "True False False", "requests.sessions True module"]
    assert (done.code, done.out.splitlines()) == (0, said), done


@pytest.mark.parametrize(("folder", "is_another"), [("installed", False), ("project", True)])
def test_a_namesake_is_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, is_another: bool
) -> None:
    """A module that only runners need gives way to the user's of that name, not to itself where that is searched."""
    for place in ("installed", "project"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "of_runners.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "installed"))
    monkeypatch.setattr(namesakes, "_set_aside", {})
    module = importlib.import_module("of_runners")
    namesakes.set_aside(["of_runners"], [str(tmp_path / folder)])
    assert ("of_runners" not in sys.modules) == is_another
    namesakes.take_back()
    assert sys.modules.pop("of_runners") is module

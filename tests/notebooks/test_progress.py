"""How far a notebook is: for other programs in status.json, for the eye in the terminal."""

from __future__ import annotations

from tests.cli.terminal import Terminal
from tests.conftest import Project, wait_until
from tests.notebooks.written import write_notebook

WAIT = "import os, time\nwhile not os.path.exists('gate'): time.sleep(0.02)"


def test_terminal_shows_the_cell(user: Project) -> None:
    """The live table says in which cell of how many each running notebook is."""
    write_notebook(user, "1", {"cell_type": "markdown", "source": "text"}, WAIT, "2")
    with Terminal(user.notebook_command(), user.root, user.environment()) as terminal:
        terminal.wait_for("cell 2 of 3")
        assert user.json(0, "status.json")["cells"] == 3
        (user.root / "gate").touch()
        assert terminal.end() == 0
    assert user.json(0, "status.json") == {"status": "succeeded", "attempt": 1, "index": 0}


def test_status_file_names_the_cell(user: Project) -> None:
    """status.json of a running notebook has the cell, the number of cells and the runner's pid."""
    write_notebook(user, WAIT, "2")
    manager = user.start_notebook()
    view = wait_until(lambda: (user.result_dir(0) / "status.json").exists() and user.json(0, "status.json").get("cell"))
    assert view == 1
    assert user.json(0, "status.json")["status"] == "running"
    (user.root / "gate").touch()
    assert manager.wait(60) == 0

"""Which code made a notebook's result: its cells, and the modules of the project that they import."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Done, Project
from tests.notebooks.written import write_notebook

CONFIG = "import configmill\nconfig = configmill.get_config_from_env()"


@pytest.fixture
def ran(user: Project) -> Project:
    """A notebook that imports a helper, run once."""
    user.write("helper.py", "def double(x):\n    return x * 2\n")
    write_notebook(user, CONFIG, "import helper\nprint(helper.double(config.x))")
    assert user.run_notebook().code == 0
    assert set(user.json(0, "attempts/1.json")["code"]) == {"nb.ipynb", "helper.py"}
    return user


def other_version(done: Done) -> tuple[int, list[str]]:
    """How many results of another version were skipped, and what has changed."""
    assert done.code == 0, done
    return done.summary["skipped_of_other_version"], done.summary["changed_code"]


def edit(path: Path, old: str, new: str) -> None:
    """Replace `old`, which is there, by `new`."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_does_not_count(ran: Project) -> None:
    """Comments, outputs, markdown and the builder's own edits change no result."""
    edit(ran.root / "helper.py", "def double", "# a comment\ndef double")
    edit(ran.root / "builder.py", "def build(n=1):", "def build(n=1, unused=3):")
    write_notebook(
        ran,
        {"cell_type": "markdown", "source": "new"},
        CONFIG,
        "import helper\nprint( helper.double(config.x) )  # new",
    )
    assert other_version(ran.run_notebook("--json")) == (0, [])


def test_changed_cell(ran: Project) -> None:
    """A result that other cells made is skipped with a word, and run again on request."""
    edit(ran.root / "nb.ipynb", "double(config.x)", "double(config.x + 1)")
    assert other_version(ran.run_notebook("--json")) == (1, ["nb.ipynb"])
    done = ran.run_notebook("--rerun_on_code_change", "--json")
    assert (done.code, done.summary["succeeded"]) == (0, 1)
    assert other_version(ran.run_notebook("--json")) == (0, [])


def test_changed_helper(ran: Project) -> None:
    """So is one whose cells import a module that has changed."""
    edit(ran.root / "helper.py", "x * 2", "x * 3")
    assert other_version(ran.run_notebook("--json")) == (1, ["helper.py"])

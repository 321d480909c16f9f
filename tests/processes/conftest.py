"""A project that the tests of a module share, so that one command runs what all of them look at."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.conftest import HOSTILE_NAME, Project


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """An empty project in a folder of a hostile name, for a whole module; nothing of it outlives that."""
    root = tmp_path_factory.mktemp("shared") / HOSTILE_NAME
    root.mkdir()
    made = Project(root)
    yield made
    left = made.processes()
    for pid in left:
        os.kill(pid, 9)
    assert not left, f"processes were left behind: {left}"

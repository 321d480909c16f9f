"""A project that the tests of a module share, so that one command runs what all of them look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Project, project_within


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """An empty project in a folder of a hostile name, for a whole module; nothing of it outlives that."""
    with project_within(tmp_path_factory.mktemp("shared")) as made:
        yield made

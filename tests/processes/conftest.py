"""Experiments started warm and cold: what a module's tests look at is run both ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Project, project_within

METHODS = ("warm", "cold")


@pytest.fixture(scope="module", params=METHODS)
def shared_project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """An empty project for a whole module, once for each start method; nothing of it outlives that."""
    with project_within(tmp_path_factory.mktemp("shared")) as made:
        made.start_method = request.param
        yield made

"""A project with a builder, for notebooks; and one whose notebooks start in a given way."""

from __future__ import annotations

from functools import partial

import pytest

from tests.conftest import Project


@pytest.fixture
def user(project: Project) -> Project:
    """A project whose builder makes configs with x from 0 on."""
    project.write(
        "builder.py",
        """
        import configmill

        def build(n=1):
            return configmill.grid({"x": 0, "name": "nb"}, {"x": list(range(n))})
        """,
    )
    return project


@pytest.fixture(params=["warm", "cold"])
def either(user: Project, request: pytest.FixtureRequest) -> Project:
    """The same project, whose notebooks all start warm, or all cold: for what a fork could change."""
    command = user.notebook_command
    user.notebook_command = partial(command, "--start_method", request.param)  # type: ignore[method-assign]
    return user

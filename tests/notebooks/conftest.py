"""A project with a builder, for notebooks."""

from __future__ import annotations

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

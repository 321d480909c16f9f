"""The project that the tests of a module share."""

from tests.processes.conftest import shared_project

__all__ = ["shared_project"]

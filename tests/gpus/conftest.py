from __future__ import annotations

from pathlib import Path

import pytest

from configmill.gpus import lease_dir
from configmill.gpus.lease_dir import LeaseDir
from tests.conftest import Project
from tests.gpus.hungry import make_hungry


@pytest.fixture(autouse=True)
def _not_the_real_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test may lease in the directory that the host's managers use."""
    monkeypatch.setattr(lease_dir, "DEFAULT_LEASE_DIR", "/proc/no such directory")
    monkeypatch.setenv("CONFIGMILL_LEASE_DIR", str(tmp_path / "leases by default"))


@pytest.fixture
def leases(tmp_path: Path) -> LeaseDir:
    """An empty directory of leases, in a folder of a hostile name."""
    return LeaseDir(str(tmp_path / "le'ases; $x"))


@pytest.fixture(params=("warm", "cold"))
def hungry(project: Project, request: pytest.FixtureRequest) -> Project:
    """A project whose experiments run out of device memory above a size, once for each start method."""
    return make_hungry(project, request.param)


@pytest.fixture
def cold(project: Project) -> Project:
    """The same, for what starting warm or cold can't change."""
    return make_hungry(project, "cold")

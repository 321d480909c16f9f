"""An attempt with a real minder, started by hand through Launcher: what a manager does, without one.

with start(project, "def run(config): ...", monkeypatch, start_method="warm") as started:
    started.minder.wait()
started.record["status"] == "succeeded"
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from configmill.config import Config
from configmill.config.encoding import encode
from configmill.config.identity import identity_digest
from configmill.files import try_lock, write_json
from configmill.launch.launcher import Launcher
from configmill.launch.minders import Limits, Minder
from configmill.protocol.attempt import Attempt
from configmill.protocol.fork_server import ServerOrders
from configmill.protocol.layout import CampaignDir, ExperimentDir
from configmill.protocol.start_method import WARM
from tests.conftest import MARK, Project

TARGET = "experiment:run"


class Started:
    """A running attempt; `lock_fd` is the test's own descriptor of the dst_dir's lock."""

    def __init__(self, launcher: Launcher, attempt: Attempt, minder: Minder, lock_fd: int) -> None:
        self.launcher = launcher
        self.attempt = attempt
        self.minder = minder
        self.lock_fd = lock_fd

    @property
    def dir(self) -> ExperimentDir:
        """The attempt's experiment directory."""
        return self.attempt.dir

    @property
    def record(self) -> dict[str, Any]:
        """The attempt's record; fails where there is none."""
        found: dict[str, Any] = json.loads(Path(self.dir.record(self.attempt.number)).read_text())
        return found

    @property
    def log(self) -> str:
        """The attempt's log so far."""
        return Path(self.dir.log(self.attempt.number)).read_text()

    def has(self, name: str) -> bool:
        """Whether the experiment has left a file of that name in the project's directory."""
        return os.path.exists(os.path.join(self.attempt.project_dir, name))


@contextmanager
def start(
    project: Project,
    experiment: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    start_method: str,
    grace: float = 60.0,
    config: dict[str, Any] | None = None,
) -> Iterator[Started]:
    """Start the project's `experiment` as a first attempt; what a manager prepares is prepared."""
    items = config or {"x": 1}
    project.write("experiment.py", experiment)
    project.write("builder.py", f"def build():\n    return [{items!r}]\n")
    monkeypatch.setenv(MARK, project.mark)
    campaign = CampaignDir(str(project.out))
    attempt = Attempt(
        config_builder="builder.build()",
        index=0,
        dst_dir=campaign.path,
        target=TARGET,
        digest=identity_digest(TARGET, Config(items)),
        overrides="{}",
        number=1,
        project_dir=str(project.root),
    )
    os.makedirs(attempt.dir.attempts)
    write_json(attempt.dir.config_json, encode(Config(items)))
    lock_fd = try_lock(campaign.lock)
    assert lock_fd is not None
    limits = Limits(run="by-hand", timeout=None, grace=grace, log_level="INFO", queued_seconds=0.0)
    with Launcher(width=1, owns_process=False) as launcher:
        launcher.begin(lock_fd, say=print)
        if start_method == WARM:
            launcher.warm_up(_server_orders(attempt), attempt)
            assert launcher.wait_until_ready() is None
        yield Started(launcher, attempt, launcher.start(attempt, limits), lock_fd)


def _server_orders(attempt: Attempt) -> ServerOrders:
    return ServerOrders(
        target=attempt.target,
        config_builder=attempt.config_builder,
        project_dir=attempt.project_dir,
        dst_dir=attempt.dst_dir,
        preload=[],
        search_path=[],
        log_level="INFO",
        num_forks=1,
    )

"""One manager at a time works in a dst_dir; a second one says who does, and leaves."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.cli.listing import listing
from tests.conftest import Project, wait_until

EXPERIMENT = """
    import os, time

    def run(config):
        here = config.meta.project_dir
        open(os.path.join(here, f"started {config.x}"), "w").close()
        while not os.path.exists(os.path.join(here, "gate")):
            time.sleep(0.005)
        return {"y": config.x}
    """


@pytest.fixture
def busy(squares: Project) -> Iterator[tuple[Project, subprocess.Popen[str]]]:
    """A project whose manager waits in its first experiment until a file `gate` is there."""
    squares.write("experiment.py", EXPERIMENT)
    manager = squares.start()
    wait_until((squares.root / "started 0").exists)
    yield squares, manager
    (squares.root / "gate").touch()
    manager.communicate(timeout=30)


def finish(project: Project, manager: subprocess.Popen[str]) -> str:
    """Let the first manager come to its end, which must be a success of all."""
    (project.root / "gate").touch()
    output, _ = manager.communicate(timeout=30)
    assert manager.returncode == 0, output
    assert [project.json(i, "result.json") for i in range(4)] == [{"y": i} for i in range(4)]
    return output


def test_the_second_says_who_holds_it(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    """Exit code 2; host, pid and since when, in two sentences; the first isn't disturbed."""
    project, manager = busy
    before = listing(project.out, times=True)
    done = project.run()
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err and "\n" not in done.err.rstrip("\n")
    assert socket.gethostname() in done.err
    assert f"pid {manager.pid}" in done.err
    since = re.search(r"since (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", done.err)
    assert since is not None
    started = datetime.fromisoformat(since.group(1)).replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - started).total_seconds()) < 100
    assert str(project.out.name) in done.err
    assert listing(project.out, times=True) == before
    assert "4 succeeded" in finish(project, manager)


def test_cleaning_takes_the_lock_first(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    """--clean_dst_dir --no_confirm deletes nothing of a campaign that is in use."""
    project, manager = busy
    before = listing(project.out, times=True)
    done = project.run("--clean_dst_dir", "--no_confirm")
    assert done.code == 2
    assert f"pid {manager.pid}" in done.err
    assert listing(project.out, times=True) == before
    finish(project, manager)


def test_looking_is_always_allowed(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    """While a manager works, status says what runs and who works; results and a dry run disturb nothing."""
    project, manager = busy
    before = listing(project.out, times=True)
    status = project.configmill("status", str(project.out), "--json").summary
    assert (status["running"], status["pending"]) == (1, 3)
    assert (status["in_use_by"]["pid"], status["in_use_by"]["host"]) == (manager.pid, socket.gethostname())
    text = project.configmill("status", str(project.out)).out
    assert f"pid {manager.pid}" in text and "running" in text
    results = project.configmill("results", str(project.out), "--json").summary["results"]
    assert [row["status"] for row in results] == ["running", "pending", "pending", "pending"]
    assert project.configmill("failures", str(project.out), "--json").summary["failures"] == []
    assert project.run("--dry_run").code == 0
    assert listing(project.out, times=True) == before
    finish(project, manager)


def test_a_dry_run_knows_what_runs(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    """A dry run while a manager works doesn't call what runs interrupted."""
    project, manager = busy
    done = project.run("--dry_run")
    first = next(line for line in done.out.splitlines() if line.startswith("result_0"))
    assert "interrupted" not in first
    assert "running" in first or "in use" in done.out
    finish(project, manager)


def test_another_dst_dir_is_free(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    """The same project can work in two directories at a time."""
    project, manager = busy
    second = project.start("--index", "3", dst=project.root / "second")
    wait_until((project.root / "started 3").exists)
    finish(project, manager)
    second.communicate(timeout=30)
    assert second.returncode == 0


def test_one_directory_has_one_name(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    """Through a link, too, the directory is known to be in use."""
    project, manager = busy
    (project.root / "alias").symlink_to(project.out)
    done = project.run(dst=project.root / "alias")
    assert done.code == 2
    assert f"pid {manager.pid}" in done.err
    finish(project, manager)


def test_it_is_free_afterwards(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    """When the first has ended, the second command finds all done."""
    project, manager = busy
    finish(project, manager)
    assert project.run("--json").summary["skipped"] == 4
    assert project.configmill("status", str(project.out), "--json").summary["in_use_by"] is None

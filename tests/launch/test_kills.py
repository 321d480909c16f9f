"""Whatever process of a launched experiment dies, nothing of it is left, and the record says what happened."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.conftest import Project, wait_until
from tests.launch.experiments import Processes, ranks_dir, record, write_experiment

#: Of which process, started how, and what the record then says (status, class, words).
KILLS = [
    ("launcher", "cold", "failed", "killed", "accelerate's launcher ended before its ranks (SIGKILL)"),
    ("rank 0", "cold", "failed", "killed", "rank 0: its process was ended by SIGKILL"),
    ("experiment", "cold", "failed", "killed", "its process was ended by SIGKILL"),
    ("experiment", "warm", "failed", "killed", "its process was ended by SIGKILL"),
    ("manager", "cold", "interrupted", "cancelled", "the manager died"),
    ("minder", "cold", "failed", "lost", "the process that minded it ended before its time (SIGKILL)"),
]


@pytest.mark.parametrize(("victim", "method", "status", "failure_class", "error"), KILLS)
def test_nothing_is_left(
    project: Project, victim: str, method: str, status: str, failure_class: str, error: str
) -> None:
    """After a SIGKILL of any of them neither ranks nor a rank's daemon are there 5 s later."""
    write_experiment(project)
    command = project.start("--start_method", method, builder="builder.build('wait')")
    processes = Processes(project, command.pid)
    victims = {"rank 0": processes.ranks[0], **vars(processes)}
    os.kill(victims[victim], signal.SIGKILL)
    if victim == "minder":  # what is lost is tried again at once: the command's own end is not what is looked at
        wait_until(lambda: (project.result_dir(0) / "attempts" / "1.json").exists(), seconds=5)
        command.send_signal(signal.SIGINT)
    began = time.monotonic()
    output, _ = command.communicate(timeout=60)
    wait_until(lambda: not project.processes(), seconds=max(0.1, 5 - (time.monotonic() - began)))
    found = record(project, 0)
    assert (found["status"], found["failure_class"], found["error"]) == (status, failure_class, error), output


def test_ranks_are_told_to_end_once(project: Project) -> None:
    """A Ctrl-C reaches every rank as one SIGTERM: each tears down, the slower one undisturbed by the quicker's end."""
    write_experiment(project)
    command = project.start("--grace", "20", builder="builder.build('wait')")
    Processes(project, command.pid)
    command.send_signal(signal.SIGINT)
    assert command.wait(timeout=20) == 130
    assert record(project, 0)["status"] == "interrupted"
    assert sorted(path.name for path in project.result_dir(0).glob("torn down*")) == ["torn down 0", "torn down 1"]
    assert "Terminated" in (ranks_dir(project, 0) / "1.error.txt").read_text()


def test_a_rank_that_hangs(project: Project) -> None:
    """A rank that waits for ever and heeds no signal is ended by the time-out and the grace, and its launch with it."""
    write_experiment(project)
    done = project.run("--timeout", "4", "--grace", "0.2", builder="builder.build('deaf')")
    assert done.code == 1
    found = record(project, 0)
    assert (found["failure_class"], found["error"]) == ("timeout", "it ran longer than its time-out of 4 s")
    assert found["seconds"] < 20

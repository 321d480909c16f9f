"""Whatever is killed, whenever: nothing is lost, run twice, or left."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import Project, wait_until
from tests.processes.conftest import METHODS

#: Ignores SIGTERM, leaves a daemon (double fork, session of its own) that ignores it too, and notes what it does.
VICTIM = """
    import fcntl, os, signal, sys, time

    def note(config, text):
        path = os.path.join(config.notes, f"{config.meta.idx}.txt")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, (text + "\\n").encode())
        os.close(descriptor)

    def leave_daemon(lock):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.close(lock)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(1000)
            os._exit(0)
        os.wait()

    def run(config):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        lock = os.open(os.path.join(config.notes, f"{config.meta.idx}.lock"), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(config, "overlap")
        leave_daemon(lock)
        note(config, f"start {config.meta.attempt} {os.getpid()} {os.getppid()}")
        time.sleep(config.seconds)
        note(config, f"end {config.meta.attempt}")
        return {"idx": config.meta.idx}
    """
BUILDER = """
    import configmill

    def build(notes, n=4, seconds=0.2):
        return configmill.grid({"notes": notes, "seconds": seconds, "x": 0}, {"x": list(range(n))})
    """


@pytest.fixture(params=METHODS)
def victims(project: Project, request: pytest.FixtureRequest) -> Project:
    """A project of experiments that are hard to end, once for each start method."""
    project.start_method = request.param
    project.write("experiment.py", VICTIM)
    project.write("builder.py", BUILDER)
    (project.root / "notes").mkdir()
    return project


def notes_builder(project: Project, seconds: float, n: int = 4) -> str:
    """The builder string of experiments that last `seconds`."""
    return f"builder.build({str(project.root / 'notes')!r}, n={n}, seconds={seconds})"


def starts(project: Project) -> list[tuple[int, int]]:
    """The (experiment, minder) pids that the victims noted, oldest first within each."""
    lines = [line for path in (project.root / "notes").glob("*.txt") for line in path.read_text().splitlines()]
    return [(int(line.split()[2]), int(line.split()[3])) for line in lines if line.startswith("start")]


def records(project: Project, dst: Path) -> list[dict]:
    """Every attempt's record in a campaign."""
    return [json.loads(path.read_text()) for path in dst.glob("experiments/*/attempts/*.json")]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ending_the_manager_leaves_nothing(victims: Project, signum: int) -> None:
    """Within 5 s of the manager's end by any signal no process is left, and what ran is recorded as interrupted."""
    manager = victims.start("--num_threads", "2", "--grace", "1", builder=notes_builder(victims, 1000))
    wait_until(lambda: len(starts(victims)) == 2)
    ended_at = time.monotonic()
    manager.send_signal(signum)
    manager.communicate(timeout=30)
    wait_until(lambda: not victims.processes(), seconds=5 - (time.monotonic() - ended_at))
    assert manager.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[signum]
    found = records(victims, victims.out)
    assert [(record["status"], record["failure_class"]) for record in found] == [("interrupted", "cancelled")] * 2
    again = victims.run("--dry_run", "--json", builder=notes_builder(victims, 1000))
    assert again.summary["not_started"] == 4


def test_a_second_ctrl_c_kills_at_once(victims: Project) -> None:
    """The first Ctrl-C leaves the grace, the second doesn't."""
    manager = victims.start("--grace", "600", builder=notes_builder(victims, 1000))
    wait_until(lambda: starts(victims))
    manager.send_signal(signal.SIGINT)
    wait_until(lambda: "ending 1 running" in "".join(p.read_text() for p in victims.out.glob("runs/*.log")))
    manager.send_signal(signal.SIGINT)
    manager.communicate(timeout=20)
    assert manager.returncode == 130


def test_ctrl_c_ends_what_somebody_has_stopped(victims: Project) -> None:
    """A minder that was stopped (SIGSTOP) is woken to be told, so that the command ends."""
    manager = victims.start("--grace", "0.1", builder=notes_builder(victims, 1000, n=1))
    (_, minder), *_ = wait_until(lambda: starts(victims))
    os.kill(minder, signal.SIGSTOP)
    manager.send_signal(signal.SIGINT)
    manager.communicate(timeout=20)
    assert manager.returncode == 130
    assert not victims.processes()


def test_a_killed_minder_is_lost_and_runs_again(victims: Project) -> None:
    """A minder's SIGKILL takes its experiment and its daemon along, counts as lost, and uses up no retry."""
    manager = victims.start(builder=notes_builder(victims, 3, n=1))
    (experiment, minder), *_ = wait_until(lambda: starts(victims))
    os.kill(minder, signal.SIGKILL)
    wait_until(lambda: len(starts(victims)) == 2)
    assert not Path(f"/proc/{experiment}").exists()
    manager.communicate(timeout=30)
    assert manager.returncode == 0
    assert [r["failure_class"] for r in sorted(records(victims, victims.out), key=lambda r: r["attempt"])] == [
        "lost",
        None,
    ]


def test_manager_and_minder_killed_together(victims: Project) -> None:
    """What a manager and a minder that die together leave is ended by the next command, and runs again."""
    manager = victims.start(builder=notes_builder(victims, 1000, n=1))
    (experiment, minder), *_ = wait_until(lambda: starts(victims))
    os.kill(manager.pid, signal.SIGSTOP)  # so that it can't sweep in between
    os.kill(minder, signal.SIGKILL)
    os.kill(manager.pid, signal.SIGKILL)
    manager.communicate(timeout=30)
    wait_until(lambda: not Path(f"/proc/{experiment}/exe").exists())
    assert victims.processes(), "the daemon should have survived both"
    manager = victims.start(builder=notes_builder(victims, 1000, n=1))
    wait_until(lambda: len(starts(victims)) == 2)
    manager.send_signal(signal.SIGKILL)
    manager.communicate(timeout=30)
    wait_until(lambda: not victims.processes(), seconds=10)
    assert sorted(r["status"] for r in records(victims, victims.out)) == ["interrupted", "interrupted"]


def _kill_someone(project: Project, manager_pid: int, role: str, chance: random.Random) -> None:
    """SIGKILL the manager, a minder or an experiment, if one is there."""
    if role == "manager":
        os.kill(manager_pid, signal.SIGKILL)
        return
    pids = starts(project)
    alive = [pair[role == "minder"] for pair in pids if Path(f"/proc/{pair[role == 'minder']}").exists()]
    own = [pid for pid in alive if pid in project.processes()]
    if own:
        with suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(chance.choice(own), signal.SIGKILL)


@pytest.mark.timeout(600)
def test_random_kills(victims: Project) -> None:
    """25 times somebody is killed at a random moment: every experiment succeeds once, alone, and nothing is left."""
    chance = random.Random(7)
    notes = victims.root / "notes"
    builder = notes_builder(victims, 0.15)
    campaign = 0
    for round_number in range(25):
        dst = victims.root / f"out {campaign}"
        manager = victims.start(
            "--num_threads",
            "2",
            "--grace",
            "0.3",
            "--num_retries",
            "1",
            "--retry_backoff",
            "0",
            builder=builder,
            dst=dst,
        )
        # The moment is what is random here; nothing waits for it.
        time.sleep(chance.uniform(0.0, 1.0))
        _kill_someone(victims, manager.pid, chance.choice(["manager", "minder", "experiment"]), chance)
        output, _ = manager.communicate(timeout=60)
        wait_until(lambda: not victims.processes(), seconds=5)
        assert manager.returncode in (0, 1, -9), output
        if manager.returncode == 0:
            _check_campaign(victims, dst, notes)
            campaign += 1
            for path in notes.iterdir():
                path.unlink()
        assert "overlap" not in "".join(p.read_text() for p in notes.glob("*.txt")), round_number
    final = victims.run("--num_threads", "2", builder=builder, dst=victims.root / f"out {campaign}")
    assert final.code == 0, final
    _check_campaign(victims, victims.root / f"out {campaign}", notes)
    assert campaign >= 3, "too few campaigns came to their end for the test to mean anything"


def _check_campaign(project: Project, dst: Path, notes: Path) -> None:
    for index in range(4):
        directory = project.result_dir(index, dst)
        assert (directory / "success.txt").read_text().strip().isdigit()
        assert json.loads((directory / "result.json").read_text()) == {"idx": index}
        attempts = [json.loads(p.read_text()) for p in (directory / "attempts").glob("*.json")]
        assert sum(record["status"] == "succeeded" for record in attempts) == 1
        assert sorted(r["attempt"] for r in attempts) == list(range(1, len(attempts) + 1))
        assert len(list((directory / "attempts").glob("*.log"))) == len(attempts)
        assert "end" in (notes / f"{index}.txt").read_text()

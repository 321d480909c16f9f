"""A minder, seen from whoever started it: what it holds, what it obeys, what it leaves."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from configmill.files import try_lock
from configmill.protocol.orders import Orders
from tests.child.conftest import Start
from tests.conftest import REPOSITORY, Project, wait_until
from tests.warm.campaigns import server_of

Patch = pytest.MonkeyPatch

WAITS = """
    import time

    def run(config):
        try:
            open("started", "w").close()
            time.sleep(1000)
        finally:
            open("torn down", "w").close()
    """
STUBBORN = """
    import signal, time

    def run(config):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open("started", "w").close()
        time.sleep(1000)
    """


def test_a_success(project: Project, monkeypatch: Patch, start: Start) -> None:
    """After wait() the record, the result, the marker and the view of a success are there."""
    with start(project, "def run(config):\n    return {'y': config.x}\n", monkeypatch) as started:
        started.minder.wait()
        assert started.minder.end == "exit code 0"
    assert (started.record["status"], started.record["run"]) == ("succeeded", "by-hand")
    assert json.loads(Path(started.dir.result).read_text()) == {"y": 1}
    assert Path(started.dir.success).read_text() == "1\n"
    assert json.loads(Path(started.dir.status).read_text()) == {"status": "succeeded", "attempt": 1, "index": 0}


def test_the_view_while_it_runs(project: Project, monkeypatch: Patch, start: Start) -> None:
    """status.json says running, with the experiment's pid, and the minder is that process's parent."""
    with start(project, WAITS, monkeypatch) as started:
        wait_until(lambda: started.has("started"))
        view = json.loads(Path(started.dir.status).read_text())
        stat = Path(f"/proc/{view['pid']}/stat").read_text()
        started.minder.terminate()
        started.minder.wait()
    assert (view["status"], view["attempt"]) == ("running", 1)
    assert int(stat.rpartition(")")[2].split()[1]) == started.minder.pid


def test_told_once_it_leaves_the_grace(project: Project, monkeypatch: Patch, start: Start) -> None:
    """One terminate(): the experiment sees SIGTERM, tears down, and is recorded as interrupted and cancelled."""
    with start(project, WAITS, monkeypatch) as started:
        wait_until(lambda: started.has("started"))
        started.minder.terminate()
        started.minder.wait()
    assert started.has("torn down")
    assert (started.record["status"], started.record["failure_class"]) == ("interrupted", "cancelled")
    assert not os.path.exists(started.dir.success)


def test_told_twice_it_kills(project: Project, monkeypatch: Patch, start: Start) -> None:
    """A second terminate() is SIGKILL at once, however long the grace."""
    with start(project, STUBBORN, monkeypatch, grace=600) as started:
        wait_until(lambda: started.has("started"))
        started.minder.terminate()
        started.minder.terminate()
        wait_until(lambda: not Path(f"/proc/{started.minder.pid}/fd/0").exists(), seconds=5)
        started.minder.wait()
    assert started.record["signal"] == signal.SIGKILL
    assert started.record["status"] == "interrupted"


def test_a_grace_of_weeks_is_possible(project: Project, monkeypatch: Patch, start: Start) -> None:
    """A grace that doesn't fit into milliseconds of 32 bits is waited for like any other."""
    experiment = """
        import time
        def run(config):
            while True:
                try:
                    open("started", "w").close()
                    time.sleep(1000)
                except BaseException:
                    open("saw it", "w").close()
        """
    with start(project, experiment, monkeypatch, grace=1e7) as started:
        wait_until(lambda: started.has("started"))
        started.minder.terminate()
        wait_until(lambda: started.has("saw it"))
        started.minder.terminate()
        started.minder.wait()
    assert started.record["status"] == "interrupted"


def test_the_end_of_the_lifeline_is_the_managers(project: Project, monkeypatch: Patch, start: Start) -> None:
    """When the manager's end of the pipe closes, the experiment is told to end, and the record says why."""
    with start(project, WAITS, monkeypatch, grace=600) as started:
        wait_until(lambda: started.has("started"))
    started.minder.wait()
    assert started.has("torn down")
    assert started.record["status"] == "interrupted"
    assert "manager" in started.record["error"]


def test_without_a_manager_the_grace_is_short(project: Project, monkeypatch: Patch, start: Start) -> None:
    """With the manager dead a stubborn experiment is over within 5 s, whatever --grace says."""
    with start(project, STUBBORN, monkeypatch, grace=600) as started:
        wait_until(lambda: started.has("started"))
    began = time.monotonic()
    started.minder.wait()
    assert time.monotonic() - began < 5
    assert started.record["signal"] == signal.SIGKILL


def test_it_holds_the_lock_until_all_is_over(project: Project, monkeypatch: Patch, start: Start) -> None:
    """The minder's copy keeps the dst_dir locked after the manager let go of it, until nothing is left."""
    with start(project, WAITS, monkeypatch) as started:
        wait_until(lambda: started.has("started"))
        os.close(started.lock_fd)
        lock = str(project.out / ".lock")
        assert try_lock(lock) is None
        started.minder.terminate()
        started.minder.wait()
        free = try_lock(lock)
    assert free is not None
    os.close(free)


def test_the_experiment_dies_with_its_minder(project: Project, monkeypatch: Patch, start: Start) -> None:
    """SIGKILL of the minder is SIGKILL of the experiment; what it had started is found by end_orphans."""
    experiment = """
        import os, signal, time
        def run(config):
            if os.fork() == 0:
                os.setsid()
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                open("daemon", "w").close()
                time.sleep(1000)
            open("started", "w").close()
            time.sleep(1000)
        """
    with start(project, experiment, monkeypatch) as started:
        wait_until(lambda: started.has("started") and started.has("daemon"))
        pid = json.loads(Path(started.dir.status).read_text())["pid"]
        os.kill(started.minder.pid, signal.SIGKILL)
        started.minder.wait()
        assert started.minder.end == "SIGKILL"
        started.launcher.end_orphans(started.minder, started.attempt, pid)
        assert not set(project.processes()) - {os.getpid(), server_of(os.getpid())}
    assert not os.path.exists(started.dir.record(1))


def test_it_ignores_ctrl_c(project: Project, monkeypatch: Patch, start: Start) -> None:
    """SIGINT, which a terminal sends to whole groups, is the manager's affair."""
    with start(project, WAITS, monkeypatch) as started:
        wait_until(lambda: started.has("started"))
        os.kill(started.minder.pid, signal.SIGINT)
        os.kill(started.minder.pid, signal.SIGTERM)
        started.minder.wait()
    assert started.record["failure_class"] == "cancelled"


def test_a_stopped_experiment_can_be_ended_too(project: Project, monkeypatch: Patch, start: Start) -> None:
    """An experiment that stands still by SIGSTOP is woken, so that it sees its end within the grace."""
    with start(project, WAITS, monkeypatch) as started:
        wait_until(lambda: started.has("started"))
        pid = json.loads(Path(started.dir.status).read_text())["pid"]
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        started.minder.terminate()
        started.minder.wait()
    assert started.has("torn down")


def test_a_long_report_arrives_whole(project: Project, monkeypatch: Patch, start: Start) -> None:
    """A report that is larger than a pipe's buffer reaches the record, and the experiment doesn't wait for ever."""
    config = {f"a key with a name that is long enough {number}": number for number in range(4000)}
    with start(project, "def run(config):\n    return {}\n", monkeypatch, config=config) as started:
        started.minder.wait()
    assert started.record["status"] == "succeeded"
    assert len(started.record["unread_keys"]) == 4000


def test_a_killed_experiment_leaves_no_half_report(project: Project, monkeypatch: Patch, start: Start) -> None:
    """An experiment that is killed while it reports has failed; the minder isn't confused by half of a report."""
    experiment = """
        import os
        def run(config):
            for descriptor in range(3, 20):
                try:
                    if os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:"):
                        os.write(descriptor, b'{"status": "succ')
                except OSError:
                    pass
            os._exit(0)
        """
    with start(project, experiment, monkeypatch) as started:
        started.minder.wait()
    assert (started.record["status"], started.record["failure_class"]) == ("failed", "code_error")


def test_a_success_that_is_told_to_end_too_late_stays_one(project: Project, monkeypatch: Patch, start: Start) -> None:
    """SIGTERM after the function returned changes nothing: the result is saved, and the record says succeeded."""
    experiment = """
        import atexit, time
        def late():
            open("started", "w").close()
            time.sleep(1000)
        def run(config):
            atexit.register(late)
            return {"y": 1}
        """
    with start(project, experiment, monkeypatch, grace=0.1) as started:
        wait_until(lambda: started.has("started"))
        started.minder.terminate()
        started.minder.wait()
    assert started.record["status"] == "succeeded"


def test_a_minder_by_hand_says_what_it_needs(tmp_path: Path) -> None:
    """A minder without Configmill's environment explains itself in a sentence."""
    program = "from configmill.minder import main; main()"
    orders = dict.fromkeys(inspect.signature(Orders).parameters, 0)
    command = [sys.executable, "-c", program, json.dumps(orders)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "run_experiment.py" in done.stderr
    assert "Traceback" not in done.stderr

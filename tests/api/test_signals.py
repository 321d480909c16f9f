"""configmill.run leaves the calling process as it found it: its signals, its children, its end."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from tests.api.scripts import run_script, start_script, told, write_script
from tests.conftest import Project, wait_until

LONG = """
import signal, subprocess, threading, time

def long(config):
    try:
        open(f"running {config.x}", "w").close()
        time.sleep(1000)
    finally:
        open(f"torn down {config.x}", "w").close()

"""


@pytest.mark.parametrize(
    ("signum", "raised"), [(signal.SIGINT, "KeyboardInterrupt()"), (signal.SIGTERM, "SystemExit(143)")]
)
def test_a_signal_ends_the_run_in_order_and_then_the_caller(project: Project, signum: int, raised: str) -> None:
    """Ctrl-C raises KeyboardInterrupt and SIGTERM SystemExit, after teardown, records and tables."""
    script = start_script(
        project,
        LONG
        + """
if __name__ == "__main__":
    try:
        configmill.run(CONFIGS, long, "out", num_threads=2, grace=60)
    except BaseException as error:
        tell(raised=repr(error), torn_down=os.path.exists("torn down 1") and os.path.exists("torn down 2"),
             tables=os.path.exists("out/results.csv"))
""",
    )
    wait_until(lambda: (project.root / "running 1").exists() and (project.root / "running 2").exists())
    script.send_signal(signum)
    output, _ = script.communicate(timeout=30)
    assert json.loads(output.splitlines()[-1]) == {"raised": raised, "torn_down": True, "tables": True}
    records = [json.loads(path.read_text()) for path in project.root.glob("out/experiments/*/attempts/1.json")]
    assert [record["status"] for record in records] == ["interrupted"] * 2
    assert not project.processes()


def test_ctrl_c_that_nobody_catches_ends_the_script_by_it(project: Project) -> None:
    """A script without a try ends as any script does by Ctrl-C: by the signal, with a traceback."""
    script = start_script(project, LONG + 'if __name__ == "__main__":\n    configmill.run(CONFIGS, long, "out")\n')
    wait_until(lambda: (project.root / "running 1").exists())
    script.send_signal(signal.SIGINT)
    output, _ = script.communicate(timeout=30)
    assert script.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in output


def test_signal_handlers_are_put_back(project: Project) -> None:
    """After run(), also one that raised, SIGINT, SIGTERM and SIGHUP have the handlers that they had."""
    body = """
    import signal
    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def mine(signum, frame):
        pass

    def burst(event):
        raise ZeroDivisionError

    if __name__ == "__main__":
        signal.signal(signal.SIGTERM, mine)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        before = [signal.getsignal(signum) for signum in SIGNALS]
        configmill.run(CONFIGS, train, "out")
        after = [signal.getsignal(signum) for signum in SIGNALS]
        try:
            configmill.run(CONFIGS, train, "out", on_event=burst)
        except ZeroDivisionError:
            pass
        after_error = [signal.getsignal(signum) for signum in SIGNALS]
        tell(same=before == after, same_after_error=before == after_error)
    """
    assert told(run_script(project, body)) == {"same": True, "same_after_error": True}


def test_run_in_a_thread(project: Project) -> None:
    """In a thread run() works, and installs no signal handler."""
    body = """
    import signal, threading

    if __name__ == "__main__":
        before, during, done = signal.getsignal(signal.SIGINT), [], []
        def listen(event):
            during.append(signal.getsignal(signal.SIGINT))
        thread = threading.Thread(
            target=lambda: done.append(configmill.run(CONFIGS, train, "out", num_threads=2, on_event=listen)))
        thread.start()
        thread.join()
        tell(succeeded=done[0].succeeded, untouched=set(during) == {before})
    """
    assert told(run_script(project, body)) == {"succeeded": 2, "untouched": True}


def test_a_script_that_is_killed_leaves_nothing(project: Project) -> None:
    """SIGKILL of a script in the middle of run(): within 5 s no process of an experiment is left."""
    script = start_script(
        project, LONG + 'if __name__ == "__main__":\n    configmill.run(CONFIGS, long, "out", num_threads=2)\n'
    )
    wait_until(lambda: (project.root / "running 1").exists() and (project.root / "running 2").exists())
    script.kill()
    script.communicate(timeout=30)
    wait_until(lambda: not project.processes(), seconds=5)


CHILDREN = """
import signal, subprocess, threading, time

def kills_its_minder_once(config):
    if config.meta.attempt == 1:
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1000)
    return {"y": 1}

if __name__ == "__main__":
    before = subprocess.Popen(["sleep", "1000"])
    ends = subprocess.Popen(["sh", "-c", "sleep 0.1; exit 7"])
    during = []
    def listen(event):
        if type(event).__name__ == "Started":
            during.append(subprocess.Popen(["sleep", "1000"]))
            during.append(subprocess.Popen(["sleep", "1000"], start_new_session=True))
    summary = configmill.run(CONFIGS, kills_its_minder_once, "out", num_threads=2, on_event=listen)
    alive = [child.poll() is None for child in (before, *during)]
    for child in (before, *during):
        child.kill()
        child.wait()
    left = subprocess.run(["pgrep", "-P", str(os.getpid()), "sleep"], capture_output=True, text=True).stdout
    tell(alive=alive, code=ends.wait(), succeeded=summary.succeeded, left=left)
"""


def test_children_of_the_caller_are_left_alone(project: Project) -> None:
    """A minder that is killed takes what it minded along, and nothing that the script started before or meanwhile."""
    result = told(run_script(project, CHILDREN))
    assert result["succeeded"] == 2
    assert all(result["alive"])
    assert len(result["alive"]) == 1 + 2 * 4
    assert result["left"] == ""
    assert not project.processes()


def test_the_callers_exit_codes_are_not_stolen(project: Project) -> None:
    """A child of the script's own that ends during the run keeps its exit code for the script."""
    assert told(run_script(project, CHILDREN))["code"] == 7


FORKS = (
    LONG
    + """
import multiprocessing

def linger():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    open("forked", "w").close()
    while not os.path.exists("enough"):
        time.sleep(0.01)

def fork(event):
    if type(event).__name__ == "Started":
        multiprocessing.get_context("fork").Process(target=linger).start()

"""
)


def test_a_forked_child_of_the_caller_does_not_keep_experiments_alive(project: Project) -> None:
    """A process that the script forked during the run, and that outlives its SIGKILL, holds back no ending."""
    script = start_script(
        project, FORKS + 'if __name__ == "__main__":\n    configmill.run(CONFIGS[:1], long, "out", on_event=fork)\n'
    )
    wait_until(lambda: (project.root / "running 1").exists() and (project.root / "forked").exists())
    (status,) = project.root.glob("out/experiments/*/status.json")
    experiment = json.loads(status.read_text())["pid"]
    script.kill()
    script.wait()
    try:
        wait_until(lambda: not Path(f"/proc/{experiment}/exe").exists(), seconds=5)
    finally:
        (project.root / "enough").touch()
        script.communicate(timeout=30)
        wait_until(lambda: not project.processes(), seconds=10)


def test_a_forked_child_of_the_caller_does_not_keep_the_lock(project: Project) -> None:
    """A process that the script forked during a run doesn't hold the directory once the run is over."""
    body = (
        FORKS
        + """
if __name__ == "__main__":
    first = configmill.run(CONFIGS, train, "out", on_event=fork)
    began = time.monotonic()
    try:
        second = configmill.run(CONFIGS, train, "out").skipped
    except UsageError as error:
        second = str(error)
    tell(second=second, at_once=time.monotonic() - began < 5)
    open("enough", "w").close()
"""
    )
    write_script(project, body)
    done = project.call(["timeout", "-s", "KILL", "20", sys.executable, "go.py"])
    assert told(done) == {"second": 2, "at_once": True}


def test_a_worker_of_the_caller_that_is_terminated_is_its_own_affair(project: Project) -> None:
    """SIGTERM to a process that the script forked during the run ends that process, and not the run."""
    body = """
    import multiprocessing, time
    codes = []

    def listen(event):
        if type(event).__name__ == "Started":
            worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
            worker.start()
            worker.terminate()
            worker.join(5)
            codes.append(worker.exitcode)
            worker.kill()

    if __name__ == "__main__":
        try:
            summary = configmill.run(CONFIGS, train, "out", on_event=listen)
            tell(codes=codes, succeeded=summary.succeeded)
        except BaseException as error:
            tell(codes=codes, raised=repr(error))
    """
    write_script(project, body)
    done = project.call(["timeout", "-s", "KILL", "20", sys.executable, "go.py"])
    assert told(done) == {"codes": [-15, -15], "succeeded": 2}

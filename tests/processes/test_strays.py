"""What an experiment leaves behind is ended with it, and what it starts within itself works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Project
from tests.processes.cases import Cases, run_cases

EXPERIMENTS = """
    import os, signal, sys, time

    def _daemon(config):
        '''Double fork, session of its own, SIGTERM ignored; returns when its pid is known.'''
        read_fd, write_fd = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.write(write_fd, str(os.getpid()).encode())
                os.close(write_fd)
                time.sleep(1000)
            os._exit(0)
        os.close(write_fd)
        os.wait()
        with os.fdopen(read_fd) as pipe:
            return int(pipe.read())

    def leaves_a_daemon(config):
        return {"pid": _daemon(config)}

    def fails_and_leaves_a_daemon(config):
        with open(os.path.join(config.meta.experiment_dir, "pid"), "w") as file:
            file.write(str(_daemon(config)))
        raise ValueError

    def leaves_a_daemon_without_environment(config):
        import subprocess
        child = subprocess.Popen(["sleep", "1000"], env={}, start_new_session=True)
        return {"pid": child.pid}

    def leaves_what_forks_on(config):
        if os.fork() == 0:
            while True:
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(0.005)
                else:
                    time.sleep(0.001)
                    os._exit(0)
        return {}

    def leaves_a_stopped_child(config):
        child = os.fork()
        if child == 0:
            time.sleep(1000)
        os.kill(child, signal.SIGSTOP)
        return {"pid": child}

    def pool_by_fork(config):
        import multiprocessing
        with multiprocessing.get_context("fork").Pool(2) as pool:
            return {"squares": pool.map(_square, range(5))}

    def pool_by_spawn(config):
        import multiprocessing
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return {"squares": pool.map(_square, range(5))}

    def executor(config):
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(1) as pool:
            return {"squares": list(pool.map(_square, range(5)))}

    def pool_that_is_left_open(config):
        import multiprocessing
        pool = multiprocessing.get_context("fork").Pool(2)
        globals()["pool"] = pool
        return {"squares": pool.map(_square, range(5))}

    def terminates_a_worker(config):
        import multiprocessing
        codes = []
        for _ in range(5):
            worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,), daemon=True)
            worker.start()
            worker.terminate()
            worker.join(2)
            codes.append(worker.exitcode)
            worker.kill()
        return {"codes": codes}

    def _square(x):
        return x * x

    def leaves_a_daemonic_thread(config):
        import threading
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        return {"y": 1}

    def leaves_a_thread_that_ends(config):
        import threading
        def late():
            time.sleep(0.3)
            print("the thread came to its end")
        threading.Thread(target=late).start()
        return {"y": 1}

    def registers_an_exit_handler(config):
        import atexit
        atexit.register(print, "the exit handler ran")
        return {"y": 1}
    """


@pytest.fixture(scope="module")
def cases(shared_project: Project) -> Cases:
    """One command that ran all of EXPERIMENTS; nothing that they started is left."""
    ran = run_cases(shared_project, EXPERIMENTS)
    assert not shared_project.processes()
    return ran


def gone(pid: int) -> bool:
    """Whether no such process runs, a zombie left out."""
    return not Path(f"/proc/{pid}/exe").exists()


@pytest.mark.parametrize("case", ["leaves_a_daemon", "leaves_a_daemon_without_environment", "leaves_a_stopped_child"])
def test_strays_of_a_success_are_ended(cases: Cases, case: str) -> None:
    """A daemon that a successful experiment left is gone when the experiment is done, and it is a success still."""
    assert cases.record(case)["status"] == "succeeded"
    assert gone(cases.result(case)["pid"])


def test_strays_of_a_failure_are_ended(cases: Cases) -> None:
    """A daemon that a failed experiment left is gone too."""
    assert gone(int((cases.dir("fails_and_leaves_a_daemon") / "pid").read_text()))


def test_a_stray_that_forks_on_and_on_is_ended(cases: Cases) -> None:
    """A chain of processes, each of which starts the next and ends, has an end as well."""
    assert cases.record("leaves_what_forks_on")["status"] == "succeeded"


@pytest.mark.parametrize("case", ["pool_by_fork", "pool_by_spawn", "executor", "pool_that_is_left_open"])
def test_pools_of_processes_work(cases: Cases, case: str) -> None:
    """multiprocessing (fork and spawn) and ProcessPoolExecutor work inside of an experiment, closed or not."""
    assert cases.record(case)["status"] == "succeeded", cases.log(case)
    assert cases.result(case) == {"squares": [0, 1, 4, 9, 16]}


def test_a_pool_leaves_nothing_in_the_log(cases: Cases) -> None:
    """A pool whose workers are terminated at the end of its block, as they always are, prints no traceback."""
    assert cases.log("pool_by_fork") == ""


def test_sigterm_ends_a_worker_as_in_any_script(cases: Cases) -> None:
    """Process.terminate() ends a forked worker by SIGTERM, at whatever moment: it sees no exception of ours."""
    assert cases.result("terminates_a_worker") == {"codes": [-15] * 5}
    assert cases.log("terminates_a_worker") == ""


def test_a_daemonic_thread_holds_up_nothing(cases: Cases) -> None:
    """An experiment ends with its function though a daemonic thread still runs."""
    assert cases.record("leaves_a_daemonic_thread")["status"] == "succeeded"
    assert cases.record("leaves_a_daemonic_thread")["seconds"] < 10


def test_a_thread_that_still_writes_is_waited_for(cases: Cases) -> None:
    """As in any script, what other threads do when the function returns comes to its end."""
    assert "the thread came to its end\n" in cases.log("leaves_a_thread_that_ends")


def test_exit_handlers_run(cases: Cases) -> None:
    """atexit handlers of user code run, and what they print is in the log."""
    assert cases.log("registers_an_exit_handler") == "the exit handler ran\n"


def test_a_thread_that_never_ends_is_bounded_by_the_timeout(project: Project) -> None:
    """A thread that never ends keeps the process until the time-out; what returned is a success all the same."""
    cases = run_cases(
        project,
        """
        import threading, time

        def leaves_a_thread_for_ever(config):
            threading.Thread(target=time.sleep, args=(1000,)).start()
            return {"y": 1}
        """,
        "--timeout",
        "0.7",
        "--grace",
        "0.1",
    )
    assert cases.record("leaves_a_thread_for_ever")["status"] == "succeeded"
    assert cases.result("leaves_a_thread_for_ever") == {"y": 1}

"""A time-out bounds the time that an experiment runs: SIGTERM first, which it sees, then SIGKILL."""

from __future__ import annotations

import pytest

from tests.conftest import Project
from tests.processes.cases import Cases, run_cases

EXPERIMENTS = """
    import os, signal, time

    import configmill

    def _note(config, text):
        with open(os.path.join(config.meta.experiment_dir, "notes.txt"), "a") as file:
            file.write(text + "\\n")

    def tidy(config):
        try:
            time.sleep(1000)
        except configmill.Terminated:
            _note(config, "Terminated")
            raise
        finally:
            _note(config, "finally")

    def catches_exceptions_only(config):
        while True:
            try:
                time.sleep(1000)
            except Exception:
                _note(config, "an Exception")

    def ignores(config):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)

    def swallows(config):
        while True:
            try:
                time.sleep(1000)
            except BaseException:
                _note(config, "swallowed")

    def swallows_and_returns(config):
        try:
            time.sleep(1000)
        except BaseException:
            pass
        return {"y": 1}

    def stops_itself(config):
        os.kill(os.getpid(), signal.SIGSTOP)
        _note(config, "went on")

    def sleeps_in_a_daemon_too(config):
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
        time.sleep(1000)

    def asks_for_less(config):
        time.sleep(1000)

    def asks_for_more(config):
        time.sleep(1.6)
        return {"y": 1}

    def quick_0(config):
        time.sleep(0.4)
        return {"y": 1}

    def quick_1(config):
        return quick_0(config)

    def quick_2(config):
        return quick_0(config)

    def quick_3(config):
        return quick_0(config)
    """
QUICK = [f"quick_{i}" for i in range(4)]
TIMED_OUT = [
    "tidy", "catches_exceptions_only", "ignores", "swallows", "swallows_and_returns", "stops_itself",
    "sleeps_in_a_daemon_too", "asks_for_less",
]  # fmt: skip
TIMEOUT, GRACE = 1.2, 0.3


@pytest.fixture(scope="module")
def cases(shared_project: Project) -> Cases:
    """One command that ran all of EXPERIMENTS."""
    return run_cases(
        shared_project, EXPERIMENTS, "--num_threads", "4", "--timeout", str(TIMEOUT), "--grace", str(GRACE),
        asks_for_less={"resources": {"timeout": 0.4}}, asks_for_more={"resources": {"timeout": 60}},
    )  # fmt: skip


@pytest.mark.parametrize("case", TIMED_OUT)
def test_running_too_long_is_timeout(cases: Cases, case: str) -> None:
    """What runs longer than it may fails as timeout, however it takes the SIGTERM."""
    record = cases.record(case)
    assert (record["status"], record["failure_class"]) == ("failed", "timeout")
    assert not (cases.dir(case) / "success.txt").exists()


@pytest.mark.parametrize("case", sorted(set(TIMED_OUT) - {"asks_for_less"}))
def test_the_timeout_is_kept(cases: Cases, case: str) -> None:
    """Nothing is ended before its time."""
    assert cases.record(case)["seconds"] >= TIMEOUT


def test_the_error_says_how_long_it_was_allowed(cases: Cases) -> None:
    """The message has the limit that was broken, in seconds."""
    assert "1.2 s" in cases.record("tidy")["error"]
    assert "0.4 s" in cases.record("asks_for_less")["error"]


def test_sigterm_is_seen_as_terminated(cases: Cases) -> None:
    """The experiment sees SIGTERM as configmill.Terminated, and its `finally` runs."""
    assert (cases.dir("tidy") / "notes.txt").read_text().split() == ["Terminated", "finally"]


def test_except_exception_lets_it_pass(cases: Cases) -> None:
    """`except Exception` in a loop doesn't catch the end: the experiment ends by the SIGTERM, not by the SIGKILL."""
    assert not (cases.dir("catches_exceptions_only") / "notes.txt").exists()
    assert cases.record("catches_exceptions_only")["signal"] is None


@pytest.mark.parametrize("case", ["ignores", "swallows"])
def test_whoever_goes_on_is_killed_after_the_grace(cases: Cases, case: str) -> None:
    """SIGKILL ends, after the grace, what ignores SIGTERM or swallows the exception with `except BaseException`."""
    record = cases.record(case)
    assert record["signal"] == 9
    assert record["seconds"] >= TIMEOUT + GRACE


def test_sigterm_is_sent_once(cases: Cases) -> None:
    """What swallows the SIGTERM sees it once: teardown isn't interrupted by a second."""
    assert (cases.dir("swallows") / "notes.txt").read_text().split() == ["swallowed"]


def test_a_result_after_the_timeout_is_not_a_success(cases: Cases) -> None:
    """An experiment that swallows its end and returns has still run too long."""
    assert not (cases.dir("swallows_and_returns") / "result.json").exists()


def test_a_timeout_of_its_own_comes_first(cases: Cases) -> None:
    """resources.timeout overrides --timeout: it may be shorter, and longer."""
    assert 0.4 <= cases.record("asks_for_less")["seconds"] < TIMEOUT
    assert cases.record("asks_for_more")["status"] == "succeeded"
    assert cases.record("asks_for_more")["seconds"] > TIMEOUT


def test_time_in_the_queue_does_not_count(cases: Cases) -> None:
    """What waited longer than the time-out for its turn still has all of it: four threads, twice as many in line."""
    records = [cases.record(case) for case in QUICK]
    assert [record["status"] for record in records] == ["succeeded"] * len(QUICK)
    assert min(record["queued_seconds"] for record in records) > TIMEOUT

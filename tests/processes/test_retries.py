"""What is tried again, when, and how often; and what --abort_on_error ends."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import pytest

from tests.conftest import Project
from tests.processes.cases import Cases, run_cases, run_within, write_cases

EXPERIMENTS = """
    import os, signal, sys, time

    def succeeds_at_the_second(config):
        if config.meta.attempt == 1:
            raise ValueError("not yet")
        return {"attempt": config.meta.attempt}

    def never_succeeds(config):
        raise ValueError("never")

    def runs_out_of_memory_once(config):
        if config.meta.attempt == 1:
            raise MemoryError
        return {"attempt": config.meta.attempt}

    def is_killed_once(config):
        if config.meta.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"attempt": config.meta.attempt}

    def kills_its_minder_twice(config):
        if config.meta.attempt <= 2:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(1000)
        return {"attempt": config.meta.attempt}

    def logs_and_returns_each_time(config):
        import configmill
        configmill.log_metrics(attempt=config.meta.attempt)
        print("attempt", config.meta.attempt)
        if config.meta.attempt < 3:
            raise ValueError("not yet")
        return {"attempt": config.meta.attempt}

    def succeeds(config):
        return {"y": 1}
    """
BACKOFF = 0.6


@pytest.fixture(scope="module")
def cases(shared_project: Project) -> Cases:
    """One command that ran all of EXPERIMENTS."""
    options = ("--num_retries", "2", "--retry_backoff", str(BACKOFF))
    return run_cases(shared_project, EXPERIMENTS, *options)


def seconds(text: str) -> float:
    """A record's timestamp in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize("case", ["succeeds_at_the_second", "runs_out_of_memory_once", "is_killed_once"])
def test_a_retry_may_succeed(cases: Cases, case: str) -> None:
    """What fails once and may be tried again succeeds at its second attempt, and there is no third."""
    assert [record["status"] for record in cases.attempts(case)] == ["failed", "succeeded"]
    assert cases.result(case) == {"attempt": 2}


def test_retries_come_to_an_end(cases: Cases) -> None:
    """--num_retries 2 makes three attempts, all of which are kept, and then it has failed."""
    records = cases.attempts("never_succeeds")
    assert [record["attempt"] for record in records] == [1, 2, 3]
    assert all((cases.dir("never_succeeds") / record["log"]).exists() for record in records)
    assert [failure["index"] for failure in cases.done.summary["failures"]] == [cases.index("never_succeeds")]
    assert cases.done.summary["failures"][0]["attempts"] == 3


def test_what_succeeds_is_not_tried_again(cases: Cases) -> None:
    """A success at the first attempt has one record."""
    assert len(cases.attempts("succeeds")) == 1


@pytest.mark.parametrize("case", ["never_succeeds", "logs_and_returns_each_time"])
def test_a_retry_waits_its_backoff(cases: Cases, case: str) -> None:
    """Between the end of an attempt and the start of the k-th retry lie at least retry_backoff**k seconds."""
    for k, (one, next_one) in enumerate(pairwise(cases.attempts(case)), start=1):
        millisecond = 0.001  # to which records are rounded
        assert seconds(next_one["started"]) - seconds(one["ended"]) >= BACKOFF**k - millisecond


def test_the_managers_log_tells_the_wait(cases: Cases) -> None:
    """runs/<timestamp>.log says in how many seconds the next attempt comes."""
    (log,) = cases.dst.glob("runs/*.log")
    told = [line for line in log.read_text().splitlines() if f"result_{cases.index('never_succeeds')}:" in line]
    assert [line.rpartition("; ")[2] for line in told if "; next attempt" in line] == [
        "next attempt in 0.6 s",
        "next attempt in 0.36 s",
    ]


def test_being_lost_uses_up_no_retry(cases: Cases) -> None:
    """Two attempts whose minder was killed are repeated on top of --num_retries, and without a back-off."""
    records = cases.attempts("kills_its_minder_twice")
    assert [record["failure_class"] for record in records] == ["lost", "lost", None]


def test_each_attempt_keeps_its_own(cases: Cases) -> None:
    """Before attempt n the metrics and the result of attempt n-1 move to attempts/<n-1>; each has its own log."""
    directory = cases.dir("logs_and_returns_each_time")
    for attempt in (1, 2):
        assert f'"attempt": {attempt}' in (directory / "attempts" / str(attempt) / "metrics.jsonl").read_text()
    assert (directory / "metrics.jsonl").read_text().count("\n") == 1
    for attempt in (1, 2, 3):
        log = cases.log("logs_and_returns_each_time", attempt)
        assert [line for line in log.splitlines() if line.startswith("attempt ")] == [f"attempt {attempt}"]


def test_attempt_numbers_run_on_over_commands(cases: Cases) -> None:
    """A second command goes on with what failed, numbers its attempts on, and leaves the rest alone."""
    before = len(cases.attempts("succeeds"))
    cases.project.run("--index", str(cases.index("never_succeeds")))
    assert [record["attempt"] for record in cases.attempts("never_succeeds")] == [1, 2, 3, 4]
    assert len(cases.attempts("succeeds")) == before


def test_a_backoff_holds_up_nothing_else(project: Project) -> None:
    """While one experiment backs off, the only thread runs the others."""
    write_cases(
        project,
        """
        def fails_once(config):
            if config.meta.attempt == 1:
                raise ValueError
            return {}

        def second(config):
            return {}

        def third(config):
            return {}
        """,
    )
    done = project.run("--num_retries", "1", "--retry_backoff", "1")
    assert done.code == 0, done
    last = project.json(0, "attempts/2.json")
    assert all(project.json(i, "attempts/1.json")["ended"] <= last["started"] for i in (1, 2))


def test_always_lost_comes_to_an_end(project: Project) -> None:
    """An experiment that kills whoever minds it has failed as lost after a bounded number of attempts."""
    write_cases(
        project,
        """
        import os, signal, time

        def kills_its_minder(config):
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(1000)
        """,
    )
    done = project.run("--json")
    assert done.code == 1
    assert done.summary["failures"][0]["failure_class"] == "lost"
    assert 2 <= done.summary["failures"][0]["attempts"] <= 20


def test_the_order_is_priority_then_index(project: Project) -> None:
    """resources.priority decides who goes first, the index among equals."""
    project.write(
        "builder.py",
        """
        def build():
            return [{"x": x, "resources": {"priority": p}} for x, p in enumerate([0, 1, 0, 2.5, -1, 1])]
        """,
    )
    project.write("experiment.py", "def run(config):\n    pass\n")
    assert project.run().code == 0
    records = [project.json(i, "attempts/1.json") for i in range(6)]
    assert [r["index"] for r in sorted(records, key=lambda r: r["started"])] == [3, 1, 5, 0, 2, 4]


ABORTED = """
    import os, time

    def runs_long(config):
        open("running", "w").close()
        try:
            time.sleep(1000)
        finally:
            open("torn down", "w").close()

    def fails(config):
        while not os.path.exists("running"):
            time.sleep(0.01)
        raise ValueError("enough")

    def waits(config):
        pass

    def waits_too(config):
        pass
    """


@pytest.fixture(scope="module")
def aborted(shared_project: Project) -> Cases:
    """A command with --abort_on_error: one fails while another runs and two wait."""
    below = Project(shared_project.root / "aborted")
    below.mark = shared_project.mark
    below.root.mkdir()
    return run_cases(below, ABORTED, "--abort_on_error", "--grace", "60")


def test_abort_on_error_starts_nothing_new(aborted: Cases) -> None:
    """After a failure what waits is not started, and the summary counts it."""
    assert aborted.done.summary["not_started"] == 2
    assert not aborted.dir("waits").exists()


def test_abort_on_error_ends_what_runs(aborted: Cases) -> None:
    """What runs is ended as interrupted and cancelled, and its `finally` runs."""
    record = aborted.record("runs_long")
    assert (record["status"], record["failure_class"]) == ("interrupted", "cancelled")
    assert (aborted.project.root / "torn down").exists()


def test_abort_on_error_exits_with_1(aborted: Cases) -> None:
    """The exit code is that of a failure, and the summary names the one that failed."""
    assert aborted.done.code == 1
    assert [failure["index"] for failure in aborted.done.summary["failures"]] == [aborted.index("fails")]
    assert aborted.done.summary["interrupted"] == 1


def test_abort_on_error_waits_for_the_last_retry(project: Project) -> None:
    """A failure that is tried again aborts nothing."""
    write_cases(
        project,
        """
        def fails_once(config):
            if config.meta.attempt == 1:
                raise ValueError
            return {}

        def second(config):
            return {}
        """,
    )
    done = project.run("--abort_on_error", "--num_retries", "1", "--retry_backoff", "0.1")
    assert done.code == 0, done


def test_two_minders_killed_at_once(project: Project) -> None:
    """Minders that are killed in the same moment are each lost, and each experiment runs again."""
    write_cases(
        project,
        """
        import os, signal, time

        def _meet(config, other):
            if config.meta.attempt > 3:
                return {}
            for _ in range(4):
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(1000)
            mine, theirs = (f"{name}.{config.meta.attempt}" for name in (config.case, other))
            open(mine, "w").close()
            while not os.path.exists(theirs):
                pass
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(1000)

        def one(config):
            return _meet(config, "other")

        def other(config):
            return _meet(config, "one")
        """,
    )
    done = run_within(project, 30, "--num_threads", "2")
    assert done.code == 0, done
    assert [project.json(i, f"attempts/{n}.json")["failure_class"] for i in (0, 1) for n in (1, 2, 3)] == ["lost"] * 6

"""What an experiment prints, logs and has others print is in its attempt's log."""

from __future__ import annotations

import gzip
import re

import pytest

from tests.conftest import Project
from tests.processes.cases import Cases, run_cases

EXPERIMENTS = """
    import os, signal, sys

    def prints_and_is_killed(config):
        print("first line")
        print("second", "line", file=sys.stderr)
        print("to the original stdout", file=sys.__stdout__)
        print("to the original stderr", file=sys.__stderr__)
        print("third line\\nhalf a line", end="")
        os.kill(os.getpid(), signal.SIGKILL)

    def writes_bytes_and_is_killed(config):
        sys.stdout.buffer.write(b"bytes, a line of them\\n")
        os.kill(os.getpid(), signal.SIGKILL)

    def prints_without_an_end(config):
        print("half a line", end="")

    def has_others_print(config):
        import subprocess
        print("before")
        subprocess.run(["sh", "-c", "echo from a shell; echo its error >&2"], check=True)
        print("after")
        os.system("echo from system")
        os.write(1, b"from write\\n")

    def prints_beyond_ascii(config):
        print("größer als π: \\u2603")
        print("undecodable \\udcff byte")

    def logs(config):
        import logging
        logging.getLogger("my.module").debug("the value is %d", 7)
        logging.getLogger("my.module").warning("look out")
        logging.info("on the root")

    def logs_after_using_logging_elsewhere(config):
        import concurrent.futures, json
        from logging import getLogger
        getLogger("late").debug("imported late")

    def configures_logging_itself(config):
        import logging
        logging.basicConfig(level="ERROR", format="mine: %(message)s", force=True)
        logging.warning("not shown")
        logging.error("shown")

    def reads_stdin(config):
        return {"read": sys.stdin.read(), "file": os.readlink("/proc/self/fd/0")}

    def asks(config):
        input("your name? ")

    def warns(config):
        import warnings
        warnings.warn("this is old")

    def prints_much(config):
        for i in range(20000):
            print("line", i)
    """


@pytest.fixture(scope="module")
def cases(shared_project: Project) -> Cases:
    """One command that ran all of EXPERIMENTS."""
    environment = shared_project.environment(LC_ALL="C", PYTHONIOENCODING="ascii")
    environment["PYTHONUTF8"] = "0"
    environment.pop("PYTHONUNBUFFERED", None)  # set around many a test run, it would hide what isn't written through
    return run_cases(shared_project, EXPERIMENTS, "--log_level", "DEBUG", env=environment)


@pytest.mark.parametrize(
    "line", ["first line", "second line", "third line", "to the original stdout", "to the original stderr"]
)
def test_whole_lines_outlive_a_sigkill(cases: Cases, line: str) -> None:
    """Every whole line that was printed before a SIGKILL is in the log, by whichever of sys's streams."""
    assert line in cases.log("prints_and_is_killed").splitlines()


def test_bytes_outlive_a_sigkill(cases: Cases) -> None:
    """A line written to sys.stdout.buffer before a SIGKILL is in the log."""
    assert "bytes, a line of them" in cases.log("writes_bytes_and_is_killed")


def test_half_a_line_is_kept_where_nothing_kills(cases: Cases) -> None:
    """Output without a line's end is in the log once the experiment has ended."""
    assert cases.log("prints_without_an_end") == "half a line"


def test_output_of_others_is_there_and_in_order(cases: Cases) -> None:
    """What subprocesses and C code write is in the log, between the prints that surround it."""
    assert cases.log("has_others_print").splitlines() == [
        "before", "from a shell", "its error", "after", "from system", "from write",
    ]  # fmt: skip


def test_the_log_is_utf_8_in_any_locale(cases: Cases) -> None:
    """With LC_ALL=C too the log is UTF-8, and what can't be encoded is escaped instead of raising."""
    assert cases.record("prints_beyond_ascii")["status"] == "succeeded"
    assert cases.log("prints_beyond_ascii").splitlines() == ["größer als π: ☃", "undecodable \\udcff byte"]


def test_logging_is_configured(cases: Cases) -> None:
    """A line of logging has time, name, level and message; --log_level DEBUG lets all of it through."""
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
    lines = cases.log("logs").splitlines()
    assert len(lines) == 3
    assert re.fullmatch(f"{time} my.module DEBUG the value is 7", lines[0])
    assert re.fullmatch(f"{time} my.module WARNING look out", lines[1])
    assert re.fullmatch(f"{time} root INFO on the root", lines[2])


def test_logging_is_configured_however_late_it_is_imported(cases: Cases) -> None:
    """`logging` that another module brings along, inside of the function, is configured too."""
    assert cases.log("logs_after_using_logging_elsewhere").endswith(" late DEBUG imported late\n")


def test_users_may_configure_logging_themselves(cases: Cases) -> None:
    """basicConfig(force=True) in user code has the last word."""
    assert cases.log("configures_logging_itself") == "mine: shown\n"


def test_stdin_is_dev_null(cases: Cases) -> None:
    """An experiment that reads stdin gets nothing, at once."""
    assert cases.result("reads_stdin") == {"read": "", "file": "/dev/null"}


def test_input_fails_rather_than_waits(cases: Cases) -> None:
    """input() raises EOFError: nobody could answer."""
    assert cases.record("asks")["error"].startswith("EOFError")


def test_warnings_are_in_the_log(cases: Cases) -> None:
    """warnings.warn is in the log, with the user's line."""
    assert "UserWarning: this is old" in cases.log("warns")


def test_long_output_is_complete(cases: Cases) -> None:
    """No line of a long log is lost or mixed with another."""
    assert cases.log("prints_much").splitlines() == [f"line {i}" for i in range(20000)]


def test_below_the_log_level_nothing_is_shown(project: Project) -> None:
    """--log_level WARNING hides what is below, in whatever module it was logged."""
    run_cases(
        project,
        """
        def logs(config):
            import logging
            logging.getLogger("my.module").info("hidden")
            logging.getLogger("my.module").warning("shown")
        """,
        "--log-level",
        "warning",
    )
    assert "hidden" not in project.log(0)
    assert "shown" in project.log(0)


def test_files_left_open_are_written_to_their_ends(project: Project) -> None:
    """What an experiment writes to a file in a global, which nobody closes, is there when it has ended."""
    project.write("builder.py", "def build():\n    return [{'x': 1}]\n")
    project.write(
        "experiment.py",
        """
        import gzip

        history = open("history.csv", "w")
        packed = gzip.open("packed.gz", "wt")

        def run(config):
            history.write("1,2,3")
            packed.write("packed")
        """,
    )
    assert project.run().code == 0
    assert (project.root / "history.csv").read_text() == "1,2,3"
    with gzip.open(project.root / "packed.gz", "rt") as packed:
        assert packed.read() == "packed"

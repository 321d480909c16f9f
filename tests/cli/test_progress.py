"""What the terminal shows: plain lines in a pipe, a live table in a terminal, and at the end what came of it."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal
from tests.conftest import Done, Project, wait_until

EXPERIMENT = """
    import os, time

    def run(config):
        if config.x == 1:
            raise ValueError("one is [bold]the[/bold] loneliest number")
        gate = os.path.join(config.meta.project_dir, f"gate {config.x}")
        while config.gated and config.x > 1 and not os.path.exists(gate):
            time.sleep(0.005)
        return {"y": config.x}
    """
BUILDER = """
    import configmill

    def build(n=5, gated=False):
        base = {"x": 0, "gated": gated, "lerning_rate": 0.1, "model": {"name": "ar", "unused": 1}}
        return configmill.grid(base, {"x": list(range(n))})
    """


@pytest.fixture
def user(project: Project) -> Project:
    """Experiment 1 fails; those after it wait for a file `gate <x>` where the builder is told so."""
    project.write("builder.py", BUILDER)
    project.write("experiment.py", EXPERIMENT)
    return project


@pytest.fixture
def piped(user: Project) -> Done:
    """Five experiments in a pipe, the second of which fails."""
    done = user.run("--num_threads", "2")
    assert done.code == 1, done
    return done


def test_plain_lines_in_a_pipe(user: Project, piped: Done) -> None:
    """A line when each experiment ends, numbered, without escape codes; nothing on stderr."""
    assert "\x1b" not in piped.out and "\r" not in piped.out
    assert piped.err == ""
    numbered = re.findall(r"^\[(\d)/5\] result_(\d) (\w+)", piped.out, re.M)
    assert [number for number, _, _ in numbered] == ["1", "2", "3", "4", "5"]
    assert {index: word.lower() for _, index, word in numbered} == {
        "0": "succeeded", "1": "failed", "2": "succeeded", "3": "succeeded", "4": "succeeded",
    }  # fmt: skip


def test_the_end_names_each_failure(user: Project, piped: Done) -> None:
    """The summary gives class, message, last frame in user code and the log to open, and then the counts."""
    _, _, summary = piped.out.partition("\n\n")
    assert "result_1" in summary
    assert "code_error" in summary
    assert "ValueError: one is [bold]the[/bold] loneliest number" in summary
    assert f"{user.root / 'experiment.py'}:6 in run" in summary
    log = re.search(r"^\s+log\s+(.+?)(?:  |$)", summary, re.M)
    assert log is not None
    assert "loneliest" in Path(log.group(1)).read_text()
    assert "4 succeeded" in summary and "1 failed" in summary


def test_the_end_says_where_the_results_are(user: Project, piped: Done) -> None:
    """It names results.csv, and how to go on."""
    (path,) = re.findall(r"^results: (.+)$", piped.out, re.M)
    assert Path(path) == user.out / "results.csv"
    assert Path(path).exists()
    assert "same command" in piped.out


def test_the_end_says_how_many_were_skipped(user: Project, piped: Done) -> None:
    """A further command says at its beginning and at its end how many it skips, and shows only what it ran."""
    again = user.run()
    assert "4 skipped" in again.out.splitlines()[0]
    assert "4 skipped" in "".join(again.out.splitlines()[-5:])
    assert "result_0" not in again.out


def test_keys_that_nobody_read_are_reported(user: Project, piped: Done) -> None:
    """Keys that no successful experiment read are named: most often a misspelling. What one of them read isn't."""
    (note,) = [line for line in piped.out.splitlines() if "read" in line and line.startswith("note")]
    for key in ("lerning_rate", "model.name", "model.unused"):
        assert key in note
    assert "gated" not in note and not re.search(r"\bx\b", note)


def test_keys_that_were_read_are_not(squares: Project) -> None:
    """Where every key is read nothing is said, and neither are the manager's own `resources`."""
    squares.write("builder.py", "def build():\n    return [{'x': 1, 'name': 'n', 'resources': {'timeout': 50}}]\n")
    done = squares.run()
    assert done.code == 0
    assert "note" not in done.out
    assert done.out.count("\n") <= 6, "a run without incident is short"


def test_more_failures_than_a_screen(user: Project) -> None:
    """Of very many failures the rest is counted, and the command that lists them works as it stands in a shell."""
    user.write("experiment.py", "def run(config):\n    raise ValueError(config.x)\n")
    done = user.run("--num_threads", "4", builder="builder.build(n=23)")
    assert done.code == 1
    _, _, summary = done.out.partition("\n\n")
    shown = re.findall(r"^result_\d+ failed", summary, re.M)
    more = re.search(r"^\.\.\. and (\d+) more: (.+)$", summary, re.M)
    assert more is not None
    assert len(shown) + int(more.group(1)) == 23
    assert shlex.split(more.group(2))[1:] == ["failures", str(user.out)]


def live(project: Project, *options: str, builder: str = "builder.build(gated=True)") -> Terminal:
    """The manager in a terminal."""
    return Terminal(project.command(*options, builder=builder), project.root, project.environment())


def test_live_table(user: Project) -> None:
    """In a terminal a table counts done, running, failed and waiting, with the time that passed and an estimate."""
    with live(user, "--num_threads", "2") as screen:
        screen.wait_for(r"done\s+running\s+failed\s+waiting")
        # 0 is done, 1 failed, 2 and 3 run, 4 waits.
        row = screen.wait_for(r"(?m)^\s*1\s+2\s+1\s+1\s+0\s+(\S+ s)\s+(\S+ s|\?)")
        assert row.group(2) != "?", "two have ended: there is an estimate"
        screen.wait_for(r"result_2\s+\d")
        for x in (2, 3, 4):
            (user.root / f"gate {x}").touch()
        assert screen.end() == 1
        printed = screen.printed
    assert "4 succeeded" in printed and "1 failed" in printed
    assert f"results: {user.out / 'results.csv'}" in printed
    assert "\x1b[?25h" in screen.raw, "the cursor is shown again"


def test_a_failure_is_shown_at_once(user: Project) -> None:
    """A failure stands on the screen with its message and its log's path while others still run; markup is text."""
    with live(user, "--num_threads", "2") as screen:
        screen.wait_for(r"ValueError: one is \[bold\]the\[/bold\] loneliest number")
        log = screen.wait_for(r"log\s+(/.+?/attempts/1\.log)").group(1)
        assert "loneliest" in Path(log).read_text()
        assert "4 succeeded" not in screen.printed
        for x in (2, 3, 4):
            (user.root / f"gate {x}").touch()
        assert screen.end() == 1


def test_a_failure_is_shown_at_once_in_a_pipe(user: Project) -> None:
    """Plain lines too come when things happen: the failure with its log, while others still run."""
    path = user.root / "stdout.txt"
    with path.open("w") as stdout:
        argv = user.command("--num_threads", "2", builder="builder.build(gated=True)")
        manager = subprocess.Popen(argv, cwd=user.root, env=user.environment(), stdout=stdout)
    shown = wait_until(lambda: re.search(r"log\s+(/.+/attempts/1\.log)\n", path.read_text()))
    assert "loneliest" in Path(shown.group(1)).read_text()
    assert "code_error: ValueError: one is" in path.read_text()
    for x in (2, 3, 4):
        (user.root / f"gate {x}").touch()
    assert manager.wait(timeout=30) == 1
    assert "4 succeeded" in path.read_text()


def test_a_builder_may_print_what_it_likes(squares: Project) -> None:
    """What a builder prints in a terminal appears as it is, brackets included."""
    squares.write(
        "talking.py",
        """
        import builder

        def build():
            print("[/red] loading [1/2]", end="", flush=True)
            print(" [bold]done[/bold]")
            return builder.build(1)
        """,
    )
    with live(squares, builder="talking.build()") as screen:
        assert screen.end() == 0
        assert re.search(r"\[/red\] loading \[1/2\]\s+\[bold\]done\[/bold\]", screen.printed)


def test_a_dumb_terminal_gets_plain_lines(squares: Project) -> None:
    """With TERM=dumb, as in editors, no table is drawn."""
    argv = ["env", "TERM=dumb", *squares.command("--index", "0")]
    with Terminal(argv, squares.root, squares.environment()) as screen:
        assert screen.end() == 0
        assert "\x1b" not in screen.raw
        assert "result_0 succeeded" in screen.printed


def test_a_usage_error_in_a_terminal(squares: Project) -> None:
    """Bad input leaves the two sentences on the terminal and no table."""
    with live(squares, builder="builder.biuld()") as screen:
        assert screen.end() == 2
        assert 'Did you mean "build"?' in screen.printed
        assert "waiting" not in screen.printed


def test_no_error_gets_at_the_terminal(squares: Project) -> None:
    """Control characters of an error's message are shown, not obeyed: it can't clear or colour the user's screen."""
    squares.write("experiment.py", "def run(config):\n    raise ValueError('\\x1b[2Jgone \\x07\\x00')\n")
    shown = squares.run("--index", "0").out + squares.configmill("failures", str(squares.out)).out
    assert shown.count("\\x1b[2Jgone \\x07\\x00") == 3
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", shown)

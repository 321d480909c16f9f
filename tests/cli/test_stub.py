"""run_experiment_stub.py: one experiment in the foreground, in a debugger, as an attempt like any other."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.listing import listing
from tests.cli.terminal import Terminal
from tests.conftest import REPOSITORY, Done, Project, wait_until


def argv(project: Project, index: int, *options: str, python: tuple[str, ...] = ()) -> list[str]:
    """The argv of the stub for the config at `index`."""
    return [
        sys.executable, *python, str(REPOSITORY / "run_experiment_stub.py"), "--experiment_builder", "experiment.run",
        "--config_builder", "builder.build()", "--config_idx", str(index), "--dst_dir", str(project.out), *options,
    ]  # fmt: skip


def stub(project: Project, index: int, *options: str, stdin: str = "", python: tuple[str, ...] = ()) -> Done:
    """Run the stub to its end."""
    return project.call(argv(project, index, *options, python=python), stdin=stdin)


def record(project: Project, index: int, attempt: int = 1) -> dict[str, Any]:
    """The record of an attempt."""
    found: dict[str, Any] = project.json(index, f"attempts/{attempt}.json")
    return found


def test_it_runs_one(squares: Project) -> None:
    """It runs the one config: its output on the terminal, result, link and tables in dst_dir, exit code 0."""
    done = stub(squares, 2)
    assert done.code == 0, done
    assert "squaring 2 for square" in done.out
    assert squares.json(2, "result.json") == {"y": 4}
    assert sorted(p.name for p in squares.out.glob("result_*")) == ["result_2"]
    with (squares.out / "results.csv").open() as file:
        statuses = [row["status"] for row in csv.DictReader(file)]
    assert statuses == ["pending", "pending", "succeeded", "pending"]
    assert str(squares.out / "experiments") in done.err, "it says where the results are"


def test_it_counts_as_an_attempt(squares: Project) -> None:
    """It leaves config, record and marker as an attempt of the manager does, and says that it ran in the foreground."""
    assert stub(squares, 1).code == 0
    found = record(squares, 1)
    expected = {"attempt": 1, "status": "succeeded", "start_method": "foreground", "log": "attempts/1.log"}
    assert {name: found[name] for name in expected} == expected
    assert found["cpu_seconds"] > 0 and found["peak_rss_bytes"] > 1_000_000
    assert squares.json(1, "config.json") == {"x": 1, "name": "square"}
    assert squares.json(1, "status.json")["status"] == "succeeded"
    assert (squares.result_dir(1) / "success.txt").read_text() == "1\n"


def test_numbers_run_on(squares: Project) -> None:
    """Attempts are numbered on over the stub and the manager; the manager skips what the stub did."""
    assert stub(squares, 0).code == 0
    assert squares.run("--json", "--index", "0").summary["skipped"] == 1
    assert squares.run("--no_incremental", "--index", "0").code == 0
    assert stub(squares, 0).code == 0, "asked for, it runs whatever succeeded before"
    methods = [record(squares, 0, n)["start_method"] for n in (1, 2, 3)]
    assert methods == ["foreground", "warm", "foreground"]
    assert (squares.result_dir(0) / "success.txt").read_text() == "3\n"
    assert json.loads((squares.result_dir(0) / "attempts/2/result.json").read_text()) == {"y": 0}


def test_its_run_is_recorded_with_its_outcome(squares: Project) -> None:
    """runs/<timestamp>.json of a stub has the outcome and the end, as that of a manager."""
    squares.write("experiment.py", "def run(config):\n    assert config.x\n")
    assert [stub(squares, index).code for index in (1, 0)] == [0, 1]
    runs = [json.loads(path.read_text()) for path in sorted(squares.out.glob("runs/*.json"))]
    assert [run["request"]["start_method"] for run in runs] == ["foreground", "foreground"]
    assert all(run["ended"] for run in runs)
    assert [(run["outcome"]["succeeded"], run["outcome"]["failed"]) for run in runs] == [(1, 0), (0, 1)]
    assert [run["outcome"]["exit_code"] for run in runs] == [0, 1]


def test_set_changes_the_config(squares: Project) -> None:
    """--set works as it does for the manager: the same identity, so the manager then skips it."""
    assert stub(squares, 3, "--set", "name=by hand").code == 0
    assert squares.json(3, "config.json")["name"] == "by hand"
    assert squares.run("--json", "--index", "3", "--set", "name=by hand").summary["skipped"] == 1


def test_a_failure(squares: Project) -> None:
    """What the experiment raises is recorded with its place, listed, shown with its traceback; exit code 1."""
    squares.write("experiment.py", "def run(config):\n    raise ValueError(f'no {config.x}')\n")
    done = stub(squares, 1)
    assert done.code == 1
    assert "Traceback" in done.err and "ValueError: no 1" in done.err
    found = record(squares, 1)
    assert (found["status"], found["failure_class"], found["error"]) == ("failed", "code_error", "ValueError: no 1")
    assert found["where"] == f"{squares.root / 'experiment.py'}:2 in run"
    assert not (squares.result_dir(1) / "success.txt").exists()
    assert "ValueError: no 1" in (squares.out / "failed_experiments.csv").read_text()
    assert squares.run("--json", "--dry_run", "--index", "1").summary["skipped"] == 0


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("return {'model': object()}", "'model'"),
        ("return config.nmae", "nmae"),
        ("config['x'] = 3", "read-only"),
        ("import sys; sys.exit(0)", "sys.exit(0)"),
        ("return 3", "mapping"),
    ],
)
def test_a_failure_is_never_silent(squares: Project, body: str, shown: str) -> None:
    """Whatever goes wrong, the terminal says what; Configmill's own errors and sys.exit included."""
    squares.write("experiment.py", f"def run(config):\n    {body}\n")
    done = stub(squares, 1)
    assert done.code == 1
    assert shown in done.err
    assert record(squares, 1)["status"] == "failed"


def test_breakpoint_with_piped_commands(squares: Project) -> None:
    """breakpoint() in an experiment reads its commands from stdin; the experiment goes on with what was changed."""
    squares.write(
        "experiment.py",
        """
        def run(config):
            factor = 2
            breakpoint()
            return {"y": config.x * factor}
        """,
    )
    done = stub(squares, 3, stdin="p config.x, config.meta.idx\nfactor = 100\nc\n")
    assert done.code == 0, done
    assert "(3, 3)" in done.out
    assert squares.json(3, "result.json") == {"y": 300}


def test_breakpoint_in_a_terminal(squares: Project) -> None:
    """In a terminal the debugger prompts, and what is typed reaches it."""
    squares.write("experiment.py", "def run(config):\n    breakpoint()\n    return {'y': config.x}\n")
    with Terminal(argv(squares, 2), squares.root, squares.environment()) as screen:
        screen.wait_for(r"\(Pdb\) ")
        screen.type("p 'the name is ' + config.name")
        screen.wait_for("'the name is square'")
        screen.type("c")
        assert screen.end() == 0
    assert squares.json(2, "result.json") == {"y": 2}


def test_leaving_the_debugger_is_a_failure(squares: Project) -> None:
    """Quitting the debugger leaves an attempt that failed, and a dst_dir that is free."""
    squares.write("experiment.py", "def run(config):\n    breakpoint()\n")
    assert stub(squares, 1, stdin="q\n").code == 1
    assert record(squares, 1)["status"] == "failed"
    assert squares.configmill("status", str(squares.out), "--json").summary["in_use_by"] is None


@pytest.mark.parametrize(
    ("body", "error"),
    [("raise ValueError('here')", "ValueError: here"), ("return {'y': config.model_nmae}", "model_nmae")],
    ids=["user", "ours"],
)
def test_post_mortem(squares: Project, body: str, error: str) -> None:
    """Under `python -m pdb -c continue` it stops where the exception came from, with the experiment's variables."""
    squares.write("experiment.py", f"def run(config):\n    marker = 'mark ' * 3\n    {body}\n")
    commands = "p marker\n" + "up\np marker\n" * 5 + "q\n"  # the experiment's frame is among the innermost
    done = stub(squares, 1, python=("-m", "pdb", "-c", "continue"), stdin=commands)
    assert "post mortem" in done.out
    assert error in done.out + done.err
    assert "'mark mark mark '" in done.out
    assert record(squares, 1)["status"] == "failed"


def test_log_level(squares: Project) -> None:
    """--log_level decides what user code's logging shows, on the terminal and in the attempt's log."""
    squares.write(
        "experiment.py",
        """
        import logging

        def run(config):
            logging.getLogger("mine").debug("deep inside")
            logging.getLogger("mine").info("as usual")
        """,
    )
    quiet, loud = stub(squares, 0), stub(squares, 1, "--log_level", "DEBUG")
    assert (quiet.code, loud.code) == (0, 0)
    assert "mine INFO as usual" in quiet.err and "deep inside" not in quiet.err
    assert "mine DEBUG deep inside" in loud.err
    assert "mine DEBUG deep inside" in squares.log(1)


def test_it_runs_as_the_manager_would(squares: Project) -> None:
    """The experiment sees what it would see under the manager: meta, working directory, read-only config."""
    squares.write(
        "experiment.py",
        """
        import os, sys

        def run(config):
            names = ("idx", "digest", "dst_dir", "experiment_dir", "checkpoint_dir", "project_dir", "config_builder")
            try:
                config.x = 1
                changed = True
            except TypeError:
                changed = False
            return {
                **{name: getattr(config.meta, name) for name in names},
                "cwd": os.getcwd(),
                "first": sys.path[0],
                "changed": changed,
            }
        """,
    )
    assert stub(squares, 1).code == 0
    by_hand = squares.json(1, "result.json")
    assert squares.run("--index", "1", "--no_incremental").code == 0
    assert squares.json(1, "result.json") == by_hand
    assert by_hand["changed"] is False


GATED = """
    import os, time

    def run(config):
        here = config.meta.project_dir
        open(os.path.join(here, "started"), "w").close()
        while not os.path.exists(os.path.join(here, "gate")):
            time.sleep(0.005)
        return {"y": config.x}
    """


def start(project: Project, index: int) -> subprocess.Popen[str]:
    """Start the stub with an experiment that waits for a file `gate`, and return when it waits."""
    project.write("experiment.py", GATED)
    process = subprocess.Popen(
        argv(project, index), cwd=project.root, env=project.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_until((project.root / "started").exists)
    return process


def test_it_holds_the_dst_dir(squares: Project) -> None:
    """While it runs, a manager and a second stub exit 2 and name its pid; it isn't disturbed."""
    process = start(squares, 0)
    before = listing(squares.out, times=True)
    for done in (squares.run(), stub(squares, 1)):
        assert done.code == 2
        assert f"pid {process.pid}" in done.err
    assert listing(squares.out, times=True) == before
    status = squares.configmill("status", str(squares.out), "--json").summary
    assert (status["running"], status["in_use_by"]["pid"]) == (1, process.pid)
    (squares.root / "gate").touch()
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert squares.json(0, "result.json") == {"y": 0}


@pytest.mark.parametrize("after", ["manager", "stub"])
def test_killed_it_is_interrupted(squares: Project, after: str) -> None:
    """Killed, its attempt reads as interrupted; whoever comes next records that, and runs it as the next attempt."""
    process = start(squares, 0)
    process.kill()
    process.communicate(timeout=30)
    status = squares.configmill("status", str(squares.out), "--json").summary
    assert (status["interrupted"], status["running"], status["in_use_by"]) == (1, 0, None)
    (squares.root / "gate").touch()
    again = squares.run("--index", "0") if after == "manager" else stub(squares, 0)
    assert again.code == 0
    assert [record(squares, 0, n)["status"] for n in (1, 2)] == ["interrupted", "succeeded"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_is_interrupted(squares: Project, signum: int) -> None:
    """Ctrl-C and SIGTERM end it as `interrupted`, with their exit codes, and the dst_dir is free."""
    process = start(squares, 0)
    process.send_signal(signum)
    process.communicate(timeout=30)
    # Python ends itself by the signal after an unhandled KeyboardInterrupt; a shell shows 128 + n for both.
    assert process.returncode in (128 + signum, -signum)
    found = record(squares, 0)
    assert (found["status"], found["failure_class"]) == ("interrupted", "cancelled")
    assert squares.configmill("status", str(squares.out), "--json").summary["in_use_by"] is None


def test_nothing_starts_inside_an_experiment(squares: Project) -> None:
    """Inside an experiment the manager, the stub and configmill.run are refused, and create nothing."""
    inner = squares.root / "inner out"
    commands = [
        [part.replace(str(squares.out), str(inner)) for part in command]
        for command in (argv(squares, 1), squares.command())
    ]
    program = f"import configmill; configmill.run('builder.build()', 'experiment.run', {str(inner)!r})"
    squares.write(
        "experiment.py",
        f"""
        import subprocess

        def run(config):
            commands = {[*commands, [sys.executable, "-c", program]]!r}
            done = [subprocess.run(command, capture_output=True, text=True) for command in commands]
            return {{"codes": [d.returncode for d in done], "errors": [d.stderr for d in done]}}
        """,
    )
    assert squares.run("--index", "0").code == 0
    result = squares.json(0, "result.json")
    assert result["codes"][:2] == [2, 2] and result["codes"][2] != 0
    assert all("inside an experiment" in text for text in result["errors"])
    assert not any("Traceback" in text for text in result["errors"][:2])
    assert not inner.exists()


def test_it_forks_nothing(squares: Project) -> None:
    """The experiment runs in the very process that was started, with the terminal's stdin."""
    squares.write(
        "experiment.py",
        "import os, sys\n\ndef run(config):\n    return {'pid': os.getpid(), 'stdin': sys.stdin.read()}\n",
    )
    process = subprocess.Popen(
        argv(squares, 0), cwd=squares.root, env=squares.environment(), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    process.communicate("typed", timeout=30)
    assert squares.json(0, "result.json") == {"pid": process.pid, "stdin": "typed"}
    assert record(squares, 0)["pid"] == process.pid


def test_its_log_says_where_the_output_went(squares: Project) -> None:
    """The attempt has a log all the same; it says that the output went to the terminal."""
    assert stub(squares, 0).code == 0
    assert re.search(r"terminal", squares.log(0))
    assert Path(os.path.realpath(squares.result_dir(0) / record(squares, 0)["log"])).exists()

"""What a program sees of a command: its exit code, and with --json one object on the last line of stdout."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import Done, Project

EXPERIMENT = """
    import sys

    def run(config):
        if config.x == 1:
            raise ValueError("one is the loneliest number")
        if config.x == 2:
            sys.exit(0)
        return {"y": config.x}
    """


@pytest.fixture
def failing(squares: Project) -> Project:
    """A project in which 0 and 3 succeed, 1 raises and 2 calls sys.exit(0)."""
    squares.write("experiment.py", EXPERIMENT)
    return squares


def test_code_0_and_1(failing: Project) -> None:
    """0 where all succeeded, now or before; 1 where some failed; 0 again where what is selected is skipped."""
    assert failing.run("--index", "0").code == 0
    assert failing.run("--index", "0").code == 0, "skipped"
    assert failing.run("--num_threads", "2").code == 1
    assert failing.run("--indices", "0,3").code == 0
    assert failing.run("--index", "2").code == 1, "sys.exit(0) is no success"


def test_code_1_with_abort_on_error(failing: Project) -> None:
    """With --abort_on_error nothing starts after a failure, and what didn't is counted."""
    done = failing.run("--abort_on_error", "--json")
    assert done.code == 1
    counts = {name: done.summary[name] for name in ("succeeded", "failed", "not_started")}
    assert counts == {"succeeded": 1, "failed": 1, "not_started": 2}


def test_json_of_a_run(failing: Project) -> None:
    """On stdout stands one line: the counts, each failure with class, message, place and log, the exit code."""
    done = failing.run("--json", "--num_threads", "2")
    assert done.code == 1
    assert len(done.out.splitlines()) == 1
    summary = done.summary
    expected = {
        "dst_dir": str(failing.out), "total": 4, "selected": 4, "succeeded": 2, "skipped": 0, "failed": 2,
        "interrupted": 0, "not_started": 0, "exit_code": 1, "signal": None, "dry_run": False,
    }  # fmt: skip
    assert {name: summary[name] for name in expected} == expected
    assert (failing.out / "runs" / f"{summary['run']}.json").exists()
    assert 0 < summary["seconds"] < 100
    first, second = summary["failures"]
    assert (first["index"], first["failure_class"], first["attempts"]) == (1, "code_error", 1)
    assert first["error"] == "ValueError: one is the loneliest number"
    assert first["where"] == f"{failing.root / 'experiment.py'}:6 in run"
    assert "ValueError: one is the loneliest number" in Path(first["log"]).read_text()
    assert first["digest"] == os.path.basename(os.readlink(failing.result_dir(1)))
    assert (second["index"], second["failure_class"]) == (2, "code_error")
    assert "sys.exit" in second["error"]
    assert "2 succeeded" in done.err, "what is for the eye is on stderr"


def test_json_is_the_last_line_whatever_user_code_prints(squares: Project) -> None:
    """A builder that prints, without a newline at its end even, doesn't spoil the last line."""
    squares.write(
        "talking.py", "import builder\n\ndef build():\n    print('so many', end='')\n    return builder.build(1)\n"
    )
    done = squares.run("--json", builder="talking.build()")
    assert done.code == 0
    assert done.summary["succeeded"] == 1


def test_usage_error_with_json_leaves_stdout_empty(squares: Project) -> None:
    """Exit code 2 comes with its message on stderr and with nothing that a program could take for a summary."""
    done = squares.run("--json", "--index", "9")
    assert (done.code, done.out) == (2, "")
    assert done.err


@pytest.fixture
def broken(squares: Project) -> Project:
    """A campaign whose runs/ has become a file."""
    assert squares.run("--index", "0").code == 0
    for path in (squares.out / "runs").iterdir():
        path.unlink()
    (squares.out / "runs").rmdir()
    (squares.out / "runs").write_text("in the way")
    (squares.root / "temporary").mkdir()
    return squares


def test_code_3(broken: Project) -> None:
    """What isn't the user's mistake exits 3, saves traceback, command and versions, and says where."""
    temporary = broken.root / "temporary"
    done = broken.run(env=broken.environment(TMPDIR=str(temporary)))
    assert done.code == 3
    assert "Traceback" not in done.err
    (saved,) = temporary.iterdir()
    assert str(saved) in done.err
    text = saved.read_text()
    assert "Traceback (most recent call last)" in text
    assert "joblib " in text and "python: 3." in text and "--dst_dir" in text
    assert "configmill 0." in text or "configmill: 0." in text, "which Configmill it was"
    assert broken.json(0, "result.json") == {"y": 0}, "what was finished is still there"


def test_code_3_of_the_other_commands(broken: Project) -> None:
    """The stub and the umbrella command keep to the same code, and leave stdout alone."""
    temporary = broken.root / "temporary"
    argv = [*broken.command("--config_idx", "0")]
    argv[1] = argv[1].replace("run_experiment.py", "run_experiment_stub.py")
    umbrella = [argv[0], "-m", "configmill", "results", str(broken.out)]
    for number, command in enumerate((argv, umbrella), start=1):
        done = broken.call(command, env=broken.environment(TMPDIR=str(temporary)))
        assert (done.code, done.out) == (3, ""), done
        assert len(list(temporary.iterdir())) == number
        assert any(str(path) in done.err for path in temporary.iterdir())


def test_code_3_leaves_the_campaign_free(broken: Project) -> None:
    """After exit code 3 nobody holds the dst_dir: once mended, the same command runs."""
    assert broken.run(env=broken.environment(TMPDIR=str(broken.root / "temporary"))).code == 3
    (broken.out / "runs").unlink()
    done = broken.run("--json")
    assert (done.code, done.summary["skipped"]) == (0, 1)


def umbrella(project: Project, what: str, *options: str) -> Done:
    """A subcommand with --json; its last line alone is JSON."""
    done = project.configmill(what, str(project.out), "--json", *options)
    assert done.code == 0, done
    assert len(done.out.splitlines()) == 1
    return done


def test_json_of_the_umbrella_command(failing: Project) -> None:
    """results, status and failures each print one object: rows, counts, and failures with their logs."""
    assert failing.run("--indices", "0-2", "--num_threads", "2").code == 1

    results = umbrella(failing, "results").summary
    assert results["dst_dir"] == str(failing.out)
    assert [row["index"] for row in results["results"]] == [0, 1, 2, 3]
    assert [row["status"] for row in results["results"]] == ["succeeded", "failed", "failed", "pending"]
    assert [row["y"] for row in results["results"]] == [0, None, None, None]

    status = umbrella(failing, "status").summary
    expected = {"total": 4, "succeeded": 1, "failed": 2, "pending": 1, "running": 0, "interrupted": 0}
    assert {name: status[name] for name in expected} == expected
    assert status["in_use_by"] is None

    failures = umbrella(failing, "failures").summary["failures"]
    assert [(f["index"], f["failure_class"], f["attempts"]) for f in failures] == [
        (1, "code_error", 1),
        (2, "code_error", 1),
    ]
    assert failures[0]["error"] == "ValueError: one is the loneliest number"
    assert failures[0]["where"].endswith("experiment.py:6 in run")
    assert Path(failures[0]["log"]).exists()


def test_umbrella_exit_codes(failing: Project) -> None:
    """Looking at failures is no failure; what isn't a campaign is a usage error that quotes it."""
    assert failing.run("--num_threads", "2").code == 1
    assert failing.configmill("failures", str(failing.out)).code == 0
    for path in ("experiment.py", "nowhere at all", "."):
        done = failing.configmill("status", path)
        assert (done.code, done.out) == (2, ""), path
        assert path in done.err and "--dst_dir" in done.err and "Traceback" not in done.err


def test_json_keeps_what_is_not_finite(squares: Project) -> None:
    """Non-finite numbers come through to --json as Python's json reads them."""
    squares.write("experiment.py", "def run(config):\n    return {'loss': float('nan'), 'best': float('inf')}\n")
    assert squares.run("--index", "0").code == 0
    (row, *_) = umbrella(squares, "results").summary["results"]
    assert row["loss"] != row["loss"]
    assert row["best"] == float("inf")
    assert json.loads((squares.result_dir(0) / "result.json").read_text())["best"] == float("inf")

"""What lies in dst_dir afterwards: each file, with what it is said to hold."""

from __future__ import annotations

import csv
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import HOSTILE_NAME, Project

BUILDER = """
    import datetime
    import pathlib

    def scale(x):
        return 2 * x

    def build():
        return [
            {
                "config_name": f"number {i}",
                "model": {"name": "ar", "lags": i, "shape": (1, 2), "transform": scale},
                "since": datetime.date(2024, 2, 29),
                "path": pathlib.PurePosixPath("data/raw"),
                "names": {"b", "a"},
                "note": 'quotes " and \\u00fc, commas',
            }
            for i in range(3)
        ]
    """
EXPERIMENT = """
    import pathlib, sys
    import configmill

    def run(config):
        print("to stdout")
        print("to stderr", file=sys.stderr)
        config.model.lags, config.model.shape, config.since, config.config_name
        for step in (1, 2):
            configmill.log_metrics(step=step, loss=1 / step)
        if config.model.lags == 1:
            raise ValueError("lag 1, is 'bad'\\nand this is a second line")
        (pathlib.Path(config.meta.experiment_dir) / "plot.txt").write_text("***")
        return {"score": {"mae": 0.5 * config.model.lags}, "curve": [1, 2]}
    """
#: In the order of the record.
RECORD = (
    "run", "attempt", "status", "failure_class", "error", "where", "started", "ended", "seconds", "queued_seconds",
    "host", "pid", "exit_code", "signal", "start_method", "gpus", "peak_rss_bytes", "cpu_seconds", "code_hash",
    "resumed_from", "log",
)  # fmt: skip
#: What records hold besides; the format's version, and what the tables, the summary and the next command need.
RECORD_ALSO = {
    "version",
    "index",
    "unread_keys",
    "code",
    "cell_errors",
    "resources",
    "derived_from",
    "baseline_rss_bytes",
    "energy",
}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Three configs in a git checkout with a change that isn't committed: 0 and 2 succeeded, 1 failed."""
    root = tmp_path_factory.mktemp("files") / HOSTILE_NAME
    root.mkdir()
    project = Project(root)
    project.write("builder.py", BUILDER)
    project.write("experiment.py", EXPERIMENT)
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q", "-b", "trunk"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    with (root / "experiment.py").open("a") as file:
        file.write("# not committed yet\n")
    done = project.run("--num_threads", "2", "--timeout", "60", "--set", "note=set from outside")
    assert done.code == 1, done
    yield project
    assert not project.processes()


def read(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text())


def run_file(project: Project) -> dict[str, Any]:
    """The record of the one command."""
    (path,) = project.out.glob("runs/*.json")
    found: dict[str, Any] = read(path)
    return found


def test_the_folder_holds_nothing_else(campaign: Project) -> None:
    """In dst_dir lies what the design names, and nothing half-written."""
    names = {re.sub(r"\d+", "<n>", path.name) for path in campaign.out.iterdir()}
    assert names - {".lock"} == {
        "campaign.json", "runs", "experiments", "results.csv", "failed_experiments.csv", "result_<n>", "report",
    }  # fmt: skip
    inside = {
        re.sub(r"\d+", "<n>", str(path.relative_to(experiment)))
        for experiment in campaign.out.glob("experiments/*")
        for path in experiment.rglob("*")
    }
    assert inside == {
        "config.json", "config.txt", "attempts", "attempts/<n>.json", "attempts/<n>.log", "success.txt",
        "status.json", "result.json", "metrics.jsonl", "checkpoints", "plot.txt",
    }  # fmt: skip


def test_campaign_json(campaign: Project) -> None:
    """It marks the directory as Configmill's: format version and target."""
    assert read(campaign.out / "campaign.json") == {"configmill": 1, "target": "experiment:run"}


def test_run_json_says_what_was_asked(campaign: Project) -> None:
    """One a command, named by its time: the request and the command as typed."""
    (path,) = campaign.out.glob("runs/*.json")
    assert re.fullmatch(r"\d{8}-\d{6}-\d{3}\.json", path.name)
    record = run_file(campaign)
    request = record["request"]
    expected = {
        "config_builder": "builder.build()", "target": "experiment:run", "dst_dir": str(campaign.out),
        "project_dir": str(campaign.root), "num_threads": 2, "timeout": 60.0, "incremental": True,
    }  # fmt: skip
    assert {name: request[name] for name in expected} == expected
    overrides = request["overrides"]
    assert (json.loads(overrides) if isinstance(overrides, str) else overrides) == {"note": "set from outside"}
    assert "--config_builder" in record["command"] and "builder.build()" in record["command"]


def test_run_json_says_where_it_ran(campaign: Project) -> None:
    """Host, Python and the versions of the installed packages."""
    record = run_file(campaign)
    assert record["host"] == socket.gethostname()
    assert record["python"].startswith("3.")
    assert re.match(r"\d+\.\d+", record["packages"]["joblib"])
    assert any(re.match(r"\d+\.\d+\.\d+", str(record.get(name))) for name in ("configmill", "configmill_version")) or (
        "configmill" in record["packages"]
    ), "which Configmill it was"


def test_run_json_has_commit_and_patch(campaign: Project) -> None:
    """Of a git checkout the commit and what isn't committed are kept."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=campaign.root, capture_output=True, text=True, check=True)
    git = run_file(campaign)["git"]
    assert git["commit"] == head.stdout.strip()
    assert "+# not committed yet" in git["patch"]


def test_run_json_says_what_came_of_it(campaign: Project) -> None:
    """The outcome: what --json prints, and when it ended."""
    record = run_file(campaign)
    assert record["outcome"]["succeeded"] == 2
    assert [failure["index"] for failure in record["outcome"]["failures"]] == [1]
    assert record["outcome"]["exit_code"] == 1
    assert _moment(record["started"]) <= _moment(record["ended"])


def test_run_json_is_there_from_the_start(squares: Project) -> None:
    """While the command runs its record is there, without an outcome."""
    squares.write(
        "experiment.py",
        """
        import json, pathlib

        def run(config):
            (path,) = (pathlib.Path(config.meta.dst_dir) / "runs").glob("*.json")
            record = json.loads(path.read_text())
            return {"outcome": record["outcome"], "builder": record["request"]["config_builder"]}
        """,
    )
    assert squares.run("--index", "0").code == 0
    assert squares.json(0, "result.json") == {"outcome": None, "builder": "builder.build()"}


def test_outside_of_git(squares: Project) -> None:
    """Where there is no checkout there is no commit, and nothing is said on the terminal."""
    done = squares.run("--index", "0")
    assert done.err == ""
    assert run_file(squares)["git"] is None


def test_manager_log(campaign: Project) -> None:
    """The manager's log tells of each attempt with a time stamp, a failure with its class and message."""
    (path,) = campaign.out.glob("runs/*.log")
    lines = path.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ", line) for line in lines)
    text = "\n".join(lines)
    for index in range(3):
        assert f"result_{index}: attempt 1 started" in text
    assert "result_1: attempt 1 failed" in text and "ValueError: lag 1" in text


def test_results_csv(campaign: Project) -> None:
    """A row per config: index, digest, status, attempts, seconds, what varies, metrics."""
    with (campaign.out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "index", "digest", "status", "attempts", "seconds", "config_name", "model.lags", "score.mae", "curve",
    ]  # fmt: skip
    assert [row["index"] for row in rows] == ["0", "1", "2"]
    assert [row["status"] for row in rows] == ["succeeded", "failed", "succeeded"]
    assert [row["digest"] for row in rows] == [os.path.basename(os.readlink(campaign.result_dir(i))) for i in range(3)]
    assert [row["model.lags"] for row in rows] == ["0", "1", "2"]
    assert [row["score.mae"] for row in rows] == ["0.0", "", "1.0"]
    assert json.loads(rows[2]["curve"]) == [1, 2]
    assert all(row["attempts"] == "1" and float(row["seconds"]) > 0 for row in rows)


def test_failed_experiments_csv(campaign: Project) -> None:
    """A row per failure, under exactly the customer's columns, with the config as JSON."""
    with (campaign.out / "failed_experiments.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == ["timestamp", "experiment_id", "config_name", "model_name", "error_message", "config_json"]
    assert _moment(row["timestamp"])
    assert row["experiment_id"] == os.path.basename(os.readlink(campaign.result_dir(1)))
    assert (row["config_name"], row["model_name"]) == ("number 1", "ar")
    assert "ValueError: lag 1, is 'bad'" in row["error_message"] and "code_error" in row["error_message"]
    assert json.loads(row["config_json"]) == campaign.json(1, "config.json")


def test_config_json(campaign: Project) -> None:
    """It has the config's own nesting; what JSON lacks a type for is {"__type__": ..., ...}."""
    config = campaign.json(0, "config.json")
    assert list(config) == ["config_name", "model", "since", "path", "names", "note"]
    assert config["config_name"] == "number 0"
    assert config["note"] == "set from outside"
    assert list(config["model"]) == ["name", "lags", "shape", "transform"]
    assert config["model"]["lags"] == 0
    assert config["model"]["shape"] == {"__type__": "tuple", "items": [1, 2]}
    assert config["model"]["transform"]["__type__"] == "function"
    assert config["model"]["transform"]["qualname"] == "scale"
    for key, kind in (("since", "date"), ("path", "path"), ("names", "set")):
        assert config[key]["__type__"] == kind


def test_config_txt(campaign: Project) -> None:
    """It is for the eye: each key once with its value, no memory address."""
    text = (campaign.result_dir(2) / "config.txt").read_text()
    for part in ("config_name: 'number 2'", "lags: 2", "shape: (1, 2)", "builder.scale", "'set from outside'"):
        assert part in text
    assert " at 0x" not in text


def test_what_ran_is_written_before_the_start(squares: Project) -> None:
    """When the experiment begins, its config, status and log are there already, and no success."""
    squares.write(
        "experiment.py",
        """
        import json, pathlib

        def run(config):
            here = pathlib.Path(config.meta.experiment_dir)
            print("in the log at once")
            return {
                "config": json.loads((here / "config.json").read_text()),
                "status": json.loads((here / "status.json").read_text())["status"],
                "txt": (here / "config.txt").exists(),
                "success": (here / "success.txt").exists(),
                "log": (here / "attempts/1.log").read_text(),
                "checkpoints": pathlib.Path(config.meta.checkpoint_dir).is_dir(),
            }
        """,
    )
    assert squares.run("--index", "1").code == 0
    assert squares.json(1, "result.json") == {
        "config": {"x": 1, "name": "square"}, "status": "running", "txt": True, "success": False,
        "log": "in the log at once\n", "checkpoints": True,
    }  # fmt: skip


@pytest.mark.parametrize(("index", "status"), [(0, "succeeded"), (1, "failed")])
def test_record_of_an_attempt(campaign: Project, index: int, status: str) -> None:
    """A record has exactly the fields that the design names (and some of its own), each filled in."""
    record = campaign.json(index, "attempts/1.json")
    assert set(record) == {*RECORD, *RECORD_ALSO}
    run = run_file(campaign)["run"]
    expected = {
        "run": run, "attempt": 1, "status": status, "host": socket.gethostname(), "signal": None,
        "start_method": "warm", "gpus": [], "resumed_from": None, "log": "attempts/1.log",
    }  # fmt: skip
    assert {name: record[name] for name in expected} == expected
    assert _moment(record["started"]) <= _moment(record["ended"])
    assert 0 < record["seconds"] < 60 and 0 <= record["queued_seconds"] < 60
    assert 0 < record["cpu_seconds"] < 60 and 1_000_000 < record["peak_rss_bytes"] < 10_000_000_000
    assert record["pid"] > 1
    assert re.fullmatch(r"[0-9a-f]{16}", record["code_hash"])
    assert record["code"].keys() == {"experiment.py"}
    assert re.fullmatch(r"[0-9a-f]{16}", record["code"]["experiment.py"])


def test_record_of_a_failure(campaign: Project) -> None:
    """It says what class of failure, which error in one line, and the last frame in user code."""
    record = campaign.json(1, "attempts/1.json")
    assert record["failure_class"] == "code_error"
    assert record["error"] == "ValueError: lag 1, is 'bad'"
    assert record["where"] == f"{campaign.root / 'experiment.py'}:12 in run"
    assert record["exit_code"] == 1
    success = campaign.json(0, "attempts/1.json")
    assert (success["failure_class"], success["error"], success["where"], success["exit_code"]) == (None, None, None, 0)


def test_log_is_complete(campaign: Project) -> None:
    """The log of an attempt has stdout and stderr in their order, and the traceback of a failure."""
    assert campaign.log(0).splitlines() == ["to stdout", "to stderr"]
    lines = campaign.log(1).splitlines()
    assert lines[:2] == ["to stdout", "to stderr"]
    assert "Traceback (most recent call last):" in lines
    assert lines[-2:] == ["ValueError: lag 1, is 'bad'", "and this is a second line"]
    assert not any("configmill/child" in line for line in lines), "our own frames are of no use to the user"


def test_success_and_status(campaign: Project) -> None:
    """success.txt holds the attempt's number and is there for successes alone; status.json is the view."""
    assert (campaign.result_dir(0) / "success.txt").read_text().strip() == "1"
    assert not (campaign.result_dir(1) / "success.txt").exists()
    views = [campaign.json(i, "status.json") for i in range(3)]
    assert [view["status"] for view in views] == ["succeeded", "failed", "succeeded"]
    assert [view["attempt"] for view in views] == [1, 1, 1]


def test_result_and_metrics(campaign: Project) -> None:
    """result.json is what the function returned, metrics.jsonl a line for each time it logged; failures keep theirs."""
    assert campaign.json(2, "result.json") == {"score": {"mae": 1.0}, "curve": [1, 2]}
    assert not (campaign.result_dir(1) / "result.json").exists()
    for index in range(3):
        lines = (campaign.result_dir(index) / "metrics.jsonl").read_text().splitlines()
        metrics = [json.loads(line) for line in lines]
        assert [(m["step"], m["loss"]) for m in metrics] == [(1, 1.0), (2, 0.5)]
        assert metrics[0]["time"] <= metrics[1]["time"]


def test_artifacts_of_the_experiment(campaign: Project) -> None:
    """What the experiment wrote into its directory is there, behind the link by index."""
    assert (campaign.result_dir(0) / "plot.txt").read_text() == "***"


def test_load_results(campaign: Project) -> None:
    """`configmill.load_results` gives the rows of results.csv as a DataFrame."""
    program = "import configmill; print(configmill.load_results('out dir').to_json(orient='records'))"
    argv = campaign.command()
    done = campaign.call([argv[0], "-c", program])
    rows = json.loads(done.out)
    assert [row["model.lags"] for row in rows] == [0, 1, 2]
    assert [row["score.mae"] for row in rows] == [0.0, None, 1.0]


def test_user_logging(squares: Project) -> None:
    """User code logs with `logging`: time, name, level and message are in its log, debug messages on request."""
    squares.write(
        "experiment.py",
        """
        import logging

        log = logging.getLogger("my.model")

        def run(config):
            log.debug("only on request")
            log.info("fitting %s", config.x)
        """,
    )
    assert squares.run("--index", "0").code == 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} my\.model INFO fitting 0\n", squares.log(0))
    assert squares.run("--index", "1", "--log_level", "debug").code == 0
    assert "my.model DEBUG only on request" in squares.log(1)
    assert squares.run("--index", "2", "--log_level", "WARNING").code == 0
    assert squares.log(2) == ""


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))

"""The record of an attempt: what it measured, which code ran, which keys nobody read."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from tests.conftest import Project
from tests.processes.cases import Cases, run_cases

EXPERIMENTS = """
    import os, time

    def small(config):
        return {"pid": os.getpid()}

    def allocates(config):
        block = bytearray(200 * 2**20)
        for i in range(0, len(block), 4096):
            block[i] = 1
        return {}

    def allocates_in_a_child(config):
        import subprocess, sys
        subprocess.run([sys.executable, "-c", "bytearray(b'x') * (200 * 2**20)"], check=True)
        return {}

    def burns(config):
        began = time.process_time()
        while time.process_time() - began < 0.4:
            pass
        return {}

    def burns_in_a_stray(config):
        read_fd, write_fd = os.pipe()
        if os.fork() == 0:
            os.setsid()
            while time.process_time() < 0.5:
                pass
            os.write(write_fd, b"x")
            time.sleep(1000)
        os.read(read_fd, 1)
        return {}

    def sleeps(config):
        time.sleep(0.4)
        return {}

    def reads_some(config):
        config.model.lr
        return {}

    def reads_all(config):
        config.to_dict()
        return {}

    def fails(config):
        raise ValueError
    """
KEYS = {"model": {"lr": 0.1, "depth": 3}, "misspelt": 1, "resources": {"timeout": 50}}


@pytest.fixture(scope="module")
def cases(shared_project: Project) -> Cases:
    """One command that ran all of EXPERIMENTS."""
    return run_cases(shared_project, EXPERIMENTS, reads_some=KEYS, reads_all=KEYS, small={"lag": 1})


def test_the_record_has_every_field(cases: Cases) -> None:
    """A record has all fields of the contract, whatever became of the attempt."""
    fields = {
        "run", "attempt", "status", "failure_class", "error", "where", "started", "ended", "seconds", "queued_seconds",
        "host", "pid", "exit_code", "signal", "start_method", "gpus", "peak_rss_bytes", "cpu_seconds", "code_hash",
        "resumed_from", "log",
    }  # fmt: skip
    assert fields <= cases.record("small").keys()
    assert fields <= cases.record("fails").keys()


def test_the_record_says_who_and_how(cases: Cases) -> None:
    """pid is the experiment's own; exit code, start method, run and log are those of the attempt."""
    record = cases.record("small")
    assert record["pid"] == cases.result("small")["pid"]
    assert (record["exit_code"], record["signal"], record["start_method"]) == (0, None, cases.project.start_method)
    assert (cases.dst / "runs" / f"{record['run']}.json").exists()
    assert (cases.dir("small") / record["log"]).exists()
    assert (record["gpus"], record["resumed_from"]) == ([], None)


def test_times_are_plausible(cases: Cases) -> None:
    """`seconds` is the run time and lies between the two timestamps."""
    record = cases.record("sleeps")
    started, ended = (datetime.fromisoformat(record[name]) for name in ("started", "ended"))
    assert record["seconds"] >= 0.4
    assert (ended - started).total_seconds() == pytest.approx(record["seconds"], abs=0.01)
    assert started.tzinfo is not None


@pytest.mark.parametrize("case", ["allocates", "allocates_in_a_child"])
def test_peak_memory_is_measured(cases: Cases, case: str) -> None:
    """peak_rss_bytes is the largest resident set, in bytes, of the experiment or of a process that it started."""
    mebibyte = 2**20
    assert 200 * mebibyte <= cases.record(case)["peak_rss_bytes"] < 300 * mebibyte
    assert 5 * mebibyte < cases.record("small")["peak_rss_bytes"] < 50 * mebibyte


@pytest.mark.parametrize("case", ["burns", "burns_in_a_stray"])
def test_cpu_time_is_measured(cases: Cases, case: str) -> None:
    """cpu_seconds is the CPU time of the experiment and of all that it started, strays included."""
    assert 0.4 <= cases.record(case)["cpu_seconds"] < 3
    assert cases.record("sleeps")["cpu_seconds"] < 0.3


def test_unread_keys_are_recorded(cases: Cases) -> None:
    """The record names the keys that the experiment never read; `resources` is the manager's and not among them."""
    assert sorted(cases.record("reads_some")["unread_keys"]) == ["misspelt", "model.depth"]
    assert cases.record("reads_all")["unread_keys"] == []


def test_keys_that_nobody_read_are_in_the_summary(cases: Cases) -> None:
    """The summary names the keys that no successful experiment read, and only those."""
    assert cases.done.summary["unread_keys"] == ["lag"]


def code_hash(project: Project) -> str:
    """Run the one experiment again, and return the hash of its code."""
    done = project.run("--no_incremental")
    assert done.code == 0, done
    attempt = (project.result_dir(0) / "success.txt").read_text().strip()
    found: str = project.json(0, f"attempts/{attempt}.json")["code_hash"]
    return found


def test_the_code_hash_tells_code_from_comments(project: Project) -> None:
    """code_hash is the same after a change of comments, docstrings and layout, another after a change of code."""
    project.write("builder.py", "def build():\n    return [{'x': 1}]\n")
    project.write("model.py", "def fit(x):\n    return x + 1\n")
    project.write("experiment.py", "import model\n\ndef run(config):\n    return {'y': model.fit(config.x)}\n")
    first = code_hash(project)
    project.write("model.py", '# why\ndef fit(x):\n    """Fit."""\n\n    # more\n    return (x\n            + 1)\n')
    assert code_hash(project) == first
    project.write("model.py", "def fit(x):\n    return x + 2\n")
    second = code_hash(project)
    assert second != first
    project.write("unused.py", "VALUE = 1\n")
    assert code_hash(project) == second


def test_the_code_hash_is_of_the_code_that_ran(project: Project) -> None:
    """An edit of a module while the experiment runs doesn't change what the record says was run."""
    project.write("builder.py", "def build():\n    return [{'x': 1}]\n")
    project.write("model.py", "def fit(x):\n    return x + 1\n")
    project.write(
        "experiment.py",
        """
        import os, model

        def run(config):
            if os.path.exists("edit"):
                with open("model.py", "w") as file:
                    file.write("def fit(x):\\n    return 'of the future'\\n")
            return {"y": model.fit(config.x)}
        """,
    )
    before = code_hash(project)
    project.write("edit", "")
    assert code_hash(project) == before
    assert project.json(0, "result.json") == {"y": 2}


def test_the_run_is_recorded(cases: Cases) -> None:
    """runs/<run>.json holds request, versions, host and outcome of the command."""
    (path,) = cases.dst.glob("runs/*.json")
    run = json.loads(path.read_text())
    assert run["request"]["num_threads"] == 2
    assert run["outcome"]["succeeded"] == 8
    assert (run["outcome"]["failed"], run["outcome"]["exit_code"]) == (1, 1)
    assert {"host", "python", "packages", "git", "command", "started", "ended"} <= run.keys()

"""configmill.run: every way to give the configs and the experiment, and what comes back."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.api.scripts import run_script, told, write_script
from tests.conftest import Project

#: The script ends by telling the summary and what each experiment returned.
RUN = """
if __name__ == "__main__":
    summary = configmill.run({configs}, {experiment}, "out", num_threads=2)
    assert summary.exit_code == 0, summary
    results = [json.load(open(f"out/result_{{i}}/result.json")) for i in range(summary.total)]
    tell(results=results, ys=[result["y"] for result in results])
"""


def ran(project: Project, configs: str, experiment: str = "train", before: str = "", **how: Any) -> dict[str, Any]:
    """Run a script with these configs and this experiment; every experiment must have succeeded."""
    done = run_script(project, before + RUN.format(configs=configs, experiment=experiment), **how)
    assert done.code == 0, done
    return told(done)


@pytest.fixture
def modules(project: Project) -> Project:
    """A project with a builder and an experiment in modules."""
    project.write("builder.py", "def build(n):\n    return [{'x': i} for i in range(n)]\n")
    project.write("experiment.py", "def run(config):\n    return {'y': config.x * 10}\n")
    return project


def test_a_builder_string_and_a_dotted_name(modules: Project) -> None:
    """Both may be text, as on the command line."""
    assert ran(modules, '"builder.build(n=3)"', '"experiment.run"')["ys"] == [0, 10, 20]


@pytest.mark.parametrize(
    "configs",
    [
        "CONFIGS",
        "tuple(CONFIGS)",
        "(dict(c) for c in CONFIGS)",
        "[configmill.Config(c) for c in CONFIGS]",
        "configmill.ConfigList(CONFIGS)",
        'configmill.grid({"x": 0}, {"x": [1, 2]})',
        "[Settings(1), Settings(2)]",
    ],
)
def test_configs_as_objects(project: Project, configs: str) -> None:
    """Dicts, Configs, a ConfigList, a grid and dataclasses, in any sequence, run alike."""
    before = "import dataclasses\n@dataclasses.dataclass\nclass Settings:\n    x: int\n"
    assert ran(project, configs, before=before)["ys"] == [10, 20]


def test_a_function_of_a_module(modules: Project) -> None:
    """A function that a module defines may be given as an object."""
    assert ran(modules, "CONFIGS", "experiment.run", before="import experiment\n")["ys"] == [10, 20]


def test_a_function_in_a_class(project: Project) -> None:
    """A static method of a top-level class can be found again, and may be given."""
    before = "class Trainer:\n    @staticmethod\n    def fit(config):\n        return {'y': config.x * 10}\n"
    assert ran(project, "CONFIGS", "Trainer.fit", before=before)["ys"] == [10, 20]


def test_a_decorated_function(project: Project) -> None:
    """A decorated function of the script runs decorated."""
    before = """
import functools
def logged(function):
    @functools.wraps(function)
    def wrapper(config):
        return {**function(config), "decorated": True}
    return wrapper

@logged
def fit(config):
    return {"y": config.x * 10}
"""
    results = ran(project, "CONFIGS", "fit", before=before)["results"]
    assert results == [{"y": 10, "decorated": True}, {"y": 20, "decorated": True}]


def test_values_that_json_lacks_are_carried(project: Project) -> None:
    """Tuples, dates, paths, top-level functions and numpy arrays arrive as what they are."""
    before = """
import datetime, pathlib
import numpy as np

def double(x):
    return 2 * x

RICH = [{"shape": (1, 2), "day": datetime.date(2026, 1, 31), "path": pathlib.Path("a"), "f": double, "g": len,
         "weights": np.arange(3), "inf": float("inf")}]

def check(config):
    assert config.shape == (1, 2) and type(config.shape) is tuple
    assert config.day == datetime.date(2026, 1, 31)
    assert config.path == pathlib.Path("a")
    assert config.f(4) == 8 and config.g([1]) == 1
    assert config.weights.tolist() == [0, 1, 2]
    return {"y": config.inf}
"""
    assert ran(project, "RICH", "check", before=before)["ys"] == [float("inf")]


def test_functions_of_a_script_that_imports_multiprocessing(project: Project) -> None:
    """A script that imports multiprocessing, as torch and joblib do, still finds its own functions in configs."""
    before = """
import multiprocessing
def double(x):
    return 2 * x

def apply(config):
    return {"y": config.f(config.x)}
"""
    assert ran(project, '[{"x": 1, "f": double}]', "apply", before=before)["ys"] == [2]


def test_given_configs_are_saved_beside_the_run(project: Project) -> None:
    """Configs that were given as objects are kept in runs/<timestamp>.configs.json."""
    ran(project, "CONFIGS")
    (saved,) = (project.root / "out" / "runs").glob("*.configs.json")
    assert json.loads(saved.read_text()) == [{"x": 1}, {"x": 2}]


def test_a_second_run_skips(project: Project) -> None:
    """The same objects in a second run are the same experiments, whatever file they are saved in; a new one runs."""
    body = """
    if __name__ == "__main__":
        first = configmill.run(CONFIGS, train, "out")
        second = configmill.run([{"x": 3}, *CONFIGS], train, "out")
        again = configmill.run(CONFIGS, train, "out", incremental=False)
        tell(first=first.to_dict(), second=second.to_dict(), again=again.to_dict())
    """
    result = told(run_script(project, body))
    assert (result["first"]["succeeded"], result["first"]["skipped"]) == (2, 0)
    assert (result["second"]["succeeded"], result["second"]["skipped"]) == (1, 2)
    assert (result["again"]["succeeded"], result["again"]["skipped"]) == (2, 0)


def test_a_moved_project_keeps_its_results(project: Project) -> None:
    """A function of the script is the same experiment after the whole project was moved."""
    body = """
    if __name__ == "__main__":
        tell(skipped=configmill.run(CONFIGS, train, "out").skipped)
    """
    assert told(run_script(project, body)) == {"skipped": 0}
    moved = project.root.with_name("moved")
    project.root.rename(moved)
    project.root = moved
    assert told(run_script(project, body)) == {"skipped": 2}


def test_the_summary(project: Project) -> None:
    """run() returns the counts, each failure, where things are, and the exit code that the command would have."""
    body = """
    def flaky(config):
        if config.x == 2:
            raise ValueError("two is too many")
        return {"y": 1}

    if __name__ == "__main__":
        summary = configmill.run(CONFIGS, flaky, "out")
        assert isinstance(summary, configmill.Summary)
        failure, = summary.failures
        assert summary.to_dict()["failures"][0]["error"] == failure.error
        tell(summary=summary.to_dict(), error=failure.error, log=open(failure.log).read())
    """
    result = told(run_script(project, body))
    summary = result["summary"]
    assert {name: summary[name] for name in ("total", "selected", "succeeded", "failed", "skipped", "exit_code")} == {
        "total": 2, "selected": 2, "succeeded": 1, "failed": 1, "skipped": 0, "exit_code": 1,
    }  # fmt: skip
    assert (summary["interrupted"], summary["not_started"], summary["signal"]) == (0, 0, None)
    assert summary["dst_dir"] == str(project.root / "out")
    assert result["error"] == "ValueError: two is too many"
    assert "two is too many" in result["log"]
    assert summary["failures"][0]["index"] == 1
    assert "flaky" in summary["failures"][0]["where"]


def test_the_options_are_the_commands(project: Project) -> None:
    """index, indices, start_from_index, overrides, timeout, num_retries, abort_on_error and dry_run do as the flags."""
    body = """
    import time
    SIX = [{"x": x, "seconds": 0.0} for x in range(6)]

    def work(config):
        time.sleep(config.seconds)
        if config.x == 4 and config.meta.attempt == 1:
            raise ValueError
        return {"y": config.x}

    if __name__ == "__main__":
        tell(dry=configmill.run(SIX, work, "dry", dry_run=True).to_dict(), there=os.path.exists("dry"))
        tell(index=configmill.run(SIX, work, "a", index=3).succeeded)
        tell(indices=configmill.run(SIX, work, "a", indices=[0, 3, 5]).to_dict())
        tell(start=configmill.run(SIX, work, "b", start_from_index=4, num_retries=1, retry_backoff=0.01).succeeded)
        tell(late=configmill.run(SIX, work, "c", index=0, overrides={"seconds": 100}, timeout=0.2).to_dict())
        tell(aborted=configmill.run(SIX, work, "d", start_from_index=4, abort_on_error=True).to_dict())
        tell(cleaned=configmill.run(SIX, work, "a", index=3, clean_dst_dir=True).to_dict())
    """
    done = run_script(project, body)
    assert done.code == 0, done
    dry, index, indices, start, late, aborted, cleaned = map(json.loads, done.out.splitlines())
    assert (dry["dry"]["not_started"], dry["dry"]["exit_code"], dry["there"]) == (6, 0, False)
    assert index == {"index": 1}
    assert (indices["indices"]["succeeded"], indices["indices"]["skipped"]) == (2, 1)
    assert start == {"start": 2}
    assert late["late"]["failures"][0]["failure_class"] == "timeout"
    assert (aborted["aborted"]["failed"], aborted["aborted"]["not_started"]) == (1, 1)
    assert cleaned["cleaned"]["skipped"] == 0


@pytest.mark.parametrize("num_threads", ["-1", '"serial"', "3"])
def test_num_threads_as_on_the_command_line(project: Project, num_threads: str) -> None:
    """num_threads is a number, -1 for all cores, or "serial"."""
    body = f"""
    if __name__ == "__main__":
        tell(done=configmill.run(CONFIGS, train, "out", num_threads={num_threads}).succeeded)
    """
    done = run_script(project, body)
    assert told(done) == {"done": 2}


def test_events_are_told(project: Project) -> None:
    """on_event is called with the plan, each start and each end; nothing is printed."""
    body = """
    if __name__ == "__main__":
        events = []
        configmill.run(CONFIGS, train, "out", on_event=events.append)
        tell(events=[type(event).__name__ for event in events])
    """
    done = run_script(project, body)
    assert done.err == ""
    assert json.loads(done.out)["events"] == ["Planned", *["Started", "Finished"] * 2]


def test_a_listener_that_raises_ends_the_run_with_its_error(project: Project) -> None:
    """An exception of on_event reaches the caller, after all that ran was ended; nobody hangs."""
    body = """
    import time
    def long(config):
        time.sleep(1000)

    def listen(event):
        if type(event).__name__ == "Started" and event.index == 1:
            raise ZeroDivisionError("in the listener")

    if __name__ == "__main__":
        try:
            configmill.run(CONFIGS, long, "out", num_threads=2, on_event=listen, grace=0.1)
        except ZeroDivisionError as error:
            tell(error=str(error))
    """
    write_script(project, body)
    done = project.call(["timeout", "-s", "KILL", "10", sys.executable, "go.py"])
    assert done.code == 0, done
    assert told(done) == {"error": "in the listener"}


def test_a_script_that_is_run_from_elsewhere(modules: Project) -> None:
    """A script in a folder of its own finds builder and experiment in the current directory, as the command does."""
    body = RUN.format(configs='"builder.build(n=2)"', experiment='"experiment.run"')
    assert told(run_script(modules, body, "scripts/go.py"))["ys"] == [0, 10]


def test_a_script_outside_of_the_project(project: Project) -> None:
    """A script that lies beside what it imports, and is run from elsewhere, runs with its own modules."""
    project.write("lib/neighbour.py", "FACTOR = 10\n")
    before = "import neighbour\ndef scaled(config):\n    return {'y': config.x * neighbour.FACTOR}\n"
    project.write("elsewhere/readme.txt", "")
    write_script(project, before + RUN.format(configs="CONFIGS", experiment="scaled"), "lib/go.py")
    project.root = project.root / "elsewhere"
    done = project.call([sys.executable, "../lib/go.py"])
    project.root = project.root.parent
    assert told(done)["ys"] == [10, 20], done


def test_a_module_that_is_run_as_main(project: Project) -> None:
    """`python -m package.go`, with relative imports in it, runs its own function."""
    project.write("package/__init__.py", "")
    project.write("package/data.py", "FACTOR = 10\n")
    before = "from .data import FACTOR\ndef scaled(config):\n    return {'y': config.x * FACTOR}\n"
    write_script(project, before + RUN.format(configs="CONFIGS", experiment="scaled"), "package/go.py")
    done = project.call([sys.executable, "-m", "package.go"])
    assert told(done)["ys"] == [10, 20], done


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_in_an_experiment_of_a_script(project: Project, method: str) -> None:
    """multiprocessing works in an experiment that the script itself defines, with functions of the script."""
    before = f"""
import multiprocessing
def square(x):
    return x * x

def pooled(config):
    with multiprocessing.get_context({method!r}).Pool(1) as pool:
        return {{"y": sum(pool.map(square, range(config.x + 2)))}}
"""
    body = before + RUN.format(configs="CONFIGS[:1]", experiment="pooled")
    write_script(project, body)
    done = project.call(["timeout", "-s", "KILL", "15", sys.executable, "go.py"])
    assert told(done)["ys"] == [5], done


def test_a_script_with_busy_threads(project: Project) -> None:
    """Threads of the calling script that work and hold locks all the while are no trouble to a run."""
    body = """
    import logging, threading
    lock, stop = threading.Lock(), threading.Event()
    def busy():
        while not stop.is_set():
            with lock:
                logging.getLogger("busy").debug(sum(range(1000)))

    if __name__ == "__main__":
        threads = [threading.Thread(target=busy, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        tell(succeeded=configmill.run([{"x": x} for x in range(6)], train, "out", num_threads=3).succeeded)
        stop.set()
    """
    assert told(run_script(project, body)) == {"succeeded": 6}


def test_two_runs_at_a_time(project: Project) -> None:
    """Two runs in two threads, in two directories, each keep to themselves, their logs included."""
    body = """
    import threading
    summaries = {}
    def go(name, configs):
        summaries[name] = configmill.run(configs, train, name, num_threads=2).to_dict()

    if __name__ == "__main__":
        threads = [threading.Thread(target=go, args=(name, [{"x": x} for x in range(n)]))
                   for name, n in (("a", 5), ("b", 3))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tell(a=summaries["a"]["succeeded"], b=summaries["b"]["succeeded"])
    """
    assert told(run_script(project, body)) == {"a": 5, "b": 3}
    for name, n in (("a", 5), ("b", 3)):
        (log,) = (project.root / name / "runs").glob("*.log")
        lines = log.read_text().splitlines()
        assert len([line for line in lines if "succeeded" in line]) == n, lines

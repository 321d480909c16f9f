"""Warm starts of scripts' functions, of configs given as objects, of lazy lists, and with all cores to oneself."""

from __future__ import annotations

import os
import sys

import pytest

from tests.conftest import Project
from tests.processes.conftest import METHODS


def test_all_cores_are_native_threads_where_one_runs_at_a_time(project: Project) -> None:
    """With one experiment at a time numpy's pool has a thread a core, in a fork as in a new process; exit code 0."""
    project.write("builder.py", "def build():\n    return [{'x': 1}]\n")
    project.write(
        "experiment.py",
        """
        import os
        import numpy

        def run(config):
            ones = numpy.ones((500, 500))
            for _ in range(5):
                ones @ ones
            named = {k: v for k, v in os.environ.items() if k.endswith("_NUM_THREADS")}
            return {"x": config.x, "threads": len(os.listdir("/proc/self/task")), "named": named}
        """,
    )
    found = []
    for method in METHODS:
        dst = project.root / method
        assert project.run("--start_method", method, dst=dst, env=project.environment()).code == 0
        found.append(project.json(0, "result.json", dst))
    assert found[0] == found[1]
    if len(os.sched_getaffinity(0)) > 1 and not found[0]["named"]:
        assert found[0]["threads"] > 1


SCRIPT = """
    import json, os, sys
    import configmill

    print("the script is loaded as", __name__)
    SCALE = 10

    def scaled(x):
        return x * SCALE

    def _squares(n):
        import multiprocessing
        pool = multiprocessing.get_context("spawn").Pool(1)
        found = pool.map(scaled, range(n))
        pool.close()
        pool.join()
        return found

    def train(config):
        return {"y": config.function(config.x), "main": sys.modules["__main__"].__name__, "squares": _squares(3),
                "builder": config.meta.config_builder.partition("(")[0], "file": __file__}

    if __name__ == "__main__":
        configs = [{"x": x, "function": scaled} for x in (1, 2)]
        summary = configmill.run(configs, train, sys.argv[1], start_method=sys.argv[1], num_threads=2)
        assert summary.exit_code == 0, summary
    """


def test_a_function_of_a_script_and_configs_as_objects(project: Project) -> None:
    """A script's function runs warm as it does cold: the script is loaded once, as a module."""
    project.write("go.py", SCRIPT)
    found = []
    for method in METHODS:
        done = project.call([sys.executable, "go.py", method])
        assert done.code == 0, done
        dst = project.root / method
        found.append([project.json(index, "result.json", dst) for index in (0, 1)])
        record = project.json(1, "attempts/1.json", dst)
        assert record["start_method"] == method
        log = (project.result_dir(1, dst) / "attempts" / "1.log").read_text().splitlines()
        assert log == ["the script is loaded as __mp_main__"] * 2  # the pool's worker loads it too
        found[-1].append([record["code"], record["code_hash"]])
    assert found[0] == found[1]
    assert [result["y"] for result in found[0][:2]] == [10, 20]


GUARDLESS = """
    import configmill, os

    def train(config):
        return {}

    with open("loaded.txt", "a") as file:
        file.write("loaded\\n")
    os.makedirs("out", exist_ok=True)
    summary = configmill.run([{"x": 1}], train, f"out/{os.getpid()}")
    print(summary.failures[0].error)
    """


def test_a_script_without_a_guard_starts_one_campaign(project: Project) -> None:
    """A script that calls run() wherever it is loaded starts nothing in the fork server: it would go on for ever."""
    project.write("go.py", GUARDLESS)
    done = project.call([sys.executable, "go.py"])
    assert '__name__ == "__main__"' in done.out
    assert len(list((project.root / "out").iterdir())) == 1
    assert (project.root / "loaded.txt").read_text().count("loaded") == 3  # by hand, by the server, by the experiment


@pytest.mark.parametrize("method", METHODS)
def test_the_builder_may_make_each_config_when_it_is_asked_for(project: Project, method: str) -> None:
    """A lazy list is made entry by entry, and a fork builds no other entry than its own."""
    project.write(
        "builder.py",
        """
        import configmill, os

        def _make(index):
            with open(f"made {index}", "a") as file:
                file.write(f"{os.getpid()}\\n")
            return configmill.Config({"x": index})

        def build():
            return configmill.ConfigList.lazy(3, _make)
        """,
    )
    project.write("experiment.py", "import os\n\ndef run(config):\n    return {'x': config.x, 'pid': os.getpid()}\n")
    assert project.run("--start_method", method).code == 0
    for index in range(3):
        result = project.json(index, "result.json")
        assert result["x"] == index
        makers = (project.root / f"made {index}").read_text().split()
        others = {str(project.json(other, "result.json")["pid"]) for other in range(3) if other != index}
        assert str(result["pid"]) in makers
        assert not others & set(makers)


def test_very_much_output_of_imports_is_cut(project: Project) -> None:
    """What imports print is written to each log, but for what is beyond 64 KiB, and a line says so."""
    project.write("builder.py", "def build():\n    return [{'x': 1}, {'x': 2}]\n")
    project.write("experiment.py", "print('first')\nprint('x' * 100_000)\n\ndef run(config):\n    print('last')\n")
    assert project.run("--start_method", "warm").code == 0
    for index in range(2):
        lines = project.log(index).splitlines()
        assert (lines[0], lines[-1]) == ("first", "last")
        assert "left out" in lines[-2]
        assert 60_000 < len(lines[1]) < 70_000

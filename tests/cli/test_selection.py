"""Which configs run, with which values, and how many at a time."""

from __future__ import annotations

import json
import os

import pytest

from tests.conftest import Project


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--index", "2"], [2]),
        (["--indices", "4,0,2-3,2"], [0, 2, 3, 4]),
        (["--start_from_index", "3"], [3, 4]),
        (["--start_from_index", "0"], [0, 1, 2, 3, 4]),
    ],
)
def test_only_the_selected_run(squares: Project, options: list[str], expected: list[int]) -> None:
    """A selection runs those configs and no others, and the summary counts both."""
    done = squares.run("--json", "--num_threads", "2", *options, builder="builder.build(n=5)")
    assert done.code == 0, done
    assert sorted(p.name for p in squares.out.glob("result_*")) == [f"result_{i}" for i in expected]
    assert [squares.json(i, "result.json") for i in expected] == [{"y": i**2} for i in expected]
    counts = {name: done.summary[name] for name in ("total", "selected", "succeeded")}
    assert counts == {"total": 5, "selected": len(expected), "succeeded": len(expected)}


def test_selected_indices_keep_their_place(squares: Project) -> None:
    """An experiment that is picked out sees the index, the digest and the directory that it has in the whole list."""
    squares.write(
        "experiment.py",
        """
        def run(config):
            return {name: getattr(config.meta, name) for name in ("idx", "digest", "dst_dir", "experiment_dir")}
        """,
    )
    assert squares.run("--index", "3").code == 0
    link = squares.result_dir(3)
    assert squares.json(3, "result.json") == {
        "idx": 3,
        "digest": os.path.basename(os.readlink(link)),
        "dst_dir": str(squares.out),
        "experiment_dir": os.path.realpath(link),
    }


SWEEP = """
    import configmill

    def build():
        base = {"x": 0, "name": "a", "model": {"lr": 0.1, "sizes": [1]}, "flag": False, "note": "", "none": 1}
        return configmill.grid(base, {"x": [0, 1]})
    """


def test_set_takes_literals_and_text(squares: Project) -> None:
    """--set gives a Python literal its type and leaves everything else text, in every config and in config.json."""
    squares.write("builder.py", SWEEP)
    squares.write("experiment.py", "def run(config):\n    return {'seen': config.to_dict()}\n")
    done = squares.run(
        "--set", "model.lr=3", "--set", "name=two words", "--set", "model.sizes=[1, 2.5, 'x']", "--set", "flag=True",
        "--set", "note=a=b", "--set", "none=None",
    )  # fmt: skip
    assert done.code == 0, done
    for index in (0, 1):
        expected = {
            "x": index, "name": "two words", "model": {"lr": 3, "sizes": [1, 2.5, "x"]}, "flag": True,
            "note": "a=b", "none": None,
        }  # fmt: skip
        assert squares.json(index, "config.json") == expected
        assert squares.json(index, "result.json") == {"seen": expected}


def test_quoted_numbers_stay_text(squares: Project) -> None:
    """`--set name='"3"'` is text, `--set name=3` a number: another identity, so nothing is inherited."""
    for value, kept in (('"3"', "3"), ("3", 3), ("3.0", 3.0)):
        done = squares.run("--index", "0", "--set", f"name={value}", "--json")
        assert done.summary["succeeded"] == 1
        name = squares.json(0, "config.json")["name"]
        assert (name, type(name)) == (kept, type(kept))
    assert len(list(squares.out.glob("experiments/*"))) == 3


def test_no_incremental_runs_again(squares: Project) -> None:
    """--no_incremental runs what succeeded before as a further attempt; --incremental is the default."""
    assert squares.run("--json").summary["succeeded"] == 4
    again = squares.run("--json", "--no_incremental", "--indices", "0,1")
    assert (again.summary["succeeded"], again.summary["skipped"]) == (2, 0)
    for options in ([], ["--incremental"]):
        assert squares.run("--json", *options).summary["skipped"] == 4
    attempts = [json.loads((squares.result_dir(i) / "success.txt").read_text()) for i in range(4)]
    assert attempts == [2, 2, 1, 1]


MEETING = """
    import os, time

    def run(config):
        open(os.path.join(config.meta.project_dir, f"here {config.x}"), "w").close()
        names = [f"here {x}" for x in range(config.wanted)]
        deadline = time.monotonic() + 20
        while not all(os.path.exists(os.path.join(config.meta.project_dir, name)) for name in names):
            assert time.monotonic() < deadline, "the others never came"
            time.sleep(0.005)
    """
ALONE = """
    import fcntl, os

    def run(config):
        with open(os.path.join(config.meta.project_dir, "alone"), "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    """


def test_several_at_a_time(squares: Project) -> None:
    """With --num_threads 3 three experiments run at one time."""
    squares.write("experiment.py", MEETING)
    squares.write("builder.py", "def build():\n    return [{'x': x, 'wanted': 3} for x in range(3)]\n")
    assert squares.run("--num_threads", "3").code == 0


@pytest.mark.parametrize("options", [[], ["--num_threads", "serial"], ["--num_threads", "1"]])
def test_one_at_a_time(squares: Project, options: list[str]) -> None:
    """By default, and with 'serial', one experiment runs after the other, in the order of the list."""
    squares.write("experiment.py", ALONE)
    done = squares.run(*options)
    assert done.code == 0, done
    ended = [line.split()[1] for line in done.out.splitlines() if line.startswith("[")]
    assert ended == [f"result_{index}" for index in range(4)]


def test_as_many_as_there_are_cores(squares: Project) -> None:
    """--num_threads -1 uses the cores that this process may use, and says so."""
    done = squares.run("--num_threads", "-1", "--index", "0")
    assert done.code == 0, done
    assert f"{len(os.sched_getaffinity(0))} at a time" in done.out


def test_priority_decides_the_order(squares: Project) -> None:
    """What bears a higher `resources.priority` starts first; the indices stay those of the list."""
    squares.write(
        "builder.py",
        """
        def build():
            return [{"x": x, "name": "n", "resources": {"priority": p}} for x, p in enumerate([0, 5, 1])]
        """,
    )
    done = squares.run()
    ended = [line.split()[1] for line in done.out.splitlines() if line.startswith("[")]
    assert ended == ["result_1", "result_2", "result_0"]

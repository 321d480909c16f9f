"""configmill simulate: what a policy makes of a list of jobs, as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Done, Project

#: Three one-device jobs and a wide one, which first-come-first-served lets wait.
JOBS: list[dict[str, Any]] = [
    {"seconds": 4, "num_gpus": 1, "arrival": 0},
    {"seconds": 3, "num_gpus": 2, "arrival": 0, "expected_seconds": 3},
    {"seconds": 2, "num_gpus": 1, "arrival": 0, "priority": 0},
    {"seconds": 1, "num_gpus": 1, "arrival": 5.5},
]


def simulate(project: Project, jobs: object, *options: str) -> Done:
    """Write jobs.json and run the command on it."""
    text = jobs if isinstance(jobs, str) else json.dumps(jobs)
    project.write("jobs.json", text)
    return project.configmill("simulate", "--jobs", "jobs.json", *options)


def test_what_it_prints(squares: Project) -> None:
    """Makespan, lower bound, their ratio, the waits by width and the idle share; by hand, on two devices."""
    done = simulate(squares, JOBS, "--gpus", "2", "--policy", "area")
    assert (done.code, done.err) == (0, ""), done
    assert json.loads(done.out) == {
        "policy": "area",
        "seed": None,
        "prediction_error": 1.0,
        "num_jobs": 4,
        "num_gpus": 2,
        "makespan": 7.0,
        "lower_bound": 6.5,
        "ratio": 7.0 / 6.5,
        "mean_wait": 1.5,
        "max_wait": 3.0,
        "wait_by_width": {
            "1": {"jobs": 3, "mean": 2.0, "max": 3.0},
            "2": {"jobs": 1, "mean": 0.0, "max": 0.0},
        },
        "idle_share": pytest.approx(1 / 14),
    }


@pytest.mark.parametrize(("policy", "makespan"), [("area", 7.0), ("fifo", 9.0), ("easy", 8.0), ("waves", 9.0)])
def test_each_policy(squares: Project, policy: str, makespan: float) -> None:
    """The wide job first (area), or after the first one (easy: with the third beside that)."""
    done = simulate(squares, JOBS, "--gpus", "2", "--policy", policy)
    assert json.loads(done.out)["makespan"] == makespan


def test_a_policy_of_the_projects_own(squares: Project) -> None:
    """module:Class is found from the current directory."""
    squares.write("mine.py", "from configmill.schedule.policies import Fifo\n\nclass Patient(Fifo):\n    pass\n")
    done = simulate(squares, JOBS, "--gpus", "2", "--policy", "mine:Patient")
    assert (done.code, json.loads(done.out)["makespan"]) == (0, 9.0), done


def test_seed_and_error(squares: Project) -> None:
    """The same seed plays the same; another shuffles the list otherwise; without one the list's order counts."""
    jobs = [{"seconds": number % 7 + 1, "num_gpus": number % 3 + 1} for number in range(40)]

    def played(*options: str) -> tuple[float, float]:
        done = json.loads(simulate(squares, jobs, "--gpus", "4", *options).out)
        return done["makespan"], done["mean_wait"]

    assert played("--policy", "fifo", "--seed", "1") == played("--policy", "fifo", "--seed", "1")
    assert played("--policy", "fifo", "--seed", "1") != played("--policy", "fifo", "--seed", "2")
    assert played("--policy", "fifo", "--seed", "1") != played("--policy", "fifo")
    wrong = ("--seed", "1", "--prediction-error", "4")
    assert played(*wrong) == played(*wrong) != played("--seed", "1")


@pytest.mark.parametrize(
    ("jobs", "quoted"),
    [
        ("{", "'jobs.json'"),
        ('{"seconds": 1}', "'jobs.json'"),
        ("[" * 100_000, "'jobs.json'"),
        ([{"seconds": 1}, 7], "Job 1 is 7"),
        ([{"seconds": 1}, {"num_gpus": 1}], "Job 1 has no 'seconds'"),
        ([{"seconds": 1, "num_gpu": 1}], "'num_gpu'"),
        ([{"seconds": "1"}], "Job 0: seconds is '1'"),
        ([{"seconds": True}], "Job 0: seconds is True"),
        ([{"seconds": None}], "Job 0: seconds is None"),
        ([{"seconds": -1}], "Job 0: seconds is -1"),
        ('[{"seconds": NaN}]', "Job 0: seconds is nan"),
        ('[{"seconds": 1e999}]', "Job 0: seconds is inf"),
        ('[{"seconds": 1' + "0" * 400 + "}]", "Job 0: seconds is"),
        ([{"seconds": 1, "num_gpus": 1.5}], "Job 0: num_gpus is 1.5"),
        ([{"seconds": 1, "num_gpus": 3}], "Job 0: num_gpus is 3"),
        ([{"seconds": 1, "num_gpus": -1}], "Job 0: num_gpus is -1"),
        ([{"seconds": 1, "arrival": -1}], "Job 0: arrival is -1"),
        ([{"seconds": 1, "expected_seconds": []}], "Job 0: expected_seconds is []"),
        ([{"seconds": 1, "priority": "high"}], "Job 0: priority is 'high'"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_bad_jobs(squares: Project, jobs: object, quoted: str) -> None:
    """A usage error names the entry and the key, in two sentences."""
    done = simulate(squares, jobs, "--gpus", "2")
    assert (done.code, done.out) == (2, ""), done
    assert quoted in done.err
    assert "Traceback" not in done.err and len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        (["--gpus", "two"], "'two'"),
        (["--gpus", "2", "--policy", "aera"], "'area'"),
        (["--gpus", "2", "--seed", "x"], "'x'"),
        (["--gpus", "2", "--prediction_error", "0.5"], "'0.5'"),
        (["--gpus", "2", "--jobs", "missing.json"], "'missing.json'"),
        (["--gpus", "2", "--polcy", "area"], "--policy"),
        ([], "--gpus"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options(squares: Project, options: list[str], quoted: str) -> None:
    """An option's value that can't be is quoted, with what can."""
    done = simulate(squares, JOBS, *options)
    assert (done.code, done.out) == (2, ""), done
    assert quoted in done.err


@pytest.mark.parametrize("options", [["--gpus", "0"], ["--gpus", "8"]])
def test_no_jobs(squares: Project, options: list[str]) -> None:
    """An empty list takes no time, as well as can be."""
    done = json.loads(simulate(squares, [], *options).out)
    assert (done["makespan"], done["lower_bound"], done["ratio"], done["wait_by_width"]) == (0, 0, 1, {})

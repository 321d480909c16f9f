"""A builder that builds another list the second time is found out."""

from __future__ import annotations

import pytest

from tests.conftest import Project


@pytest.fixture
def drifting(project: Project) -> Project:
    """A project whose builder looks at the clock, and at how many files lie about."""
    project.write(
        "builder.py",
        """
        import os, random

        def random_numbers():
            return [{"name": f"seed {i}", "model": {"noise": random.random(), "depth": 3}} for i in range(2)]

        def fewer_in_a_child():
            return [{"x": i} for i in range(1 if "CONFIGMILL_ATTEMPT" in os.environ else 2)]

        def another_order():
            names = ["a", "b"]
            return [{"x": n} for n in (reversed(names) if "CONFIGMILL_ATTEMPT" in os.environ else names)]

        def another_key():
            return [{"x": 1, **({"pid": 7} if "CONFIGMILL_ATTEMPT" in os.environ else {})}]

        def fails_in_a_child():
            if "CONFIGMILL_ATTEMPT" in os.environ:
                raise FileNotFoundError("data.csv")
            return [{"x": 1}]
        """,
    )
    project.write("experiment.py", "def run(config):\n    raise AssertionError('it must not start')\n")
    return project


@pytest.mark.parametrize(
    ("builder", "named"),
    [("random_numbers", "'model.noise'"), ("another_order", "'x'"), ("another_key", "'pid'")],
)
def test_another_config_is_refused_and_names_the_key(drifting: Project, builder: str, named: str) -> None:
    """A child that builds another config than the recorded one doesn't run it; the error names the keys that differ."""
    done = drifting.run(builder=f"builder.{builder}()")
    record = drifting.json(0, "attempts/1.json")
    assert done.code == 1
    assert (record["status"], record["failure_class"]) == ("failed", "config_drift")
    assert "ConfigDriftError" in record["error"]
    assert named in record["error"]
    assert "it must not start" not in drifting.log(0)
    assert "seed" in drifting.log(0)  # what to do about it


def test_only_the_keys_that_differ_are_named(drifting: Project) -> None:
    """Keys that are the same in both configs are not in the error."""
    drifting.run(builder="builder.random_numbers()")
    assert "depth" not in drifting.json(0, "attempts/1.json")["error"]


def test_a_shorter_list_is_drift_too(drifting: Project) -> None:
    """A list that lacks the index in the child is drift."""
    drifting.run(builder="builder.fewer_in_a_child()")
    assert drifting.json(1, "attempts/1.json")["failure_class"] == "config_drift"


def test_drift_is_not_retried(drifting: Project) -> None:
    """--num_retries doesn't apply to drift: only another builder could help."""
    drifting.run("--num_retries", "3", "--retry_backoff", "0", builder="builder.random_numbers()")
    assert [path.name for path in drifting.result_dir(0).glob("attempts/*.json")] == ["1.json"]


def test_a_builder_that_fails_in_the_child_is_told_as_such(drifting: Project) -> None:
    """A builder that raises in the child alone fails the experiment with the builder's own error."""
    drifting.run(builder="builder.fails_in_a_child()")
    assert "FileNotFoundError: data.csv" in drifting.json(0, "attempts/1.json")["error"]

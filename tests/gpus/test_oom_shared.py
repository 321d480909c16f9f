"""Smaller configs that several come down to or that are in the list, and managers that are killed on the way down."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project, wait_until
from tests.gpus.hungry import build, check_done_as, lineage, notes, original_of, row, started


@pytest.mark.parametrize(
    ("sizes", "num_threads"), [((64, 32, 16, 8), 1), ((64, 32, 16, 8), 4), ((8, 16, 32, 64), 1), ((64, 32), 2)]
)
def test_a_smaller_config_that_is_in_the_list(cold: Project, sizes: tuple[int, ...], num_threads: int) -> None:
    """A config that several come down to, or that is in the list itself, runs once, and all of them have its result."""
    done = cold.run("--num_threads", str(num_threads), "--json", builder=build(cold, batch_sizes=sizes))
    assert done.code == 0, done
    assert done.summary["succeeded"] == len(sizes)
    assert started(cold) == [64, 32, 16, 8]
    for index, size in enumerate(sizes):
        if size != 8:
            check_done_as(cold, 8, index)
    again = cold.run("--json", builder=build(cold, batch_sizes=sizes))
    assert (again.code, again.summary["skipped"]) == (0, len(sizes)), again


def test_further_down_than_the_one_in_the_list(cold: Project) -> None:
    """Where a listed config may not be made smaller, one that came down to it goes on by itself."""
    asks = build(cold, batch_sizes=(64, 32), floors={32: 32})
    done = cold.run("--num_threads", "2", "--json", builder=asks)
    assert done.code == 1, done
    assert started(cold) == [64, 32, 16, 8]
    assert [failure["index"] for failure in done.summary["failures"]] == [1]
    assert (row(cold, 0)["status"], row(cold, 0)["batch_size"]) == ("succeeded", "8")
    assert (row(cold, 1)["status"], row(cold, 1)["digest"]) == ("failed", original_of(cold, 1))


def test_those_that_wait_fail_with_what_they_wait_for(cold: Project) -> None:
    """Where the config that several come down to fails, all of them fail with it, and each says as what."""
    (notes(cold) / "broken").touch()
    done = cold.run("--num_threads", "2", "--json", builder=build(cold, batch_sizes=(32, 16, 8)))
    assert done.code == 1, done
    assert started(cold) == [32, 16, 8]
    assert [failure["failure_class"] for failure in done.summary["failures"]] == ["code_error"] * 3
    listed = cold.configmill("failures", str(cold.out), "--json").summary["failures"]
    assert [failure["error"] for failure in listed] == [failure["error"] for failure in done.summary["failures"]]
    assert [failure["log"] for failure in listed] == [failure["log"] for failure in done.summary["failures"]]


def test_a_success_of_an_earlier_command_is_used(cold: Project) -> None:
    """A smaller config that has succeeded before is not run again for a larger one; with --no_incremental it is."""
    assert cold.run(builder=build(cold, batch_sizes=(8,))).code == 0
    done = cold.run("--json", builder=build(cold, batch_sizes=(16,)))
    assert done.code == 0, done
    assert started(cold) == [16, 8]
    check_done_as(cold, 8)
    assert cold.run("--no_incremental", builder=build(cold, batch_sizes=(16,))).code == 0
    assert started(cold) == [16, 16, 8, 8]


def _stop_and_kill(project: Project, manager: Any, size: int, ended: Path) -> None:
    """Kill the manager after the attempt with that batch size has ended and before the manager knows of it."""
    os.kill(manager.pid, signal.SIGSTOP)
    (notes(project) / f"hold-{size}").unlink()
    wait_until(ended.exists)
    manager.kill()
    manager.communicate(timeout=30)


def test_killed_before_the_success_is_kept(hungry: Project) -> None:
    """A manager that dies between a smaller config's success and its own record of it loses nothing."""
    (notes(hungry) / "hold-8").touch()
    manager = hungry.start(builder=build(hungry))
    wait_until(lambda: 8 in started(hungry))
    _stop_and_kill(hungry, manager, 8, hungry.result_dir(0) / "success.txt")
    assert lineage(hungry, original_of(hungry))["succeeded_as"] is None
    done = hungry.run("--json", builder=build(hungry))
    assert (done.code, done.summary["skipped"]) == (0, 1), done
    assert started(hungry) == [64, 32, 16, 8]
    check_done_as(hungry, 8)


def test_killed_on_the_way_down(hungry: Project) -> None:
    """A manager that is killed while a smaller config runs: the next command goes on with that one."""
    (notes(hungry) / "hold-16").touch()
    manager = hungry.start(builder=build(hungry))
    wait_until(lambda: 16 in started(hungry))
    manager.kill()
    manager.communicate(timeout=30)
    wait_until((hungry.result_dir(0) / "attempts" / "1.json").exists)
    (notes(hungry) / "hold-16").unlink()
    done = hungry.run("--json", builder=build(hungry))
    assert done.code == 0, done
    assert started(hungry) == [64, 32, 16, 16, 8]
    check_done_as(hungry, 8)


def test_killed_before_the_first_step_down(cold: Project) -> None:
    """A manager that dies before it knows that memory ran out: the next command begins with the original."""
    (notes(cold) / "hold-64").touch()
    manager = cold.start(builder=build(cold))
    wait_until(lambda: 64 in started(cold))
    _stop_and_kill(cold, manager, 64, cold.result_dir(0) / "attempts" / "1.json")
    done = cold.run("--json", builder=build(cold))
    assert done.code == 0, done
    assert started(cold) == [64, 64, 32, 16, 8]
    check_done_as(cold, 8)

"""Configs that run out of device memory and go on as smaller ones, by `resources.on_oom`."""

from __future__ import annotations

import csv
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmill.config import Config, ConfigList
from configmill.config.identity import identity_digest
from configmill.manager.derived import ladder
from configmill.plan.plan import Plan
from configmill.protocol.resources import Remedy, ResourceRequest
from tests.conftest import Project, wait_until
from tests.gpus.hungry import build, check_done_as, digest_of_link, explained, lineage, notes, original_of, row, started
from tests.notebooks.written import write_notebook


def test_down_to_what_fits(hungry: Project) -> None:
    """64 is halved until it fits, with no retry allowed and no wait; the config is done, as the one that fitted."""
    done = hungry.run("--json", builder=build(hungry))
    assert done.code == 0, done
    assert (done.summary["succeeded"], done.summary["failed"]) == (1, 0)
    assert started(hungry) == [64, 32, 16, 8]
    check_done_as(hungry, 8)
    record = hungry.json(0, "attempts/1.json")
    assert record["derived_from"] == original_of(hungry)
    assert lineage(hungry, record["derived_from"])["tried"][0]["values"] == {"batch_size": 64}
    assert lineage(hungry, digest_of_link(hungry))["derived_from"] == record["derived_from"]
    assert "goes on with batch_size=8" in done.err


def test_the_next_command_skips_it(cold: Project) -> None:
    """What succeeded as a smaller config is done; --no_incremental begins with the original again."""
    assert cold.run(builder=build(cold)).code == 0
    again = cold.run("--json", builder=build(cold))
    assert (again.code, again.summary["skipped"]) == (0, 1), again
    assert len(started(cold)) == 4
    assert "batch_size=8" in cold.run("--dry_run", builder=build(cold)).out
    anew = cold.run("--no_incremental", "--json", builder=build(cold))
    assert (anew.code, anew.summary["succeeded"]) == (0, 1), anew
    assert started(cold) == [64, 64, 32, 32, 16, 16, 8, 8]
    check_done_as(cold, 8)


def test_no_retry_is_used_up(cold: Project) -> None:
    """The way down takes no retry and no back-off: what fails otherwise at its end still has all of them."""
    (notes(cold) / "broken").touch()
    done = cold.run("--num_retries", "2", "--retry_backoff", "0.01", "--json", builder=build(cold))
    assert done.code == 1, done
    assert started(cold) == [64, 32, 16, 8, 8, 8]
    assert done.summary["failures"][0]["failure_class"] == "code_error"


def test_to_the_floor_and_no_further(cold: Project) -> None:
    """Nothing below the floor is tried; summary, files and commands name the same failure and all that was tried."""
    asks = build(cold, on_oom={"batch_size": {"halve": True, "floor": 16}})
    done = cold.run("--json", builder=asks)
    assert done.code == 1, done
    assert started(cold) == [64, 32, 16]
    (failure,) = done.summary["failures"]
    assert (failure["failure_class"], failure["digest"]) == ("oom_gpu", digest_of_link(cold))
    assert failure["error"].endswith("CUDA out of memory (tried batch_size=64, 32 and 16)")
    (listed,) = cold.configmill("failures", str(cold.out), "--json").summary["failures"]
    assert {key: listed[key] for key in failure if key in listed} == {
        key: failure[key] for key in failure if key in listed
    }
    said = explained(cold)
    assert (said["verdict"], said["status"], said["error"]) == ("runs", "failed", failure["error"])
    with open(cold.out / "failed_experiments.csv", newline="") as file:
        assert failure["error"] in next(csv.DictReader(file))["error_message"]
    assert failure["error"] in (cold.out / "report" / "index.html").read_text()
    assert row(cold)["status"] == "failed"
    assert cold.configmill("status", str(cold.out), "--json").summary["failed"] == 1


def test_after_the_floor_it_begins_anew(cold: Project) -> None:
    """Where nothing fitted, the next command tries the original again; with a lower floor it goes on below."""
    asks = build(cold, on_oom={"batch_size": {"halve": True, "floor": 32}})
    assert cold.run(builder=asks).code == cold.run(builder=asks).code == 1
    assert started(cold) == [64, 64, 32, 32]
    assert cold.run(builder=build(cold)).code == 0
    assert started(cold) == [64, 64, 32, 32, 16, 8]
    check_done_as(cold, 8)


def test_the_next_command_goes_on_where_it_failed(hungry: Project) -> None:
    """A smaller config that failed by itself runs again, and not those that did not fit."""
    (notes(hungry) / "broken").touch()
    done = hungry.run("--json", builder=build(hungry))
    assert done.code == 1, done
    assert "(tried batch_size=64, 32, 16 and 8)" in done.summary["failures"][0]["error"]
    assert "a bug at the end" in done.summary["failures"][0]["error"]
    assert "with batch_size=8" in explained(hungry)["why"]
    (notes(hungry) / "broken").unlink()
    again = hungry.run("--json", builder=build(hungry))
    assert again.code == 0, again
    assert started(hungry) == [64, 32, 16, 8, 8]
    check_done_as(hungry, 8)


def test_all_remedies_at_once(cold: Project) -> None:
    """Every key is halved in each step, one that has come to its floor stays there, and a nested key's floor counts."""
    on_oom = {"batch_size": "halve", "length": {"halve": True, "floor": 256}}
    done = cold.run("--json", builder=build(cold, on_oom=on_oom, length=512, fits=4 * 256))
    assert done.code == 0, done
    config = cold.json(0, "config.json")
    assert (config["batch_size"], config["length"]) == (4, 256)
    assert started(cold) == [64, 32, 16, 8, 4]
    assert (row(cold)["batch_size"], row(cold)["length"]) == ("4", "256")


def test_first_alone_where_the_device_is_shared(cold: Project) -> None:
    """On a share of a device the same config is tried once more with the device for itself, then the smaller ones."""
    done = cold.run("--gpus", "virtual:1", builder=build(cold, batch_sizes=(16,), num_gpus=0.5))
    assert done.code == 0, done
    assert started(cold) == [16, 16, 8]
    original = cold.out / "experiments" / original_of(cold) / "attempts"
    given = [json.loads((original / name).read_text())["resources"]["effective"] for name in ("1.json", "2.json")]
    assert given == [0.5, 1]


def test_a_way_down_is_no_fault_of_the_device(cold: Project) -> None:
    """Quick failures for lack of memory cut no device out where a smaller config follows, though others do well."""
    for size in (1, 4, 2):
        (notes(cold) / f"hold-{size}").touch()
    asks = build(cold, batch_sizes=(1, 4, 2, 1024), num_gpus=1)
    manager = cold.start("--gpus", "virtual:2", "--num_threads", "2", builder=asks)
    wait_until(lambda: started(cold) == [4, 1])
    for size in (1, 4):  # both devices have worked; from now on one of them is kept, so that the other has all failures
        (notes(cold) / f"hold-{size}").unlink()
    wait_until((cold.result_dir(3) / "success.txt").exists)
    (notes(cold) / "hold-2").unlink()
    output, _ = manager.communicate(timeout=30)
    assert manager.returncode == 0, output
    assert "used no more" not in output


@pytest.mark.parametrize("start_method", ["warm", "cold"])
def test_notebooks_as_well(cold: Project, start_method: str) -> None:
    """A notebook goes down in the same way; each of its configs has a notebook of its own, with its own values."""
    write_notebook(
        cold,
        """
        import configmill
        import experiment

        config = configmill.get_config_from_env()
        print("batch size", config.batch_size)
        configmill.log_metrics(**experiment.run(config))
        """,
    )
    done = cold.run_notebook("--start_method", start_method, "--json", builder=build(cold, batch_sizes=(16,)))
    assert done.code == 0, done
    assert started(cold) == [16, 8]
    check_done_as(cold, 8)
    assert "batch size 8" in (cold.result_dir(0) / "nb.ipynb").read_text()
    assert "batch size 16" in (cold.out / "experiments" / original_of(cold) / "nb.ipynb").read_text()


def _plan(values: dict[str, float], remedies: list[Remedy]) -> Plan:
    configs = ConfigList([Config({"name": "a", **values})])
    request = ResourceRequest(on_oom=tuple(remedies))
    return Plan(configs, [identity_digest("m:f", configs[0])], [request], [0], {}, warnings=())


sizes = st.one_of(st.integers(1, 10**6), st.floats(1e-3, 1e6))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(sizes, st.floats(1e-3, 1e6)), min_size=1, max_size=3))
def test_every_way_down_ends(asked: list[tuple[float, float]]) -> None:
    """From any values and floors: no value grows or falls below its floor, and each step is smaller."""
    asked = [(value, min(floor, value)) for value, floor in asked]
    values = {f"k{number}": value for number, (value, _) in enumerate(asked)}
    floors = {f"k{number}": floor for number, (_, floor) in enumerate(asked)}
    rungs = ladder(_plan(values, [Remedy(key, floor) for key, floor in floors.items()]), "m:f", 0)
    assert rungs[0].values == values
    for above, below in pairwise(rungs):
        assert all(floors[key] <= below.values[key] <= above.values[key] for key in values)
        assert any(below.values[key] < above.values[key] for key in values)
        assert all(type(below.values[key]) is type(values[key]) for key in values)
    assert len({rung.digest for rung in rungs}) == len(rungs)
    assert all(rungs[-1].values[key] / 2 < floors[key] or rungs[-1].values[key] // 2 < floors[key] for key in values)


def test_a_key_that_does_not_identify_is_no_way_down() -> None:
    """Half of what is left out of the identity would be the same config again: nothing is tried."""
    config = Config({"resources": {"num_cpus": 4}})
    request = ResourceRequest(on_oom=(Remedy("resources.num_cpus"),))
    plan = Plan(ConfigList([config]), [identity_digest("m:f", config)], [request], [0], {}, warnings=())
    assert len(ladder(plan, "m:f", 0)) == 1

"""What whole commands tell of how devices and threads were used: samples, summary, advice, --num_threads auto."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.manager.efficiency import Span, covered, parallelism
from configmill.measure.host import usable_cpus
from configmill.protocol.summary import DeviceTime
from tests.conftest import Done, Project

#: Stands before the real pynvml: a host of two GPUs, of which each question that the file `dies` names fails.
FAKE = """
    import os
    from tests.gpus.fake_pynvml import MIB, UNKNOWN, FakePynvml, Gpu, NVMLError

    _fake = FakePynvml(Gpu("GPU-aaaa"), Gpu("GPU-bbbb", used=100 * MIB))

    def __getattr__(name):
        if os.path.exists("dies") and name == "nvmlDeviceGetHandleByUUID":
            _fake.faults[name] = NVMLError(UNKNOWN)
        return getattr(_fake, name)
    """


@pytest.fixture
def sleeps(project: Project) -> Project:
    """A project of experiments that sleep, on a host of two GPUs as NVML tells it."""
    project.write("pynvml.py", FAKE)
    project.write(
        "builder.py",
        """
        import configmill

        def build(n=4, seconds=0.1, fails=0, **resources):
            base = {"seconds": seconds, "fails": fails, "x": 0, "resources": resources}
            return configmill.grid(base, {"x": list(range(n))})
        """,
    )
    project.write(
        "experiment.py",
        """
        import time

        def run(config):
            time.sleep(config.seconds)
            if config.x < config.fails and config.meta.attempt == 1:
                raise ValueError("the first time")
            return {"x": config.x}
        """,
    )
    return project


def came_to(done: Done) -> dict[str, Any]:
    """The summary's part on what running side by side came to."""
    assert done.code == 0, done
    parsed: dict[str, Any] = done.summary["parallelism"]
    return parsed


def test_every_attempt_has_its_samples(sleeps: Project) -> None:
    """Failed ones too: a file of samples and one of peaks and means for each attempt, and all in the report."""
    done = sleeps.run("--num_threads", "2", "--num_retries", "1", "--retry_backoff", "0", "--json",
                      builder="builder.build(n=2, fails=1, num_gpus=1)")  # fmt: skip
    assert done.code == 0, done
    for index, attempts in ((0, (1, 2)), (1, (1,))):
        for attempt in attempts:
            folder = sleeps.result_dir(index) / "attempts"
            record = json.loads((folder / f"{attempt}.json").read_text())
            rows = list(csv.DictReader((folder / f"{attempt}.devices.csv").open(newline="")))
            assert len(rows) >= 2 and {row["device"] for row in rows} == set(record["gpus"])
            assert 0 <= float(rows[0]["seconds"]) < float(rows[-1]["seconds"]) <= record["seconds"] + 5
            (use,) = json.loads((folder / f"{attempt}.devices.json").read_text()).values()
            assert use["peak_memory_bytes"] in (0, 100 << 20) and use["mean_power_watts"] == 350.0
    data = re.search(r'id="report-data">(.*?)</script>', (sleeps.out / "report" / "index.html").read_text())
    assert data
    shown = [(attempt["row"], attempt["attempt"]) for attempt in json.loads(data[1])["devices"]["attempts"]]
    assert shown == [(0, 1), (0, 2), (1, 1)]


def test_estimate_and_measured_peak_are_both_there(sleeps: Project) -> None:
    """What an estimator said is in the record, what was measured beside it."""
    text = (sleeps.root / "experiment.py").read_text()
    estimator = 'def estimate_gpu_requirements(config):\n    return {"num_gpus": 2, "gpu_memory_gb": 8}\n'
    sleeps.write("experiment.py", text + estimator)
    assert sleeps.run(builder="builder.build(n=1)").code == 0
    record, use = sleeps.json(0, "attempts/1.json"), sleeps.json(0, "attempts/1.devices.json")
    assert record["resources"]["estimate"]["gpu_memory_gb"] == 8
    assert [use[id]["peak_memory_bytes"] for id in sorted(use)] == [0, 100 << 20]


def test_virtual_devices_have_no_samples(sleeps: Project) -> None:
    """Of pretended devices there are no files, and no section in the report; their time is in the summary."""
    done = sleeps.run("--gpus", "virtual:2", "--json", builder="builder.build(n=2, num_gpus=1)")
    assert set(came_to(done)["devices"]) == {"virtual:0", "virtual:1"}
    assert not list(sleeps.out.glob("experiments/*/attempts/*.devices.*"))
    assert '"devices":{"attempts":[],"left_out":0}' in (sleeps.out / "report" / "index.html").read_text()


def test_an_nvml_that_dies_on_the_way(sleeps: Project) -> None:
    """The experiments don't mind: all succeed, and the manager's log has one warning."""
    text = (sleeps.root / "experiment.py").read_text()
    sleeps.write("experiment.py", text.replace("time.sleep", "open('dies', 'w').close(); time.sleep"))
    done = sleeps.run("--num_threads", "2", "--json", builder="builder.build(n=4, num_gpus=1)")
    assert done.code == 0 and done.summary["succeeded"] == 4, done
    (log,) = (sleeps.out / "runs").glob("*.log")
    warnings = [line for line in log.read_text().splitlines() if "sampled no more" in line]
    assert len(warnings) == 1 and "WARNING" in warnings[0]


def test_speed_up_and_the_time_of_each_device(sleeps: Project) -> None:
    """Four equal experiments on two devices: near twice as fast, and each device was busy for two of them."""
    done = sleeps.run("--gpus", "virtual:2", "--num_threads", "2", "--json",
                      builder="builder.build(n=4, seconds=0.6, num_gpus=1)")  # fmt: skip
    result = came_to(done)
    assert result["places"] == 2
    assert 1.5 <= result["speed_up"] <= 2.0
    assert result["efficiency"] == pytest.approx(result["speed_up"] / 2, abs=0.01)
    assert result["seconds"] <= done.summary["seconds"]
    for time_of_device in result["devices"].values():
        assert time_of_device["busy_seconds"] >= 1.2 and time_of_device["idle_seconds"] >= 0
    assert re.search(r"^2 devices, \d+% of their time used: [\d.]+ times as fast", done.err, re.MULTILINE)
    (run,) = (path for path in (sleeps.out / "runs").glob("*.json"))
    assert json.loads(run.read_text())["outcome"]["parallelism"] == result


def test_speed_up_of_threads(sleeps: Project) -> None:
    """Without devices it is that of the threads; one at a time has none."""
    done = sleeps.run("--num_threads", "3", "--json", builder="builder.build(n=3, seconds=0.6)")
    result = came_to(done)
    assert (result["places"], result["devices"]) == (3, {}) and 1.5 <= result["speed_up"] <= 3.0
    assert "3 threads" in done.err
    done = sleeps.run("--no_incremental", "--json", builder="builder.build(n=2)")
    assert done.summary["parallelism"] is None and "times as fast" not in done.err


def test_advice_after_a_run(sleeps: Project) -> None:
    """A run that was too narrow says so in one line, with what it would have taken; `auto` then needs none."""
    done = sleeps.run("--gpus", "virtual:4", "--json", builder="builder.build(n=4, seconds=1.8, num_gpus=1)")
    assert done.code == 0, done
    advice = done.summary["advice"]
    assert re.match(r"--num_threads 4 would have taken about 1\.\d+ s in place of 7\.\d+ s: ", advice)
    assert f"advice: {advice}" in done.err
    done = sleeps.run("--gpus", "virtual:4", "--num_threads", "auto", "--json",
                      builder="builder.build(n=9, seconds=1.8, num_gpus=1)")  # fmt: skip
    assert done.summary["advice"] is None, done
    assert "4 at a time, as many as the devices allow (by the last 4 that succeeded)" in done.err


@pytest.mark.parametrize(
    ("devices", "resources", "width"),
    [
        ("virtual:1", "num_gpus=1", 1),
        ("virtual:4", "num_gpus=1", 4),
        ("virtual:8", "num_gpus=4", 2),
        ("none", "", None),
    ],
)
def test_auto_before_anything_is_measured(sleeps: Project, devices: str, resources: str, width: int | None) -> None:
    """As many as the devices allow; without devices half of the cores. The record of the command has the number."""
    builder = f"builder.build(n=20, seconds=0, {resources})"
    done = sleeps.run("--gpus", devices, "--num_threads", "auto", "--json", builder=builder)
    assert done.code == 0, done
    expected = width or max(1, min(20, math.floor(usable_cpus() / 2)))
    assert f"--num_threads auto: {expected} at a time" in done.err
    (run,) = (sleeps.out / "runs").glob("*.json")
    assert json.loads(run.read_text())["request"]["num_threads"] == expected


def test_auto_where_each_wants_the_host(sleeps: Project) -> None:
    """What measures runs alone, whatever else there is; and nothing is advised against that."""
    builder = "builder.build(n=2, seconds=0, exclusive_host=True)"
    done = sleeps.run("--num_threads", "auto", "--json", builder=builder)
    assert done.code == 0 and "auto: 1 at a time, each wants the host for itself" in done.err, done


def test_auto_from_a_notebook_and_from_python(sleeps: Project) -> None:
    """run_notebook.py and configmill.run take it as well."""
    sleeps.write(
        "nb.ipynb",
        json.dumps({"cells": [], "metadata": {"kernelspec": {"name": "python3", "display_name": "Python"}},
                    "nbformat": 4, "nbformat_minor": 5}),
    )  # fmt: skip
    done = sleeps.run_notebook("--num_threads", "auto", "--gpus", "none", builder="builder.build(n=1)")
    assert done.code == 0 and "auto: 1 at a time" in done.out, done
    sleeps.write(
        "script.py",
        """
        import configmill

        if __name__ == "__main__":
            builder = "builder.build(n=3, seconds=0, num_gpus=1)"
            summary = configmill.run(builder, "experiment.run", "python", gpus="virtual:2", num_threads="auto")
            print(summary.succeeded, summary.parallelism.places, summary.warnings)
        """,
    )
    done = sleeps.script(str(sleeps.root / "script.py"))
    assert done.code == 0 and done.out.startswith("3 2 ('--num_threads auto: 2 at a time"), done


SPANS = st.lists(
    st.tuples(st.floats(0, 1000), st.floats(0.001, 100), st.sampled_from([0.25, 1, 2, 4]), st.floats(0, 1)), min_size=1
)


@given(SPANS, st.integers(1, 8))
def test_a_speed_up_is_what_ran_at_a_time(drawn: list[tuple[float, float, float, float]], places: int) -> None:
    """It is at most how many ran at a time at most, and its time is the union of theirs, gaps left out."""
    spans = [Span(begin, begin + length, devices, length * part) for begin, length, devices, part in drawn]
    result = parallelism(spans, places, {"a": DeviceTime(0.0, 0.0)})
    intervals = [(span.begin, span.end) for span in spans]
    assert covered(intervals) <= sum(end - begin for begin, end in intervals) + 1e-6
    assert max(end - begin for begin, end in intervals) <= covered(intervals) + 1e-6
    assert result is not None
    most = max(sum(begin <= at < end for begin, end in intervals) for at, _ in intervals)
    assert result.speed_up <= most + 0.01


def test_formulas() -> None:
    """Two experiments of two devices, one after the other on four, with a gap between: half of the time was used."""
    spans = [Span(0, 10, 2, 10), Span(20, 30, 2, 10)]
    result = parallelism(spans, 4, {"a": DeviceTime(10, 0)})
    assert result is not None
    assert (result.speed_up, result.efficiency, result.seconds) == (1.0, 0.5, 20)
    assert parallelism([], 4) is None


def test_shares_of_a_device() -> None:
    """Two halves side by side for the whole time: twice as fast as one at a time, and all of the device was used."""
    result = parallelism([Span(0, 10, 0.5, 10), Span(0, 10, 0.5, 10)], 1, {"a": DeviceTime(10, 0)})
    assert result is not None and (result.speed_up, result.efficiency) == (2.0, 1.0)


def test_without_devices_nothing_is_asked(sleeps: Project) -> None:
    """Where nobody asks for a device, pynvml isn't even imported."""
    sleeps.write("pynvml.py", "open('imported', 'w').close()\nraise RuntimeError('no')\n")
    assert sleeps.run("--num_threads", "auto", builder="builder.build(n=2, seconds=0)").code == 0
    assert not Path(sleeps.root / "imported").exists()

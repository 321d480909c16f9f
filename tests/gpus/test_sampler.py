"""What is kept of how an attempt's devices were used, with NVML faked at its edge."""

from __future__ import annotations

import csv
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from configmill.gpus.devices import Device, select, virtual_devices
from configmill.gpus.sampler import COLUMNS, Sampler, SampleReader, Sampling
from configmill.measure.nvml import DeviceSample, Nvml, NvmlError
from tests.conftest import wait_until
from tests.gpus.fake_pynvml import GPU_IS_LOST, MIB, UNKNOWN, FakePynvml, Gpu, NVMLError, instance

#: However slow the machine is: a sample that is waited for comes.
PATIENT = 20.0


class Bench:
    """Two GPUs and a MIG device, a sampler over them, and what it has warned of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gpus = [Gpu("GPU-a", used=10 * MIB), Gpu("GPU-b", used=20 * MIB), Gpu("GPU-c", mig=[instance("MIG-c")])]
        self.fake = FakePynvml(*self.gpus)
        self.warnings: list[str] = []
        self.samplers: list[Sampler] = []

    def sampler(self, nvml: SampleReader | None = None, **options: Any) -> Sampler:
        """A sampler that samples often, and waits for the last sample as long as it takes."""
        given = {"seconds_between": 0.01, "patience": PATIENT, **options}
        sampler = Sampler(nvml or Nvml(self.fake), self.warnings.append, **given)
        self.samplers.append(sampler)
        return sampler

    def devices(self, *ids: str) -> list[Device]:
        """The devices with these ids."""
        found = {device.id: device for device in select("auto", {}, Nvml(self.fake)).devices}
        return [found[id] for id in ids]

    def begin(self, sampler: Sampler, *ids: str, name: str = "1") -> Sampling:
        """An attempt on these devices begins."""
        paths = (str(self.folder / f"{name}.devices.csv"), str(self.folder / f"{name}.devices.json"))
        sampling = sampler.begin(*paths, self.devices(*ids))
        assert sampling is not None
        return sampling

    def rows(self, name: str = "1") -> list[dict[str, str]]:
        """The samples of an attempt."""
        path = self.folder / f"{name}.devices.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def use(self, name: str = "1") -> dict[str, dict[str, Any]]:
        """What an attempt's samples came to."""
        parsed: dict[str, dict[str, Any]] = json.loads((self.folder / f"{name}.devices.json").read_text())
        return parsed


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An empty directory and its devices; no sampler outlives the test."""
    bench = Bench(tmp_path)
    yield bench
    for sampler in bench.samplers:
        sampler.close()


def sampler_threads() -> list[threading.Thread]:
    """The samplers that are at work in this process."""
    return [thread for thread in threading.enumerate() if thread.name == "configmill-sampler"]


def test_an_attempts_samples(bench: Bench) -> None:
    """From its begin to its end an attempt has rows of each of its devices, as NVML tells them, in order of time."""
    sampler = bench.sampler()
    sampling = bench.begin(sampler, "GPU-a", "GPU-b")
    wait_until(lambda: len(bench.rows()) >= 6)
    sampler.end(sampling)
    rows = bench.rows()
    assert tuple(rows[0]) == COLUMNS
    for id, megabytes in (("GPU-a", 10), ("GPU-b", 20)):
        own = [row for row in rows if row["device"] == id]
        assert {tuple(list(row.values())[2:]) for row in own} == {("37", str(megabytes * MIB), "350.0", "61")}
        seconds = [float(row["seconds"]) for row in own]
        assert seconds == sorted(seconds) and 0 <= seconds[0] < seconds[-1]
    assert not bench.warnings


def test_peaks_and_means(bench: Bench) -> None:
    """The highest memory and temperature are kept, and means over time: a sample stands for the time before it."""
    now = [100.0]
    sampler = bench.sampler(seconds_between=1.0, clock=lambda: now[0])
    gpu = bench.gpus[0]
    gpu.used, gpu.busy, gpu.power = 5 * MIB, 99, 99_000  # what was before it counts for nothing
    sampling = bench.begin(sampler, "GPU-a")
    wait_until(bench.rows)
    gpu.used, gpu.busy, gpu.power, gpu.temperature = 900 * MIB, 100, 500_000, 80
    now[0] += 3.0
    other = bench.begin(sampler, "GPU-b", name="other")  # has the thread look at the clock
    wait_until(lambda: len(bench.rows()) == 2)
    gpu.used, gpu.busy, gpu.power, gpu.temperature = 30 * MIB, 20, 100_000, 60
    now[0] += 1.0
    sampler.end(sampling)
    sampler.end(other)
    assert bench.use() == {
        "GPU-a": {
            "peak_memory_bytes": 900 * MIB,
            "mean_utilisation_percent": 80.0,
            "mean_power_watts": 400.0,
            "peak_temperature_celsius": 80,
            "samples": 3,
        }
    }


def test_the_end_is_sampled(bench: Bench) -> None:
    """However short an attempt is, it has a last sample, taken while it still has its devices."""
    sampler = bench.sampler(seconds_between=1000.0)
    sampling = bench.begin(sampler, "GPU-a")
    wait_until(bench.rows)
    bench.gpus[0].used = 77 * MIB
    sampler.end(sampling)
    bench.gpus[0].used = 99 * MIB
    assert [row["memory_bytes"] for row in bench.rows()] == [str(10 * MIB), str(77 * MIB)]
    assert bench.use()["GPU-a"]["peak_memory_bytes"] == 77 * MIB


def test_what_nvml_cannot_tell_is_empty(bench: Bench) -> None:
    """A MIG device has memory and neither utilisation, power nor temperature: the cells are empty, the means None."""
    sampler = bench.sampler()
    sampler.end(bench.begin(sampler, "MIG-c"))
    (row, *_) = bench.rows()
    assert list(row.values())[1:] == ["MIG-c", "", "0", "", ""]
    use = bench.use()["MIG-c"]
    assert (use["mean_utilisation_percent"], use["mean_power_watts"], use["peak_memory_bytes"]) == (None, None, 0)


def test_virtual_devices_have_none(bench: Bench) -> None:
    """Where nothing real is handed out nothing is asked, nothing written, and there is no thread."""
    sampler = bench.sampler()
    for devices in (virtual_devices(2), ()):
        sampling = sampler.begin(str(bench.folder / "1.devices.csv"), str(bench.folder / "1.devices.json"), devices)
        assert sampling is None
        sampler.end(sampling)
    assert not sampler_threads() and not bench.fake.calls and not list(bench.folder.iterdir())


def test_the_thread_ends_with_the_last_attempt(bench: Bench) -> None:
    """While no attempt has a device there is no thread; the next one has samples all the same."""
    sampler = bench.sampler()
    for name in ("1", "2"):
        sampling = bench.begin(sampler, "GPU-a", name=name)
        assert len(sampler_threads()) == 1
        sampler.end(sampling)
        wait_until(lambda: not sampler_threads())
        assert bench.rows(name)


def test_one_sampler_for_all(bench: Bench) -> None:
    """Attempts that share a device each have its samples; it is asked once for both that are due together."""
    now = [0.0]
    sampler = bench.sampler(seconds_between=1.0, clock=lambda: now[0])
    one = bench.begin(sampler, "GPU-a", name="one")
    two = bench.begin(sampler, "GPU-a", name="two")
    wait_until(lambda: bench.rows("one") and bench.rows("two"))
    asked = bench.fake.calls.count("nvmlDeviceGetPowerUsage")
    now[0] = 1.0
    bench.begin(sampler, "GPU-b", name="three")
    wait_until(lambda: len(bench.rows("one")) == len(bench.rows("two")) == 2 and bench.rows("three"))
    assert bench.fake.calls.count("nvmlDeviceGetPowerUsage") == asked + 2
    sampler.end(one)
    sampler.end(two)
    assert bench.use("one")["GPU-a"]["samples"] == bench.use("two")["GPU-a"]["samples"] == 3


@pytest.mark.parametrize("call", ["nvmlDeviceGetHandleByUUID", "nvmlInit"])
def test_an_nvml_that_dies(bench: Bench, call: str) -> None:
    """From where NVML fails there are no samples, one warning says so, and what was there is kept."""
    sampler = bench.sampler()
    sampling = bench.begin(sampler, "GPU-a", "GPU-b")
    wait_until(lambda: len(bench.rows()) >= 4)
    bench.fake.faults[call] = NVMLError(UNKNOWN)
    if call == "nvmlInit":  # the driver is unloaded: what is asked next begins anew
        bench.fake.initialised = 0
    wait_until(lambda: bench.warnings)
    began = time.monotonic()
    sampler.end(sampling)
    assert time.monotonic() - began < PATIENT / 2, "nobody waits for a sample that doesn't come"
    (warning,) = bench.warnings
    assert "sampled no more" in warning
    assert bench.use()["GPU-a"]["samples"] >= 2
    paths = (str(bench.folder / "2.devices.csv"), str(bench.folder / "2.devices.json"))
    bench.fake.faults.clear()
    assert sampler.begin(*paths, bench.devices("GPU-a")) is None
    assert len(bench.warnings) == 1


def test_a_device_that_is_lost(bench: Bench) -> None:
    """A device that falls off the bus has no more samples, with one warning; the others go on."""
    sampler = bench.sampler()
    sampling = bench.begin(sampler, "GPU-a", "GPU-b")
    wait_until(lambda: len(bench.rows()) >= 4)
    bench.fake.faults["nvmlDeviceGetUtilizationRates"] = {"GPU-a": NVMLError(GPU_IS_LOST)}
    wait_until(lambda: bench.warnings)
    before = len([row for row in bench.rows() if row["device"] == "GPU-b"])
    wait_until(lambda: len([row for row in bench.rows() if row["device"] == "GPU-b"]) > before + 3)
    sampler.end(sampling)
    assert len(bench.warnings) == 1 and "GPU-a" in bench.warnings[0]
    assert bench.use()["GPU-b"]["samples"] > bench.use()["GPU-a"]["samples"]


class Hanging:
    """An NVML that hangs on a device from the second question on, until it is released."""

    def __init__(self) -> None:
        self.questions = 0
        self.released = threading.Event()

    def sample(self, device_id: str) -> DeviceSample:
        """The same each time."""
        self.questions += 1
        if self.questions > 1:
            assert self.released.wait(60)
        return DeviceSample(50, 1000 * self.questions, 100.0, 40)


def test_an_nvml_that_hangs(bench: Bench) -> None:
    """The end of an attempt doesn't wait for a sick device, and a sample that comes too late isn't the attempt's."""
    hanging = Hanging()
    sampler = bench.sampler(hanging, patience=0.02, seconds_between=1000.0)
    sampling = bench.begin(sampler, "GPU-a")
    wait_until(bench.rows)
    began = time.monotonic()
    sampler.end(sampling)
    assert time.monotonic() - began < 5
    hanging.released.set()
    sampler.close()
    assert len(bench.rows()) == 1 and bench.use()["GPU-a"]["peak_memory_bytes"] == 1000


def test_a_directory_that_is_gone(bench: Bench) -> None:
    """Where user code has removed the directory the attempt has no samples; others go on, with a warning."""
    sampler = bench.sampler()
    gone = sampler.begin("/proc/no/1.devices.csv", "/proc/no/1.devices.json", bench.devices("GPU-a"))
    other = bench.begin(sampler, "GPU-b", name="other")
    wait_until(lambda: len(bench.rows("other")) >= 3)
    sampler.end(gone)
    sampler.end(other)
    assert 1 <= len(bench.warnings) <= 2 and all("/proc/no" in warning for warning in bench.warnings)


def test_what_a_crash_leaves(bench: Bench) -> None:
    """Each sample is in the file as soon as it is taken, as whole lines: nothing waits in a buffer."""
    sampler = bench.sampler()
    bench.begin(sampler, "GPU-a")
    for number in range(1, 4):
        wait_until(lambda number=number: len(bench.rows()) >= number)
        assert (bench.folder / "1.devices.csv").read_text().endswith("\n")


def test_the_error_of_the_edge() -> None:
    """A device that isn't there raises NvmlError, and what it can't tell is None."""
    nvml = Nvml(FakePynvml(Gpu("GPU-a")))
    assert nvml.sample("GPU-a") == DeviceSample(37, 0, 350.0, 61)
    with pytest.raises(NvmlError):
        nvml.sample("GPU-z")

"""The real codecarbon: an estimate that is labelled as one, whatever surrounds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from configmill.measure.energy.meter import EnergyMeter
from configmill.measure.energy.modelled import Modelled
from configmill.measure.energy.source import EnergyUnavailableError
from configmill.measure.nvml import Nvml
from tests.conftest import REPOSITORY
from tests.gpus.fake_pynvml import FakePynvml, Gpu

#: What `import pynvml` finds: GPU-2 draws 1000 W, GPU-1 250 W.
TWO_GPUS = """
import time
from tests.gpus.fake_pynvml import FakePynvml, Gpu, NVMLError

class Burning(Gpu):
    @property
    def energy(self):
        return round(time.monotonic() * {"GPU-1": 250, "GPU-2": 1000}[self.uuid] * 1000)

    @energy.setter
    def energy(self, value):
        pass

_host = FakePynvml(Burning("GPU-2"), Burning("GPU-1"))
NVML_TEMPERATURE_GPU = 0

def nvmlDeviceGetEnforcedPowerLimit(handle):
    return 400_000

def __getattr__(name):
    return getattr(_host, name)
"""
#: Reads GPU-1 in both ways at once.
BOTH_METERS = """
import json, time
import configmill

meters = [configmill.EnergyMeter(["GPU-1"], backend) for backend in ("nvml", "codecarbon")]
for meter in meters:
    meter.start()
time.sleep(0.5)
print(json.dumps([meter.stop().to_json() for meter in meters]))
"""


def test_a_host_where_nothing_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` falls back on the model; its label, its parts and its assumptions say so, and two windows are two.

    A config file of codecarbon's in the folder can neither write files, reach for a network, nor change the figure.
    """
    monkeypatch.chdir(tmp_path)
    hostile = "pue = 9", "output_methods = csv", "tracking_mode = process", "electricitymaps_api_token = x"
    (tmp_path / ".codecarbon.config").write_text("\n".join(["[codecarbon]", *hostile]))
    meter = EnergyMeter()
    assert meter.method == "modelled"
    readings = []
    for seconds in (0.2, 0.4):
        meter.start()
        time.sleep(seconds)  # the window: time itself is what is measured
        readings.append(meter.stop())
    for reading, seconds in zip(readings, (0.2, 0.4), strict=True):
        assert (reading.method, reading.scope) == ("modelled", "machine (cpu, ram) modelled")
        assert set(reading.devices) == {"cpu", "ram"} and reading.gross_joules is not None
        assert reading.seconds is not None and seconds <= reading.seconds < seconds + 0.3
        assumed = reading.assumptions
        assert assumed["tracking_mode"] == "machine" and assumed["cpu_watts_at_full_load"] > 0
        assert assumed["cpu_average_watts"] == pytest.approx(reading.devices["cpu"] / reading.seconds, rel=0.05)
        ram = reading.devices["ram"]
        assert ram == pytest.approx(assumed["ram_watts"] * reading.seconds, rel=0.1), "a guess times time, no PUE"
        assert reading.uncertainty is None and "no bound" in str(reading.uncertainty_source)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [".codecarbon.config"]


def test_a_window_too_short_for_it() -> None:
    """codecarbon answers 0 for what it had no time to measure: that is a reason, never 0 J."""
    meter = EnergyMeter(backend="codecarbon")
    meter.start()
    reading = meter.stop()
    assert reading.gross_joules is None and "below 0.05 s" in str(reading.reason)


def test_its_threads_end() -> None:
    """What it starts for a window is gone soon after, so that nothing disturbs what comes next."""
    meter = EnergyMeter(backend="codecarbon")
    before = set(threading.enumerate())
    meter.start()
    during = set(threading.enumerate()) - before
    meter.stop()
    for thread in during:
        thread.join(20)
        assert not thread.is_alive()


def test_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason has both: why the CPU can't be read, and what would estimate it."""
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    meter = EnergyMeter()
    assert meter.method == "none"
    assert "no package of a CPU" in str(meter.reason) and "pip install 'configmill[llm]'" in str(meter.reason)


def test_against_the_counter(tmp_path: Path) -> None:
    """Of a host with two GPUs it counts the given one alone, and as much as the device's own counter says.

    By its UUID codecarbon would have found none.
    """
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "pynvml.py").write_text(TWO_GPUS)
    (shims / "nvidia-smi").write_text("#!/bin/sh\n")
    (shims / "nvidia-smi").chmod(0o755)
    paths = {
        "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{shims}{os.pathsep}{REPOSITORY}",
    }
    done = subprocess.run(
        [sys.executable, "-c", BOTH_METERS],
        cwd=tmp_path, env={**os.environ, **paths}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    counter, model = json.loads(done.stdout)
    assert (counter["method"], model["method"]) == ("nvml_counter", "modelled")
    assert counter["gross_joules"] == pytest.approx(250 * counter["seconds"], rel=0.01)
    assert model["scope"] == "machine (cpu, gpu, ram) modelled" and set(model["devices"]) == {"cpu", "gpu", "ram"}
    assert model["devices"]["gpu"] / model["seconds"] == pytest.approx(250, rel=0.1)


def test_a_device_whose_number_is_not_known() -> None:
    """It goes by numbers: a device that NVML doesn't list is never replaced by another one's energy."""
    with pytest.raises(EnergyUnavailableError, match="by number, and that of GPU-9 isn't known"):
        Modelled(["GPU-9"], Nvml(FakePynvml(Gpu("GPU-1"))), 475.0)


def test_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its errors are suppressed inside of it: without data there is a reason, which has what went wrong."""
    from codecarbon import OfflineEmissionsTracker

    def broken(self: object) -> None:
        raise OSError("no such clock")

    meter = EnergyMeter(backend="codecarbon")
    monkeypatch.setattr(OfflineEmissionsTracker, "_prepare_emissions_data", broken)
    meter.start()
    assert meter.stop().reason == "codecarbon gave no figure: OSError('no such clock')"

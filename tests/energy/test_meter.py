"""EnergyMeter: which source is read, and what a reading says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configmill import EnergyMeter
from configmill.errors import UsageError
from configmill.measure.energy.carbon import Carbon
from configmill.measure.energy.reading import EnergyReading
from configmill.measure.nvml import Nvml
from configmill.protocol.energy import ENERGY, EnergyOrders
from tests.energy.conftest import Powercap
from tests.gpus.fake_pynvml import NOT_SUPPORTED, FakePynvml, Gpu, NVMLError

ONE = "GPU-1111"


@pytest.fixture
def fake() -> FakePynvml:
    """A host with one GPU."""
    return FakePynvml(Gpu(ONE))


@pytest.fixture
def _cpu(powercap: Powercap) -> None:
    powercap.zone("intel-rapl:0", "package-0", 100)


def test_gpus_and_the_host_beside_them(fake: FakePynvml, powercap: Powercap, _cpu: None) -> None:
    """A GPU's figure is the GPU's; the CPU stands beside it, and both together only in a total that says so."""
    meter = EnergyMeter([ONE], exclusive=True, nvml=Nvml(fake), powercap=str(powercap.path))
    assert meter.method == "nvml_counter"
    meter.start()
    fake.gpus[0].energy += 360_000
    powercap.set("intel-rapl:0", 140)
    reading = meter.stop()
    assert (reading.method, reading.scope, reading.devices) == ("nvml_counter", "gpu", {ONE: 360.0})
    assert reading.gross_joules == 360.0 and reading.contended is False
    assert reading.host is not None
    assert (reading.host.method, reading.host.gross_joules) == ("rapl", pytest.approx(40))
    assert (reading.total_joules, reading.total_scope) == (pytest.approx(400), "gpu + cpu package")


def test_net_is_gross_without_idle(fake: FakePynvml) -> None:
    """Idle power is measured by the same source, and kept; net is gross - idle * seconds, and None without it."""

    def rest(seconds: float) -> None:
        fake.gpus[0].energy += 1  # next to no time passes here

    meter = EnergyMeter([ONE], nvml=Nvml(fake), sleep=rest)
    meter.start()
    unknown = meter.stop()
    assert unknown.gross_joules == 0.0 and unknown.net_joules is None and unknown.idle_watts is None
    assert unknown.reason is not None and unknown.reason.startswith("net_joules: idle power was not measured")
    idle = meter.measure_idle(2.0)
    assert idle is not None and idle > 0
    meter.start()
    fake.gpus[0].energy += 5_000_000
    reading = meter.stop()
    assert reading.idle_watts == idle and reading.reason is None and reading.seconds is not None
    assert reading.net_joules == pytest.approx(5000 - idle * reading.seconds)
    assert reading.average_watts == pytest.approx(5000 / reading.seconds)


def test_grams() -> None:
    """3.6e6 J are a kWh; gCO2e are kWh * PUE * g/kWh; what is unknown stays None."""
    known = EnergyReading(gross_joules=7.2e6, seconds=3600, g_per_kwh=50.0, pue=1.5)
    assert (known.kwh, known.gco2e, known.average_watts) == (2.0, 150.0, 2000.0)
    assert EnergyReading(gross_joules=0.0, g_per_kwh=50.0).gco2e == 0.0
    unknown = EnergyReading(reason="no meter", g_per_kwh=50.0)
    assert [unknown.kwh, unknown.gco2e, unknown.average_watts, unknown.total_joules] == [None] * 4


def test_a_reading_survives_json(fake: FakePynvml, powercap: Powercap, _cpu: None) -> None:
    """Written and read again it is the same, with what is beside it and what follows from it."""
    meter = EnergyMeter([ONE], carbon=Carbon(50.0, "here", 1.2), nvml=Nvml(fake), powercap=str(powercap.path))
    meter.start()
    reading = meter.stop()
    saved = reading.to_json()
    again = EnergyReading.from_json(json.loads(json.dumps(saved)))
    assert again.to_json() == saved and again.host is not None and again.gco2e == reading.gco2e
    assert {"net_joules", "kwh", "gco2e", "total_joules"} <= saved.keys()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"shared": True}, "shared with other experiments"),
        ({"shared": True, "backend": "codecarbon"}, "shared with other experiments"),
        ({"backend": "none"}, "the energy backend is 'none'"),
        ({"devices": ["MIG-5"]}, "part of a GPU"),
        ({"devices": [], "backend": "nvml"}, "no device was given"),
        ({"devices": [], "backend": "rapl"}, "no package of a CPU"),
    ],
)
def test_what_cannot_be_measured(fake: FakePynvml, given: dict[str, object], reason: str) -> None:
    """It is no error and no 0: a reading without a figure, with the reason and the label `none`."""
    meter = EnergyMeter(**{"devices": [ONE], "nvml": Nvml(fake), **given})  # type: ignore[arg-type]
    assert meter.method == "none" and meter.reason is not None and reason in meter.reason
    assert meter.measure_idle(5.0) is None, "and nothing is waited for"
    meter.start()
    reading = meter.stop()
    assert (reading.method, reading.gross_joules, reading.gco2e) == ("none", None, None)
    assert reading.reason == meter.reason
    assert all(joules is None for joules in reading.devices.values())


def test_a_host_without_a_gpu(powercap: Powercap, _cpu: None) -> None:
    """Without a device, or with pretended ones alone, it is the CPU's own counters."""
    for devices in ([], ["virtual:0"]):
        meter = EnergyMeter(devices, powercap=str(powercap.path))
        assert (meter.method, meter.reason) == ("rapl", None)


def test_a_gpu_that_cannot_be_read_leaves_the_host(fake: FakePynvml, powercap: Powercap, _cpu: None) -> None:
    """The CPU's energy never passes for a GPU's: that one is None, and the host's stands beside it."""
    for function in ("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"):
        fake.faults[function] = NVMLError(NOT_SUPPORTED)
    meter = EnergyMeter([ONE], nvml=Nvml(fake), powercap=str(powercap.path))
    meter.start()
    powercap.set("intel-rapl:0", 101)
    reading = meter.stop()
    assert (reading.method, reading.gross_joules, reading.devices) == ("none", None, {ONE: None})
    assert reading.host is not None and reading.host.gross_joules == pytest.approx(1)
    assert reading.total_joules is None


def test_a_source_that_fails_in_the_midst(fake: FakePynvml) -> None:
    """A device that is lost within the window is a reason; the next window is a new one."""
    meter = EnergyMeter([ONE], nvml=Nvml(fake))
    for fails_at in ("begin", "end"):
        if fails_at == "begin":
            fake.faults["nvmlDeviceGetTotalEnergyConsumption"] = NVMLError(15)
        meter.start()
        fake.faults["nvmlDeviceGetTotalEnergyConsumption"] = NVMLError(15)
        reading = meter.stop()
        assert reading.gross_joules is None and reading.reason is not None and "can't be read" in reading.reason
        fake.faults.clear()
    meter.start()
    assert meter.stop().gross_joules == 0.0


def test_misuse() -> None:
    """An unknown backend, and a window that was never opened, are errors of the caller's."""
    with pytest.raises(UsageError, match="no energy backend 'nvidia'"):
        EnergyMeter(backend="nvidia")
    with pytest.raises(RuntimeError, match="before start"):
        EnergyMeter(backend="none").stop()


def test_what_the_command_said(monkeypatch: pytest.MonkeyPatch, powercap: Powercap, _cpu: None) -> None:
    """An experiment's own meter takes backend, factor, PUE, devices and exclusiveness from its environment."""
    orders = EnergyOrders(backend="rapl", g_per_kwh=10.0, g_per_kwh_source="here", pue=1.1, exclusive=True)
    monkeypatch.setenv(ENERGY, orders.to_json())
    monkeypatch.setenv("CONFIGMILL_POWERCAP_DIR", str(powercap.path))
    meter = EnergyMeter.from_environment()
    meter.start()
    reading = meter.stop()
    assert (reading.method, reading.contended) == ("rapl", False)
    assert (reading.g_per_kwh, reading.g_per_kwh_source, reading.pue) == (10.0, "here", 1.1)
    monkeypatch.setenv(ENERGY, EnergyOrders(shared=True).to_json())
    monkeypatch.setenv("CONFIGMILL_GPUS", ONE)
    assert "shared" in str(EnergyMeter.from_environment().reason)
    monkeypatch.delenv(ENERGY)
    monkeypatch.delenv("CONFIGMILL_GPUS")
    by_hand = EnergyMeter.from_environment(exclusive=True)
    by_hand.start()
    assert by_hand.stop().g_per_kwh == 475.0


def test_importing_configmill_costs_nothing_of_it() -> None:
    """Neither `import configmill` nor a minder loads any of it, unless somebody asks for energy."""
    import subprocess
    import sys

    code = "import sys, configmill, configmill.minder; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {name for name in loaded if name.startswith(("configmill.measure.energy", "configmill.child.metering"))}
    assert not {"configmill.protocol.energy", "pynvml", "codecarbon", "threading"} & set(loaded)


def test_nothing_is_left_open(fake: FakePynvml, powercap: Powercap, _cpu: None) -> None:
    """A hundred windows leave no descriptor and no thread."""
    import threading

    meter = EnergyMeter([ONE], nvml=Nvml(fake), powercap=str(powercap.path))
    before = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(100):
        meter.start()
        meter.stop()
    assert (threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))) == before

"""GPUs: the counter's difference, or the integral of power where there is no counter."""

from __future__ import annotations

import pytest

from configmill.measure.energy.devices import DeviceCounter, DevicePower, device_source
from configmill.measure.energy.source import EnergyUnavailableError
from configmill.measure.nvml import Nvml
from tests.energy.conftest import Clock
from tests.gpus.fake_pynvml import GPU_IS_LOST, NOT_SUPPORTED, FakePynvml, Gpu, NVMLError, instance

ONE, TWO = "GPU-1111", "GPU-2222"
NO_COUNTER = {"nvmlDeviceGetTotalEnergyConsumption": NVMLError(NOT_SUPPORTED)}


def test_the_counter_of_the_given_devices(clock: Clock) -> None:
    """Millijoules become joules, by device; a device that was not given doesn't count."""
    fake = FakePynvml(Gpu(ONE), Gpu(TWO), Gpu("GPU-another"))
    source = DeviceCounter([ONE, TWO], Nvml(fake), clock)
    source.begin()
    for gpu, joules in zip(fake.gpus, (500, 250, 9999), strict=True):
        gpu.energy += joules * 1000
    clock.now += 10
    window = source.end()
    assert window.joules == {ONE: 500.0, TWO: 250.0}
    assert (window.seconds, window.samples) == (10.0, 2)
    assert window.uncertainty == pytest.approx(0.05 + 0.2 / 10)
    assert "step of the counter" in window.uncertainty_source


def test_a_counter_that_goes_back(clock: Clock) -> None:
    """A driver that was loaded anew meanwhile is a reason, never a negative figure."""
    fake = FakePynvml(Gpu(ONE))
    source = DeviceCounter([ONE], Nvml(fake), clock)
    source.begin()
    fake.gpus[0].energy = 5
    with pytest.raises(EnergyUnavailableError, match="loaded anew"):
        source.end()


def test_without_a_counter_power_is_integrated(clock: Clock) -> None:
    """Trapezoids over samples: 100 W for 2 s, then up to 300 W within 1 s, is 400 J."""
    fake = FakePynvml(Gpu(ONE, power=100_000))
    fake.faults = dict(NO_COUNTER)
    assert isinstance(device_source([ONE], Nvml(fake)), DevicePower)
    source = DevicePower([ONE], Nvml(fake), clock, every=1000)
    source.begin()
    clock.now += 2
    source.look()
    fake.gpus[0].power = 300_000
    clock.now += 1
    window = source.end()
    assert window.joules[ONE] == pytest.approx(400.0)
    assert (window.seconds, window.samples) == (3.0, 3)
    assert window.uncertainty is not None and window.uncertainty > 0.05


def test_power_is_polled_meanwhile() -> None:
    """A thread samples for as long as the window is open, and ends with it."""
    import threading

    fake = FakePynvml(Gpu(ONE, power=100_000))
    enough = threading.Event()
    source = DevicePower([ONE], Nvml(fake), every=0.001)
    look = source.look

    def counted() -> None:
        look()
        if len(source._watts) > 10:
            enough.set()

    source._polling._action = counted
    before = threading.active_count()
    source.begin()
    assert enough.wait(20)
    window = source.end()
    assert threading.active_count() == before and window.samples > 10
    assert window.joules[ONE] == pytest.approx(100 * window.seconds)


def test_a_device_that_is_lost_while_it_is_polled() -> None:
    """What goes wrong in the thread is told by whoever ends the window, not kept."""
    fake = FakePynvml(Gpu(ONE))
    source = DevicePower([ONE], Nvml(fake), every=0.001)
    source.begin()
    fake.faults["nvmlDeviceGetPowerUsage"] = NVMLError(GPU_IS_LOST)
    with pytest.raises(EnergyUnavailableError, match="power can't be read"):
        source.end()


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        ({"nvmlDeviceGetTotalEnergyConsumption": NVMLError(GPU_IS_LOST)}, "energy can't be read"),
        ({**NO_COUNTER, "nvmlDeviceGetPowerUsage": NVMLError(NOT_SUPPORTED)}, "no energy counter, and no power"),
        ({"nvmlInit": NVMLError(999)}, "energy can't be read"),
    ],
)
def test_devices_that_cannot_be_read(faults: dict[str, Exception | dict[str, Exception]], reason: str) -> None:
    """Each way in which NVML has no answer is a reason in words."""
    fake = FakePynvml(Gpu(ONE))
    fake.faults = faults
    with pytest.raises(EnergyUnavailableError, match=reason):
        device_source([ONE], Nvml(fake))


def test_a_mig_device_has_no_meter() -> None:
    """The meter is the whole GPU's: no part of it is given the whole's energy."""
    fake = FakePynvml(Gpu(ONE, mig=[instance("MIG-1")]))
    with pytest.raises(EnergyUnavailableError, match="MIG-1 is a part of a GPU"):
        device_source(["MIG-1"], Nvml(fake))

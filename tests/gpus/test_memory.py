"""What NVML says of a device's memory before it is used, with NVML faked at its edge and the clock passed in."""

from __future__ import annotations

import pytest

from configmill.gpus.devices import Device, select, virtual_devices
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import Lease, Refusal, try_lease
from configmill.gpus.memory import DRAIN_SECONDS, DeviceMemory
from configmill.gpus.records import Holder, Process, Record
from configmill.measure.nvml import Nvml
from tests.gpus.fake_pynvml import GPU_IS_LOST, MIB, NOT_SUPPORTED, UNKNOWN, FakePynvml, Gpu, NVMLError


class Host:
    """One device, what uses it, and a clock."""

    def __init__(self) -> None:
        self.gpu = Gpu("GPU-aaaa-1111")
        self.fake = FakePynvml(self.gpu)
        self.now = 0.0
        self.memory = DeviceMemory(Nvml(self.fake), 256 * MIB, clock=lambda: self.now)

    @property
    def device(self) -> Device:
        """The device as it is selected."""
        return select("auto", {}, Nvml(self.fake)).devices[0]

    def take(self, leases: LeaseDir, over: Record | None = None) -> Lease | Refusal:
        """Try to lease it."""
        return try_lease(leases, self.device, self.memory, over=over)

    def reason(self, leases: LeaseDir, over: Record | None = None) -> str:
        """Why it can't be leased; "" where it can."""
        taken = self.take(leases, over)
        if isinstance(taken, Refusal):
            return taken.reason
        taken.release()
        return ""


@pytest.fixture
def host() -> Host:
    """A host with one idle device."""
    return Host()


def test_other_peoples_processes_are_respected(host: Host, leases: LeaseDir) -> None:
    """A device on which others use more than the limit is skipped and they are named; up to it, it is used."""
    host.gpu.used = 256 * MIB
    assert host.reason(leases) == ""
    host.gpu.used, host.gpu.compute = 3000 * MIB, [(4711, 3000 * MIB)]
    assert host.reason(leases) == "in use by others: 3000 MiB, pid 4711"
    host.gpu.compute = []  # in a container NVML may list none
    assert host.reason(leases) == "in use by others: 3000 MiB, by processes that NVML doesn't list here"


def test_a_desktop_is_no_stranger(host: Host, leases: LeaseDir) -> None:
    """What only draws on the screen doesn't count as use."""
    host.gpu.used, host.gpu.graphics = 900 * MIB, [(50, 800 * MIB)]
    assert host.reason(leases) == ""


def test_a_device_is_handed_on_when_its_memory_has_drained(host: Host, leases: LeaseDir) -> None:
    """After an experiment the device waits until what it used is free; too long, and it is quarantined and named.

    That holds for the manager which knows that no process is left, and for any other.
    """
    host.gpu.used = 100 * MIB
    lease = host.take(leases)
    assert isinstance(lease, Lease) and lease.record.baseline_bytes == 100 * MIB
    lease.write([Holder("/out", "d1", 1, Process(1, 0))])
    lease.close()
    host.gpu.used = 5100 * MIB
    for over in (None, lease.record):
        assert host.reason(leases, over) == "draining: 5000 MiB of what ran there last are not free yet"
    host.now += DRAIN_SECONDS
    assert host.reason(leases).startswith("quarantined: 5000 MiB more are used than before its last experiment, 10 s")
    host.gpu.used = 110 * MIB
    assert host.reason(leases) == ""


def test_draining_is_timed_anew(host: Host, leases: LeaseDir) -> None:
    """A device that had drained once gets its whole time the next time."""
    for _ in range(2):
        lease = host.take(leases)
        assert isinstance(lease, Lease)
        lease.close()
        host.gpu.used = 200 * MIB
        assert host.reason(leases).startswith("draining")
        host.gpu.used = 0
        host.now += 2 * DRAIN_SECONDS
        assert host.reason(leases) == ""


@pytest.mark.parametrize("value", [NOT_SUPPORTED, UNKNOWN])
@pytest.mark.parametrize("call", ["nvmlDeviceGetMemoryInfo", "nvmlDeviceGetComputeRunningProcesses", "nvmlInit"])
def test_what_nvml_cannot_tell_is_no_reason_against_a_device(
    host: Host, leases: LeaseDir, call: str, value: int
) -> None:
    """A device whose use can't be asked for is used: else such a host would run nothing, ever."""
    device = host.device
    host.fake.faults[call] = NVMLError(value)
    lease = try_lease(leases, device, host.memory)
    assert isinstance(lease, Lease)
    lease.release()


@pytest.mark.parametrize("call", ["nvmlDeviceGetMemoryInfo", "nvmlDeviceGetHandleByUUID"])
def test_a_lost_device_is_not_used(host: Host, leases: LeaseDir, call: str) -> None:
    """A device that has fallen off the bus since it was detected is refused and called lost."""
    device = host.device
    host.fake.faults[call] = NVMLError(GPU_IS_LOST)
    refused = try_lease(leases, device, host.memory)
    assert isinstance(refused, Refusal) and refused.reason.startswith("lost: ")


def test_virtual_devices_have_no_memory(host: Host, leases: LeaseDir) -> None:
    """Of a pretended device NVML is asked nothing."""
    lease = try_lease(leases, virtual_devices(1)[0], host.memory)
    assert isinstance(lease, Lease) and lease.record.baseline_bytes is None
    lease.release()
    assert not host.fake.calls

"""configmill gpus: the devices of the host, who has them, and why the others can't be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from configmill.cli import gpus
from configmill.gpus.devices import Device, virtual_devices
from configmill.gpus.host_lease import try_host
from configmill.gpus.lease_dir import LEASE_DIR, LeaseDir
from configmill.gpus.leases import Lease, try_lease
from configmill.gpus.records import Holder, Process
from configmill.gpus.tickets import Wish, place_ticket
from configmill.measure.nvml import Nvml
from configmill.protocol.attempt import ATTEMPT, CONFIG_DIGEST, DST_DIR
from tests.cli.listing import listing
from tests.conftest import Done, Project
from tests.gpus.fake_pynvml import CALLS, GPU_IS_LOST, MIB, NOT_SUPPORTED, UNKNOWN, FakePynvml, Gpu, NVMLError, instance


@pytest.fixture
def leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LeaseDir:
    """A directory of leases that is this test's."""
    monkeypatch.setenv(LEASE_DIR, str(tmp_path / "leases"))
    return LeaseDir()


def call(project: Project, leases: LeaseDir, *options: str) -> Done:
    """Run `configmill gpus`."""
    argv = [sys.executable, "-m", "configmill", "gpus", *options]
    return project.call(argv, env=project.environment(**{LEASE_DIR: leases.path}))


def virtual(project: Project, leases: LeaseDir, count: int = 3) -> dict[str, Any]:
    """What --json says of so many virtual devices."""
    done = call(project, leases, "--gpus", f"virtual:{count}", "--json")
    assert (done.code, done.err) == (0, ""), done
    return done.summary


def states(view: dict[str, Any]) -> list[str]:
    """The state of each device."""
    return [device["state"] for device in view["devices"]]


def take(leases: LeaseDir, device: Device) -> Lease:
    """Lease a device that is free."""
    lease = try_lease(leases, device)
    assert isinstance(lease, Lease), lease
    return lease


def test_without_a_device(project: Project, leases: LeaseDir) -> None:
    """Where none is visible it says why, and exits with 0; the directory of the leases isn't made."""
    environment = project.environment(**{LEASE_DIR: leases.path, "CUDA_VISIBLE_DEVICES": ""})
    for options in ([], ["--json"]):
        done = project.call([sys.executable, "-m", "configmill", "gpus", *options], env=environment)
        assert (done.code, done.err) == (0, ""), done
    assert done.summary["devices"] == [] and done.summary["reason"]
    assert done.summary["lease_dir"] == {"path": leases.path, "exists": False, "unusable": ""}
    assert done.summary["host"]["state"] == "free"
    done = project.call([sys.executable, "-m", "configmill", "gpus"], env=environment)
    assert done.out.startswith("nothing to hand out: ") and leases.path in done.out
    assert not os.path.exists(leases.path)


def test_who_has_a_device(project: Project, leases: LeaseDir) -> None:
    """Manager, user, since when, and the attempt with its campaign and minder; free again once it is let go."""
    lease = take(leases, virtual_devices(2)[1])
    experiment = project.out / "experiments" / "abc123"
    project.write("out dir/experiments/abc123/status.json", '{"index": 7}')
    lease.write((Holder(str(project.out), "abc123", 2, Process.of(os.getpid())),))
    view = virtual(project, leases)
    assert states(view) == ["free", "leased", "free"]
    told = view["devices"][1]["lease"]
    assert (told["manager"], told["manager_runs"], told["user"]) == (os.getpid(), True, os.getuid())
    assert 0 <= told["seconds"] < 100
    assert told["holders"] == [
        {"dst_dir": str(project.out), "experiment": experiment.name, "index": 7, "attempt": 2, "minder": os.getpid()}
    ]
    out = call(project, leases, "--gpus", "virtual:3").out
    assert "\x1b" not in out
    assert f"by the manager with pid {os.getpid()} (uid {os.getuid()})" in out
    assert f"for result_7 of {str(project.out)!r}, attempt 2, minder {os.getpid()}" in out
    lease.release()
    assert states(virtual(project, leases)) == ["free"] * 3


def test_looking_touches_nothing(project: Project, leases: LeaseDir) -> None:
    """Not a byte or a time stamp of the leases changes."""
    lease = take(leases, virtual_devices(1)[0])
    before = listing(Path(leases.path), times=True)
    call(project, leases, "--gpus", "virtual:3")
    virtual(project, leases)
    assert listing(Path(leases.path), times=True) == before
    lease.release()


def test_what_a_dead_minder_left(project: Project, leases: LeaseDir) -> None:
    """A device whose lock is free while something of its last experiment runs is quarantined, with the pid."""
    lease = take(leases, virtual_devices(1)[0])
    lease.write((Holder(str(project.out), "abc123", 1, Process(2**22 + 1, 1)),))
    lease.close()
    marks = {DST_DIR: str(project.out), CONFIG_DIGEST: "abc123", ATTEMPT: "1"}
    daemon = subprocess.Popen(["sleep", "60"], env={**os.environ, **marks}, start_new_session=True)
    try:
        device = virtual(project, leases)["devices"][0]
        assert device["state"] == "quarantined"
        assert f"pid {daemon.pid}" in device["reason"] and repr(str(project.out)) in device["reason"]
    finally:
        daemon.kill()
        daemon.wait()
    assert states(virtual(project, leases))[0] == "free"


def test_who_waits(project: Project, leases: LeaseDir) -> None:
    """The line of those that have waited too long, oldest first, and the devices that are kept for them."""
    first = place_ticket(leases, Wish(frozenset({"virtual:0", "virtual:2"})))
    second = place_ticket(leases, Wish(exclusive_host=True))
    view = virtual(project, leases)
    assert view["tickets"] == [
        {"pid": os.getpid(), "devices": ["virtual:0", "virtual:2"], "exclusive_host": False},
        {"pid": os.getpid(), "devices": [], "exclusive_host": True},
    ]
    assert states(view) == ["kept", "free", "kept"]
    out = call(project, leases, "--gpus", "virtual:3").out
    assert "virtual:0, virtual:2" in out and "the whole host" in out
    first.withdraw()
    second.withdraw()
    assert virtual(project, leases)["tickets"] == []


def test_the_host(project: Project, leases: LeaseDir) -> None:
    """Whether experiments share it, one has it alone, or nobody has it."""
    assert virtual(project, leases)["host"]["state"] == "free"
    for exclusive, state in ((False, "shared"), (True, "alone")):
        host = try_host(leases, exclusive=exclusive)
        told = virtual(project, leases)["host"]
        assert told["state"] == state
        assert not exclusive or told["lease"]["manager"] == os.getpid()
        host.release()  # type: ignore[union-attr]
    assert virtual(project, leases)["host"]["state"] == "free"


def test_a_directory_that_cannot_be_used(project: Project, leases: LeaseDir) -> None:
    """It is named as the reason, and the devices are shown all the same."""
    Path(leases.path).write_text("")
    done = call(project, leases, "--gpus", "virtual:2")
    assert (done.code, done.err) == (0, ""), done
    assert "can't be used" in done.out and LEASE_DIR in done.out and "virtual:1" in done.out


@pytest.mark.parametrize("text", ["virtual:0", "7", "everything", ""])
def test_wrong_selection(project: Project, leases: LeaseDir, text: str) -> None:
    """A --gpus that can't be met is a usage error, which quotes it."""
    done = call(project, leases, "--gpus", text)
    assert (done.code, done.out) == (2, ""), done
    assert repr(text) in done.err and "Traceback" not in done.err


# -- What NVML would say -----------------------------------------------------------------------------------------------


def nvml_view(fake: FakePynvml, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """What --json says of the devices of a fake NVML."""
    assert gpus.command(["--json", *options], Nvml(fake)) == 0
    view: dict[str, Any] = json.loads(capsys.readouterr().out)
    return view


def nvml_text(fake: FakePynvml, capsys: pytest.CaptureFixture[str]) -> str:
    """What is printed for the eye of the devices of a fake NVML."""
    assert gpus.command([], Nvml(fake)) == 0
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fakes are what there is, whatever the tests are started with."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_memory_and_use(leases: LeaseDir, capsys: pytest.CaptureFixture[str]) -> None:
    """Id, name, memory and utilisation of each; UUIDs are cut only where that tells them apart."""
    fake = FakePynvml(Gpu("GPU-aaaa1111-0000", used=100 * MIB), Gpu("GPU-bbbb1111-0000"), Gpu("GPU-bbbb1111-2222"))
    view = nvml_view(fake, capsys)
    device = view["devices"][0]
    assert (device["id"], device["total_memory"], device["used_memory"], device["utilisation"]) == (
        "GPU-aaaa1111-0000",
        80_000 * MIB,
        100 * MIB,
        37,
    )
    rows = [line.split() for line in nvml_text(fake, capsys).splitlines()[1:4]]
    assert [row[1] for row in rows] == ["GPU-aaaa1111", "GPU-bbbb1111-0000", "GPU-bbbb1111-2222"]
    assert " ".join(rows[0]) == "0 GPU-aaaa1111 NVIDIA H100 0.1 of 83.9 37 % free"
    assert [device["id"] for device in nvml_view(fake, capsys, "--gpus", "1")["devices"]] == ["GPU-bbbb1111-0000"]


def test_a_foreign_process(leases: LeaseDir, capsys: pytest.CaptureFixture[str]) -> None:
    """A stranger's process is named with its memory: above the limit the device can't be had, below it is free."""
    fake = FakePynvml(
        Gpu("GPU-aaaa", used=3000 * MIB, compute=[(4711, 3000 * MIB)]),
        Gpu("GPU-bbbb", used=100 * MIB, compute=[(4712, 100 * MIB)]),
    )
    view = nvml_view(fake, capsys)
    assert states(view) == ["in use by others", "free"]
    text = nvml_text(fake, capsys)
    assert "in use by others: 3000 MiB, pid 4711" in text and "pid 4712 uses 100 MiB" in text


def test_processes_of_a_lease(leases: LeaseDir, capsys: pytest.CaptureFixture[str]) -> None:
    """On a leased device the holder's processes are its own; a stranger's beside them is named."""
    device = Device("GPU-aaaa", 0, "NVIDIA H100", 80_000 * MIB)
    lease = take(leases, device)
    ours = subprocess.Popen(["sleep", "60"])
    lease.write((Holder("/data/out", "abc", 1, Process.of(ours.pid)),))
    compute = [(ours.pid, 1000 * MIB), (os.getpid(), 500 * MIB), (2**22 + 1, 200 * MIB)]
    fake = FakePynvml(Gpu("GPU-aaaa", used=1700 * MIB, compute=list(compute)))
    try:
        told = nvml_view(fake, capsys)["devices"][0]
        assert told["state"] == "leased"
        # The last one isn't of this container, if it is anybody's here: nobody can tell.
        assert [one["of_lease"] for one in told["processes"]] == [True, False, None]
        text = nvml_text(fake, capsys)
        assert f"also used by pid {os.getpid()} (500 MiB)" in text and f"also used by pid {ours.pid}" not in text
    finally:
        ours.kill()
        ours.wait()
        lease.release()


def test_memory_that_stays(leases: LeaseDir, capsys: pytest.CaptureFixture[str]) -> None:
    """A device whose last experiment is gone and its memory isn't, is told as draining, with how much."""
    device = Device("GPU-aaaa", 0, "NVIDIA H100", 80_000 * MIB)
    lease = try_lease(leases, device, gpus.DeviceMemory(Nvml(FakePynvml(Gpu("GPU-aaaa"))), 256 * MIB))
    assert isinstance(lease, Lease)
    lease.write((Holder("/data/out", "abc", 1, Process(2**22 + 1, 1)),))
    lease.close()
    told = nvml_view(FakePynvml(Gpu("GPU-aaaa", used=5000 * MIB)), capsys)["devices"][0]
    assert told["state"] == "draining" and "5000 MiB" in told["reason"]
    assert states(nvml_view(FakePynvml(Gpu("GPU-aaaa")), capsys)) == ["free"]


def test_mig_devices(leases: LeaseDir, capsys: pytest.CaptureFixture[str]) -> None:
    """The parts of a GPU are devices of their own, with the GPU as parent; what NVML doesn't tell is missing."""
    fake = FakePynvml(Gpu("GPU-aaaa", mig=[instance("MIG-1"), instance("MIG-2")]))
    view = nvml_view(fake, capsys)
    assert [(one["id"], one["kind"], one["parent"], one["utilisation"]) for one in view["devices"]] == [
        ("MIG-1", "mig", "GPU-aaaa", None),
        ("MIG-2", "mig", "GPU-aaaa", None),
    ]
    assert "MIG-1" in nvml_text(fake, capsys)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "error", [NVMLError(UNKNOWN), NVMLError(NOT_SUPPORTED), NVMLError(GPU_IS_LOST), OSError("gone")]
)
def test_faults(leases: LeaseDir, capsys: pytest.CaptureFixture[str], call: str, error: Exception) -> None:
    """Whatever NVML refuses, in whichever call: what is known is shown, and what isn't has a reason."""
    fake = FakePynvml(Gpu("GPU-aaaa", compute=[(4711, None)]), Gpu("GPU-bbbb"))
    fake.faults[call] = error
    view = nvml_view(fake, capsys)
    assert view["devices"] or view["reason"]
    assert nvml_text(fake, capsys)


def test_a_lost_device(leases: LeaseDir, capsys: pytest.CaptureFixture[str]) -> None:
    """One device that is lost is named, and the others are shown."""
    fake = FakePynvml(Gpu("GPU-aaaa"), Gpu("GPU-bbbb"))
    fake.faults["nvmlDeviceGetMemoryInfo"] = {"GPU-aaaa": NVMLError(GPU_IS_LOST)}
    view = nvml_view(fake, capsys)
    told = view["reason"] + " ".join(device["state"] + device["reason"] for device in view["devices"])
    assert "GPU-bbbb" in [device["id"] for device in view["devices"]]
    assert "error 15" in told

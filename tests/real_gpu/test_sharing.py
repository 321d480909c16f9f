"""One device, and others that want it: another manager, and a program that knows nothing of Configmill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import wait_until
from tests.real_gpu.conftest import OnDevice
from tests.real_gpu.nvml import SLACK_BYTES, compute_pids

#: Has the device's file while it computes: two at once fail.
EXCLUSIVE = """
    import os, time
    from tests.real_gpu.nvml import used_bytes

    def run(config):
        id = config.meta.gpus[0]
        used = used_bytes(id)
        own = os.path.join(config.notes, id)
        os.close(os.open(own, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        import torch

        block = torch.ones(10**9, dtype=torch.uint8, device="cuda")
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            total = int(block.sum(dtype=torch.int64))
        os.unlink(own)
        return {"used": used, "total": total}
    """
BEGINS = """
    import os

    def run(config):
        open(os.path.join(config.notes, "began"), "w").close()
        return {}
    """
FOREIGNER = """
import sys, torch
block = torch.ones(10**9, dtype=torch.uint8, device="cuda")
torch.cuda.synchronize()
print("has it", flush=True)
sys.stdin.read()
"""


def test_two_managers(on_device: OnDevice) -> None:
    """Experiments of two managers are never on the device at once, each finds it drained, and all succeed."""
    on_device.experiment(EXCLUSIVE)
    places = [on_device.project.root / "first out", on_device.project.root / "second out"]
    managers = [
        on_device.start("--num_threads", "2", dst=dst, number=3, first=10 * place) for place, dst in enumerate(places)
    ]
    for manager in managers:
        said, _ = manager.communicate(timeout=200)
        assert manager.returncode == 0, said
    results = [on_device.project.json(index, "result.json", dst) for dst in places for index in range(3)]
    assert [result["total"] for result in results] == [10**9] * 6
    assert max(result["used"] for result in results) <= on_device.idle_bytes + SLACK_BYTES


@pytest.fixture
def foreigner(on_device: OnDevice) -> Iterator[subprocess.Popen[str]]:
    """A plain Python with 1 GB of the device's memory, until its stdin is closed."""
    shown = {**os.environ, "CUDA_VISIBLE_DEVICES": on_device.device.id}
    argv = [sys.executable, "-c", FOREIGNER]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=shown) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "has it\n"
            yield process
        finally:
            process.kill()


def test_a_foreign_process(on_device: OnDevice, foreigner: subprocess.Popen[str], figures: list[str]) -> None:
    """`configmill gpus` names the process that uses the device, and a campaign waits for its end and no longer.

    Named by the pid that NVML tells, which in a container is the host's, or nothing.
    """
    reason = on_device.view()["reason"]
    assert on_device.view()["state"] == "in use by others"
    pids = compute_pids(on_device.device.id)
    assert all(f"pid {pid}" in reason for pid in pids), reason
    assert pids or "NVML doesn't list here" in reason
    figures.append(f"a foreign process: {reason}; its pid here is {foreigner.pid}")

    on_device.experiment(BEGINS)
    manager = on_device.start()
    explain = ("explain", str(on_device.project.out), "0", "--json")

    def waits() -> bool:
        done = on_device.project.configmill(*explain)
        return done.code == 0 and "in use by others" in json.loads(done.out.splitlines()[-1])["why"]

    wait_until(waits, 60)
    assert not (on_device.notes / "began").exists() and manager.poll() is None
    assert foreigner.stdin is not None
    foreigner.stdin.close()
    foreigner.wait(60)
    said, _ = manager.communicate(timeout=100)
    assert manager.returncode == 0, said
    assert (on_device.notes / "began").exists()

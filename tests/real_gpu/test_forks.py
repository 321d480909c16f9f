"""Forks of a process that has imported torch compute on the device as new processes do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.real_gpu.conftest import OnDevice

EXPERIMENT = """
    import sys

    def run(config):
        was_loaded = "torch" in sys.modules
        import torch

        torch.manual_seed(config.x)
        matrix = torch.randn(512, 512, dtype=torch.float64, device="cuda")
        product = matrix @ matrix.T
        return {"was_loaded": was_loaded, "trace": product.trace().item(), "corner": product[0, :4].tolist()}
    """
NUMBER = 6


def test_cuda_in_forks(on_device: OnDevice) -> None:
    """Six forks of a server with torch, two at a time on one device, compute to the last bit what cold starts do."""
    on_device.experiment(EXPERIMENT)
    warm = computed(on_device, on_device.project.root / "warm", "--start_method", "warm", "--preload", "torch")
    cold = computed(on_device, on_device.project.root / "cold", "--start_method", "cold")
    assert [one.pop("was_loaded") for one in warm] == [True] * NUMBER
    assert [one.pop("was_loaded") for one in cold] == [False] * NUMBER
    assert warm == cold
    assert len({one["trace"] for one in warm}) == NUMBER


def computed(on_device: OnDevice, dst: Path, *start: str) -> list[dict[str, Any]]:
    """The results of all, started in that way."""
    done = on_device.run("--num_threads", "2", *start, dst=dst, number=NUMBER, num_gpus=0.5)
    assert done.code == 0, done
    methods = {on_device.project.json(index, "attempts/1.json", dst)["start_method"] for index in range(NUMBER)}
    assert methods == {start[1]}, done
    return [on_device.project.json(index, "result.json", dst) for index in range(NUMBER)]

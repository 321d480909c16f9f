"""The device's own energy counter, from within an experiment."""

from __future__ import annotations

from tests.real_gpu.conftest import OnDevice

#: Multiplies matrices for 5 s, 50 times as long as the counter's step.
EXPERIMENT = """
    import time
    from tests.real_gpu.nvml import energy_joules, power_limit_watts

    def run(config):
        import torch

        id = config.meta.gpus[0]
        matrix = torch.randn(4096, 4096, device="cuda")
        matrix @ matrix
        torch.cuda.synchronize()
        joules, began = energy_joules(id), time.monotonic()
        while time.monotonic() - began < 5:
            for _ in range(20):
                matrix @ matrix
            torch.cuda.synchronize()
        seconds = time.monotonic() - began
        return {"joules": energy_joules(id) - joules, "seconds": seconds, "watts": power_limit_watts(id)}
    """


def test_energy_of_a_load(on_device: OnDevice, figures: list[str]) -> None:
    """Over a load the counter of the leased device grows by 0.2 to 1.5 of what its power limit allows in that time."""
    on_device.experiment(EXPERIMENT)
    done = on_device.run()
    assert done.code == 0, done
    result = on_device.project.json(0, "result.json")
    mean, limit = result["joules"] / result["seconds"], result["watts"]
    figures.append(f"energy: {result['joules']:.0f} J in {result['seconds']:.1f} s, {mean:.0f} W of {limit:.0f} W")
    assert 0.2 <= mean / limit <= 1.5, result

"""The device's own energy counter, from within an experiment."""

from __future__ import annotations

import pytest

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


#: Both ways of knowing the energy, around the same load.
TWO_METERS = """
    import configmill, time

    def run(config):
        import torch

        meters = [configmill.EnergyMeter(config.meta.gpus, backend) for backend in ("nvml", "codecarbon")]
        matrix = torch.randn(4096, 4096, device="cuda")
        matrix @ matrix
        torch.cuda.synchronize()
        idle = meters[0].measure_idle(2.0)
        for meter in meters:
            meter.start()
        began = time.monotonic()
        while time.monotonic() - began < 5:
            for _ in range(20):
                matrix @ matrix
            torch.cuda.synchronize()
        counter, model = (meter.stop().to_json() for meter in meters)
        return {"counter": counter, "model": model, "idle": idle}
    """


def test_codecarbon_against_the_counter(on_device: OnDevice, figures: list[str]) -> None:
    """Of the same 5 s of load codecarbon's figure of the GPU is within 10 % of the counter's difference.

    Net of idle there is less, and something; the whole attempt, read from outside, used at least as much.
    """
    on_device.experiment(TWO_METERS)
    done = on_device.run("--measure_energy")
    assert done.code == 0, done
    result = on_device.project.json(0, "result.json")
    counter, model = result["counter"], result["model"]
    assert (counter["method"], model["method"]) == ("nvml_counter", "modelled")
    gpu = model["devices"]["gpu"]
    figures.append(
        f"energy: counter {counter['gross_joules']:.0f} J, codecarbon {gpu:.0f} J, idle {result['idle']:.0f} W"
    )
    assert gpu / model["seconds"] == pytest.approx(counter["gross_joules"] / counter["seconds"], rel=0.1), result
    assert 0 < counter["net_joules"] < counter["gross_joules"]
    whole = on_device.project.json(0, "attempts/1.json")["energy"]
    assert whole["method"] == "nvml_counter" and whole["gross_joules"] >= counter["gross_joules"]

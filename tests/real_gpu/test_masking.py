"""What torch sees of the devices that an experiment is given."""

from __future__ import annotations

import pytest

from configmill.gpus.devices import Device
from tests.conftest import Project

EXPERIMENT = """
    def run(config):
        import torch

        seen = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        return {"gpus": list(config.meta.gpus), "uuids": [str(each.uuid) for each in seen]}
    """


@pytest.mark.parametrize("start", (("--start_method", "cold"), ("--start_method", "warm", "--preload", "torch")))
def test_torch_sees_what_was_leased(project: Project, devices: tuple[Device, ...], start: tuple[str, ...]) -> None:
    """torch counts as many devices as are leased, with the UUIDs of config.meta.gpus in that order; without any, none.

    Cold the variable is set before Python starts, warm in a fork of a process that had imported torch without it.
    """
    asks = (0, 1, {"min": 1, "max": len(devices)})
    configs = [{"x": x, "resources": {"num_gpus": num_gpus}} for x, num_gpus in enumerate(asks)]
    project.write("builder.py", f"def build():\n    return {configs!r}\n")
    project.write("experiment.py", EXPERIMENT)
    done = project.run("--gpus", ",".join(device.id for device in devices), "--num_threads", "1", *start)
    assert done.code == 0, done
    for index, number in enumerate((0, 1, len(devices))):
        result, record = project.json(index, "result.json"), project.json(index, "attempts/1.json")
        assert record["start_method"] == start[1]
        assert result["gpus"] == record["gpus"] and len(result["gpus"]) == number
        # torch leaves the prefix out.
        assert [uuid.removeprefix("GPU-") for uuid in result["uuids"]] == [
            id.removeprefix("GPU-") for id in result["gpus"]
        ]

"""Device memory: that it is free again before the next experiment, and what becomes of one that needs too much."""

from __future__ import annotations

from tests.real_gpu.conftest import OnDevice
from tests.real_gpu.nvml import SLACK_BYTES

#: The first is killed with 2 GB in use; the others look before they use the device themselves.
KILLED_THEN_LOOKS = """
    import os, signal
    from tests.real_gpu.nvml import used_bytes

    def run(config):
        id, word = config.meta.gpus[0], os.path.join(config.notes, "held")
        if config.x:
            return {"used": used_bytes(id), "was_held": int(open(word).read())}
        import torch

        block = torch.ones(2 * 10**9, dtype=torch.uint8, device="cuda")
        torch.cuda.synchronize()
        with open(word, "w") as file:
            file.write(str(used_bytes(id)))
        os.kill(os.getpid(), signal.SIGKILL)
    """
#: A batch of 4 needs 1.2 of the device's memory, one of 2 half of that.
NEEDS_MUCH = """
    def run(config):
        import torch

        total = torch.cuda.get_device_properties(0).total_memory
        block = torch.empty(int(0.3 * config.batch_size * total), dtype=torch.uint8, device="cuda")
        return {"batch_size": config.batch_size, "bytes": block.numel()}
    """


def test_memory_has_drained(on_device: OnDevice, figures: list[str]) -> None:
    """An experiment that gets the device after one that was killed with 2 GB in use finds that memory free in NVML."""
    before = on_device.idle_bytes
    on_device.experiment(KILLED_THEN_LOOKS)
    done = on_device.run("--num_threads", "2", number=2)
    assert done.code == 1, done
    assert on_device.project.json(0, "attempts/1.json")["failure_class"] == "killed"
    result = on_device.project.json(1, "result.json")
    assert result["was_held"] >= before + 2 * 10**9
    assert result["used"] <= before + SLACK_BYTES
    figures.append(
        f"memory in use: {before / 1e6:.0f} MB before, {result['was_held'] / 1e6:.0f} MB when the first experiment was "
        f"killed, {result['used'] / 1e6:.0f} MB when the next one began"
    )


def test_out_of_memory_has_its_class(on_device: OnDevice) -> None:
    """What torch raises when the device's memory runs out is a failure of the class oom_gpu."""
    on_device.experiment(NEEDS_MUCH)
    done = on_device.run()
    assert done.code == 1, done
    record = on_device.project.json(0, "attempts/1.json")
    assert record["failure_class"] == "oom_gpu", record
    assert "OutOfMemoryError" in record["error"]


def test_a_smaller_batch_succeeds(on_device: OnDevice) -> None:
    """With on_oom the config with half the batch succeeds on the same device, and its record names the original."""
    on_device.experiment(NEEDS_MUCH)
    done = on_device.run(on_oom={"batch_size": "halve"})
    assert done.code == 0, done
    assert on_device.project.json(0, "result.json")["batch_size"] == 2
    record = on_device.project.json(0, "attempts/1.json")
    assert record["status"] == "succeeded" and record["gpus"] == [on_device.device.id]
    original = on_device.project.out / "experiments" / record["derived_from"] / "attempts" / "1.json"
    assert '"oom_gpu"' in original.read_text()

"""SIGKILL of each of the processes of an experiment that has device memory."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.conftest import wait_until
from tests.real_gpu.conftest import OnDevice

#: Holds 2 GB for ever; once somebody has done that, uses the device a little and returns.
EXPERIMENT = """
    import os, time

    def run(config):
        import torch

        word = os.path.join(config.notes, "held")
        if os.path.exists(word):
            return {"two": int(torch.ones(2, device="cuda").sum())}
        block = torch.ones(2 * 10**9, dtype=torch.uint8, device="cuda")
        torch.cuda.synchronize()
        with open(word + ".new", "w") as file:
            file.write(f"{os.getpid()} {os.getppid()}")
        os.rename(word + ".new", word)
        while True:
            time.sleep(3600)
    """


@pytest.mark.parametrize("victim", ("manager", "minder", "experiment"))
def test_a_kill_with_memory_in_use(on_device: OnDevice, victim: str, figures: list[str]) -> None:
    """Whoever of the three is killed, the 2 GB are free within 10 s, and nobody is left.

    The experiment succeeds at its next attempt: the manager's or, where that was killed, the next command's.
    """
    before = on_device.idle_bytes
    on_device.experiment(EXPERIMENT)
    retries = ("--num_retries", "1", "--retry_backoff", "0.01")
    manager = on_device.start(*retries)
    wait_until((on_device.notes / "held").exists, 90)
    assert on_device.used() >= before + 2 * 10**9
    experiment, minder = map(int, (on_device.notes / "held").read_text().split())
    os.kill({"manager": manager.pid, "minder": minder, "experiment": experiment}[victim], signal.SIGKILL)
    killed = time.monotonic()
    # The next attempt may have begun: its context takes less than half of what the first one held.
    wait_until(lambda: on_device.used() < before + 10**9, 10)
    figures.append(f"{victim} killed with 2 GB in use: free after {time.monotonic() - killed:.2f} s")
    said, _ = manager.communicate(timeout=100)
    if victim == "manager":
        wait_until(lambda: not on_device.project.processes(), 10)
        done = on_device.run(*retries)
        assert done.code == 0, done
    else:
        assert manager.returncode == 0, said
    assert on_device.project.json(0, "result.json") == {"two": 2}
    assert on_device.project.json(0, "attempts/1.json")["status"] != "succeeded"
    assert not on_device.project.processes()
    wait_until(on_device.is_drained, 10)
    assert on_device.view()["state"] == "free"

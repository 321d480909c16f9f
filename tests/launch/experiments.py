"""Experiments of several ranks, and the processes that one of them is made of.

project.write("experiment.py", EXPERIMENT)
project.write("builder.py", BUILDER)            # builder.build("raise", "kill")
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from configmill.processes import children_of
from tests.conftest import Project, wait_until

#: What rank 1 does is the config's `how`; rank 0 waits for it as long as it can, as in a collective. No rank imports
#: torch unless it is to: what is tested here is who ends whom.
EXPERIMENT = """
    import ctypes, json, os, signal, sys, time
    from pathlib import Path

    RANK, WORLD = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))

    class OutOfMemoryError(RuntimeError):
        pass

    OutOfMemoryError.__module__ = "torch"

    def told(config, word):
        Path(config.meta.experiment_dir, f"{word} {RANK}").touch()

    def run(config):
        print(f"rank {RANK} of {WORLD}")
        told(config, "began")
        how = config.how
        if how == "sum":
            return add_up()
        if how == "drift":
            raise AssertionError("a rank with another config ran")
        if how == "variables":
            names = ("MASTER_PORT", "OMP_NUM_THREADS", "FSDP_VERSION", "ACCELERATE_USE_CPU")
            names += ("ACCELERATE_MIXED_PRECISION",)
            return {"world": WORLD, **{name: os.environ.get(name) for name in names}}
        if how == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
        if RANK == 0 and how != "rank 0 fails too":
            return wait(config)
        if how == "raise":
            print("about to raise")
            raise ValueError("bad luck")
        if how == "memory":
            if config.batch_size > 2:
                raise OutOfMemoryError("CUDA out of memory. Tried to allocate")
            return None
        if how == "rank 0 fails too":
            if RANK == 0:
                raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:17814")
            time.sleep(0.3)
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate")
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "leave":
            os._exit(0)
        return wait(config)

    def wait(config):
        if config.how == "memory" and config.batch_size <= 2:
            return {"largest": config.batch_size}
        if RANK == 1 and os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                told(config, "daemon")
                time.sleep(1000)
            os._exit(0)
        try:
            told(config, "waits")
            time.sleep(1000)
        finally:
            time.sleep(0.3 * RANK)
            told(config, "torn down")

    def add_up():
        import torch
        from accelerate import Accelerator

        accelerator = Accelerator(cpu=True)
        assert accelerator.num_processes == WORLD
        total = accelerator.reduce(torch.tensor([RANK + 1.0]))
        sys.stderr.write("two\\nlines\\n")
        return {"sum": total.item(), "rank": RANK}
    """
BUILDER = """
    import os

    def build(*hows, n=2, **resources):
        return [one(how, n, resources) for how in hows]

    def one(how, n, resources):
        config = {"how": how, "num_processes": n, "resources": {"launcher": "accelerate", **resources}}
        if how == "drift":
            config["seen"] = os.environ.get("RANK", "none")
        if how in ("memory", "rank 0 fails too"):
            config["batch_size"] = 8
        if how == "memory":
            config["resources"]["on_oom"] = {"batch_size": "halve"}
        return config
    """


def write_experiment(project: Project) -> Project:
    """The project with experiment and builder."""
    project.write("experiment.py", EXPERIMENT)
    project.write("builder.py", BUILDER)
    return project


def record(project: Project, index: int, attempt: int = 1) -> dict[str, Any]:
    """The record of an attempt."""
    found: dict[str, Any] = project.json(index, f"attempts/{attempt}.json")
    return found


def ranks_dir(project: Project, index: int, attempt: int = 1) -> Path:
    """What the ranks of an attempt left."""
    return project.result_dir(index) / "attempts" / f"{attempt}.ranks"


class Processes:
    """The pids of the one attempt that runs, when both of its ranks wait."""

    def __init__(self, project: Project, manager: int) -> None:
        folder = project.out / "result_0"
        waiting = ("waits 0", "waits 1", "daemon 1")
        wait_until(lambda: all((folder / name).exists() for name in waiting), seconds=60)
        self.manager = manager
        self.experiment: int = json.loads((folder / "status.json").read_text())["pid"]
        self.minder = int(Path(f"/proc/{self.experiment}/stat").read_text().rpartition(")")[2].split()[1])
        (self.launcher,) = children_of(self.experiment)
        #: By rank.
        self.ranks = [int((ranks_dir(project, 0) / f"{rank}.pid").read_text()) for rank in (0, 1)]
        for name in waiting:
            os.unlink(folder / name)

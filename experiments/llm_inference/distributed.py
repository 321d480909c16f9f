"""The processes of one experiment, its ranks: how they find one another, agree, and part.

    accelerator = setup_distributed(settings, attempt=1)
    ranks = Ranks(accelerator)
    ranks.gather({"tokens": 12})        # every rank's, in the order of the ranks, on every rank

A process that nobody launched with others is one rank, and everything here works for it.
"""

import logging
import os
import secrets
import threading
import time
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list

from experiments.llm_inference.loading import UnsupportedError
from experiments.llm_inference.settings import Settings

log = logging.getLogger(__name__)

#: Seconds that ranks wait for one another in the first attempt; twice as many in each further one, up to the most.
_TIMEOUT, _MAX_TIMEOUT = 600, 3600
#: Seconds that a rank waits for the others before it leaves, and for its own process group to end.
_FAREWELL, _DESTRUCTION = 30.0, 10.0


def timeout_of(attempt: int) -> timedelta:
    """Return how long ranks wait for one another in an attempt, counted from 1: 10, 20, 40, then 60 minutes."""
    return timedelta(seconds=min(_MAX_TIMEOUT, _TIMEOUT * 2 ** (attempt - 1)))


def setup_distributed(settings: Settings, attempt: int = 1) -> Accelerator:
    """Return this process's accelerator, on its device, with the process group in which all ranks are.

    Raises UnsupportedError where this process is not one of the `num_processes` that the config asks for, or has no
    device.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size != settings.num_processes:
        raise UnsupportedError(
            f"num_processes is {settings.num_processes}, and this is one of {world_size} processes. Start it with "
            "resources {'launcher': 'accelerate'}, which starts as many, or by accelerate launch."
        )
    cuda = torch.cuda.is_available()
    per_host = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
    if cuda and per_host > torch.cuda.device_count():
        raise UnsupportedError(
            f"num_processes is {settings.num_processes}, with {per_host} of them here, and there are "
            f"{torch.cuda.device_count()} devices. Lower num_processes, or give it more devices."
        )
    together = InitProcessGroupKwargs(timeout=timeout_of(attempt))
    accelerator = Accelerator(cpu=not cuda, kwargs_handlers=[together] if world_size > 1 else None)
    if accelerator.num_processes != world_size:
        raise UnsupportedError(
            f"This is one of {world_size} processes, and accelerate found {accelerator.num_processes}. Launch them "
            "with every flag given, and on the CPU with ACCELERATE_USE_CPU=true."
        )
    return accelerator


def generate_unique_id(accelerator: Accelerator) -> str:
    """Return an id that no other run has, the same on every rank: the time (UTC) and 8 hexadecimal digits."""
    mine = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
    if accelerator.num_processes == 1:
        return mine
    [shared] = broadcast_object_list([mine])
    return str(shared)


class Ranks:
    """What the ranks of an experiment say to one another, beside what the model's own work needs.

    They talk over gloo whatever the device: that has barriers with a deadline, and leaves the device alone.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.rank: int = accelerator.process_index
        self.world_size: int = accelerator.num_processes
        self.device: torch.device = accelerator.device
        #: Of all ranks of one host, the one that reads its meters.
        self.is_first_of_host: bool = accelerator.is_local_main_process
        self._group = dist.new_group(backend="gloo") if self.world_size > 1 else None

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that writes."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """Return what every rank gave, in the order of the ranks."""
        if self._group is None:
            return [value]
        gathered: list[Any] = [None] * self.world_size
        dist.all_gather_object(gathered, value, group=self._group)
        return gathered

    def any(self, flag: bool) -> bool:
        """Return whether it is true on any rank."""
        return self.most(int(flag)) > 0

    def most(self, number: int) -> int:
        """Return the largest of the ranks' numbers."""
        if self._group is None:
            return number
        value = torch.tensor([number], dtype=torch.int64)
        dist.all_reduce(value, op=dist.ReduceOp.MAX, group=self._group)
        return int(value.item())

    def meet(self) -> None:
        """Wait for all ranks, each with its device idle: what comes next begins at the same time on all."""
        synchronize(self.device)
        if self._group is not None:
            dist.barrier(group=self._group)

    def farewell(self) -> None:
        """Wait for all ranks before leaving, half a minute at most; of a dead one the connection tells at once."""
        if self._group is None:
            return
        try:
            dist.monitored_barrier(group=self._group, timeout=timedelta(seconds=_FAREWELL))
        except RuntimeError as error:
            log.warning("leaving without the other ranks, one of which is gone: %s", str(error).splitlines()[0])


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done all that it was given; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def teardown(ranks: Ranks | None, *, failed: bool) -> None:
    """End the process group and forget the accelerator, so that another one can be made in this process.

    After a failure of this rank nobody is waited for: the others may never come.
    """
    if ranks is not None and not failed:
        ranks.farewell()
    if dist.is_initialized():
        _destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def _destroy_process_group() -> None:
    """End it in a thread, and go on without it where that hangs: with a dead rank a library may wait for ever."""
    ending = threading.Thread(target=dist.destroy_process_group, name="end of the process group", daemon=True)
    ending.start()
    ending.join(_DESTRUCTION)
    if ending.is_alive():
        log.warning("the process group did not end within %g s; this process leaves it behind", _DESTRUCTION)

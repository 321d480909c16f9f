"""`GPUResourcePool`: devices for whoever asks, in turn; from asyncio and from threads.

    pool = GPUResourcePool(max_parallel=4)
    ids = await pool.acquire(2)           # asyncio; the ids are UUIDs, for CUDA_VISIBLE_DEVICES
    await pool.release(ids)

    with pool.lease(1) as ids:            # threads
        ...

All or none, and strictly first come first served: a narrow request does not overtake a wide one, which could else wait
for ever. Among free devices the one that has worked least comes first. Everything is freed with this process at the
latest; other managers on the host respect it meanwhile. The manager of a campaign has an order of its own and uses
`DevicePool` beneath.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from configmill.errors import UsageError
from configmill.gpus.device_pool import DevicePool
from configmill.gpus.devices import Device, Selection, select
from configmill.gpus.grants import Grant
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.memory import DEFAULT_BUSY_MEMORY_MB, DeviceMemory
from configmill.gpus.tickets import TICKET_SECONDS, Ticket
from configmill.measure.nvml import Nvml


class _Waiter:
    """A request in the queue; its future's result is a Grant."""

    def __init__(self, demand: float, now: float) -> None:
        self.demand = demand
        self.since = now
        self.granted: Future[Grant] = Future()
        # Nobody can cancel it from here on: what is granted meanwhile is given back by `_abandon`, and never lost.
        self.granted.set_running_or_notify_cancel()


class GPUResourcePool:
    """A queue before a `DevicePool`. `devices`: as `--gpus` has them (None: `auto`), their ids, or `Device`s.

    `max_parallel` bounds how many requests hold devices at a time. Asking for more devices than there are is a
    UsageError at once.
    """

    def __init__(
        self,
        max_parallel: int | None = None,
        devices: Sequence[Device | str | int] | str | None = None,
        lease_dir: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_parallel is not None and max_parallel < 1:
            raise UsageError(
                f"max_parallel is {max_parallel!r}. Give at least 1, or None for as many as there are devices."
            )
        nvml = Nvml()
        selection = _selection(devices, nvml)
        #: Why there is no device, or one is missing.
        self.reason = selection.reason
        self._max_parallel = max_parallel
        self._clock = clock
        self._guard = threading.RLock()
        self._waiters: deque[_Waiter] = deque()
        self._grants: list[Grant] = []
        self._ticket: Ticket | None = None
        self.core = DevicePool(
            selection.devices,
            LeaseDir(lease_dir),
            DeviceMemory(nvml, DEFAULT_BUSY_MEMORY_MB << 20),
            on_change=self._serve,
            clock=clock,
        )

    async def acquire(self, required_gpus: float = 1) -> list[str]:
        """The ids of as many devices, once they can all be had; a share of one for a number below 1.

        A task that is cancelled while it waits leaves nothing behind. Raises UsageError for more than there are.
        """
        waiter = self._ask(required_gpus)
        try:
            grant = await asyncio.wrap_future(waiter.granted)
        except BaseException:
            self._abandon(waiter)
            raise
        return grant.ids

    async def release(self, gpu_ids: Sequence[str]) -> None:
        """Give back what one `acquire` gave. Raises UsageError for anything else."""
        self.give_back(gpu_ids)

    @contextmanager
    def lease(self, required_gpus: float = 1, timeout: float | None = None) -> Iterator[list[str]]:
        """The ids of as many devices for as long as the block lasts. Raises TimeoutError after `timeout` seconds."""
        waiter = self._ask(required_gpus)
        try:
            grant = waiter.granted.result(timeout)
            yield grant.ids
        finally:
            self._abandon(waiter)

    def give_back(self, gpu_ids: Sequence[str]) -> None:
        """As `release`, for threads."""
        if not gpu_ids:
            return
        with self._guard:
            grant = next((grant for grant in self._grants if sorted(grant.ids) == sorted(gpu_ids)), None)
            if grant is None:
                raise UsageError(f"{list(gpu_ids)} were not acquired together. Release what one acquire gave, once.")
            self._grants.remove(grant)
        self.core.give_back(grant)

    def refresh(self, devices: Sequence[Device]) -> None:
        """Have exactly `devices` from now on; see `DevicePool.refresh`."""
        self.core.refresh(devices)

    def close(self) -> None:
        """Give everything back; who still waits is told that the pool is closed."""
        with self._guard:
            waiters, self._waiters = self._waiters, deque()
            grants, self._grants = self._grants, []
            self._drop_ticket()
        for grant in grants:
            self.core.give_back(grant)
        for waiter in waiters:
            waiter.granted.set_exception(UsageError("The pool was closed. Make a new one."))
        self.core.close()

    def __enter__(self) -> GPUResourcePool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, demand: float) -> _Waiter:
        try:
            self.core.check(demand)
        except UsageError as error:
            raise UsageError(f"{error} ({self.reason})" if self.reason else str(error)) from None
        waiter = _Waiter(demand, self._clock())
        with self._guard:
            self._waiters.append(waiter)
        self._serve()
        return waiter

    def _serve(self) -> None:
        """Give the first in line what it wants, and the next, for as long as it can be had."""
        with self._guard:
            while self._waiters and self._may_start(self._waiters[0]):
                waiter = self._waiters[0]
                try:
                    grant = self.core.try_take(waiter.demand, self._ticket)
                except Exception as error:  # a device that is gone for good, the directory of the leases unusable
                    self._waiters.popleft()
                    self._drop_ticket()
                    waiter.granted.set_exception(error)
                    continue
                if grant is None:
                    self._join_the_line(waiter)
                    return
                self._waiters.popleft()
                self._drop_ticket()
                if grant.devices:
                    self._grants.append(grant)
                waiter.granted.set_result(grant)

    def _may_start(self, waiter: _Waiter) -> bool:
        return waiter.demand == 0 or self._max_parallel is None or len(self._grants) < self._max_parallel

    def _join_the_line(self, waiter: _Waiter) -> None:
        if self._ticket is None and self._clock() - waiter.since >= TICKET_SECONDS:
            self._ticket = self.core.place_ticket(waiter.demand)

    def _drop_ticket(self) -> None:
        if self._ticket is not None:
            self._ticket.withdraw()
            self._ticket = None

    def _abandon(self, waiter: _Waiter) -> None:
        """The request is over, whether it was granted or not: give back what it has, or take it out of the line."""
        with self._guard:
            if waiter in self._waiters:
                if waiter is self._waiters[0]:
                    self._drop_ticket()
                self._waiters.remove(waiter)
            done = waiter.granted.done() and waiter.granted.exception() is None
            grant = waiter.granted.result() if done else None
            held = grant is not None and grant in self._grants
            if held and grant is not None:
                self._grants.remove(grant)
        if held and grant is not None:
            self.core.give_back(grant)
        else:
            self._serve()  # the one behind it may be the first now


def _selection(devices: Sequence[Device | str | int] | str | None, nvml: Nvml) -> Selection:
    if devices is None or isinstance(devices, str):
        return select(devices or "auto", os.environ, nvml)
    known = tuple(device for device in devices if isinstance(device, Device))
    if len(known) == len(devices):
        return Selection(known)
    return select(",".join(str(device) for device in devices), os.environ, nvml)

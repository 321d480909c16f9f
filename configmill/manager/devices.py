"""What experiments of one command are given to run on: devices, a share of the host, and what CUDA shows them.

    devices = Devices(request)
    devices.open(plan.resources, on_change)       # looks for devices only where an experiment asks for some
    allotment = devices.take(job.occupies)        # None: somebody else has it now; `devices.why` says who
    devices.give_back(allotment, swept=True)

Who goes next is the queue's to say. Locks are held by the minders, so that they outlive this process.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from configmill.errors import UsageError
from configmill.gpus.device_pool import DevicePool
from configmill.gpus.devices import Device, Selection, check_spelling, cuda_visible_devices, select
from configmill.gpus.grants import Grant
from configmill.gpus.host_lease import SharedHost, try_host
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import Lease, Refusal
from configmill.gpus.memory import DEFAULT_BUSY_MEMORY_MB, DeviceMemory
from configmill.gpus.tickets import TICKET_SECONDS, Ticket, Wish, blocking_tickets, place_ticket
from configmill.measure.host import available_memory_bytes, usable_cpus
from configmill.measure.nvml import Nvml
from configmill.protocol.request import RunRequest
from configmill.protocol.resources import ResourceRequest
from configmill.schedule.demand import Capacity, Demand

#: How often to look again for what another manager has of the host.
LOOK_AGAIN_SECONDS = 0.25
_DRIVER = "/dev/nvidiactl"


@dataclass(frozen=True)
class Allotment:
    """What one attempt runs on; `grant` None: no device. `host` None: the host's lease can't be had at all."""

    grant: Grant | None
    host: Lease | SharedHost | None

    @property
    def gpus(self) -> tuple[str, ...]:
        """The ids of the devices."""
        return () if self.grant is None else tuple(self.grant.ids)

    @property
    def has_host_alone(self) -> bool:
        """Whether nothing else of any manager runs on the host meanwhile."""
        return isinstance(self.host, Lease)

    @property
    def shares_device(self) -> bool:
        """Whether others may use its device at the same time."""
        return self.grant is not None and self.grant.share < 1

    @property
    def descriptors(self) -> list[int]:
        """What the minder must inherit: the locks."""
        grant = [] if self.grant is None else self.grant.descriptors
        return grant if self.host is None else [*grant, self.host.descriptor]


class Devices:
    """Not thread-safe but for `close`: the manager's lock guards it."""

    def __init__(self, request: RunRequest) -> None:
        self._request = request
        self._leases = LeaseDir()
        self._nvml = Nvml()
        self._pool: DevicePool | None = None
        self._shared_host: SharedHost | None = None
        self._num_allotted = 0
        self._memory = 0.0
        self._host_problem: str | None = None
        self._ticket: Ticket | None = None
        #: Whose ticket it is: an experiment's index; None for one that wants the host alone.
        self._ticket_of: int | None = None
        self._waits_since: dict[int, float] = {}
        #: Why the last take failed.
        self.why = ""

    @cached_property
    def selection(self) -> Selection:
        """What `--gpus` stands for here. Raises UsageError."""
        return select(self._request.gpus, os.environ, self._nvml)

    def find(self) -> tuple[Sequence[Device], str]:
        """All that may ever be handed out, and why there is none, or one is missing. Raises UsageError."""
        return self.selection.devices, self.selection.reason

    def require(self, requests: Iterable[ResourceRequest]) -> None:
        """Raise UsageError where `requests` need a lease, and the directory of the leases can't be used.

        Also for a `--gpus` that means nothing, whether anybody asks for a device or not.
        """
        needs_gpu = self._request.hands_out_gpus and any(asked.num_gpus.least for asked in requests)
        check_spelling(self._request.gpus)
        if needs_gpu or any(asked.exclusive_host for asked in requests):
            os.close(self._leases.open(self._leases.file("host.lock")))

    def open(self, requests: Iterable[ResourceRequest], on_change: Callable[[], None]) -> None:
        """Have the devices ready where any of `requests` asks for some; `on_change`: a take that failed may succeed."""
        if self._request.hands_out_gpus and any(asked.num_gpus.least for asked in requests):
            busy = self._request.gpu_busy_memory_mb
            busy_bytes = round((DEFAULT_BUSY_MEMORY_MB if busy is None else busy) * (1 << 20))
            memory = DeviceMemory(self._nvml, busy_bytes)
            self._pool = DevicePool(self.selection.devices, self._leases, memory, on_change=on_change)

    @property
    def nvml(self) -> Nvml:
        """Where devices are asked how they are used."""
        return self._nvml

    @property
    def pool(self) -> DevicePool | None:
        """The devices that are handed out; None where nobody asks for any."""
        return self._pool

    def capacity(self, largest: int = 0) -> Capacity:
        """What this command's experiments may use together; `largest`: the most bytes that one of them wants.

        Of the host's memory that is what others leave when it begins; the largest can be had in any case, alone.
        """
        num_devices = 0 if self._pool is None else self._pool.most()
        self._memory = self._memory or max(available_memory_bytes() or math.inf, largest)
        ids = None if self._pool is None else self._pool.usable()
        return Capacity(num_devices, self._memory, usable_cpus() or math.inf, ids)

    def demand(self, asked: ResourceRequest) -> Demand:
        """What an experiment will occupy: of a range as many devices as are free now."""
        among = self._among(asked)
        num_gpus = 0.0 if self._pool is None else asked.num_gpus.fixed(self._pool.free_count(among))
        return Demand(num_gpus, asked.memory_bytes or 0, asked.num_cpus or 0.0, asked.exclusive_host, among)

    def _among(self, asked: ResourceRequest) -> frozenset[str] | None:
        """The devices that will do for it; None where all of them will."""
        if self._pool is None or not asked.num_gpus.least:
            return None
        # A process can use no more than one MIG device.
        devices = [device for device in self._pool.devices() if asked.num_gpus.most == 1 or device.kind != "mig"]
        admitted = frozenset(device.id for device in devices if asked.admits(device))
        return None if len(admitted) == len(devices) else admitted

    def can_lease(self, demand: Demand) -> bool:
        """Whether what `demand` doesn't refuse of the devices could be had now, as far as is known."""
        return self._pool is None or demand.among is None or self._pool.can_take(demand.num_gpus, demand.among)

    def free_count(self) -> int | None:
        """How many whole devices can be had now; None where there are none to hand out."""
        return None if self._pool is None else self._pool.free_count()

    def waits_for_others(self) -> bool:
        """Whether to look again now and then: what another manager gives back is not told."""
        return self._pool is not None and self._pool.waits_for_others()

    def drop_lost(self) -> list[str]:
        """Give up devices that are gone until the host is reset; returns their ids."""
        if self._pool is None:
            return []
        lost = [id for id, reason in self._pool.reasons().items() if reason.startswith("lost")]
        for id in lost:
            self._pool.cut_out(id, "it is lost, as NVML says")
        return lost

    def take(self, demand: Demand) -> Allotment | None:
        """What `demand` says, all or none. Raises UsageError where the directory of the leases can't be used."""
        host = self._take_host(exclusive=demand.exclusive_host)
        if isinstance(host, Refusal):
            self.why = host.reason
            return None
        if not demand.num_gpus or self._pool is None:
            self._num_allotted += 1
            return Allotment(None, host)
        # Fewer than were there may be left.
        among, left = demand.among, self._pool.most()
        most = left if among is None else min(left, len(among & self._pool.usable()))
        grant = self._pool.try_take(demand.num_gpus, self._ticket, among) if demand.devices <= most else None
        if grant is None:
            self.why = "; ".join(f"{id} is {reason}" for id, reason in self._pool.reasons().items())
            self._let_go_of(host)
            return None
        self._num_allotted += 1
        return Allotment(grant, host)

    def give_back(self, allotment: Allotment, *, swept: bool) -> None:
        """The attempt is over, or never started; `swept`: none of its processes is left."""
        self._num_allotted -= 1
        self._let_go_of(allotment.host)
        if allotment.grant is not None and self._pool is not None:
            self._pool.give_back(allotment.grant, swept=swept)

    def shown_by_cuda(self, allotment: Allotment) -> str | None:
        """CUDA_VISIBLE_DEVICES for the attempt; None leaves the environment as it is."""
        if self._request.gpus == "inherit":
            return None
        return "" if allotment.grant is None else cuda_visible_devices(allotment.grant.devices)

    def note_wait(self, index: int, demand: Demand, now: float) -> bool:
        """The experiment is to start and can't: after a while other managers leave it what it needs.

        Returns whether that is new.
        """
        is_new = index not in self._waits_since
        since = self._waits_since.setdefault(index, now)
        if self._ticket is None and self._pool is not None and now - since >= TICKET_SECONDS and demand.num_gpus:
            self._ticket = self._pool.place_ticket(demand.num_gpus, demand.among)
            self._ticket_of = index
        return is_new

    def note_start(self, index: int) -> None:
        """The experiment starts: its ticket, if it had one, is served."""
        self._waits_since.pop(index, None)
        if self._ticket_of == index:
            self._withdraw_ticket()

    def notes(self, num_without: int) -> list[str]:
        """What the user should know: that devices are hidden, or that some can't be used."""
        if self._pool is not None and self.selection.reason:
            return [self.selection.reason]
        if num_without and self._request.hands_out_gpus and os.path.exists(_DRIVER):
            return [
                f"{num_without} of the experiments ask for no GPU and see none: --num_gpus or resources.num_gpus asks, "
                "--gpus inherit leaves the environment as it is"
            ]
        return []

    @property
    def lost_leases(self) -> str | None:
        """The directory of the leases, where somebody has removed it under this command."""
        return self._leases.path if self._leases.was_replaced else None

    def close(self) -> None:
        """Let go of everything that no minder holds."""
        self._withdraw_ticket()
        self._drop_shared_host()
        if self._pool is not None:
            self._pool.close()
        else:
            self._leases.close()

    def _take_host(self, *, exclusive: bool) -> Lease | SharedHost | Refusal | None:
        """This process's share of the host, which all its minders inherit; or the host alone."""
        if self._host_problem is not None and not exclusive:
            return None
        if self._shared_host is not None and not exclusive and not self._is_waited_for():
            return self._shared_host
        if self._num_allotted == 0:  # what waits for the host to be free waits for this copy too
            self._drop_shared_host()
        if exclusive and self._ticket is None:
            self._ticket = place_ticket(self._leases, Wish(exclusive_host=True))
        try:
            host = try_host(self._leases, exclusive=exclusive, mine=self._ticket)
        except UsageError as error:
            if exclusive or self._pool is not None:
                raise
            self._host_problem = str(error)  # nothing that was asked for depends on it
            return None
        if isinstance(host, SharedHost):
            self._drop_shared_host()
            self._shared_host = host
        elif isinstance(host, Lease):
            self._withdraw_ticket()
        return host

    def _is_waited_for(self) -> bool:
        """Whether a measurer waits for the host to be free: then nothing new starts."""
        return any(ticket.wish.exclusive_host for ticket in blocking_tickets(self._leases, self._ticket))

    def _drop_shared_host(self) -> None:
        if self._shared_host is not None:
            self._shared_host.close()
            self._shared_host = None

    def _let_go_of(self, host: Lease | SharedHost | None) -> None:
        if isinstance(host, Lease):
            host.release()

    def _withdraw_ticket(self) -> None:
        if self._ticket is not None:
            self._ticket.withdraw()
            self._ticket = self._ticket_of = None

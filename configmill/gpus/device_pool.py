"""The devices of one manager: what is free, what is handed out, and why the rest can't be had.

    pool = DevicePool(devices, LeaseDir(), DeviceMemory(Nvml(), busy_bytes), on_change=queue.wake)
    grant = pool.try_take(2)              # all or none, the least used first; None: pool.reasons() says why
    grant = pool.try_take(0.5)            # shares one device with other fractions of this manager
    pool.give_back(grant)

There is no queue in it: who goes next is decided by whoever calls. `on_change` is called, from any thread, when a take
that failed may succeed: at once where this manager gave something back, every `POLL_SECONDS` where somebody else has
what was wanted, since the kernel doesn't tell when a lock is free.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from configmill.errors import UsageError
from configmill.gpus.device_state import DeviceState
from configmill.gpus.devices import Device
from configmill.gpus.grants import Grant, Holding
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import Lease, Refusal, try_lease
from configmill.gpus.memory import DeviceMemory
from configmill.gpus.tickets import Ticket, Wish, blocking_tickets, place_ticket

#: How often to look again for a device that another manager, or a stranger, has.
POLL_SECONDS = 0.25
#: How refusals begin that no experiment's end will lift; a ticket asks for other devices while there are some.
_HOPELESS = ("quarantined", "lost", "in use")
#: Ten tenths are one: shares are sums of floats.
_ROUNDING = 1e-9
#: For a minder of ours that has just ended: its descriptors are closed one after another.
_PATIENCE_SECONDS = 0.02


class DevicePool:
    """Thread-safe. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        devices: Iterable[Device],
        leases: LeaseDir,
        memory: DeviceMemory | None = None,
        *,
        on_change: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.leases = leases
        self._memory = memory
        self._on_change = on_change
        self._clock = clock
        self._changed = threading.Condition(threading.RLock())
        self._states = {device.id: DeviceState(device, clock()) for device in devices}
        self._cut_out: dict[str, str] = {}
        #: A take has failed for a reason that lies outside of this process.
        self._must_poll = False
        self._poller: threading.Thread | None = None
        self._closed = False

    # -- Asking --------------------------------------------------------------------------------------------------------

    def devices(self) -> tuple[Device, ...]:
        """All devices, those that are leaving left out."""
        with self._changed:
            return tuple(state.device for state in self._states.values() if not state.leaving)

    def most(self) -> int:
        """The widest request that could ever be met: devices, or a single one where all are MIG devices.

        A process can use no more than one MIG device (CUDA's rule).
        """
        with self._changed:
            usable = [state for state in self._states.values() if state.usable]
            whole = sum(state.device.kind != "mig" for state in usable)
            return max(whole, min(1, len(usable)))

    def usable(self) -> frozenset[str]:
        """The ids of those that may be handed out again at some time."""
        with self._changed:
            return frozenset(id for id, state in self._states.items() if state.usable)

    def can_take(self, demand: float, among: frozenset[str]) -> bool:
        """Whether `demand` devices of those, or such a share of one, could be had now, as far as is known."""
        free = [share for id, share in self.free().items() if id in among]
        whole = sum(share == 1.0 for share in free)
        return any(share + _ROUNDING >= demand for share in free) if demand < 1 else whole >= demand

    def check(self, demand: float, among: frozenset[str] | None = None) -> None:
        """Raise UsageError unless `demand` (a whole number, or a share of one device) could ever be met.

        `among` are the ids of the only devices that will do; None: any.
        """
        whole = isinstance(demand, (int, float)) and math.isfinite(demand) and (demand <= 1 or demand == int(demand))
        if not whole or demand < 0:
            raise UsageError(f"{demand!r} is no number of devices. Ask for a whole number, or for a share of one.")
        most = self.most() if among is None else min(self.most(), len(among & self.usable()))
        if math.ceil(demand) > most:
            raise UsageError(
                f"{demand:g} devices are asked for, and there are {most}. Ask for fewer, or give more (--gpus)."
            )

    def free(self) -> dict[str, float]:
        """By id, the share of each device that a take could get now, as far as is known.

        What others were seen to have is left out until it is time to look again.
        """
        with self._changed:
            now = self._clock()
            return {id: share for id, state in self._states.items() if (share := state.free_share(now)) > 0}

    def free_count(self, among: frozenset[str] | None = None) -> int:
        """How many whole devices (of those in `among`) a take could get now, as far as is known."""
        return sum(share == 1.0 and (among is None or id in among) for id, share in self.free().items())

    def reasons(self) -> dict[str, str]:
        """By id, why a device isn't free; those that are free are left out."""
        with self._changed:
            now = self._clock()
            return {id: reason for id, state in self._states.items() if (reason := state.why_not_free(now))}

    def waits_for_others(self) -> bool:
        """Whether a device that is not handed out here was seen to be somebody else's: its being freed isn't told."""
        with self._changed:
            return any(state.usable and not state.used and state.refusal is not None for state in self._states.values())

    def busy_seconds(self) -> dict[str, float]:
        """By id, for how long each device has been handed out."""
        with self._changed:
            return {id: state.busy_seconds(self._clock()) for id, state in self._states.items()}

    def idle_seconds(self) -> dict[str, float]:
        """By id, for how long each device was there and not handed out."""
        with self._changed:
            now = self._clock()
            return {id: state.idle_seconds(now) for id, state in self._states.items()}

    # -- Taking and giving back ----------------------------------------------------------------------------------------

    def try_take(
        self, demand: float, ticket: Ticket | None = None, among: frozenset[str] | None = None
    ) -> Grant | None:
        """Take `demand` devices at once, or a share of one; None where they can't all be had now.

        `among` are the ids of the only devices that will do; None: any.

        What a ticket waits for is left alone, unless the take is for `ticket` and that is the older one. Raises
        UsageError for what could never be had, and where the directory of the leases can't be used.
        """
        with self._changed:
            self.check(demand, among)
            reserved = self._reserved(ticket)
            among = frozenset(self._states) if among is None else among
            share = demand < 1
            grant = self._share(demand, reserved, among) if share else self._lease(int(demand), 1.0, reserved, among)
            if grant is None and not self._closed:
                self._poll_if_it_helps(demand, among)
                if ticket is not None and ticket.wish.devices:
                    wanted = self._wanted(demand, ticket.wish.devices, among)
                    ticket.change(Wish(wanted, ticket.wish.exclusive_host))
            return grant

    def give_back(self, grant: Grant, *, swept: bool = False) -> None:
        """The grant's experiment is over, or was never started.

        `swept`: it is known that none of its processes is left, so that the next take need not look for them.
        """
        with self._changed:
            for device, holding in zip(grant.devices, grant.holdings, strict=True):
                state = self._states[device.id]
                over = state.give_back(grant.share, self._clock())
                ended = holding.end(grant, swept=swept or not grant.started, last=over)
                if over:
                    state.holding, state.over = None, ended
                    state.expected = grant.started
                    if state.leaving:
                        del self._states[device.id]
        self._tell()

    def refresh(self, devices: Sequence[Device]) -> None:
        """Have exactly `devices`: new ones join; of those that are gone, leased ones leave when they are given back."""
        with self._changed:
            wanted = {device.id: device for device in devices}
            for id, state in list(self._states.items()):
                state.leaving = id not in wanted
                if state.leaving and not state.used:
                    del self._states[id]
            for id, device in wanted.items():
                if id in self._states:
                    self._states[id].device = device
                else:
                    self._states[id] = DeviceState(device, self._clock())
                    self._states[id].cut_out = self._cut_out.get(id)
        self._tell()

    def cut_out(self, device_id: str, reason: str) -> None:
        """Hand the device out no more in this run: too much has failed on it."""
        with self._changed:
            self._cut_out[device_id] = f"cut out: {reason}"  # kept: it may leave and come back
            if device_id in self._states:
                self._states[device_id].cut_out = self._cut_out[device_id]
        self._tell()

    def hold(self, reasons: Mapping[str, str]) -> None:
        """Hand out none of these devices for now, and all others again that were held."""
        with self._changed:
            changed = [id for id, state in self._states.items() if state.held != reasons.get(id)]
            for id in changed:
                self._states[id].held = reasons.get(id)
        if changed:
            self._tell()

    # -- Tickets -------------------------------------------------------------------------------------------------------

    def place_ticket(self, demand: float, among: frozenset[str] | None = None) -> Ticket:
        """Join the line of those that have waited too long; every later take for it is to be given the ticket."""
        with self._changed:
            self.check(demand, among)
            among = frozenset(self._states) if among is None else among
            return place_ticket(self.leases, Wish(self._wanted(demand, frozenset(), among)))

    def _wanted(self, demand: float, before: frozenset[str], among: frozenset[str]) -> frozenset[str]:
        """As many devices as are needed: those that were wanted before, then what is likely to be free first."""

        def rank(state: DeviceState) -> tuple[bool, bool, bool, float, str]:
            hopeless = (state.refusal or "").startswith(_HOPELESS)
            return hopeless, state.device.id not in before, state.used > 0, state.since, state.device.id

        usable = [
            state
            for state in self._states.values()
            if state.usable and state.device.id in among and (demand <= 1 or state.device.kind != "mig")
        ]
        return frozenset(state.device.id for state in sorted(usable, key=rank)[: math.ceil(demand)])

    def _reserved(self, ticket: Ticket | None) -> dict[str, str]:
        """By id, which devices must be left alone, and for whom."""
        return {
            id: f"kept for the manager with pid {placed.pid}, which has waited longer"
            for placed in blocking_tickets(self.leases, ticket)
            for id in placed.wish.devices
        }

    # -- How ----------------------------------------------------------------------------------------------------------

    def _share(self, share: float, reserved: dict[str, str], among: frozenset[str]) -> Grant | None:
        if share == 0:
            return Grant((), 0.0, ())
        # Fullest first, so that whole devices stay free for who needs them.
        eligible = among - reserved.keys()
        shared = [state for id, state in self._states.items() if id in eligible and state.fits(share)]
        for state in sorted(shared, key=lambda state: (-state.used, state.device.id)):
            assert state.holding is not None
            state.take(share, self._clock())
            return Grant((state.device,), share, (state.holding,))
        return self._lease(1, share, reserved, among)

    def _lease(self, count: int, share: float, reserved: dict[str, str], among: frozenset[str]) -> Grant | None:
        now = self._clock()
        candidates = [
            state for state in self._states.values() if state.ready and not state.used and state.device.id in among
        ]
        if count > 1:
            candidates = [state for state in candidates if state.device.kind != "mig"]
        taken: list[tuple[DeviceState, Lease]] = []
        try:
            for state, left in self._in_order(candidates, count, now):
                if len(taken) == count or len(taken) + left < count:
                    break
                state.refusal = reserved.get(state.device.id)
                lease = Refusal(state.refusal) if state.refusal else self._try_lease(state)
                if isinstance(lease, Refusal):
                    state.refused(lease.reason, self._clock() + POLL_SECONDS)
                else:
                    taken.append((state, lease))
        except BaseException:
            _let_go(taken)
            raise
        if len(taken) < count:
            _let_go(taken)
            return None
        holdings = tuple(Holding(lease) for _, lease in taken)
        for (state, _), holding in zip(taken, holdings, strict=True):
            state.take(share, now)
            state.holding = holding
        return Grant(tuple(state.device for state, _ in taken), share, holdings)

    def _in_order(self, candidates: list[DeviceState], count: int, now: float) -> Iterator[tuple[DeviceState, int]]:
        """The candidates in the order in which to try them, each with how many are left, itself included.

        The least used come first. Those that should do are locked by id, so that of two managers that want the same
        devices one gets them all.
        """
        least_used = sorted(candidates, key=lambda state: (state.busy_seconds(now), state.device.index))
        order = sorted(least_used[:count], key=lambda state: state.device.id) + least_used[count:]
        for tried, state in enumerate(order):
            yield state, len(order) - tried

    def _try_lease(self, state: DeviceState) -> Lease | Refusal:
        patience = _PATIENCE_SECONDS if state.expected else 0.0
        state.expected = False
        return try_lease(self.leases, state.device, self._memory, over=state.over, patience=patience)

    # -- Telling -------------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change()

    def _poll_if_it_helps(self, demand: float, among: frozenset[str]) -> None:
        """Look again later, where there would be enough devices if only nobody else had them."""
        unused = sum(state.ready and not state.used for id, state in self._states.items() if id in among)
        if self._on_change is None or unused < math.ceil(demand):
            return
        self._must_poll = True
        if self._poller is None:
            self._poller = threading.Thread(target=self._poll, name="configmill-devices", daemon=True)
            self._poller.start()
        self._changed.notify_all()

    def _poll(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._must_poll or self._closed)
                # Not in step: managers that want the same devices would meet for ever.
                self._changed.wait_for(lambda: self._closed, POLL_SECONDS * random.uniform(0.8, 1.2))
                if self._closed:
                    return
                self._must_poll = False
            self._tell()

    def close(self) -> None:
        """Stop polling. What is handed out stays so."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._poller is not None and self._poller is not threading.current_thread():
            self._poller.join()
        self.leases.close()


def _let_go(taken: Iterable[tuple[DeviceState, Lease]]) -> None:
    for _, lease in taken:
        lease.release()

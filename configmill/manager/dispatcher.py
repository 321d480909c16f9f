"""Who goes next, and on what: the queue proposes a job, the devices say whether they can be had.

    dispatcher = Dispatcher(request, plan, indices, devices, campaign.dir, log, emit, wake)
    taken = dispatcher.take()                     # (job, allotment), or a Wait
    dispatcher.give_back(job, allotment, outcome)
    dispatcher.queue.finish(job, ...)

Not thread-safe: the manager's lock guards it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from configmill.manager.devices import LOOK_AGAIN_SECONDS, Allotment, Devices
from configmill.manager.jobs import make_queue
from configmill.manager.waiting_view import WaitingView
from configmill.plan.plan import Plan
from configmill.protocol import status
from configmill.protocol.events import Event, Note
from configmill.protocol.layout import CampaignDir
from configmill.protocol.outcome import Outcome
from configmill.protocol.request import RunRequest
from configmill.schedule.failing import MAYBE_THE_DEVICES, DeviceHealth
from configmill.schedule.queue import Job, Wait
from configmill.store.history import History

#: One failure is an accident, and two may be.
_MAX_QUICK_FAILURES = 3
_SUSPECT = "held back: one attempt after another failed on it, and it isn't known yet how others do"


class Dispatcher:
    """`wake` is called, from any thread, when a take that gave nothing may give something."""

    def __init__(
        self,
        request: RunRequest,
        plan: Plan,
        indices: list[int],
        devices: Devices,
        campaign: CampaignDir,
        log: logging.Logger,
        emit: Callable[[Event], None],
        wake: Callable[[], None],
    ) -> None:
        self._devices = devices
        self._log = log
        self._emit = emit
        devices.open((plan.resources[index] for index in indices), wake)
        self.queue = make_queue(
            request,
            plan,
            indices,
            devices,
            History(campaign),
            now=time.monotonic(),
            say=lambda text: emit(Note(text)),
        )
        self._view = WaitingView(campaign)
        self._health = DeviceHealth(_MAX_QUICK_FAILURES)
        #: Since when, by device and experiment, what runs on a device has run.
        self._began: dict[str, dict[int, float]] = {}
        self._has_said_so = False
        #: Devices that were cut out, and whether one is held.
        self._told_of: set[str] = set()
        self._is_holding = False
        self._has_told_of_leases = False

    def take(self) -> tuple[Job, Allotment] | Wait:
        """The next job with what it runs on, or how long to wait where nothing can start now."""
        if self._is_holding:
            self._act_on_health()
        self._tell_of_lost_leases()
        while True:
            now = time.monotonic()
            taken = self.queue.take(now, self._devices.free_count(), self._devices.can_lease)
            if isinstance(taken, Job):
                free_before = self._devices.free_count()
                allotment = self._devices.take(taken.occupies)
                if allotment is not None:
                    self._devices.note_start(taken.index)
                    for device in allotment.gpus:
                        self._began.setdefault(device, {})[taken.index] = now
                    return taken, allotment
                self._note_wait(taken, self._devices.why, now, aloud=True)
                self.queue.give_back(taken, now)
                if self._devices.free_count() == free_before:  # it is the host that somebody else has
                    self._view.show(self.queue, self._devices, now, host=self._devices.why)
                    return Wait(LOOK_AGAIN_SECONDS, over=False)
            elif self._devices.drop_lost():
                self.queue.set_capacity(self._devices.capacity(), now)
            else:
                return self._wait(taken, now)

    def give_back(self, job: Job, allotment: Allotment, outcome: Outcome) -> None:
        """The attempt is over, and so is its use of what it ran on."""
        if allotment.grant is not None:
            self._log.info("result_%d gives back %s", job.index, ", ".join(allotment.gpus))
        for device in allotment.gpus:
            self._began[device].pop(job.index)
        self._devices.give_back(allotment, swept=outcome.failure_class != status.LOST)

    def judge_devices(self, allotment: Allotment, outcome: Outcome) -> None:
        """Cut out a device on which one attempt after another fails quickly, while others do well."""
        for device in allotment.gpus:
            failed = outcome.failure_class in MAYBE_THE_DEVICES
            self._health.note(device, failed=failed, seconds=outcome.seconds)
        self._act_on_health()

    def _act_on_health(self) -> None:
        pool = self._devices.pool
        if pool is None:
            return
        now = time.monotonic()
        in_use = {device: now - min(began.values()) for device, began in self._began.items() if began}
        verdict = self._health.judge(in_use)
        pool.hold(dict.fromkeys(verdict.held, _SUSPECT))
        for device in sorted(set(verdict.cut_out) - self._told_of):
            self._told_of.add(device)
            number = self._health.quick_failures(device)
            pool.cut_out(device, f"{number} attempts in a row failed on it within seconds")
            self.queue.set_capacity(self._devices.capacity(), now)
            self._emit(Note(f"{device} is used no more: {number} attempts in a row failed on it, not on others"))
        self._is_holding = bool(verdict.held)

    def _tell_of_lost_leases(self) -> None:
        if not self._has_told_of_leases and (path := self._devices.lost_leases) is not None:
            self._has_told_of_leases = True
            self._emit(
                Note(
                    f"the directory of the device leases, {path!r}, was removed while this command ran: other managers "
                    "may have been given devices that its experiments use. Remove it only while none is at work."
                )
            )

    def stop_if_hopeless(self) -> None:
        """Start nothing more where all that is left waits for devices that have left, and none is coming back."""
        unmeetable = self.queue.unmeetable
        if not unmeetable or len(unmeetable) < self.queue.num_waiting or self.queue.num_running:
            return
        named = ", ".join(f"result_{job.index}" for job in unmeetable[:5])
        self._emit(Note(f"not started: {len(unmeetable)} that ask for more devices than are left ({named})"))
        self.queue.stop()

    def close(self) -> None:
        """Nothing waits any more: take away the view of what does."""
        self._view.close()

    def _wait(self, wait: Wait, now: float) -> Wait:
        for job in self.queue.held:
            self._note_wait(job, "its turn has come, and it finds no room", now)
        self._view.show(self.queue, self._devices, now)
        if self.queue.num_waiting and (self._is_holding or self._devices.waits_for_others()):
            return Wait(min(LOOK_AGAIN_SECONDS, wait.seconds or math.inf), wait.over)
        return wait

    def _note_wait(self, job: Job, why: str, now: float, *, aloud: bool = False) -> None:
        """Say it once, and not four times a second; on the terminal only the first time that others are the reason."""
        if not self._devices.note_wait(job.index, job.occupies, now):
            return
        if aloud and not self._has_said_so:
            self._has_said_so = True
            self._emit(Note(f"result_{job.index} waits: {why}"))
        else:
            self._log.info("result_%d waits: %s", job.index, why)

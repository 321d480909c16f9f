"""One command's state: the queue, the running minders, and what became of each experiment.

Worker loops call `work()`; the signal thread calls `stop()`. One condition guards all of it; nothing that waits for a
process holds it.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from configmill.launch.launcher import Launcher
from configmill.launch.minders import Limits, Minder
from configmill.manager.beginning import begin
from configmill.manager.derived import Ladders, Step
from configmill.manager.devices import Allotment, Devices
from configmill.manager.dispatcher import Dispatcher
from configmill.manager.efficiency import UseOfDevices
from configmill.manager.energy import energy_orders
from configmill.manager.run_record import RunRecord
from configmill.plan.plan import Plan
from configmill.protocol import status
from configmill.protocol.attempt import Attempt
from configmill.protocol.events import Event, Finished, Note, Started, Stopping
from configmill.protocol.outcome import Outcome
from configmill.protocol.report import Report
from configmill.protocol.request import RunRequest
from configmill.protocol.resources import NOTHING_ASKED
from configmill.schedule.failing import FamilyFailures
from configmill.schedule.queue import Job, Wait
from configmill.store.campaign import Campaign
from configmill.store.experiments import (
    is_done,
    read_outcome,
    record_missing_end,
    running_pid,
    seal_success,
)


@dataclass(frozen=True)
class _Started:
    """An attempt under way; `minder` is the reason where none could be started, then the attempt may be missing too."""

    job: Job
    allotment: Allotment
    attempt: Attempt | None
    minder: Minder | str


class CampaignRun:
    """Carries out the jobs of a plan; read `outcomes` (by index) when every loop has returned."""

    def __init__(
        self,
        request: RunRequest,
        record: RunRecord,
        plan: Plan,
        indices: list[int],
        campaign: Campaign,
        launcher: Launcher,
        devices: Devices,
        on_event: Callable[[Event], None],
    ) -> None:
        self._request = request
        self._run = record.run
        self._log = record.log
        self._notebook = record.notebook
        self._plan = plan
        self._campaign = campaign
        self._launcher = launcher
        self._on_event = on_event
        self._changed = threading.Condition()
        self._devices = devices
        self._dispatcher = Dispatcher(request, plan, indices, devices, campaign.dir, record.log, self.emit, self._wake)
        self._queue = self._dispatcher.queue
        #: What the devices and threads were used for; complete when every loop has returned.
        self.use = UseOfDevices(devices, record.log)
        self._ladders = Ladders(request, plan, campaign.dir, indices)
        self._families = FamilyFailures(request.max_failures)
        self._minders: set[Minder] = set()
        self._started_early: list[_Started] = []
        self._stops = 0
        self._listener_gone = False
        #: The last outcome of each experiment that was tried, by index.
        self.outcomes: dict[int, Outcome] = {}
        #: The signal that ended the run.
        self.signal: int | None = None
        #: The first exception of a loop: a bug, or a disk that is full.
        self.error: BaseException | None = None

    def digest(self, index: int) -> str:
        """The identity of what was tried last for the config: its own, or a derived one's."""
        return self._ladders.digest(index)

    def start_early(self, number: int) -> None:
        """Start the first `number` jobs; the loops that are about to begin wait for them.

        So the first experiments are under way while joblib is imported (0.1 s).
        """
        try:
            for _ in range(number):
                with self._changed:
                    taken = self._dispatcher.take()
                # A Ctrl-C has emptied the queue, or devices are not free: nothing here may wait.
                if isinstance(taken, Wait):
                    return
                self._started_early.append(self._start(*taken))
        except BaseException as error:
            self._fail(error)

    def work(self) -> None:
        """One worker loop: take, wait for the outcome, hand it back, until nothing is left."""
        try:
            self._launcher.wait_until_ready()
            while (started := self._next_started()) is not None:
                self._finish(started)
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        # The other loops must end their experiments before anybody hears of it.
        with self._changed:
            self.error = self.error or error
            self._changed.notify_all()
        self.stop("an error in the manager", unless_stopping=True)

    def nothing_waits(self) -> None:
        """Every loop has returned: take away the view of what waits."""
        self._dispatcher.close()
        self.use.close()

    def on_signal(self, signum: int) -> None:
        """A signal to the manager: the first one ends what runs with the grace, the next at once."""
        self.signal = self.signal or signum
        self.stop(signal.Signals(signum).name)

    def stop(self, why: str, *, unless_stopping: bool = False) -> None:
        """Start nothing more and end what runs; the second time without the grace."""
        with self._changed:
            if self._stops and unless_stopping:
                return
            self._stops += 1
            self._queue.stop()
            minders = list(self._minders)
            self._changed.notify_all()
        self._launcher.stop()
        for minder in minders:
            minder.terminate()
        self.emit(Stopping(why, len(minders), again=self._stops > 1))

    def emit(self, event: Event) -> None:
        """Tell the log and whoever listens; one event at a time."""
        with self._changed:
            self._log.info("%s", event)
            if self._listener_gone:
                return
            try:
                self._on_event(event)
            except OSError as error:  # a closed pipe or terminal: no reason to end experiments
                self._listener_gone = True
                self._log.warning("what happens from here on is told in this log alone: %s", error)
            except Exception as error:
                self._listener_gone = True
                self._fail(error)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _next_job(self) -> tuple[Job, Allotment] | None:
        with self._changed:
            # After an error a job may never be finished: nobody waits for it.
            while self.error is None:
                self._dispatcher.stop_if_hopeless()
                taken = self._dispatcher.take()
                if not isinstance(taken, Wait):
                    return taken
                if taken.over:
                    self._changed.notify_all()
                    return None
                # A back-off may be longer than a lock can wait: look again now and then.
                self._changed.wait(None if taken.seconds is None else min(taken.seconds, 3600.0))
            return None

    def _next_started(self) -> _Started | None:
        with self._changed:
            if self._started_early:
                return self._started_early.pop(0)
        taken = self._next_job()
        return None if taken is None else self._start(*taken)

    def _finish(self, started: _Started) -> None:
        job, outcome = started.job, self._outcome(started)
        self.use.end(started.allotment, outcome)
        with self._changed:
            step = self._ladders.step_after(job, outcome)
            self._dispatcher.give_back(job, started.allotment, outcome)
            if step is None:  # a config that is too large is no fault of the device's
                self._dispatcher.judge_devices(started.allotment, outcome)
            over = self._hand_back(job, outcome, step)
            self._changed.notify_all()
        for index in over:
            self._act_on_failure(index, self.outcomes[index])

    def _hand_back(self, job: Job, outcome: Outcome, step: Step | None) -> list[int]:
        """Have the job tried again, or be over with all that waited for it. Returns the indices that are over."""
        now, failure_class, digest = time.monotonic(), outcome.failure_class, self._ladders.digest(job.index)
        if step is None or step.runs:
            retry_in = self._queue.finish(job, failure_class, now, has_remedy=step is not None)
        else:
            retry_in = 0.0 if self._queue.set_aside(job, failure_class, now) else None
        self.outcomes[job.index] = outcome if retry_in is not None else self._ladders.conclude(job.index, outcome)
        # Before another loop can take it up again: its next start is told after its end.
        self.emit(Finished(job.index, self.outcomes[job.index], retry_in))
        over = [job.index] if retry_in is None else []
        if step is not None and retry_in is not None:
            over += self._carry_out(job, step)
        if retry_in is None or (step is not None and step.rung is not None):
            for waiting, its_step in self._ladders.note_end(digest, outcome):
                if its_step.runs:
                    waiting.ready_at = now
                    self._queue.add([waiting])
                over += self._carry_out(waiting, its_step)
        return over

    def _carry_out(self, job: Job, step: Step) -> list[int]:
        """Take the step; returns the job's index where that ends it."""
        self._ladders.take(job, step)
        self.emit(Note(f"result_{job.index} {step}"))
        if step.outcome is None:
            return []
        self.outcomes[job.index] = outcome = self._ladders.conclude(job.index, step.outcome)
        self._campaign.link(job.index, self._ladders.digest(job.index))
        self.emit(Finished(job.index, outcome, None))
        return [job.index]

    def _act_on_failure(self, index: int, outcome: Outcome) -> None:
        """An experiment is over: see whether its failure ends others too."""
        if outcome.status != status.FAILED:
            return
        if self._request.abort_on_error:
            self.stop(f"result_{index} failed and --abort_on_error is given", unless_stopping=True)
        if self._families.note((outcome.failure_class or "", outcome.where)):
            self._stop_family(outcome)

    def _stop_family(self, outcome: Outcome) -> None:
        """As many as may have failed alike: start nothing more, and let end by themselves those that run."""
        with self._changed:
            waiting = self._queue.stop()
            if waiting:
                alike = f"{self._request.max_failures} failed alike ({outcome.failure_class}, at {outcome.where})"
                self.emit(Note(f"{alike} and --max_failures is given: {len(waiting)} are not started"))
            self._changed.notify_all()

    def _start(self, job: Job, allotment: Allotment) -> _Started:
        """Prepare the job's directory and start its minder."""
        shown = self._devices.shown_by_cuda(allotment)
        try:
            rung = self._ladders.rung(job.index)
            attempt = begin(self._request, self._plan, self._campaign, job.index, allotment.gpus, shown, rung)
        except OSError as error:
            return _Started(job, allotment, None, f"its directory can't be prepared: {error}")
        if allotment.grant is not None:
            self._log.info("result_%d is given %s", job.index, ", ".join(allotment.gpus))
            allotment.grant.assign(attempt.dst_dir, attempt.digest, attempt.number)
        self.emit(Started(job.index, attempt.number, attempt.dir.log(attempt.number), attempt.digest))
        self.use.begin(allotment, attempt)
        try:
            minder = self._launcher.start(attempt, self._limits(job, allotment))
        except OSError as error:
            return _Started(job, allotment, attempt, f"no process could be started: {error}")
        if allotment.grant is not None:
            allotment.grant.hand_over(minder.pid)
        with self._changed:
            self._minders.add(minder)
            stops = self._stops
        for _ in range(stops):  # they came before this minder could be told
            minder.terminate()
        return _Started(job, allotment, attempt, minder)

    def _outcome(self, started: _Started) -> Outcome:
        """What becomes of an attempt: waits for its end."""
        attempt, minder = started.attempt, started.minder
        if attempt is None or isinstance(minder, str):
            report = Report(status.FAILED, failure_class=status.IO, message=str(minder))
            return _outcome_without_record(report) if attempt is None else self._record_end(attempt, report)
        minder.wait()
        with self._changed:
            self._minders.discard(minder)
        outcome = read_outcome(attempt.dir, attempt.number)
        if outcome is None:
            self._launcher.end_orphans(minder, attempt, running_pid(attempt.dir))
            outcome = self._lost(attempt, minder)
        self._launcher.forget(minder)
        if outcome.succeeded and not is_done(attempt.dir):
            seal_success(attempt.dir, attempt.number)
        return outcome

    def _limits(self, job: Job, allotment: Allotment) -> Limits:
        asked = self._plan.resources[job.index]
        timeout = asked.timeout
        return Limits(
            run=self._run,
            timeout=self._request.timeout if timeout is None else timeout,
            grace=self._request.grace,
            log_level=self._request.log_level,
            queued_seconds=max(0.0, time.monotonic() - job.ready_at),
            notebook=self._notebook,
            lease_fds=allotment.descriptors,
            derived_from=None if self._ladders.rung(job.index) is None else self._plan.digests[job.index],
            launcher=asked.launcher,
            num_processes=asked.processes_on(job.occupies.num_gpus) or 1,
            energy=energy_orders(self._request, exclusive=allotment.has_host_alone, shared=allotment.shares_device),
            resources=asked.started_with(job.occupies.num_gpus).to_json() if asked is not NOTHING_ASKED else {},
        )

    def _lost(self, attempt: Attempt, minder: Minder) -> Outcome:
        if self._stops:
            report = Report(status.INTERRUPTED, failure_class=status.CANCELLED, message="it was told to end")
        else:
            why = f"the process that minded it ended before its time ({minder.end})"
            report = Report(status.FAILED, failure_class=status.LOST, message=why)
        return self._record_end(attempt, report)

    def _record_end(self, attempt: Attempt, report: Report) -> Outcome:
        return record_missing_end(
            attempt.dir, attempt.number, report, run=self._run, index=attempt.index, target=attempt.target
        )


def _outcome_without_record(report: Report) -> Outcome:
    """The outcome of an attempt that never got as far as a directory to keep its record in."""
    return Outcome(0, report.status, report.failure_class, report.message, where=None, seconds=0.0, log="(none)")

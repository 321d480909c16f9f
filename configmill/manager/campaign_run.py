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
from configmill.manager.run_record import RunRecord
from configmill.plan.plan import Plan
from configmill.protocol import status
from configmill.protocol.attempt import Attempt
from configmill.protocol.events import Event, Finished, Started, Stopping
from configmill.protocol.outcome import Outcome
from configmill.protocol.report import Report
from configmill.protocol.request import RunRequest
from configmill.schedule.queue import Job, Queue
from configmill.schedule.retry import RetryPolicy
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
        now = time.monotonic()
        jobs = [Job(index, priority=plan.resources[index].priority, ready_at=now) for index in indices]
        self._queue = Queue(jobs, RetryPolicy(request.num_retries, request.retry_backoff))
        self._changed = threading.Condition()
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

    def start_early(self, number: int) -> None:
        """Start the first `number` jobs; the loops that are about to begin wait for them.

        So the first experiments are under way while joblib is imported (0.1 s).
        """
        try:
            for _ in range(number):
                with self._changed:
                    job = self._queue.take(time.monotonic())
                if not isinstance(job, Job):  # a Ctrl-C has emptied the queue: nothing here may wait
                    return
                self._started_early.append(self._start(job))
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

    def _next_job(self) -> Job | None:
        with self._changed:
            # After an error a job may never be finished: nobody waits for it.
            while self.error is None:
                taken = self._queue.take(time.monotonic())
                if isinstance(taken, Job):
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
        job = self._next_job()
        return None if job is None else self._start(job)

    def _finish(self, started: _Started) -> None:
        job, outcome = started.job, self._outcome(started)
        with self._changed:
            self.outcomes[job.index] = outcome
            retry_in = self._queue.finish(job, outcome.failure_class, time.monotonic())
            # Before another loop can take it up again: its next start is told after its end.
            self.emit(Finished(job.index, outcome, retry_in))
            self._changed.notify_all()
        failed_for_good = outcome.status == status.FAILED and retry_in is None
        if failed_for_good and self._request.abort_on_error:
            self.stop(f"result_{job.index} failed and --abort_on_error is given", unless_stopping=True)

    def _start(self, job: Job) -> _Started:
        """Prepare the job's directory and start its minder."""
        try:
            attempt = begin(self._request, self._plan, self._campaign, job.index)
        except OSError as error:
            return _Started(job, None, f"its directory can't be prepared: {error}")
        self.emit(Started(job.index, attempt.number, attempt.dir.log(attempt.number), attempt.digest))
        try:
            minder = self._launcher.start(attempt, self._limits(job))
        except OSError as error:
            return _Started(job, attempt, f"no process could be started: {error}")
        with self._changed:
            self._minders.add(minder)
            stops = self._stops
        for _ in range(stops):  # they came before this minder could be told
            minder.terminate()
        return _Started(job, attempt, minder)

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

    def _limits(self, job: Job) -> Limits:
        timeout = self._plan.resources[job.index].timeout
        return Limits(
            run=self._run,
            timeout=self._request.timeout if timeout is None else timeout,
            grace=self._request.grace,
            log_level=self._request.log_level,
            queued_seconds=max(0.0, time.monotonic() - job.ready_at),
            notebook=self._notebook,
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

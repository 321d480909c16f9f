"""The process that minds one attempt: it forks the experiment, bounds it, ends all of it, and writes the record.

    python -c "... from configmill.minder import main; main()" '<orders as JSON>'     (see launch/cold.py)

A minder is a child subreaper in a session of its own, so every descendant of the experiment, daemons included, is
below it, and it outlives the manager. It ends the experiment on a time-out, on SIGTERM (with the grace), on SIGUSR1 (at
once), and when the manager's end of the lifeline closes. The experiment in turn dies with its minder (PDEATHSIG).

It is single-threaded and imports no user code: the fork happens before any of that. Its stdout and stderr, and so the
experiment's, are the attempt's log; whoever started it has seen to that.
"""

from __future__ import annotations

import os
import select
import sys
import time

from configmill.child.experiment_process import become_experiment, run_experiment
from configmill.child.failures import report_of_death
from configmill.child.record import make_record, write_end, write_status
from configmill.errors import Terminated
from configmill.measure.memory import oom_kills, resident_bytes
from configmill.processes import become_subreaper, end_all_children, kill
from configmill.protocol import status
from configmill.protocol.attempt import Attempt
from configmill.protocol.orders import Orders
from configmill.protocol.report import Report
from configmill.signals import signal

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from configmill.child.metering import Metering
    from configmill.measure.energy.reading import EnergyReading

#: With the manager dead nothing of an experiment may be left 5 s later, whatever `--grace` says.
MAX_GRACE_AFTER_MANAGER = 3.0

_MANAGER_GONE = "the manager died"
_TOLD_TO_END = "it was told to end"


def main() -> None:
    """Mind the attempt that the environment and the one argument describe."""
    attempt, orders = Attempt.from_env(os.environ), Orders.from_json(sys.argv[1])
    if attempt is None:
        raise SystemExit("A minder needs Configmill's environment variables. Start it through run_experiment.py.")
    Minder(attempt, orders).mind()
    # All that is left is the interpreter's own tidying up, 2 ms of every attempt.
    os._exit(0)


class _Stop:
    """Why and when the experiment is being ended."""

    def __init__(self, failure_class: str, reason: str, kill_at: float, *, too_late: bool) -> None:
        self.failure_class = failure_class
        self.reason = reason
        self.kill_at = kill_at
        #: The experiment had reported by then: it ended by itself.
        self.too_late = too_late


class _End:
    """How the experiment's main process ended."""

    def __init__(self, wait_status: int, usage: Any) -> None:
        self.exit_code = os.WEXITSTATUS(wait_status) if os.WIFEXITED(wait_status) else None
        self.signal = os.WTERMSIG(wait_status) if os.WIFSIGNALED(wait_status) else None
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self.peak_rss_bytes = usage.ru_maxrss * 1024


class Minder:
    """One attempt's life. `mind()` returns when nothing of it is left and its record is written."""

    def __init__(self, attempt: Attempt, orders: Orders) -> None:
        self._attempt = attempt
        self._orders = orders
        self._dir = attempt.dir
        self._pid = 0
        self._end: _End | None = None
        self._stop: _Stop | None = None
        self._meter: Metering | None = None
        self._baseline_rss_bytes = 0
        self._report_bytes = b""
        self._told_to_end = self._told_to_kill = False
        self._oom_kills_before = oom_kills()

    def mind(self) -> None:
        """Start the experiment, watch it, and leave its record behind."""
        become_subreaper()
        if self._orders.notebook is not None:
            from configmill.child.notebook.sockets import make_socket_dir

            self._orders.notebook.socket_dir = make_socket_dir()
        wakeup_fd = self._catch_signals()
        if self._orders.pulse_fd is not None:
            os.write(self._orders.pulse_fd, f"{os.getpid()}\n".encode())
        self._start_meter()
        # The clock may be set while an experiment runs: limits go by another one.
        self._started, self._began = time.time(), time.monotonic()
        report_fd = self._fork()
        self._watch(report_fd, wakeup_fd)
        reading = None if self._meter is None else self._meter.finish()
        stray_cpu, stray_rss = end_all_children()
        self._ended = time.time() - (0.0 if self._meter is None else self._meter.finish_seconds)
        self._report_bytes += _drain(report_fd)
        self._write_record(stray_cpu, stray_rss, reading)

    def _start_meter(self) -> None:
        """Begin to read the energy, where the command asks for that: the experiment starts once the window is open."""
        if self._orders.energy is None:
            return
        from configmill.child.metering import start_metering

        self._meter = start_metering(self._orders.energy, self._attempt.gpus, self._orders.lifeline_fd)
        if self._meter is not None:
            self._meter.wait_until_ready(lambda: self._told_to_end)

    def _catch_signals(self) -> int:
        """Have SIGTERM and SIGCHLD wake the poll: returns the descriptor to read."""
        self._wakeup = read_fd, write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        os.set_blocking(write_fd, False)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)
        signal.signal(signal.SIGTERM, self._on_order)
        signal.signal(signal.SIGUSR1, self._on_order)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Whoever started the manager may have blocked signals, which children inherit.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return read_fd

    def _on_order(self, signum: int, frame: FrameType | None) -> None:
        self._told_to_end = True
        self._told_to_kill = self._told_to_kill or signum == signal.SIGUSR1

    def _fork(self) -> int:
        """Fork the experiment; returns the descriptor on which it reports."""
        minder_pid = os.getpid()
        self._baseline_rss_bytes = resident_bytes()
        read_fd, write_fd = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            metering = [] if self._meter is None else self._meter.descriptors
            become_experiment(minder_pid, (read_fd, *self._wakeup, *self._orders.descriptors, *metering))
            run_experiment(self._attempt, self._orders, write_fd)
        os.close(write_fd)
        os.set_blocking(read_fd, False)
        write_status(self._dir, status.RUNNING, self._attempt.number, self._attempt.index, self._pid)
        return read_fd

    def _watch(self, report_fd: int, wakeup_fd: int) -> None:
        """Wait for the experiment's end, ending it where something asks for that."""
        poll = select.poll()
        for descriptor in (report_fd, wakeup_fd, self._orders.lifeline_fd):
            poll.register(descriptor, select.POLLIN)
        while True:
            self._reap()
            if self._end is not None:
                return
            self._enforce_limits()
            for descriptor, _ in poll.poll(self._milliseconds_to_next_deadline()):
                if descriptor == wakeup_fd:
                    _drain(wakeup_fd)
                elif descriptor == report_fd:
                    received = _drain(report_fd)
                    self._report_bytes += received
                    if not received:
                        poll.unregister(report_fd)
                else:  # nobody writes to the lifeline: it can only have closed
                    poll.unregister(descriptor)
                    grace = min(self._orders.grace, MAX_GRACE_AFTER_MANAGER)
                    self._ask_to_end(status.CANCELLED, _MANAGER_GONE, grace)

    def _reap(self) -> None:
        """Collect what has ended, orphans that fell to this subreaper included."""
        while True:
            try:
                pid, wait_status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid:
                self._end = _End(wait_status, usage)

    def _enforce_limits(self) -> None:
        now = time.monotonic()
        timeout = self._orders.timeout
        if self._told_to_end:
            self._ask_to_end(status.CANCELLED, _TOLD_TO_END, self._orders.grace)
        if timeout is not None and now >= self._began + timeout:
            self._ask_to_end(status.TIMEOUT, f"it ran longer than its time-out of {timeout:g} s", self._orders.grace)
        if self._stop is not None and (now >= self._stop.kill_at or self._told_to_kill):
            kill(self._pid)

    def _ask_to_end(self, failure_class: str, reason: str, grace: float) -> None:
        """Send SIGTERM once; a later and stricter reason can only bring the SIGKILL forward."""
        kill_at = time.monotonic() + grace
        if self._stop is None:
            self._stop = _Stop(failure_class, reason, kill_at, too_late=bool(self._report_bytes))
            kill(self._pid, signal.SIGTERM)
            kill(self._pid, signal.SIGCONT)  # a stopped process would only see it later
        else:
            self._stop.kill_at = min(self._stop.kill_at, kill_at)

    def _milliseconds_to_next_deadline(self) -> float | None:
        deadlines = [self._stop.kill_at] if self._stop is not None else []
        if self._orders.timeout is not None and self._stop is None:
            deadlines.append(self._began + self._orders.timeout)
        if not deadlines:
            return None
        # At least 1 ms: poll rounds down, and a deadline a fraction away must not spin. At most an hour: poll counts in
        # an int, which ends after 24 days.
        return min(max(1.0, (min(deadlines) - time.monotonic()) * 1000), 3_600_000.0)

    def _write_record(self, stray_cpu: float, stray_rss: int, reading: EnergyReading | None) -> None:
        assert self._end is not None
        report = self._verdict()
        record = make_record(
            run=self._orders.run,
            number=self._attempt.number,
            index=self._attempt.index,
            started=self._started,
            ended=self._ended,
            report=report,
            start_method=self._orders.start_method,
            queued_seconds=self._orders.queued_seconds,
            pid=self._pid,
            exit_code=self._end.exit_code,
            signal=self._end.signal,
            gpus=self._attempt.gpus,
            resources=self._orders.resources,
            derived_from=self._orders.derived_from,
            peak_rss_bytes=max(self._end.peak_rss_bytes, stray_rss, report.peak_rss_bytes or 0),
            baseline_rss_bytes=self._baseline_rss_bytes if report.peak_rss_bytes is None else 0,  # ranks share nothing
            cpu_seconds=self._end.cpu_seconds + stray_cpu,
            energy=None if reading is None else reading.to_json(),
        )
        if reading is not None and report.status in status.SUCCESSES:
            from configmill.child.metering import add_to_result

            add_to_result(self._dir.result, reading)
        if self._orders.notebook is not None:
            from configmill.child.notebook.executed import finish_saved
            from configmill.child.notebook.sockets import remove_socket_dir

            remove_socket_dir(self._orders.notebook.socket_dir)
            finish_saved(self._dir, self._attempt.target, record)
        write_end(self._dir, record)

    def _verdict(self) -> Report:
        """What became of the attempt, from what it reported, how it ended and what was asked of it."""
        report = Report.from_json(self._report_bytes) if self._report_bytes.endswith(b"}") else None
        if report is not None and report.status in status.SUCCESSES:
            return report  # the function returned and its result is saved: what came later changes nothing
        if self._stop is not None and not self._stop.too_late:
            return self._ended_by_us(report, self._stop)
        if report is None:
            return self._died()
        if report.status == status.INTERRUPTED:
            # Nobody here asked for it.
            report.status, report.failure_class = status.FAILED, status.KILLED
            if report.message == Terminated.__name__:
                report.message = "somebody sent it SIGTERM"
        return report

    def _ended_by_us(self, report: Report | None, stop: _Stop) -> Report:
        timed_out = stop.failure_class == status.TIMEOUT
        ended = report or Report(status.INTERRUPTED)
        ended.status = status.FAILED if timed_out else status.INTERRUPTED
        ended.failure_class, ended.message = stop.failure_class, stop.reason
        return ended

    def _died(self) -> Report:
        assert self._end is not None
        code = self._end.exit_code if self._end.signal is None else -self._end.signal
        return report_of_death(code, out_of_memory=oom_kills() > self._oom_kills_before)


def _drain(descriptor: int) -> bytes:
    """Everything that can be read now."""
    chunks = []
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except BlockingIOError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks)

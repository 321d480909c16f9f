"""The meter of an attempt, for its minder: a process beside the experiment that reads the energy meanwhile.

meter = Metering(orders, ["GPU-3f2a..."], lifeline_fd)
meter.wait_until_ready(lambda: told_to_end)      # the window is open
...                                              # the experiment, whose fork closes meter.descriptors
reading = meter.finish()                         # EnergyReading, whatever became of the process
add_to_result(experiment.result, reading)
"""

from __future__ import annotations

import json
import os
import select
import time

from configmill.child.python import start_python
from configmill.files import read_json_of_experiment, write_json
from configmill.measure.energy.reading import EnergyReading
from configmill.processes import reap
from configmill.protocol.energy import ENERGY, READY, EnergyOrders
from configmill.signals import signal

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: codecarbon needs a second or two to know the machine, and more on a busy one.
_READY_SECONDS = 60.0
_FINISH_SECONDS = 10.0
#: With the manager dead all of an attempt has to be gone soon.
_SECONDS_AFTER_MANAGER = 0.5
_LOOK_SECONDS = 0.1


def start_metering(orders: EnergyOrders, devices: Sequence[str], lifeline_fd: int) -> Metering | None:
    """Have an experiment's own meter find the orders; the meter of the whole attempt, where one is asked for."""
    os.environ[ENERGY] = orders.to_json()
    return Metering(orders, devices, lifeline_fd) if orders.measure else None


class Metering:
    """A running meter. Only for a minder, which has no threads: the process dies with the thread that started it."""

    def __init__(self, orders: EnergyOrders, devices: Sequence[str], lifeline_fd: int) -> None:
        self._lifeline_fd = lifeline_fd
        self._received = b""
        self._problem: str | None = None
        #: Seconds that `finish` took: no part of the experiment's.
        self.finish_seconds = 0.0
        stop_fd, self._stop_fd = os.pipe()
        self._answer_fd, answer_fd = os.pipe()
        os.set_blocking(self._answer_fd, False)
        given = {
            "orders": orders.to_json(),
            "devices": list(devices),
            "parent": os.getpid(),
            "stop_fd": stop_fd,
            "answer_fd": answer_fd,
        }
        try:
            process = start_python(
                "configmill.measure.energy.process",
                json.dumps(given),
                env=os.environ,
                descriptors=(stop_fd, answer_fd),
            )
            self._pid, self._process_fd = process.pid, os.pidfd_open(process.pid)
            process.returncode = 0  # it is the minder that waits for it
        except OSError as error:
            self._pid = self._process_fd = -1
            self._problem = f"no process could be started to read the meter: {error.strerror}"
        os.close(stop_fd)
        os.close(answer_fd)

    @property
    def descriptors(self) -> list[int]:
        """What the experiment's process must close."""
        return [fd for fd in (self._stop_fd, self._answer_fd, self._process_fd) if fd >= 0]

    def wait_until_ready(self, give_up: Callable[[], bool]) -> None:
        """Wait until the window is open, or there is no use in waiting."""
        line = self._read_line(_READY_SECONDS, give_up)
        if line != READY and self._problem is None:
            self._problem = "the process that reads the meter was not ready in time, or ended before"

    def finish(self) -> EnergyReading:
        """Close the window; the process is gone afterwards."""
        began = time.monotonic()
        os.close(self._stop_fd)
        line = "" if self._problem is not None else self._read_line(_FINISH_SECONDS, lambda: False)
        self._end_process()
        self.finish_seconds = time.monotonic() - began
        try:
            return EnergyReading.from_json(json.loads(line))
        except ValueError:
            return EnergyReading(reason=self._problem or "the process that reads the meter ended before the experiment")

    def _end_process(self) -> None:
        os.close(self._answer_fd)
        if self._process_fd < 0:
            return
        try:
            signal.pidfd_send_signal(self._process_fd, signal.SIGKILL)
        except ProcessLookupError:  # it has ended, and the minder has waited for it
            pass
        else:
            reap(self._pid)
        os.close(self._process_fd)

    def _read_line(self, seconds: float, give_up: Callable[[], bool]) -> str:
        """A line without its end; empty where the process has ended, or there was none in time."""
        until = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._answer_fd, select.POLLIN)
        poll.register(self._lifeline_fd, select.POLLIN)
        while b"\n" not in self._received:
            left = until - time.monotonic()
            if left <= 0 or give_up():
                return ""
            for descriptor, _ in poll.poll(min(left, _LOOK_SECONDS) * 1000):
                if descriptor == self._lifeline_fd:
                    poll.unregister(descriptor)
                    until = min(until, time.monotonic() + _SECONDS_AFTER_MANAGER)
                elif not self._receive():
                    return ""
        line, _, self._received = self._received.partition(b"\n")
        return line.decode()

    def _receive(self) -> bool:
        received = os.read(self._answer_fd, 65536)
        self._received += received
        return bool(received)


def add_to_result(path: str, reading: EnergyReading) -> None:
    """Add the reading to the result of an experiment that succeeded, unless that has an `energy` of its own."""
    result = read_json_of_experiment(path) if os.path.exists(path) else {}
    if result is not None and "energy" not in result:
        write_json(path, {**result, "energy": reading.for_tables()})

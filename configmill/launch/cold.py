"""Cold start: a new Python process, which becomes the attempt's minder and forks the experiment."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping

from configmill.child.python import start_python
from configmill.processes import signal_name
from configmill.protocol.attempt import Attempt
from configmill.protocol.orders import Orders


class ColdMinder:
    """A minder that is this process's own child."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._told = False

    @property
    def pid(self) -> int:
        """The minder's process id; the leader of its session."""
        return self._process.pid

    def wait(self) -> None:
        """Wait for the minder's end."""
        self._process.wait()

    @property
    def end(self) -> str:
        """How the minder's process ended, in words."""
        code = self._process.returncode
        return signal_name(-code) if code is not None and code < 0 else f"exit code {code}"

    def terminate(self) -> None:
        """Have the attempt end: once with the grace, a second time at once."""
        # Another signal, since two of one kind that are not handled yet are one.
        self._process.send_signal(signal.SIGUSR1 if self._told else signal.SIGTERM)
        self._process.send_signal(signal.SIGCONT)  # one that somebody has stopped would only see it later
        self._told = True


def start_cold(attempt: Attempt, orders: Orders, thread_limits: Mapping[str, str]) -> ColdMinder:
    """Start the attempt, whose directory exists. Raises OSError where no process can be had."""
    with open(attempt.dir.log(attempt.number), "ab") as log:
        process = start_python(
            "configmill.minder",
            orders.to_json(),
            env={**os.environ, **thread_limits, **attempt.to_env()},
            cwd=attempt.project_dir,
            output=log,
            descriptors=orders.descriptors,
        )
    return ColdMinder(process)

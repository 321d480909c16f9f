"""SIGTERM for a notebook: the running cell is interrupted, as by the stop button, and so shows where it was.

ending = GentleTermination(grace=3.0)
ending.listen()
with ending.interrupting(interrupt_kernel): ...      # a cell runs: SIGTERM interrupts it
ending.check()                                       # raises Terminated where it came meanwhile
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from configmill.child.termination import Termination
from configmill.errors import Terminated

#: Seconds of the grace that are kept for saving the notebook, or half of a shorter grace.
_FOR_SAVING = 1.0


class GentleTermination(Termination):
    """Turns SIGTERM into an interrupt of the running cell, and into Terminated where the cell doesn't heed it."""

    def __init__(self, grace: float) -> None:
        super().__init__()
        self._patience = max(grace - _FOR_SAVING, grace / 2)
        self._interrupt: Callable[[], None] | None = None

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """While it is open, a SIGTERM calls `interrupt` and gives the cell most of the grace to end."""
        self.check()
        self._interrupt = interrupt
        try:
            yield
        finally:
            self._interrupt = None
            signal.setitimer(signal.ITIMER_REAL, 0)

    def check(self) -> None:
        """Raise Terminated where a SIGTERM has come."""
        if self.asked:
            raise Terminated

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self.asked = True
        if self._interrupt is None or self._patience <= 0:
            raise Terminated
        signal.signal(signal.SIGALRM, self._out_of_patience)
        signal.setitimer(signal.ITIMER_REAL, self._patience)
        self._interrupt()

    def _out_of_patience(self, signum: int, frame: FrameType | None) -> None:
        raise Terminated

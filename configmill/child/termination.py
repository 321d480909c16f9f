"""SIGTERM as an exception in the experiment.

termination = Termination()
termination.listen()      # from here on a SIGTERM raises Terminated in user code
termination.close()       # from here on it comes too late
"""

from __future__ import annotations

from configmill.errors import Terminated
from configmill.processes import handle_here, handle_no_more
from configmill.signals import signal

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from types import FrameType


class Termination:
    """Turns SIGTERM into an exception in user code, and remembers it where user code swallows it.

    `once`: a further one is ignored, since it would break off the teardown that the first one has brought about.
    """

    def __init__(self, *, once: bool = False) -> None:
        self.asked = False
        self._once = once

    def listen(self) -> None:
        """Raise Terminated at a SIGTERM, in this process and in no fork of it."""
        handle_here(signal.SIGTERM, self._on_signal)

    def close(self) -> None:
        """From here on a SIGTERM comes too late: what is left to do is ours and short."""
        handle_no_more(signal.SIGTERM, signal.SIG_IGN)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._once and self.asked:
            return
        self.asked = True
        raise Terminated

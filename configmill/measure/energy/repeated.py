"""Something that is done now and then while a window is open, in a thread.

with_polling = Repeated(source.look, seconds=0.05)
with_polling.start()
with_polling.stop()         # returns when the thread has ended; raises what `look` raised
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Callable


class Repeated:
    """Calls `action` every `seconds`, the first time after the first of them. An exception ends it."""

    def __init__(self, action: Callable[[], None], seconds: float) -> None:
        self._action = action
        self._seconds = seconds
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def start(self) -> None:
        """Begin."""
        self._over.clear()
        self._error = None
        # A daemon: an experiment that forgets to stop its meter must be able to end.
        self._thread = threading.Thread(target=self._run, name="configmill-energy", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and raise what the action raised."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._over.wait(self._seconds):
                self._action()
        except Exception as error:  # told by `stop`, to whoever measures
            self._error = error

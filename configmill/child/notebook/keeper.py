"""papermill's execution manager: what is kept of the notebook while it runs, saved in one step each time.

papermill's own writes in place, so that a SIGKILL leaves half a notebook, and calls cells completed that a dead kernel
never ran.
"""

from __future__ import annotations

import time
from typing import Any

from nbformat.v4 import writes_json
from papermill.engines import NotebookExecutionManager

from configmill.child.notebook import executed
from configmill.child.record import write_status
from configmill.files import write_atomic
from configmill.protocol import status
from configmill.protocol.attempt import Attempt

#: Seconds between two saves while a cell runs, and the share of the time that saving may take.
_MIN_INTERVAL = 1.0
_MAX_SHARE = 0.2


class Keeper(NotebookExecutionManager):  # type: ignore[misc]
    """Saves the notebook to the experiment's directory, and says in `status.json` how far it is."""

    def __init__(self, nb: Any, attempt: Attempt, pid: int) -> None:
        super().__init__(nb, progress_bar=False)
        self._attempt = attempt
        self._pid = pid
        self._path = attempt.dir.notebook(attempt.target)
        #: How many cells are to run.
        self.num_cells = len(executed.cells_to_run(nb))
        self._began = 0.0
        self._saved_at = self._save_seconds = 0.0
        self._is_unsaved = False

    def notebook_start(self, **_: Any) -> None:
        """Clear what an earlier execution left, and save."""
        executed.begin(self.nb, self._attempt)
        super().notebook_start()

    def cell_start(self, cell: Any, cell_index: int | None = None, **_: Any) -> None:
        """Note and save that the cell runs."""
        self._began = time.monotonic()
        executed.set_state(cell, executed.RUNNING)
        number = cell["metadata"][executed.KEY]["cell"]
        attempt = self._attempt
        write_status(
            attempt.dir, status.RUNNING, attempt.number, attempt.index, self._pid, cell=number, cells=self.num_cells
        )
        super().cell_start(cell, cell_index)

    def cell_exception(self, cell: Any, cell_index: int | None = None, **_: Any) -> None:
        """Note that the cell raised."""
        super().cell_exception(cell, cell_index)
        executed.set_state(cell, executed.FAILED, self._seconds())

    def cell_complete(self, cell: Any, cell_index: int | None = None, **_: Any) -> None:
        """Note and save that the cell has ended."""
        if cell["metadata"][executed.KEY]["state"] != executed.FAILED:
            executed.set_state(cell, executed.DONE, self._seconds())
        super().cell_complete(cell, cell_index)

    def cell_cut_off(self, cell: Any) -> None:
        """Save what the cell has put out and how long it ran; what ended it is not known yet."""
        executed.set_state(cell, executed.RUNNING, self._seconds())
        self.save_now()

    def notebook_complete(self, **_: Any) -> None:
        """Nothing more: how it ended is the runner's to say, which knows more than papermill does here."""

    def save(self, **_: Any) -> None:
        """Write the notebook, or where saving would take much of the time, note that it is to be (`catch_up`)."""
        self._is_unsaved = True
        if self.seconds_to_save() <= 0:
            self.save_now()

    def seconds_to_save(self) -> float:
        """How long to wait with the next save, so that saving takes no more than its share of the time."""
        return self._saved_at + self._save_seconds / _MAX_SHARE - time.monotonic()

    def save_now(self) -> None:
        """Write the notebook, in one step."""
        began = time.monotonic()
        write_atomic(self._path, writes_json(self.nb) + "\n")
        self._is_unsaved = False
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - began

    def catch_up(self) -> None:
        """Write what quick cells have left unsaved; called while a cell runs, as soon as that may be."""
        if self._is_unsaved:
            self.save_now()

    def autosave_cell(self, **_: Any) -> None:
        """Save what the running cell has put out so far, now and then."""
        interval = max(_MIN_INTERVAL, self._save_seconds / _MAX_SHARE)
        if time.monotonic() >= self._saved_at + interval:
            self.save_now()

    def _seconds(self) -> float:
        return time.monotonic() - self._began

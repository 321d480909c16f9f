"""The executed notebook as it is kept: which of its cells ran, which failed, and which never did.

    begin(notebook, attempt)                   # the runner: every cell that is to run is pending
    finish_saved(directory, target, record)    # whoever minds the attempt: nothing is pending or running any more

papermill's own statuses are not enough: when a kernel dies they call the dying cell and all after it completed. Here a
notebook is its parsed JSON, so that the manager can finish one whose process was killed without a package for it.
"""

from __future__ import annotations

import re

from configmill.files import read_json_of_experiment, write_json
from configmill.protocol import status as statuses

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

    from configmill.protocol.attempt import Attempt
    from configmill.protocol.layout import ExperimentDir

VERSION = 1
KEY = "configmill"
#: nbclient leaves out cells with this tag.
SKIP_TAG = "skip-execution"

PENDING = "pending"
RUNNING = "running"
DONE = "done"
FAILED = "failed"
NOT_RUN = "not_run"

_PAPERMILL_STATUS = {
    PENDING: "pending", RUNNING: "running", DONE: "completed", FAILED: "failed", NOT_RUN: "pending"
}  # fmt: skip


def cells_to_run(notebook: Any) -> list[Any]:
    """The code cells that are executed, in order: cell k of n is the k-th of these, and `In [k]` when it has run."""
    return [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        and "".join(cell["source"]).strip()
        and SKIP_TAG not in cell["metadata"].get("tags", ())
    ]


def begin(notebook: Any, attempt: Attempt) -> None:
    """Mark the notebook as this attempt's, and each cell that is to run as pending."""
    notebook["metadata"][KEY] = {
        "version": VERSION,
        "target": attempt.target,
        "index": attempt.index,
        "digest": attempt.digest,
        "attempt": attempt.number,
        "status": statuses.RUNNING,
    }
    for cell in notebook["cells"]:
        cell["metadata"].pop(KEY, None)  # of an executed notebook that is run again
    for number, cell in enumerate(cells_to_run(notebook), start=1):
        cell["metadata"][KEY] = {"cell": number, "state": PENDING, "seconds": None}


def set_state(cell: Any, state: str, seconds: float | None = None) -> None:
    """Note what became of a cell; `seconds` is how long it ran."""
    cell["metadata"][KEY]["state"] = state
    cell["metadata"][KEY]["seconds"] = None if seconds is None else round(seconds, 4)
    papermill = cell["metadata"].setdefault("papermill", {})
    papermill["status"] = _PAPERMILL_STATUS[state]
    papermill["exception"] = state == FAILED


def running_cell(notebook: Any) -> Any | None:
    """The cell that runs now, or ran when its process was killed."""
    return next((cell for cell in notebook["cells"] if _state(cell) == RUNNING), None)


def finish_saved(directory: ExperimentDir, target: str, record: dict[str, Any]) -> None:
    """Note in the saved notebook how the attempt of `record` ended; nothing where it left none.

    The runner may have been killed at any moment, or told to end without being told why. How far it was it has said in
    `status.json` as well, which it writes at every cell.
    """
    path = directory.notebook(target)
    notebook = read_json_of_experiment(path)
    mine = ((notebook or {}).get("metadata") or {}).get(KEY) or {}
    if notebook is not None and mine.get("attempt") == record["attempt"] and mine.get("status") == statuses.RUNNING:
        view = read_json_of_experiment(directory.status) or {}
        _catch_up(notebook, view.get("cell", 0) if view.get("attempt") == record["attempt"] else 0)
        _finish(notebook, record)
        write_json(path, notebook)


def _catch_up(notebook: Any, reached: int) -> None:
    """Have the cells tell what quick ones had yet to save: those before `reached` had ended, and that one ran."""
    for cell in notebook["cells"]:
        number = cell["metadata"].get(KEY, {}).get("cell", reached)
        if number < reached and _state(cell) in (PENDING, RUNNING):
            set_state(cell, DONE, cell["metadata"][KEY].get("seconds"))
        elif number == reached and _state(cell) == PENDING:
            set_state(cell, RUNNING)


def _finish(notebook: Any, record: dict[str, Any]) -> None:
    """Note how the attempt ended: the cell that was running failed of it, what had yet to run never did."""
    metadata, status = notebook["metadata"], record["status"]
    interrupted = running_cell(notebook)
    if interrupted is not None:
        add_error(interrupted, record["failure_class"] or status, record["error"] or status)
        set_state(interrupted, FAILED, interrupted["metadata"][KEY].get("seconds"))
    for cell in notebook["cells"]:
        if _state(cell) == PENDING:
            set_state(cell, NOT_RUN)
    metadata[KEY]["status"] = status
    papermill = metadata.setdefault("papermill", {})
    papermill.update(end_time=record["ended"], duration=record["seconds"], exception=status != statuses.SUCCEEDED)


def add_error(cell: Any, failure_class: str, message: str) -> None:
    """Add an error that did not come from the kernel to what the cell put out."""
    name = "".join(word.capitalize() for word in failure_class.split("_"))
    cell.setdefault("outputs", []).append(
        {"output_type": "error", "ename": name, "evalue": message, "traceback": [f"{name}: {message}"]}
    )


def _state(cell: Any) -> str | None:
    state: str | None = cell["metadata"].get(KEY, {}).get("state")
    return state


#: Colours and cursor movements of a terminal (ECMA-48), which tracebacks are full of.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def without_colours(text: str) -> str:
    """`text` as it reads in a log."""
    return _ESCAPES.sub("", text)

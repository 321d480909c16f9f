"""What user code calls while it runs: metrics on the way, rows of tables, and checkpoints that survive it.

    configmill.log_metrics(step=3, loss=0.25)
    configmill.add_to_table("text_results", {"model": "tiny", "tokens_per_second": 31.5})
    state = configmill.load_checkpoint() or {"step": 0}
    configmill.save_checkpoint(state)

By hand (nobody started this process for an experiment) metrics and rows go to the log alone and checkpoints nowhere, so
that the same code runs in a debugger or a notebook.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from configmill.child import current
from configmill.child.results import to_jsonable
from configmill.errors import CheckpointError, ResultError
from configmill.files import append_line, write_atomic, write_json
from configmill.jsontext import dumps
from configmill.protocol.layout import is_table_name

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

CHECKPOINT_NAME = "checkpoint.pickle"


def log_metrics(step: int | float | None = None, **values: Any) -> None:
    """Append one line to the experiment's `metrics.jsonl`: the step, the time (s since the epoch) and the values.

    May be called from several processes or threads at once. Raises ResultError for a value that JSON can't hold.
    """
    line: dict[str, Any] = to_jsonable({"step": step, **values}, "log_metrics")
    attempt = current.this_attempt()
    if attempt is None:
        _log("metrics (by hand, not saved): %s", line)
        return
    append_line(attempt.dir.metrics, dumps({"time": round(time.time(), 3), **line}))


def add_to_table(table: str, row: Mapping[str, Any]) -> None:
    """Give this experiment its row of the campaign's table `dst_dir/results/<table>.csv`; given again, it replaces it.

    The manager makes the table of the rows of the experiments that succeeded. What is nested in `row` gets a column for
    each leaf, under its dotted name. Raises ResultError for a value that JSON can't hold, and for a name of a table
    that isn't made of letters, digits, `_`, `-` and `.` (the last not in front).
    """
    if not isinstance(table, str) or not is_table_name(table):
        raise ResultError(
            f"The table {table!r} can't be a file's name. Use letters, digits, '_', '-', and '.' but not in front."
        )
    if not isinstance(row, Mapping):
        raise ResultError(f"The row {row!r} of the table {table!r} is no mapping. Give a dict of names to values.")
    content = to_jsonable(row, f"row of {table}")
    attempt = current.this_attempt()
    if attempt is None:
        _log(f"row of the table {table} (by hand, not saved): %s", content)
        return
    os.makedirs(attempt.dir.tables, exist_ok=True)
    write_json(attempt.dir.table_row(table), content)


def save_checkpoint(state: Any) -> None:
    """Save `state` (anything that pickles) in place of the last checkpoint, atomically and durably.

    It lives in `config.meta.checkpoint_dir` and survives this attempt. Raises CheckpointError.
    """
    attempt = current.this_attempt()
    if attempt is None:
        _log("checkpoint by hand, not saved")
        return
    import pickle

    os.makedirs(attempt.dir.checkpoints, exist_ok=True)
    try:
        pickled = pickle.dumps({"attempt": attempt.number, "time": time.time(), "state": state}, protocol=5)
    except Exception as error:  # pickling calls the user's own methods: anything may come out
        raise CheckpointError(
            f"The checkpoint can't be pickled: {error}. Save plain data: numbers, arrays, dicts, state_dicts."
        ) from error
    write_atomic(os.path.join(attempt.dir.checkpoints, CHECKPOINT_NAME), pickled, durable=True)


def load_checkpoint() -> Any:
    """The state that was saved last for this experiment, by whichever attempt; None where there is none.

    Raises CheckpointError where there is one that can't be read: starting over in silence would lose it.
    """
    attempt = current.this_attempt()
    if attempt is None:
        return None
    import pickle

    path = os.path.join(attempt.dir.checkpoints, CHECKPOINT_NAME)
    try:
        with open(path, "rb") as file:
            saved = pickle.load(file)
    except FileNotFoundError:
        return None
    except Exception as error:  # unpickling calls the user's own methods: anything may come out
        raise CheckpointError(
            f"The checkpoint {path!r} can't be read: {error}. Mend what it needs, or remove the file to start over."
        ) from error
    if not isinstance(saved, dict) or not {"attempt", "state"} <= saved.keys():
        raise CheckpointError(
            f"The file {path!r} is no checkpoint of save_checkpoint. Give your own files other names, or remove it."
        )
    if saved["attempt"] != attempt.number:
        current.resumed_from = saved["attempt"]
        _log("resumed from the checkpoint of attempt %s", saved["attempt"])
    return saved["state"]


def _log(message: str, value: Any = None) -> None:
    import logging  # not every experiment logs, and it takes a third of a cold start

    logging.getLogger("configmill").info(message, *([] if value is None else [value]))

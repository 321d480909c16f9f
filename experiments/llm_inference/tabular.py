"""An experiment's row of `results/<task_type>_results.csv`: its config and its figures, one column each.

    save_row(settings, flat_metrics(results), None)           # inside the manager, which makes the table
    save_row(settings, flat_metrics(results), "out/by_hand")  # by hand: the row is written here, under a lock

Columns are the config's keys, all of them, then the figures, so that rows of one kind of experiment have the same.
"""

import csv
import io
import os
from collections.abc import Mapping
from typing import Any

import configmill
from configmill.files import write_atomic
from experiments.llm_inference.locks import held
from experiments.llm_inference.settings import Settings

#: What says that two rows are the same experiment's.
_ID = "experiment_id"


def save_row(settings: Settings, metrics: Mapping[str, Any], directory: str | None) -> None:
    """Give the experiment its row; given again, it replaces the row. `directory` is None inside the manager."""
    table = f"{settings.task_type}_results"
    row = flat_row(settings, metrics)
    if directory is None:
        configmill.add_to_table(table, row)
        return
    folder = os.path.join(directory, "results")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{table}.csv")
    with held(f"{path}.lock", f"the table {table!r}"):
        _replace_row(path, row)


def flat_row(settings: Settings, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of an experiment: its id, the config's keys by dotted name, its figures."""
    asked = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.values.items()}
    return {_ID: metrics[_ID], **asked, **metrics}


def _replace_row(path: str, row: Mapping[str, Any]) -> None:
    rows = [known for known in _rows(path) if known[_ID] != str(row[_ID])]
    rows.append({name: "" if value is None else value for name, value in row.items()})
    columns = list(dict.fromkeys(name for known in rows for name in known))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue())


def _rows(path: str) -> list[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []

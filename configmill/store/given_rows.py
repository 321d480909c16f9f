"""The tables that experiments give rows to (`configmill.add_to_table`): `results/<table>.csv`, from files alone.

    write_given_rows(directory, {0: "3f2a…", 1: "9b1c…"})     # the experiments of the list that succeeded, by index

A row for each experiment that succeeded and gave one: first those of the list, in its order, then, with no index, those
of earlier lists. So commands whose lists differ fill one table. Columns: index, digest, then those that the table has
had, and new ones behind them in the order in which they first came; one that no row has any more goes. A key of a row
that bears one of the first two names gets `row.` in front.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from configmill.config.encoding import leaves
from configmill.files import read_json_of_experiment
from configmill.protocol.layout import TABLE_SUFFIX, CampaignDir, ExperimentDir, is_table_name
from configmill.store.csv_file import read_columns, write_csv
from configmill.store.experiments import is_done, last_attempt

COLUMNS = ("index", "digest")
_ROW_SUFFIX = ".json"


@dataclass(frozen=True)
class _Given:
    """What one experiment gave to one table; `ended` is when the attempt did that gave it."""

    index: int | None
    digest: str
    ended: str
    values: Mapping[str, Any]


def write_given_rows(directory: CampaignDir, succeeded: Mapping[int, str]) -> None:
    """Write each table that an experiment has given a row to; one that has lost its last row has its head alone."""
    tables: dict[str, list[_Given]] = {name: [] for name in _written(directory)}
    for index, digest in _experiments(directory, succeeded):
        experiment = directory.experiment(digest)
        names = _tables_of(experiment)
        ended = _ended(experiment) if names else ""
        for name in names:
            row = read_json_of_experiment(experiment.table_row(name))
            if row is not None:
                tables.setdefault(name, []).append(_Given(index, digest, ended, _columns_of(row)))
    for name, rows in tables.items():
        os.makedirs(directory.tables, exist_ok=True)
        _write(directory.table(name), rows)


def _experiments(directory: CampaignDir, succeeded: Mapping[int, str]) -> list[tuple[int | None, str]]:
    """Those of the list by index, then the others that succeeded, oldest first."""
    listed = set(succeeded.values())
    others = [name for name in os.listdir(directory.experiments) if name not in listed]
    given = [name for name in others if _tables_of(directory.experiment(name)) and is_done(directory.experiment(name))]
    given.sort(key=lambda name: (_ended(directory.experiment(name)), name))
    return [*sorted(succeeded.items()), *((None, name) for name in given)]


def _tables_of(experiment: ExperimentDir) -> list[str]:
    """The tables that it gave a row to; user code may have left other files there."""
    try:
        names = os.listdir(experiment.tables)
    except (FileNotFoundError, NotADirectoryError):
        return []
    tables = (name.removesuffix(_ROW_SUFFIX) for name in names if name.endswith(_ROW_SUFFIX))
    return sorted(table for table in tables if is_table_name(table))


def _written(directory: CampaignDir) -> list[str]:
    """The tables of ours that are there; an experiment may have left other files beside them."""
    try:
        names = os.listdir(directory.tables)
    except (FileNotFoundError, NotADirectoryError):
        return []
    tables = [name.removesuffix(TABLE_SUFFIX) for name in names if name.endswith(TABLE_SUFFIX)]
    return [table for table in tables if tuple(read_columns(directory.table(table))[: len(COLUMNS)]) == COLUMNS]


def _ended(experiment: ExperimentDir) -> str:
    record = read_json_of_experiment(experiment.record(last_attempt(experiment))) or {}
    return str(record.get("ended"))


def _columns_of(row: dict[str, Any]) -> dict[str, Any]:
    return {f"row.{key}" if key in COLUMNS else key: value for key, value in leaves(row)}


def _write(path: str, rows: list[_Given]) -> None:
    by_age = sorted(rows, key=lambda row: row.ended)
    present = dict.fromkeys(key for row in by_age for key in row.values)
    before = [column for column in read_columns(path) if column in present]
    columns = list(dict.fromkeys([*COLUMNS, *before, *present]))
    write_csv(path, columns, [{"index": row.index, "digest": row.digest, **row.values} for row in rows])

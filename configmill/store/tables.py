"""A row per config, from files alone, and the tables that a manager leaves: results.csv, failed_experiments.csv.

    rows = result_rows(directory, digests, configs=None)
    write_tables(directory, rows)

A column that would bear one of the first names, or a metric that bears a varying key's, gets `config.` or `result.` in
front.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from configmill.config.encoding import canonical_json, leaves
from configmill.files import read_json, read_json_of_experiment
from configmill.protocol import status
from configmill.protocol.layout import CampaignDir
from configmill.store.csv_file import write_csv
from configmill.store.derived import standing
from configmill.store.experiments import read_state
from configmill.store.given_rows import write_given_rows
from configmill.store.lineage import with_tried
from configmill.store.lock import is_in_use

COLUMNS = ("index", "digest", "status", "attempts", "seconds")
#: One more, where a config that was derived from another stands for it.
DERIVED_FROM = "derived_from"
FAILED_COLUMNS = (
    "timestamp", "experiment_id", "config_name", "model_name", "error_message", "config_json"
)  # fmt: skip


class Row:
    """One config's state: `config` its encoded JSON, None where it is on no disk yet.

    Where a derived config stands for it, all is that one's: identity, directory, config, attempts, result.
    """

    def __init__(self, index: int, digest: str, directory: CampaignDir, config: Any, *, in_use: bool) -> None:
        self.index = index
        place = standing(directory, digest)
        self.digest = place.digest
        self.dir = place.dir
        #: The identity of the config that is in the list, where a derived one stands for it.
        self.derived_from = digest if place.tried else None
        self.derived_keys = frozenset(place.tried[-1].values) if place.tried else frozenset()
        state = read_state(self.dir, in_use=in_use)
        self.status = state.status
        self.attempts = state.attempts
        self.record = state.record or {}
        if place.tried and state.status == status.FAILED:
            self.record = {**self.record, "error": with_tried(self.record.get("error"), place.tried)}
        if place.tried:
            config = None
        self.config = config if config is not None else read_json_of_experiment(self.dir.config_json)
        succeeded = self.status in status.SUCCESSES
        self.result: dict[str, Any] = (read_json_of_experiment(self.dir.result) or {}) if succeeded else {}
        self.flat_config = dict(leaves(self.config or {}))


def result_rows(
    directory: CampaignDir, digests: Sequence[str], config_of: Callable[[int], Any] | None = None
) -> list[Row]:
    """A Row for each config of the list; `config_of(index)` gives its encoded config where it may not be on disk."""
    in_use = is_in_use(directory)
    return [
        Row(index, digest, directory, config_of(index) if config_of else None, in_use=in_use)
        for index, digest in enumerate(digests)
    ]


def latest_rows(directory: CampaignDir) -> list[Row]:
    """A Row for each config of the last command's list; none where no command got that far."""
    run = latest_list(directory)
    return result_rows(directory, run["experiments"], _Pending(run.get("pending") or {})) if run else []


def latest_list(directory: CampaignDir) -> dict[str, Any]:
    """The record of the last command that got as far as a list; {} where none did.

    It has the list, `experiments`, and those configs that have no directory yet.
    """
    for name in _runs(directory):
        run = read_json(directory.run_file(name, ".json"))
        if isinstance(run, dict) and run.get("experiments"):
            return run
    return {}


def last_run(directory: CampaignDir) -> str:
    """The name of the last command that ran in the campaign."""
    return next(iter(_runs(directory)), "")


def _runs(directory: CampaignDir) -> list[str]:
    """The names of the commands that ran, the last one first."""
    names = (name.removesuffix(".json") for name in os.listdir(directory.runs) if name.endswith(".json"))
    return sorted((name for name in names if not name.endswith(".configs")), reverse=True)


class _Pending:
    """The encoded config by index, None for one that its experiment's directory holds."""

    def __init__(self, configs: dict[str, Any]) -> None:
        self._configs = configs

    def __call__(self, index: int) -> Any:
        return self._configs.get(str(index))


def varying_keys(rows: Sequence[Row]) -> list[str]:
    """The dotted keys whose value isn't the same in every known config, in the order of their first appearance.

    Those that a derived config has another value of are among them.
    """
    known = [row.flat_config for row in rows if row.config is not None]
    values: dict[str, set[str]] = {}
    present: dict[str, int] = {}
    for flat in known:
        for key, value in flat.items():
            values.setdefault(key, set()).add(canonical_json(value))
            present[key] = present.get(key, 0) + 1
    derived = frozenset().union(*(row.derived_keys for row in rows))
    return [key for key in values if len(values[key]) > 1 or present[key] < len(known) or key in derived]


def to_records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as dicts of one set of columns: the fixed ones, what varies, the metrics. Missing values are None."""
    columns = fixed_columns(rows)
    keys = {key: f"config.{key}" if key in columns else key for key in varying_keys(rows)}
    metrics = list(dict.fromkeys(name for row in rows for name, _ in leaves(row.result)))
    taken = {*columns, *keys.values()}
    named = {metric: f"result.{metric}" if metric in taken else metric for metric in metrics}
    records = []
    for row in rows:
        result = dict(leaves(row.result))
        fixed = (row.index, row.digest, row.status, row.attempts, row.record.get("seconds"), row.derived_from)
        record: dict[str, Any] = dict(zip((*COLUMNS, DERIVED_FROM), fixed, strict=True))
        if DERIVED_FROM not in columns:
            del record[DERIVED_FROM]
        record |= {column: _for_table(row.flat_config.get(key)) for key, column in keys.items()}
        record |= {column: result.get(metric) for metric, column in named.items()}
        records.append(record)
    return records


def fixed_columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """The columns that come first, whatever is in the configs."""
    return (*COLUMNS, DERIVED_FROM) if any(row.derived_from is not None for row in rows) else COLUMNS


def write_tables(directory: CampaignDir, rows: Sequence[Row]) -> None:
    """Write results.csv, failed_experiments.csv and the tables that experiments gave rows to, each atomically."""
    records = to_records(rows)
    write_csv(directory.results_csv, list(records[0]) if records else list(COLUMNS), records)
    failed = [_failed_record(row) for row in rows if row.status == status.FAILED]
    write_csv(directory.failed_csv, FAILED_COLUMNS, failed)
    write_given_rows(directory, {row.index: row.digest for row in rows if row.status in status.SUCCESSES})


def _failed_record(row: Row) -> dict[str, Any]:
    flat = row.flat_config
    return {
        "timestamp": row.record.get("ended"),
        "experiment_id": row.digest,
        "config_name": flat.get("config_name", f"result_{row.index}"),
        "model_name": _for_table(flat.get("model_name", flat.get("model.name", flat.get("model")))),
        "error_message": f"{row.record.get('failure_class')}: {row.record.get('error')}",
        "config_json": json.dumps(row.config, ensure_ascii=False),
    }


def _for_table(value: Any) -> Any:
    """An encoded value for the eye: a function by its name, a date as text."""
    if isinstance(value, dict) and "__type__" in value:
        for part in ("qualname", "value", "items", "name"):
            if part in value:
                return value[part]
    return value

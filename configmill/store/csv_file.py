"""Tables as CSV files, replaced in one step.

write_csv(path, ["index", "mae"], [{"index": 0, "mae": 0.5}])
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from configmill.files import write_atomic


def write_csv(path: str, columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> None:
    """Write a line for the columns, and one for each record; what a record lacks, and None, is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(record.get(column)) for column in columns] for record in records)
    write_atomic(path, text.getvalue())


def read_columns(path: str) -> list[str]:
    """The columns of a table; none where it isn't there, or is no text."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, csv.Error):
        return []


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value

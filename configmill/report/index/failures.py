"""The failures of a campaign in groups, so that five hundred of one kind read as one.

    failure_groups(rows)[0]["members"]  ->  [[7, None], [8, "ValueError: lag 6 is too long"]]

They are in the order in which they want to be looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from configmill.protocol import status
from configmill.store.tables import Row

#: What needs a look, the worst first.
_ORDER = (status.FAILED, status.SUCCEEDED_WITH_ERRORS, status.INTERRUPTED)
_NO_RECORD = "It was cut off, and nothing says how."
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)


def failure_groups(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Groups of one status, class and place whose messages differ in numbers at most: failures first, then by size.

    A member is the row's position and its message, None where it is the group's.
    """
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for position, row in enumerate(rows):
        if row.status not in _ORDER:
            continue
        failure_class, error = _class_and_error(row)
        where = row.record.get("where")
        key = (row.status, failure_class, where, _NUMBER.sub("0", error))
        described = {"status": row.status, "failure_class": failure_class, "error": error, "where": where}
        group = groups.setdefault(key, {**described, "members": []})
        group["members"].append([position, None if error == group["error"] else error])
    return sorted(groups.values(), key=lambda group: (_ORDER.index(group["status"]), -len(group["members"])))


def _class_and_error(row: Row) -> tuple[str, str]:
    if row.status == status.SUCCEEDED_WITH_ERRORS:
        cells = row.record.get("cell_errors") or []
        return "cell_errors", "; ".join(f"cell {cell.get('cell')}: {cell.get('error')}" for cell in cells)
    return str(row.record.get("failure_class") or ""), str(row.record.get("error") or _NO_RECORD)

"""What the campaign's page shows, as JSON: the campaign, its columns and rows, its failures in groups.

    report_data(CampaignDir("/data/out"), rows, {})["rows"][0]  ->  [0, "3f2a…", "succeeded", 1, 2.3, 8, 0.41]

Everything is a value that strict JSON and JavaScript hold exactly. A number that they don't is `{"n": text}`: NaN,
Infinity, whole numbers beyond 2**53.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from configmill.files import read_json_of_experiment
from configmill.protocol.layout import CampaignDir, is_notebook
from configmill.protocol.timestamps import timestamp
from configmill.report.index.device_series import device_series
from configmill.report.index.energy import energy_groups
from configmill.report.index.failures import failure_groups
from configmill.store.tables import COLUMNS, Row, fixed_columns, last_run, to_records, varying_keys

MAX_TEXT = 2000
_MAX_SAFE_INT = 2**53 - 1
_PICTURES = (".png", ".svg", ".jpg", ".jpeg")
#: An experiment may leave a picture per step; which one is shown isn't worth reading a huge directory.
_MAX_ENTRIES_READ = 200


@dataclass(frozen=True)
class Page:
    """A published notebook page: paths relative to report/index.html, not quoted as in a URL.

    `thumbnail` is the picture of its first plot (png, jpeg or svg), None where it has none.
    """

    href: str
    thumbnail: str | None


def report_data(directory: CampaignDir, rows: Sequence[Row], pages: Mapping[str, Page]) -> dict[str, Any]:
    """Everything that the page is made of."""
    target = (read_json_of_experiment(directory.campaign) or {}).get("target", "")
    records = to_records(rows)
    return {
        "target": target,
        "name": os.path.basename(directory.path),
        "made": timestamp(time.time()),
        "notebook": is_notebook(target),
        "files": _tables_there(directory),
        "run": _last_run(directory),
        "duration": _durations(rows),
        "columns": _columns(rows, records),
        "rows": [[plain_value(value) for value in record.values()] for record in records],
        "pages": [_links(row, pages.get(row.digest), look_for_pictures=not is_notebook(target)) for row in rows],
        "failures": failure_groups(rows),
        "devices": device_series(rows),
        "energy": energy_groups(rows),
    }


def _columns(rows: Sequence[Row], records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each column's name, what it is (its name where fixed, `config` or `metric`), and whether any value is a float."""
    fixed = fixed_columns(rows)
    varying = {f"config.{key}" if key in fixed else key for key in varying_keys(rows)}
    described = []
    for name in records[0] if records else COLUMNS:
        kind = name if name in fixed else "config" if name in varying else "metric"
        described.append({"name": name, "kind": kind, "float": any(isinstance(r[name], float) for r in records)})
    return described


def plain_value(value: Any) -> Any:
    """A value of a table as the page takes it; lists and mappings become their JSON text, long text is cut."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _MAX_SAFE_INT else {"n": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"n": json.dumps(value)}
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _links(row: Row, page: Page | None, *, look_for_pictures: bool) -> list[str | None]:
    """The hrefs of the experiment's page and of its picture."""
    if page is not None:
        return [to_href(page.href), None if page.thumbnail is None else to_href(page.thumbnail)]
    picture = _first_picture(row.dir.path) if look_for_pictures and row.attempts else None
    return [None, None if picture is None else to_href(f"../experiments/{row.digest}/{picture}")]


def _first_picture(path: str) -> str | None:
    """The first picture by name that an experiment left in its directory."""
    names = []
    try:
        with os.scandir(path) as entries:
            for _, entry in zip(range(_MAX_ENTRIES_READ), entries, strict=False):
                if entry.name.lower().endswith(_PICTURES) and entry.is_file():
                    names.append(entry.name)
    except OSError:  # user code may have removed it
        return None
    return min(names, default=None)


def to_href(path: str) -> str:
    """A relative path as a URL that can be nothing else: quoted, and without a scheme or a host."""
    quoted = quote(os.fsencode(path))
    return quoted if quoted.startswith(("../", "./")) else f"./{quoted}"


def _durations(rows: Sequence[Row]) -> dict[str, float] | None:
    seconds = [row.record["seconds"] for row in rows if isinstance(row.record.get("seconds"), int | float)]
    return {"total": sum(seconds), "median": statistics.median(seconds)} if seconds else None


def _last_run(directory: CampaignDir) -> dict[str, Any] | None:
    """When the last command began, and which commit it ran; its name tells its files."""
    name = last_run(directory) if os.path.isdir(directory.runs) else ""
    run = read_json_of_experiment(directory.run_file(name, ".json"))
    if run is None:
        return None
    git = run.get("git") or {}
    return {"name": name, "started": run.get("started"), **{key: git.get(key) for key in ("commit", "branch", "dirty")}}


def _tables_there(directory: CampaignDir) -> list[str]:
    return [os.path.basename(p) for p in (directory.results_csv, directory.failed_csv) if os.path.exists(p)]

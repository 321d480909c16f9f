"""How the devices of attempts were used over time, as the campaign's page draws it.

    device_series(rows)["attempts"][0]
    # {"row": 3, "attempt": 1, "thinned": False, "devices": [{"id": "GPU-3f2a…", "seconds": [0.0, 1.0, …],
    #  "utilisation": [0, 97, …], "memory": [0, 16106127360, …], "power": […], "temperature": […]}]}

A page opens from a file, so all that it draws is in it: series are thinned until they fit. Every sample stays in the
attempt's own file (`attempts/<n>.devices.csv`).
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from configmill.store.tables import Row

#: Of all devices of all attempts together: some 30 bytes each in the page.
MAX_SAMPLES = 30_000
#: Of one device: more than a panel has pixels to tell apart.
_MAX_OF_A_DEVICE = 300
#: Fewer show nothing: rather some attempts are left out.
_LEAST_OF_A_DEVICE = 20

#: By the name of a series: its column in the file, and what stands for samples that lie close together.
_SERIES: dict[str, tuple[str, Callable[[Sequence[float]], float]]] = {
    "utilisation": ("utilisation_percent", lambda values: round(fmean(values), 1)),
    "memory": ("memory_bytes", max),
    "power": ("power_watts", lambda values: round(fmean(values), 1)),
    "temperature": ("temperature_celsius", max),
}


def device_series(rows: Sequence[Row]) -> dict[str, Any]:
    """The attempts that have samples, oldest first within a row, and how many were left out."""
    found = [(position, attempt, path) for position, row in enumerate(rows) for attempt, path in _sampled(row)]
    most = MAX_SAMPLES // _LEAST_OF_A_DEVICE
    attempts, left = [], MAX_SAMPLES
    for number, (position, attempt, path) in enumerate(found[:most]):
        devices = _read(path)
        if not devices:
            continue
        share = left // ((min(len(found), most) - number) * len(devices))
        limit = min(_MAX_OF_A_DEVICE, max(share, _LEAST_OF_A_DEVICE))
        thinned = [_thin(id, samples, limit) for id, samples in devices.items()]
        left -= sum(len(series["seconds"]) for series in thinned)
        attempts.append(
            {
                "row": position,
                "attempt": attempt,
                "thinned": any(len(samples) > limit for samples in devices.values()),
                "devices": thinned,
            }
        )
        if left < _LEAST_OF_A_DEVICE:
            return {"attempts": attempts, "left_out": len(found) - number - 1}
    return {"attempts": attempts, "left_out": max(0, len(found) - most)}


def _sampled(row: Row) -> Iterator[tuple[int, str]]:
    """The attempts of an experiment that have samples, each with its file."""
    if not row.record.get("gpus"):  # of thousands without a device nobody need look for the files
        return
    for attempt in range(1, row.attempts + 1):
        path = row.dir.device_samples(attempt)
        if os.path.exists(path):
            yield attempt, path


def _read(path: str) -> dict[str, list[dict[str, float | None]]]:
    """The samples by device. What an experiment may have written into the file and is none is left out."""
    devices: dict[str, list[dict[str, float | None]]] = {}
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            for line in csv.DictReader(file):
                seconds = _number(line.get("seconds"))
                if seconds is not None and line.get("device"):
                    sample = {name: _number(line.get(column)) for name, (column, _) in _SERIES.items()}
                    devices.setdefault(line["device"], []).append({"seconds": seconds, **sample})
    except (OSError, csv.Error):
        return devices
    return devices


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) else number


def _thin(id: str, samples: list[dict[str, float | None]], limit: int) -> dict[str, Any]:
    """One device's series, of `limit` entries at most; an entry is at the time of the last sample in it."""
    count = min(limit, len(samples))
    bounds = [len(samples) * place // count for place in range(count + 1)]
    parts = [samples[begin:end] for begin, end in pairwise(bounds)]
    series: dict[str, Any] = {"id": id, "seconds": [part[-1]["seconds"] for part in parts]}
    for name, (_, of) in _SERIES.items():
        known = ([value for sample in part if (value := sample[name]) is not None] for part in parts)
        series[name] = [of(values) if values else None for values in known]
    return series

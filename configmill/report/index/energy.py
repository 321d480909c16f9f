"""What the experiments' last attempts used, as the campaign's page shows it: a line for each way of measuring.

    energy_groups(rows)[0]
    # {"method": "rapl", "scope": "cpu package", "experiments": 8, "joules": 9120.0, "net_joules": None, "gco2e": 1.2,
    #  "uncertainty": None, "uncertainty_source": "no bound ...", "contended": 8, "factor": "475 g/kWh ...", ...}

Measured and modelled energy, and unlike scopes, are never added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from configmill.measure.energy.reading import NO_METHOD, EnergyReading
from configmill.store.tables import Row


def energy_groups(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The groups in the order of their first rows; those without a figure, by their reason, last."""
    groups: dict[tuple[Any, ...], list[EnergyReading]] = {}
    for row in rows:
        reading = _reading(row.record.get("energy"))
        if reading is not None:
            groups.setdefault(_alike(reading), []).append(reading)
    described = [_described(readings) for readings in groups.values()]
    return sorted(described, key=lambda group: bool(group["joules"] is None))


def _alike(reading: EnergyReading) -> tuple[Any, ...]:
    if reading.gross_joules is None:
        return (NO_METHOD, reading.reason)
    return (reading.method, reading.scope, reading.g_per_kwh, reading.g_per_kwh_source, reading.pue)


def _described(readings: Sequence[EnergyReading]) -> dict[str, Any]:
    first = readings[0]
    bounds = [reading.uncertainty for reading in readings]
    return {
        "method": first.method,
        "scope": first.scope,
        "experiments": len(readings),
        "joules": _sum(reading.gross_joules for reading in readings),
        "net_joules": _sum(reading.net_joules for reading in readings),
        "gco2e": _sum(reading.gco2e for reading in readings),
        "uncertainty": None if None in bounds else max(bound for bound in bounds if bound is not None),
        "uncertainty_source": first.uncertainty_source,
        "contended": sum(reading.contended for reading in readings if reading.gross_joules is not None),
        "factor": _factor(first),
        "reason": first.reason,
    }


def _sum(values: Any) -> float | None:
    """The sum, None where one of them isn't known."""
    known = list(values)
    return None if None in known else math.fsum(known)


def _factor(reading: EnergyReading) -> str | None:
    if reading.g_per_kwh is None or reading.gross_joules is None:
        return None
    pue = "" if reading.pue == 1 else f", PUE {reading.pue:g}"
    return f"{reading.g_per_kwh:g} g/kWh: {reading.g_per_kwh_source}{pue}"


def _reading(saved: Any) -> EnergyReading | None:
    """The reading of a record; None where there is none, or user code has put something else there."""
    if not isinstance(saved, dict):
        return None
    texts = ("method", "scope", "reason", "uncertainty_source", "g_per_kwh_source")
    numbers = ("gross_joules", "idle_watts", "seconds", "uncertainty", "g_per_kwh", "pue")
    is_one = all(isinstance(saved.get(name), str | None) for name in texts) and all(
        _is_number(saved.get(name)) for name in numbers
    )
    if not is_one or not saved.get("method"):
        return None
    known: dict[str, Any] = {name: value for name in (*texts, *numbers) if (value := saved.get(name)) is not None}
    return EnergyReading(**known, contended=saved.get("contended") is not False)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value))

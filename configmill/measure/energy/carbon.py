"""From energy to grams of CO2e: the factor, and where it is from.

Carbon.of(g_per_kwh=56.0)              # as the user gave it
Carbon.of(country="FRA")               # the country's mean, from the table that codecarbon brings
Carbon.of()                            # the world's mean, and it says so
"""

from __future__ import annotations

from configmill.config.nearest import nearest_name
from configmill.errors import UsageError
from configmill.files import read_json

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

WORLD_G_PER_KWH = 475.0
_WORLD_SOURCE = "world average (IEA, Global Energy & CO2 Status Report 2019); neither --country nor a factor was given"
_TABLE = ("data", "private_infra", "global_energy_mix.json")


class Carbon:
    """Grams of CO2e for each kWh, its source, and the power usage effectiveness (1: nothing but the computers)."""

    def __init__(self, g_per_kwh: float = WORLD_G_PER_KWH, source: str = _WORLD_SOURCE, pue: float = 1.0) -> None:
        self.g_per_kwh = g_per_kwh
        self.source = source
        self.pue = pue

    @classmethod
    def of(cls, g_per_kwh: float | None = None, country: str | None = None, pue: float | None = None) -> Carbon:
        """What a user gave. Raises UsageError for a country that nobody knows."""
        pue = 1.0 if pue is None else pue
        if g_per_kwh is not None:
            return cls(g_per_kwh, "given by the user", pue)
        if country is None:
            return cls(pue=pue)
        entry = _entry(country)
        where = f"{entry['country_name']}, mean of {entry['year']} (codecarbon's global_energy_mix.json)"
        return cls(float(entry["carbon_intensity"]), where, pue)


def _entry(country: str) -> dict[str, Any]:
    """A country's row of codecarbon's table, which is read without importing codecarbon (pandas and all)."""
    table = read_json(_path_of_table(country))
    found: dict[str, Any] | None = table.get(country.upper())
    if found is not None:
        return found
    codes = {str(entry["country_name"]).lower(): code for code, entry in table.items()}
    code = codes.get(country.lower()) or codes.get(nearest_name(country.lower(), codes) or "")
    near = [code or nearest_name(country.upper(), table)]
    if code is None and len(country) == 2:  # a code of two letters, as others have them
        near = [known for known in table if known.startswith(country.upper())] or near
    named = " or ".join(f"{code} ({table[code]['country_name']})" for code in near if code)
    hint = f"Did you mean {named}?" if named else "Such as FRA, DEU, USA."
    raise UsageError(f"--country {country!r} is no country's code of three letters (ISO 3166). {hint}")


def _path_of_table(country: str) -> str:
    import os
    from importlib.util import find_spec

    spec = find_spec("codecarbon")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            f"--country {country!r} is looked up in codecarbon's table, and codecarbon isn't installed. "
            "Run pip install 'configmill[llm]', or give --carbon_g_per_kwh."
        )
    return os.path.join(spec.submodule_search_locations[0], *_TABLE)

"""A figure of energy, with all that has to be known to compare it with another one.

    reading.gross_joules, reading.method, reading.scope      # 812.4, 'nvml_counter', 'gpu'
    reading.net_joules                                       # None: reading.reason says why
    EnergyReading.from_json(reading.to_json())

What could not be measured is None with a reason, never 0. Readings of unlike methods or scopes are never to be ranked
or summed.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NVML_COUNTER, NVML_POLL, RAPL, MODELLED, NO_METHOD = "nvml_counter", "nvml_poll", "rapl", "modelled", "none"
#: Those that read an instrument.
MEASURED = (NVML_COUNTER, NVML_POLL, RAPL)

JOULES_PER_KWH = 3.6e6

#: What a table has of a reading; the record has all of it.
_FOR_TABLES = (
    "method",
    "scope",
    "gross_joules",
    "net_joules",
    "seconds",
    "average_watts",
    "gco2e",
    "uncertainty",
    "contended",
    "reason",
)


class EnergyReading:
    """What was used between two points in time: joules, watts, seconds, grams; None for what is not known.

    `net_joules` is gross without what would have been used anyway, `idle_watts * seconds`. `uncertainty` is a fraction
    of gross: 0.05 for 5 %. `contended`: other experiments may have run at the same time.
    """

    def __init__(
        self,
        *,
        method: str = NO_METHOD,
        scope: str = "",
        devices: Mapping[str, float | None] | None = None,
        gross_joules: float | None = None,
        idle_watts: float | None = None,
        seconds: float | None = None,
        samples: int | None = None,
        uncertainty: float | None = None,
        uncertainty_source: str | None = None,
        contended: bool = True,
        reason: str | None = None,
        assumptions: Mapping[str, Any] | None = None,
        g_per_kwh: float | None = None,
        g_per_kwh_source: str | None = None,
        pue: float = 1.0,
        host: EnergyReading | None = None,
    ) -> None:
        #: nvml_counter, nvml_poll, rapl, modelled, or none.
        self.method = method
        #: What the joules are of: "gpu", "cpu package+dram", "machine (cpu, ram) modelled".
        self.scope = scope
        #: Joules by device: a GPU's UUID, a zone of RAPL, a part of the model. They add up to `gross_joules`.
        self.devices = dict(devices or {})
        self.gross_joules = gross_joules
        self.idle_watts = idle_watts
        self.seconds = seconds
        #: How often the instrument was read.
        self.samples = samples
        self.uncertainty = uncertainty
        self.uncertainty_source = uncertainty_source
        self.contended = contended
        #: Why something is None.
        self.reason = reason
        #: What a model takes for granted.
        self.assumptions = dict(assumptions or {})
        self.g_per_kwh = g_per_kwh
        self.g_per_kwh_source = g_per_kwh_source
        #: Power usage effectiveness: what the building uses for each unit that its computers use.
        self.pue = pue
        #: The CPU's energy beside the GPUs', where it can be read; never a part of `gross_joules`.
        self.host = host

    @property
    def net_joules(self) -> float | None:
        """Joules beyond what the idle machine would have used; None where one of both is unknown."""
        if self.gross_joules is None or self.idle_watts is None or self.seconds is None:
            return None
        return self.gross_joules - self.idle_watts * self.seconds

    @property
    def average_watts(self) -> float | None:
        """Mean power."""
        return self.gross_joules / self.seconds if self.gross_joules is not None and self.seconds else None

    @property
    def kwh(self) -> float | None:
        """`gross_joules` in kWh."""
        return None if self.gross_joules is None else self.gross_joules / JOULES_PER_KWH

    @property
    def gco2e(self) -> float | None:
        """Grams of CO2e: kWh * PUE * g/kWh."""
        return None if self.kwh is None or self.g_per_kwh is None else self.kwh * self.pue * self.g_per_kwh

    @property
    def total_joules(self) -> float | None:
        """GPUs and host together; None where one of both is unknown."""
        if self.host is None or self.host.gross_joules is None or self.gross_joules is None:
            return None
        return self.gross_joules + self.host.gross_joules

    @property
    def total_scope(self) -> str | None:
        """What `total_joules` is of: "gpu + cpu package"."""
        return None if self.total_joules is None or self.host is None else f"{self.scope} + {self.host.scope}"

    def to_json(self) -> dict[str, Any]:
        """As a mapping that JSON can hold: what `from_json` reads, and what follows from it."""
        derived = ("net_joules", "average_watts", "kwh", "gco2e", "total_joules", "total_scope")
        host = None if self.host is None else self.host.to_json()
        return {**vars(self), **{name: getattr(self, name) for name in derived}, "host": host}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> EnergyReading:
        """The reading that `to_json` made a mapping of."""
        names = vars(cls()).keys()
        given = {name: value for name, value in saved.items() if name in names}
        host = given.get("host")
        return cls(**{**given, "host": None if host is None else cls.from_json(host)})

    def for_tables(self) -> dict[str, Any]:
        """The part of it that a table of results shows."""
        return {name: getattr(self, name) for name in _FOR_TABLES}

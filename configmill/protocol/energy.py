"""How an attempt's energy is to be measured: what the manager tells the minder, and an experiment its own meter.

    os.environ[ENERGY] = EnergyOrders(measure=True, backend="auto").to_json()
    EnergyOrders.from_env(os.environ)           # None where the command says nothing about energy

It is data only: how anything is measured is in `measure.energy`.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Mapping

#: The environment variable that an experiment is given where the command says anything about energy.
ENERGY = "CONFIGMILL_ENERGY"

#: What energy may be read from; `auto` takes the best that there is.
AUTO, NVML, RAPL, CODECARBON, NONE = "auto", "nvml", "rapl", "codecarbon", "none"
BACKENDS = (AUTO, NVML, RAPL, CODECARBON, NONE)

#: The line by which the process that reads the meter says that the window is open.
READY = "ready"


class EnergyOrders:
    """`exclusive`: the attempt has the host alone; `shared`: others may use its device at the same time."""

    def __init__(
        self,
        *,
        measure: bool = False,
        backend: str = AUTO,
        g_per_kwh: float | None = None,
        g_per_kwh_source: str | None = None,
        pue: float = 1.0,
        exclusive: bool = False,
        shared: bool = False,
    ) -> None:
        #: Whether the whole attempt is measured; an experiment may measure a part of itself in any case.
        self.measure = measure
        self.backend = backend
        #: Grams of CO2e for each kWh; None for the meter's default.
        self.g_per_kwh = g_per_kwh
        self.g_per_kwh_source = g_per_kwh_source
        self.pue = pue
        self.exclusive = exclusive
        self.shared = shared

    def to_json(self) -> str:
        """As text that `from_json` reads."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> EnergyOrders:
        """The orders that `to_json` wrote."""
        return cls(**json.loads(text))

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> EnergyOrders | None:
        """The orders of the attempt that this process belongs to; None where there are none."""
        text = environ.get(ENERGY)
        return cls.from_json(text) if text else None

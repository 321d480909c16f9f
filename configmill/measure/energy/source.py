"""What every source of energy has in common: it is opened around a window, and says how much was used in it.

source.begin()
...                          # the window
window = source.end()        # a Window, or EnergyUnavailableError
"""

from __future__ import annotations

from configmill.errors import ConfigmillError

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol

    class Source(Protocol):
        """One way to know how much energy was used; made ready when it is made, so that `begin` takes no time."""

        @property
        def method(self) -> str:
            """As `EnergyReading.method`."""

        @property
        def scope(self) -> str:
            """As `EnergyReading.scope`."""

        def begin(self) -> None:
            """The window begins. Raises EnergyUnavailableError."""

        def end(self) -> Window:
            """The window ends. Raises EnergyUnavailableError."""


class EnergyUnavailableError(ConfigmillError):
    """Energy can't be read here; the message is the reason."""


class Window:
    """What was used in a window: joules by device, and seconds. `uncertainty`: a fraction; None where unknown."""

    def __init__(
        self,
        joules: Mapping[str, float],
        seconds: float,
        samples: int,
        *,
        uncertainty: float | None = None,
        uncertainty_source: str,
        assumptions: Mapping[str, Any] | None = None,
    ) -> None:
        self.joules = joules
        self.seconds = seconds
        #: How often the instrument was read.
        self.samples = samples
        self.uncertainty = uncertainty
        self.uncertainty_source = uncertainty_source
        self.assumptions = assumptions or {}

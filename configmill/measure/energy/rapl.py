"""The energy of the CPU, as it counts it itself: RAPL, which Linux shows in /sys/class/powercap for Intel and AMD.

    source = RaplCounter("/sys/class/powercap")       # raises EnergyUnavailableError

Packages count, and DRAM where it has a counter of its own. Cores and the integrated GPU are parts of a package, `psys`
is the whole board, and `intel-rapl-mmio` shows the packages a second time: none of them is added.
Documentation/power/powercap/powercap.rst of the kernel has the format.
"""

from __future__ import annotations

import os
import time

from configmill.measure.energy.reading import RAPL
from configmill.measure.energy.repeated import Repeated
from configmill.measure.energy.source import EnergyUnavailableError, Window

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Callable

POWERCAP = "/sys/class/powercap"
#: Where it is mounted elsewhere, as in some containers.
POWERCAP_VARIABLE = "CONFIGMILL_POWERCAP_DIR"

_MICRO = 1e-6
_PREFIX = "intel-rapl:"
#: No zone draws more: a counter is read at least twice before it can have come round.
_MOST_WATTS = 1000.0


class _Zone:
    """A counter in a folder, in microjoules, which starts again at 0 after `range`."""

    def __init__(self, path: str, name: str) -> None:
        self.name = name
        self._counter = os.path.join(path, "energy_uj")
        self.range = int(_text(os.path.join(path, "max_energy_range_uj")))
        self.joules = 0.0
        self._last = self._read()

    def begin(self) -> None:
        """Count from here on."""
        self.joules, self._last = 0.0, self._read()

    def look(self) -> None:
        """Add what was used since the last look; a counter that has come round has done so once."""
        now = self._read()
        used = now - self._last if now >= self._last else now + self.range - self._last
        self.joules += used * _MICRO
        self._last = now

    def _read(self) -> int:
        return int(_text(self._counter))


class RaplCounter:
    """All packages, and DRAM where it is counted. `clock` is monotonic, in seconds."""

    method = RAPL

    def __init__(self, powercap: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        powercap = powercap or os.environ.get(POWERCAP_VARIABLE) or POWERCAP
        try:
            self._zones = _zones(powercap)
        except (OSError, ValueError) as error:
            raise EnergyUnavailableError(_why(error)) from error
        if not self._zones:
            raise EnergyUnavailableError(
                f"{powercap} shows no package of a CPU, as in most virtual machines and containers"
            )
        self.scope = "cpu package+dram" if any(zone.name.endswith("dram") for zone in self._zones) else "cpu package"
        self._clock = clock
        self._looks = 0
        #: How often counters must be read so that none comes round unseen.
        self.every = min(zone.range for zone in self._zones) * _MICRO / _MOST_WATTS / 2
        self._polling = Repeated(self.look, self.every)

    def begin(self) -> None:
        """Read all counters, and go on doing so."""
        self._looks = 1
        try:
            for zone in self._zones:
                zone.begin()
        except (OSError, ValueError) as error:
            raise EnergyUnavailableError(_why(error)) from error
        self._began = self._clock()
        self._polling.start()

    def look(self) -> None:
        """Read all counters."""
        self._looks += 1
        try:
            for zone in self._zones:
                zone.look()
        except (OSError, ValueError) as error:
            raise EnergyUnavailableError(_why(error)) from error

    def end(self) -> Window:
        """Read them for the last time."""
        self._polling.stop()
        seconds = self._clock() - self._began
        self.look()
        return Window(
            {zone.name: zone.joules for zone in self._zones},
            seconds,
            samples=self._looks,
            uncertainty_source="no bound is published for RAPL; it counts the CPU, and no fan, disk or power supply",
        )


def _zones(powercap: str) -> list[_Zone]:
    """The packages, and the DRAM below them, in the order of their numbers."""
    names = sorted(name for name in _entries(powercap) if name.startswith(_PREFIX) and name.count(":") == 1)
    found = []
    for folder in names:
        path = os.path.join(powercap, folder)
        package = _text(os.path.join(path, "name"))
        if not package.startswith("package"):
            continue
        found.append(_Zone(path, package))
        for below in sorted(name for name in _entries(path) if name.startswith(f"{folder}:")):
            inner = os.path.join(path, below)
            if _text(os.path.join(inner, "name")) == "dram":
                found.append(_Zone(inner, f"{package} dram"))
    return found


def _entries(path: str) -> list[str]:
    return os.listdir(path) if os.path.isdir(path) else []


def _text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, PermissionError):
        return f"{error.filename} is for root alone: make it readable (chmod a+r) to have the CPU's energy"
    return f"the CPU's energy counter can't be read: {error}"

from __future__ import annotations

from pathlib import Path

import pytest

from configmill.measure.energy import rapl


class Powercap:
    """A folder as Linux shows it in /sys/class/powercap; counters are in microjoules."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def zone(self, folder: str, name: str, joules: float, range_joules: float = 262_143.328) -> None:
        """Make a zone, `intel-rapl:0` or below it `intel-rapl:0/intel-rapl:0:0`."""
        (self.path / folder).mkdir(parents=True)
        (self.path / folder / "name").write_text(f"{name}\n")
        (self.path / folder / "max_energy_range_uj").write_text(f"{round(range_joules * 1e6)}\n")
        self.set(folder, joules)

    def set(self, folder: str, joules: float) -> None:
        """Have the counter show so many joules."""
        (self.path / folder / "energy_uj").write_text(f"{round(joules * 1e6)}\n")


class Clock:
    """Monotonic time that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _not_this_hosts_counters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test depends on whether this host shows its CPU's energy."""
    monkeypatch.setenv(rapl.POWERCAP_VARIABLE, str(tmp_path / "no powercap here"))


@pytest.fixture
def powercap(tmp_path: Path) -> Powercap:
    """A host without zones."""
    return Powercap(tmp_path / "powercap")


@pytest.fixture
def clock() -> Clock:
    """Time that stands still."""
    return Clock()

"""The CPU's own counters, in a folder as Linux shows them."""

from __future__ import annotations

import pytest

from configmill.measure.energy.rapl import RaplCounter
from configmill.measure.energy.source import EnergyUnavailableError
from tests.energy.conftest import Clock, Powercap


def test_packages_and_dram_count_once(powercap: Powercap, clock: Clock) -> None:
    """Cores and the integrated GPU are within the package, psys around it, mmio the same again: none is added."""
    powercap.zone("intel-rapl:0", "package-0", 100)
    powercap.zone("intel-rapl:0/intel-rapl:0:0", "core", 50)
    powercap.zone("intel-rapl:0/intel-rapl:0:1", "dram", 20)
    powercap.zone("intel-rapl:1", "package-1", 7)
    powercap.zone("intel-rapl:2", "psys", 500)
    powercap.zone("intel-rapl-mmio:0", "package-0", 100)
    source = RaplCounter(str(powercap.path), clock)
    assert source.scope == "cpu package+dram"
    source.begin()
    for folder, joules in (
        ("intel-rapl:0", 130.5),
        ("intel-rapl:0/intel-rapl:0:0", 75),
        ("intel-rapl:0/intel-rapl:0:1", 24),
        ("intel-rapl:1", 10),
        ("intel-rapl:2", 900),
        ("intel-rapl-mmio:0", 130.5),
    ):
        powercap.set(folder, joules)
    clock.now += 2
    window = source.end()
    assert window.joules == pytest.approx({"package-0": 30.5, "package-0 dram": 4.0, "package-1": 3.0})
    assert (window.seconds, window.samples) == (2.0, 2)
    assert window.uncertainty is None and "no bound" in window.uncertainty_source


def test_a_counter_comes_round(powercap: Powercap, clock: Clock) -> None:
    """Past its range a counter begins again at 0; a window may be many times as long, as it is read often enough."""
    powercap.zone("intel-rapl:0", "package-0", 60_000, range_joules=65_536)
    source = RaplCounter(str(powercap.path), clock)
    assert source.scope == "cpu package"
    assert source.every == pytest.approx(65_536 / 2000), "read twice before 1000 W could fill it"
    source.begin()
    for joules in (10_000, 65_000, 30_000):
        powercap.set("intel-rapl:0", joules)
        source.look()
    powercap.set("intel-rapl:0", 30_001)
    assert source.end().joules["package-0"] == pytest.approx(15_536 + 55_000 + 30_536 + 1)


def test_the_next_window_begins_at_nothing(powercap: Powercap, clock: Clock) -> None:
    """What is used between two windows is in neither."""
    powercap.zone("intel-rapl:0", "package-0", 1)
    source = RaplCounter(str(powercap.path), clock)
    source.begin()
    powercap.set("intel-rapl:0", 3)
    assert source.end().joules["package-0"] == pytest.approx(2)
    powercap.set("intel-rapl:0", 50)
    source.begin()
    powercap.set("intel-rapl:0", 55)
    assert source.end().joules["package-0"] == pytest.approx(5)


def test_a_host_without_zones(powercap: Powercap) -> None:
    """A virtual machine, whose folder is missing, empty or has other zones alone, is told as such."""
    for path in (powercap.path, powercap.path / "missing"):
        with pytest.raises(EnergyUnavailableError, match="no package of a CPU"):
            RaplCounter(str(path))
    powercap.zone("intel-rapl:0", "psys", 5)
    with pytest.raises(EnergyUnavailableError, match="no package of a CPU"):
        RaplCounter(str(powercap.path))


def test_counters_for_root_alone(powercap: Powercap, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only root may read them, the reason names the file and what to do."""
    powercap.zone("intel-rapl:0", "package-0", 1)
    opened = open

    def refusing(path: str, *arguments: object, **named: object) -> object:
        if str(path).endswith("energy_uj"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr("builtins.open", refusing)  # the tests may run as root, whom no mode keeps out
    with pytest.raises(EnergyUnavailableError, match=r"energy_uj is for root alone.*chmod a\+r"):
        RaplCounter(str(powercap.path))


def test_a_counter_that_is_gone(powercap: Powercap, clock: Clock) -> None:
    """A zone that disappears, or holds no number, in the midst of a window is a reason, not a wrong figure."""
    powercap.zone("intel-rapl:0", "package-0", 1)
    source = RaplCounter(str(powercap.path), clock)
    source.begin()
    (powercap.path / "intel-rapl:0" / "energy_uj").write_text("nothing\n")
    with pytest.raises(EnergyUnavailableError, match="can't be read"):
        source.end()

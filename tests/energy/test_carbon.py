"""From kWh to grams: the factor and where it is from."""

from __future__ import annotations

import importlib.util

import pytest

from configmill.errors import UsageError
from configmill.measure.energy.carbon import WORLD_G_PER_KWH, Carbon


def test_a_factor_that_was_given() -> None:
    """It is taken as it is, 0 included, and its source says so."""
    carbon = Carbon.of(g_per_kwh=0.0, pue=1.5)
    assert (carbon.g_per_kwh, carbon.source, carbon.pue) == (0.0, "given by the user", 1.5)


@pytest.mark.parametrize("code", ["FRA", "fra"])
def test_a_country(code: str) -> None:
    """A country stands for its mean in codecarbon's table, and the source has its name and year."""
    carbon = Carbon.of(country=code)
    assert 10 < carbon.g_per_kwh < 120
    assert carbon.source.startswith("France, mean of 20") and "codecarbon" in carbon.source


def test_without_either_it_is_the_worlds() -> None:
    """Never the silent figure of some country: the world's mean, which says that nothing was given."""
    carbon = Carbon.of()
    assert carbon.g_per_kwh == WORLD_G_PER_KWH == 475.0
    assert "world average" in carbon.source and "neither" in carbon.source


@pytest.mark.parametrize(("country", "meant"), [("France", "FRA"), ("Germny", "DEU"), ("FR", "FRA")])
def test_no_country(country: str, meant: str) -> None:
    """What is no code of three letters is an error that names the one that was meant."""
    with pytest.raises(UsageError, match=f"--country '{country}' is no country's code.*Did you mean {meant} "):
        Carbon.of(country=country)


def test_a_country_without_codecarbon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is codecarbon's: without it the error says what to install, or to give instead."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"codecarbon isn't installed.*--carbon_g_per_kwh"):
        Carbon.of(country="FRA")

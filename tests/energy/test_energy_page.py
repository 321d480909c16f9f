"""Energy on the campaign's page: a line for each way of measuring, with method and uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configmill.measure.energy.reading import EnergyReading
from configmill.report.index.energy import energy_groups
from configmill.report.index.page import write_index
from configmill.store.tables import Row
from tests.browser import Browser
from tests.report.index_view import IndexView
from tests.report.stub_rows import stub_campaign, stub_row


def measured(joules: float, **more: Any) -> dict[str, Any]:
    """A record's entry of a GPU's counter."""
    known: dict[str, Any] = {
        "method": "nvml_counter", "scope": "gpu", "gross_joules": joules, "seconds": 10.0, "uncertainty": 0.07,
        "uncertainty_source": "the sensor", "contended": False, "g_per_kwh": 360.0, "g_per_kwh_source": "given",
    }  # fmt: skip
    return EnergyReading(**{**known, **more}).to_json()


def rows_with(path: Path, *entries: Any) -> list[Row]:
    """A row for each entry, one of a failure among them."""
    directory = stub_campaign(path)
    statuses = ["failed", *["succeeded"] * len(entries)]
    return [
        stub_row(directory, index, config={"x": index}, status=status, energy=entry)
        for index, (entry, status) in enumerate(zip(entries, statuses, strict=False))
    ]


def test_unlike_ones_are_never_added(tmp_path: Path) -> None:
    """Sums are within one method, scope and factor; of a sum one part of which is unknown nothing is known."""
    groups = energy_groups(
        rows_with(
            tmp_path / "out",
            measured(100.0, idle_watts=4.0),
            measured(50.0, uncertainty=0.2, contended=True),
            measured(30.0, method="modelled", scope="machine (cpu, ram) modelled", uncertainty=None),
            measured(10.0, g_per_kwh=1.0),
            EnergyReading(reason="no meter").to_json(),
            None,
        )
    )
    assert [(group["method"], group["joules"], group["experiments"]) for group in groups] == [
        ("nvml_counter", 150.0, 2),
        ("modelled", 30.0, 1),
        ("nvml_counter", 10.0, 1),
        ("none", None, 1),
    ]
    first, modelled, _, unknown = groups
    assert first["net_joules"] is None and first["uncertainty"] == 0.2 and first["contended"] == 1
    assert first["gco2e"] == pytest.approx(150 / 3.6e6 * 360) and first["factor"] == "360 g/kWh: given"
    assert modelled["uncertainty"] is None and unknown["reason"] == "no meter"


@pytest.mark.parametrize(
    "entry",
    [
        "text",
        {},
        {"method": 5},
        {"method": "rapl", "gross_joules": "many"},
        {"method": "rapl", "seconds": float("nan")},
    ],
)
def test_what_user_code_has_put_there(tmp_path: Path, entry: Any) -> None:
    """A record that an experiment has overwritten is left out."""
    assert energy_groups(rows_with(tmp_path / "out", entry)) == []


def test_the_page(browser: Browser, tmp_path: Path) -> None:
    """Joules, grams, method, uncertainty and factor are on the page; without energy there is no such section."""
    path = tmp_path / "with"
    hostile = "<b>no</b> meter"
    rows = rows_with(path, measured(36_000.0, contended=True), EnergyReading(reason=hostile).to_json())
    view = IndexView(browser, write_index(stub_campaign(tmp_path / "page"), rows))
    view.open()
    lines = [[cell.text for cell in line.find_elements("css selector", "td")] for line in view.all("#energy tbody tr")]
    assert lines == [
        ["nvml_counter", "gpu", "1", "36.0 kJ", "not known", "± 7.0 %", "3.60 g"],
        ["none", hostile, "1", "not known", "not known", "not known", "not known"],
    ]
    caption = view.one("#energy-caption").text
    assert "not to be compared or added" in caption and "360 g/kWh: given" in caption and "the sensor" in caption
    assert "In 1 experiment others may have run at the same time" in caption
    without = IndexView(browser, write_index(stub_campaign(tmp_path / "without"), rows_with(tmp_path / "rows", None)))
    without.open()
    assert not without.one("#energy").is_displayed()
    browser.assert_quiet()

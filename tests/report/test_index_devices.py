"""How an attempt's devices were used, on the campaign's page: what is drawn, and what is left out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from configmill.gpus.sampler import COLUMNS
from configmill.protocol.layout import CampaignDir
from configmill.report.index import device_series as series_module
from configmill.report.index.device_series import device_series
from configmill.report.index.page import write_index
from configmill.store.tables import Row
from tests.browser import Browser
from tests.conftest import wait_until
from tests.report.index_view import IndexView
from tests.report.stub_rows import stub_campaign, stub_row

GB = 10**9
TWO = ("GPU-3f2a77b0", "GPU-9c41d2e5")
_TRACES = """
    return (document.getElementById("device-plot").data || []).map((trace) => ({
        name: trace.name, x: trace.x, y: trace.y, axis: trace.yaxis, text: trace.hovertext}));
"""


def samples(row: Row, lines: Iterable[object], attempt: int = 1) -> None:
    """Write the samples of an attempt; a line is text, or seconds, device and its four values."""
    path = Path(row.dir.device_samples(attempt))
    path.parent.mkdir(parents=True, exist_ok=True)
    text = [line if isinstance(line, str) else ",".join(map(str, line)) for line in lines]  # type: ignore[call-overload]
    path.write_text("\n".join([",".join(COLUMNS), *text]) + "\n")


def busy(seconds: int, devices: Iterable[str] = TWO) -> list[tuple[object, ...]]:
    """A minute or more of training on each device: memory climbs, utilisation swings."""
    return [
        (s, id, round(60 + 35 * math.sin(s / 7 + k)), (10 + min(s, 20) * (1 + k)) * GB, 300 + 20 * k + s % 9, 50 + k)
        for s in range(seconds)
        for k, id in enumerate(devices)
    ]


def rows_with_devices(path: Path, number: int = 3) -> tuple[CampaignDir, list[Row]]:
    """Experiments of which each had two devices; nothing is written yet."""
    directory = stub_campaign(path)
    rows = [
        stub_row(directory, i, config={"x": i}, result={"loss": 1 / (1 + i)}, gpus=list(TWO)) for i in range(number)
    ]
    return directory, rows


def drawn(view: IndexView) -> list[dict[str, Any]]:
    """What plotly was given of the devices, once it has drawn it."""
    wait_until(lambda: view.all("#device-plot .main-svg"))
    traces: list[dict[str, Any]] = view.browser.script(_TRACES)
    return traces


def test_an_attempts_devices(browser: Browser, tmp_path: Path) -> None:
    """A panel for each measure, a line for each device, in their units, and the peak memory in words."""
    directory, rows = rows_with_devices(tmp_path / "out")
    samples(rows[0], busy(60))
    view = IndexView(browser, write_index(directory, rows))
    view.open()
    traces = drawn(view)
    assert [trace["axis"] for trace in traces] == ["y", "y", "y2", "y2", "y3", "y3", "y4", "y4"]
    assert {trace["name"] for trace in traces} == set(TWO)
    memory = traces[3]
    assert memory["x"] == list(range(60)) and memory["y"][0] == pytest.approx(10) and max(memory["y"]) == 50
    titles = [view.one(f"#device-plot .{axis}title").text for axis in ("y", "y2", "y3", "y4")]
    assert titles == ["utilisation (%)", "memory (GB)", "power (W)", "temperature (°C)"]
    assert f"{TWO[0]} 30.00 GB, {TWO[1]} 50.00 GB" in view.one("#device-caption").text
    browser.assert_quiet()


def test_each_attempt_can_be_chosen(browser: Browser, tmp_path: Path) -> None:
    """All attempts with samples are in the list, retries included; a row's button leads to its own."""
    directory, rows = rows_with_devices(tmp_path / "out")
    rows[1].attempts = 2
    for attempt in (1, 2):
        samples(rows[1], busy(10 * attempt), attempt)
    samples(rows[2], busy(30, TWO[:1]))
    view = IndexView(browser, write_index(directory, rows))
    view.open()
    options = [option.text for option in view.all("#device-attempt option")]
    assert options == ["result_1, attempt 1", "result_1, attempt 2", "result_2, attempt 1"]
    assert len(drawn(view)[0]["x"]) == 10
    view.choose("device-attempt", "1")
    wait_until(lambda: len(drawn(view)[0]["x"]) == 20)
    assert len(view.all(".files .link")) == 2
    view.one('#results tr[data-index="2"] .link').click()
    wait_until(lambda: len(drawn(view)) == 4)
    assert view.one("#device-attempt").get_attribute("value") == "2"
    wait_until(
        lambda: 0 <= view.browser.script("return document.getElementById('devices').getBoundingClientRect().top") < 400
    )
    browser.assert_quiet()


def test_what_was_not_told(browser: Browser, tmp_path: Path) -> None:
    """A measure that no device tells has no panel; one that is missing at times leaves a gap and no zero."""
    directory, rows = rows_with_devices(tmp_path / "out")
    samples(rows[0], [(0, "MIG-1", "", GB, "", ""), (1, "MIG-1", "", "", "", ""), (2, "MIG-1", "", 2 * GB, "", "")])
    view = IndexView(browser, write_index(directory, rows))
    view.open()
    (memory,) = drawn(view)
    assert memory["y"] == [1, None, 2]
    browser.assert_quiet()


def test_without_samples_there_is_no_section(browser: Browser, tmp_path: Path) -> None:
    """Experiments without devices, with pretended ones, and without a file: nothing is shown of devices at all."""
    directory = stub_campaign(tmp_path / "out")
    given = [[], ["virtual:0"], ["GPU-1"]]
    rows = [stub_row(directory, i, config={"x": i}, result={"y": i}, gpus=gpus) for i, gpus in enumerate(given)]
    view = IndexView(browser, write_index(directory, rows))
    view.open()
    assert not view.one("#devices").is_displayed()
    assert not view.all(".files .link")
    browser.assert_quiet()


def test_one_experiment_has_its_devices_drawn(browser: Browser, tmp_path: Path) -> None:
    """A campaign of one experiment, which has no plot of metrics, still shows what its devices did."""
    directory, rows = rows_with_devices(tmp_path / "out", 1)
    samples(rows[0], busy(5))
    view = IndexView(browser, write_index(directory, rows))
    view.open()
    assert len(drawn(view)) == 8 and "nothing to plot" in view.one("#plot-note").text
    browser.assert_quiet()


def test_a_file_that_an_experiment_wrote(browser: Browser, tmp_path: Path) -> None:
    """Whatever stands in the file, numbers are drawn, the rest is left out, and no text in it becomes markup."""
    directory, rows = rows_with_devices(tmp_path / "out")
    id = "<img src=x onerror=alert(1)>"
    samples(
        rows[0],
        [(0, id, 5, GB, 1, 1), "nan,a,b,c", "\0\0,,,\xff", (1, id, "nan", "1e400", "-inf", "x"), (2, id, 7, 1, 1, 1)],
    )
    samples(rows[1], ['"' + "x" * 200_000])
    Path(rows[2].dir.device_samples(1)).mkdir(parents=True)
    view = IndexView(browser, write_index(directory, rows))
    view.open()
    assert drawn(view)[0]["y"] == [5, None, 7]
    assert not view.all("#devices img")
    browser.assert_quiet()


def test_long_runs_are_thinned(tmp_path: Path) -> None:
    """Of a day's samples there are a few hundred: its peak memory is among them, its mean utilisation is kept."""
    _, rows = rows_with_devices(tmp_path / "out", 1)
    lines = [(s, TWO[0], 100 if s % 2 else 0, 70 * GB if s == 4321 else GB, 100, 40) for s in range(86_400)]
    samples(rows[0], lines)
    (attempt,) = device_series(rows)["attempts"]
    (device,) = attempt["devices"]
    assert attempt["thinned"] and len(device["seconds"]) == len(device["memory"]) == 300
    assert max(device["memory"]) == 70 * GB and device["seconds"][-1] == 86_399
    assert set(device["utilisation"]) == {50.0}


def test_the_page_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many attempts there are, the samples in the page are bounded, and how many are left out is said."""
    monkeypatch.setattr(series_module, "MAX_SAMPLES", 400)
    _, rows = rows_with_devices(tmp_path / "out", 30)
    for row in rows:
        samples(row, busy(50))
    found = device_series(rows)
    count = sum(len(device["seconds"]) for attempt in found["attempts"] for device in attempt["devices"])
    assert count <= 400 and all(len(d["seconds"]) >= 20 for attempt in found["attempts"] for d in attempt["devices"])
    assert len(found["attempts"]) + found["left_out"] == 30


def test_on_a_narrow_screen_and_in_the_dark(browser: Browser, tmp_path: Path) -> None:
    """Nothing is wider than a telephone, where panels stand one above the other; in the dark text is light."""
    directory, rows = rows_with_devices(tmp_path / "out")
    samples(rows[0], busy(40))
    view = IndexView(browser, write_index(directory, rows))
    browser.resize(390)
    browser.prefer("dark")
    view.open()
    drawn(view)
    domains = browser.script(
        "const l = document.getElementById('device-plot').layout; return [l.xaxis.domain, l.xaxis2.domain]"
    )
    assert domains == [[0, 1], [0, 1]]
    assert browser.script("return document.documentElement.scrollWidth") <= 390
    browser.assert_quiet()

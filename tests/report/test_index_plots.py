"""The plots of the campaign's page: what is drawn, what is chosen, and what is said where nothing can be drawn."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from configmill.report.index.page import write_index
from tests.browser import Browser
from tests.conftest import wait_until
from tests.report.index_view import IndexView
from tests.report.stub_rows import stub_campaign, stub_row, stub_rows


def test_metrics_over_what_varies(view: IndexView) -> None:
    """At first the first float over the number that varies most; seeds are a mean with its spread and their points."""
    means = [trace for trace in view.traces() if "lines" in trace["mode"]]
    assert view.plotted_metric() == "loss.test"
    assert view.one("#plot-x").get_attribute("value") == "model.depth"
    # Two kinds by two rates; depth 10 failed at the rate 0.1.
    assert sorted(trace["x"] for trace in means) == [[1, 2], [1, 2], [1, 2, 10], [1, 2, 10]]
    tree = next(trace for trace in means if trace["name"] == "tree, 0.01")
    assert tree["x"] == [1, 2, 10]
    assert tree["y"] == pytest.approx([1.015, 0.515, 0.115])
    assert tree["spread"] == pytest.approx([0.01 / math.sqrt(2)] * 3)
    points = [trace for trace in view.traces() if trace["mode"] == "markers"]
    assert sum(len(trace["y"]) for trace in points) == 16, "of each pair of seeds both; two lost theirs to a kill"
    assert "mean" in view.one("#plot-caption").text and "seed" in view.one("#plot-caption").text
    view.browser.assert_quiet()


def test_choices_redraw_it(view: IndexView) -> None:
    """Another metric, axis, colour or scale is drawn at once, and kept in the address."""
    view.traces()
    first = view.one("#plot .main-svg").get_attribute("innerHTML")
    view.choose("plot-metric", "steps")
    wait_until(lambda: view.plotted_metric() == "steps")
    assert view.one("#plot .main-svg").get_attribute("innerHTML") != first
    view.choose("plot-colour", "")
    assert [trace["y"] for trace in view.traces() if "lines" in trace["mode"]] == [[100, 200, 1000]]
    view.choose("plot-x", "model.kind")
    wait_until(lambda: view.ticks() == ["forest", "tree"])
    assert not view.one("#plot-log-x").is_enabled()
    view.one("#plot-log-y").click()
    assert view.browser.script("return document.getElementById('plot').layout.yaxis.type") == "log"
    view.open(view.browser.driver.current_url.partition("#")[2])
    wait_until(lambda: view.plotted_metric() == "steps")
    assert view.one("#plot-x").get_attribute("value") == "model.kind"
    assert view.browser.script("return document.getElementById('plot').layout.yaxis.type") == "log"
    view.browser.assert_quiet()


def test_a_heat_map_of_two_keys(view: IndexView) -> None:
    """Two keys make a heat map of the metric's means, empty where nothing succeeded."""
    view.traces()
    view.choose("plot-colour", "rate")
    view.one("#plot-heatmap").click()
    (trace,) = view.traces()
    assert trace["type"] == "heatmap"
    # Of depth 2 the kill left seed 0 of the forest, and both of the tree.
    assert trace["z"][0] == pytest.approx([1.015, (0.51 + 0.51 + 0.52) / 3, 0.115])
    assert trace["z"][1][2] is None, "depth 10 failed at the rate 0.1"
    wait_until(lambda: view.ticks() == ["1", "2", "10"])
    view.browser.assert_quiet()


def test_only_what_the_table_shows(view: IndexView) -> None:
    """With `as filtered` the plot follows the search."""
    view.traces()
    view.choose("plot-colour", "model.kind")
    view.one("#plot-filtered").click()
    view.search("forest")
    wait_until(lambda: {trace["name"] for trace in view.traces() if trace["name"]} == {"forest"})


def test_a_point_leads_to_its_row(browser: Browser, tmp_path: Path) -> None:
    """A click on a mark brings its row into sight, whatever the search had left."""
    directory = stub_campaign(tmp_path / "out")
    rows = [stub_row(directory, i, config={"x": i}, result={"loss": 0.5 + i}) for i in range(80)]
    view = IndexView(browser, write_index(directory, rows))
    view.open("query=result_3")
    view.traces()
    browser.script("const p = document.getElementById('plot'); p.emit('plotly_click', {points: [{customdata: 77}]})")
    row = view.one('#results tr[data-index="77"]')
    wait_until(lambda: "found" in (row.get_attribute("class") or ""))
    box = view.one("#box").rect
    assert box["y"] <= row.rect["y"] <= box["y"] + box["height"]


def test_numbers_that_are_none(browser: Browser, tmp_path: Path) -> None:
    """NaN, infinities and huge numbers are shown exactly, sorted in place, left out of the plot, and said to be."""
    directory = stub_campaign(tmp_path / "out")
    losses = [0.5, math.nan, math.inf, -math.inf, 2.0]
    big = 2**63 + 1
    rows = [
        stub_row(directory, i, config={"x": i, "big": big + i}, result={"loss": loss}) for i, loss in enumerate(losses)
    ]
    view = IndexView(browser, write_index(directory, rows))
    view.open()
    assert view.column("loss") == ["0.5", "NaN", "Infinity", "-Infinity", "2"]
    assert view.column("big") == [str(big + i) for i in range(5)]
    view.sort("loss")
    assert view.column("loss") == ["-Infinity", "0.5", "2", "Infinity", "NaN"]
    view.sort("loss")
    assert view.column("loss") == ["Infinity", "2", "0.5", "-Infinity", "NaN"]
    view.choose("plot-x", "x")
    view.choose("plot-colour", "")
    wait_until(lambda: [trace["y"] for trace in view.traces()] == [[0.5, 2]])
    assert "3 experiments without a finite value" in view.one("#plot-caption").text
    browser.assert_quiet()


def test_without_a_success(browser: Browser, tmp_path: Path) -> None:
    """Where everything failed there is no metric; how long each took can still be looked at."""
    directory = stub_campaign(tmp_path / "out")
    failure = {"status": "failed", "failure_class": "code_error", "error": "ValueError: no"}
    rows = [stub_row(directory, i, config={"x": i}, **failure) for i in range(4)]
    view = IndexView(browser, write_index(directory, rows))
    view.open()
    assert view.plotted_metric() == "seconds"
    assert "No experiment has returned a number" in view.one("#plot-note").text
    assert view.column("status") == ["failed"] * 4
    browser.assert_quiet()


@pytest.mark.parametrize("number", [1, 3])
def test_where_nothing_can_be_plotted(browser: Browser, tmp_path: Path, number: int) -> None:
    """One config, or none that ran: it says what is missing, and shows no empty frame."""
    directory = stub_campaign(tmp_path / "out")
    status = "succeeded" if number == 1 else "pending"
    rows = [stub_row(directory, i, config={"x": i}, status=status, seconds=None) for i in range(number)]
    view = IndexView(browser, write_index(directory, rows))
    view.open()
    assert "nothing to plot" in view.one("#plot-note").text
    assert not view.one("#plot").is_displayed() and not view.one("#plot-controls").is_displayed()
    assert len(view.rows()) == number
    browser.assert_quiet()


def test_keys_of_many_kinds(browser: Browser, tmp_path: Path) -> None:
    """Text, truth values, lists, missing keys and mixed kinds can each be an axis, a colour or a side of a heat map."""
    directory = stub_campaign(tmp_path / "out")
    values = [1, "1", True, None, [1, 2], "text", 2.5, "2020-01-01"]
    rows = [
        stub_row(directory, i, config={"mixed": value, **({"rare": i} if i % 3 else {})}, result={"loss": i / 3})
        for i, value in enumerate(values)
    ]
    view = IndexView(browser, write_index(directory, rows))
    for fragment in (
        "x=mixed&colour=rare",
        "x=rare&colour=mixed",
        "x=mixed&colour=rare&view=heatmap",
        "x=loss&colour=",
    ):
        view.open(fragment)
        assert view.traces(), fragment
        assert view.one("#plot-caption").text
    browser.assert_quiet()
    view.open("x=mixed&colour=")
    assert sum(len(trace["y"]) for trace in view.traces()) == len(values)
    wait_until(lambda: "(none)" in view.ticks())


def test_many_colours(browser: Browser, tmp_path: Path) -> None:
    """A key of hundreds of values as colour still is a plot: the first ones, and the others together."""
    directory = stub_campaign(tmp_path / "out")
    rows = [stub_row(directory, i, config={"x": i % 5, "name": f"n{i}"}, result={"loss": i / 3}) for i in range(300)]
    view = IndexView(browser, write_index(directory, rows))
    view.open("x=x&colour=name")
    names = {trace["name"] for trace in view.traces() if trace["name"]}
    assert len(names) < 40 and any("others" in name for name in names)


def test_the_script_beside_it_is_gone(browser: Browser, tmp_path: Path) -> None:
    """A page that was copied without its script file says what it misses; the rest works."""
    directory = stub_campaign(tmp_path / "out")
    path = write_index(directory, stub_rows(directory, 40))
    os.unlink(os.path.join(directory.report, "plotly.min.js"))
    view = IndexView(browser, path)
    view.open()
    wait_until(lambda: "plotly.min.js" in view.one("#plot-note").text)
    view.search("tree")
    assert set(view.column("model.name")) == {"tree"}


def test_it_follows_the_eye(view: IndexView) -> None:
    """In the dark the page, its plot included, is light on dark."""

    def lightness(selector: str, property: str) -> float:
        colour = view.one(selector).value_of_css_property(property)
        red, green, blue = (float(part) for part in colour[colour.index("(") + 1 :].rstrip(")").split(",")[:3])
        return (red + green + blue) / 765

    view.traces()
    assert lightness(".card", "background-color") > 0.9 > 0.3 > lightness("h1", "color")
    view.browser.prefer("dark")
    assert lightness(".card", "background-color") < 0.2 < 0.8 < lightness("h1", "color")
    wait_until(lambda: lightness("#plot .ytitle", "fill") > 0.8)

"""What failed, on the campaign's page: above everything else, and readable however much it is."""

from __future__ import annotations

from pathlib import Path

from selenium.webdriver.common.by import By

from configmill.report.index.page import write_index
from tests.browser import Browser
from tests.report.index_view import IndexView
from tests.report.stub_rows import stub_campaign, stub_row


def test_failures_come_first(view: IndexView) -> None:
    """Above everything else: class, last line of the traceback, place in user code, and a link to the whole log."""
    failures = view.one("#failures")
    assert failures.location["y"] < view.one("#plots").location["y"] < view.one("#table").location["y"]
    text = failures.text
    assert "6 failed in 2 kinds" in text
    assert "code_error" in text and "killed" in text
    assert "ValueError: depth 10 does not converge at rate 0.1" in text
    assert "experiment.py:8 in fit" in text
    assert "model.kind=tree  model.depth=10  rate=0.1  seed=1" in text
    view.one("#failures .log").click()
    log = view.one("body").text
    assert "Traceback" in log and "does not converge" in log


def test_without_a_failure_there_is_no_section(browser: Browser, tmp_path: Path) -> None:
    """A campaign in which all is well says nothing of failures."""
    directory = stub_campaign(tmp_path / "out")
    view = IndexView(browser, write_index(directory, [stub_row(directory, i, config={"x": i}) for i in range(3)]))
    view.open()
    assert not view.one("#failures").is_displayed()
    assert [chip.text for chip in view.all("#chips button")] == ["3 succeeded"]


def test_five_hundred_failures_stay_readable(browser: Browser, tmp_path: Path) -> None:
    """Failures that differ in numbers only are one group, of which a few are listed until all are asked for."""
    directory = stub_campaign(tmp_path / "out")
    failure = {"status": "failed", "failure_class": "code_error", "where": "/home/me/x.py:12 in fit"}
    rows = [stub_row(directory, i, config={"x": i}, error=f"ValueError: {i}.5 bad", **failure) for i in range(500)]
    rows.append(stub_row(directory, 500, config={"x": 500}, status="interrupted", failure_class="lost", error="gone"))
    errors = [{"cell": 3, "error": "KeyError: 'a'"}, {"cell": 5, "error": "ValueError: b"}]
    rows.append(stub_row(directory, 501, config={"x": 501}, status="succeeded with errors", cell_errors=errors))
    view = IndexView(browser, write_index(directory, rows))
    view.open()
    assert view.one("#failures-title").text == (
        "500 failed, 1 succeeded with errors in cells, 1 interrupted in 3 kinds"
    )
    groups = view.all("#groups > details")
    assert [group.find_element(By.CSS_SELECTOR, ".badge").text for group in groups] == [
        "code_error",
        "cell_errors",
        "lost",
    ]
    assert "cell 3: KeyError: 'a'; cell 5: ValueError: b" in groups[1].text
    assert len(groups[0].find_elements(By.CSS_SELECTOR, "a.log")) < 10
    groups[0].find_element(By.CSS_SELECTOR, ".members button").click()
    assert len(groups[0].find_elements(By.CSS_SELECTOR, "a.log")) == 500
    assert "ValueError: 499.5 bad" in groups[0].text
    browser.assert_quiet()


def test_many_kinds_of_failures(browser: Browser, tmp_path: Path) -> None:
    """A hundred kinds of failures are a short list, and the rest one click away."""
    directory = stub_campaign(tmp_path / "out")
    names = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    rows = [
        stub_row(directory, i, config={"x": i}, status="failed", failure_class="code_error", error=f"NameError: {name}")
        for i, name in enumerate(names)
    ]
    view = IndexView(browser, write_index(directory, rows))
    view.open()
    assert len(view.all("#groups > details")) < 20
    view.one("#groups > button").click()
    assert len(view.all("#groups > details")) == 100


def test_failures_are_found_by_what_failed(view: IndexView) -> None:
    """Typing a class or words of a message leaves the rows that failed of it, though no column shows them."""
    view.search("killed")
    assert set(view.column("status")) == {"failed"}
    killed = len(view.rows())
    view.search("does not converge")
    assert set(view.column("status")) == {"failed"}
    assert killed + len(view.rows()) == 6

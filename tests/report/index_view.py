"""The index page as someone in front of it sees and uses it.

    view = IndexView(browser, write_index(directory, rows))
    view.open()
    view.sort("loss.test")
    view.column("loss.test")      ->  ["0.41", "0.5", …], from the top of the table

What it tells is what stands there, never a variable of the page's script; of a plot it is what plotly was given.
"""

from __future__ import annotations

from typing import Any

from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.browser import Browser
from tests.conftest import wait_until

_TABLE = """
    const names = [...document.querySelectorAll("#results thead th")].map((th) => th.dataset.column || th.textContent);
    return [...document.querySelectorAll("#results tbody tr")].map((tr) =>
        Object.fromEntries([...tr.cells].map((cell, place) => [names[place], cell.textContent.trim()])));
"""
#: Where plotly keeps what it draws: a trace's kind, x, y and spread.
_TRACES = """
    return (document.getElementById("plot").data || []).map((trace) => ({
        type: trace.type, mode: trace.mode, name: trace.name, x: trace.x, y: trace.y, z: trace.z,
        spread: trace.error_y && trace.error_y.array, text: trace.hovertext}));
"""


class IndexView:
    """One report/index.html in the browser."""

    def __init__(self, browser: Browser, path: str) -> None:
        self.browser = browser
        self.path = path

    def open(self, fragment: str = "") -> None:
        """Open it anew; `fragment` is the part of the address after #."""
        self.browser.open(self.path, fragment)

    def one(self, selector: str) -> WebElement:
        """The first element that a CSS selector finds."""
        return self.browser.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """All elements that a CSS selector finds."""
        return self.browser.driver.find_elements(By.CSS_SELECTOR, selector)

    def rows(self) -> list[dict[str, str]]:
        """The table's rows as they stand there, by column."""
        rows: list[dict[str, str]] = self.browser.script(_TABLE)
        return rows

    def column(self, name: str) -> list[str]:
        """A column's cells from top to bottom."""
        return [row[name] for row in self.rows()]

    @property
    def columns(self) -> list[str]:
        """The names of the columns in the table, those of ours for links and pictures left out."""
        return [head.get_attribute("data-column") or "" for head in self.all("#results thead th[data-column]")]

    @property
    def shown(self) -> str:
        """What it says about how many rows there are."""
        return self.one("#shown").text

    def head(self, column: str) -> WebElement:
        """A column's header."""
        return next(head for head in self.all("#results thead th") if head.get_attribute("data-column") == column)

    def sort(self, column: str) -> str | None:
        """Click on a header; returns how the table says it is sorted by it now."""
        self.head(column).click()
        return self.head(column).get_attribute("aria-sort")

    def search(self, text: str) -> None:
        """Type in the search box, which is emptied first."""
        box = self.one("#search")
        box.clear()
        box.send_keys(text)

    def chip(self, status: str) -> WebElement:
        """The filter of a status."""
        return self.one(f'#chips button[data-status="{status}"]')

    def choose(self, select: str, name: str) -> None:
        """Choose from one of the plot's lists."""
        options = self.all(f"#{select} option")
        next(option for option in options if option.get_attribute("value") == name).click()

    def traces(self) -> list[dict[str, Any]]:
        """What plotly has drawn, once it has."""
        wait_until(lambda: self.all("#plot .main-svg"))
        traces: list[dict[str, Any]] = self.browser.script(_TRACES)
        return traces

    def plotted_metric(self) -> str:
        """The text at the vertical axis."""
        titles: list[WebElement] = wait_until(lambda: self.all("#plot .ytitle"))
        return titles[0].text

    def ticks(self) -> list[str]:
        """The texts along the horizontal axis."""
        return [tick.text for tick in self.all("#plot .xtick") if tick.text]

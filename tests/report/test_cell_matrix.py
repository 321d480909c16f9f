"""The same cells of every config's notebook side by side, as a browser without a network shows them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from configmill.errors import UsageError
from configmill.files import write_json
from configmill.protocol.layout import CampaignDir
from configmill.report.notebooks.cell_matrix import matrix_path, write_cell_matrix
from configmill.store.tables import Row, latest_rows
from tests.browser import Browser
from tests.conftest import Project, wait_until
from tests.report.notebook_campaign import NOTEBOOK, code, notebook_of, shown
from tests.report.stub_rows import stub_campaign, stub_row


def _open_run(browser: Browser, project: Project, tag: str) -> str:
    """Write and open the page of a tag for a campaign that ran."""
    directory = CampaignDir(str(project.out))
    path = matrix_path(directory, tag)
    write_cell_matrix(directory, latest_rows(directory), NOTEBOOK, tag, path)
    browser.open(path)
    return path


def _cards(browser: Browser) -> list[WebElement]:
    cards = browser.driver.find_elements(By.CSS_SELECTOR, "#cards > article")
    return [card for card in cards if card.is_displayed()]


def _names(browser: Browser) -> list[str]:
    return [card.find_element(By.TAG_NAME, "h2").text for card in _cards(browser)]


def _stub(folder: Path, notebooks: Sequence[dict[str, Any] | None]) -> tuple[CampaignDir, list[Row]]:
    """A campaign whose config i has these notebooks, `x` = i and the metric `loss`, which falls as i rises."""
    directory = stub_campaign(folder / "out", target="fit.ipynb")
    rows = []
    for index, notebook in enumerate(notebooks):
        result = {"loss": float("nan") if index == 1 else 100.5 - index}
        rows.append(stub_row(directory, index, config={"x": index, "kind": "ab"[index % 2]}, result=result))
        os.makedirs(rows[-1].dir.path)
        if notebook is not None:
            write_json(rows[-1].dir.notebook("fit.ipynb"), notebook)
    return directory, rows


def _open(browser: Browser, directory: CampaignDir, rows: list[Row], tag: str = "t") -> None:
    write_cell_matrix(directory, rows, "fit.ipynb", tag, matrix_path(directory, tag))
    browser.open(matrix_path(directory, tag))


def test_plots_of_a_run(browser: Browser, notebook_campaign: Project) -> None:
    """Every config has its card: its plots, what varies, its status, a link to its page; or why there is no plot."""
    path = _open_run(browser, notebook_campaign, "plot")
    assert os.path.basename(path) == "compare-plot.html"
    assert _names(browser) == ["result_0", "result_1", "result_2"]
    good, bad, _ = _cards(browser)
    images = good.find_elements(By.TAG_NAME, "img")
    for image in images:
        wait_until(lambda image=image: browser.script("return arguments[0].naturalWidth", image) > 0)
    assert len(images) == 2
    assert good.find_element(By.TAG_NAME, "dl").text == "model.depth\n1"
    for text in (
        "failed",
        "model.depth\n10",
        "code_error: ValueError: no <b>fit</b> at depth 10",
        "The cell did not run.",
    ):
        assert text in bad.text
    browser.assert_quiet()
    good.find_element(By.LINK_TEXT, "result_0").click()
    wait_until(lambda: browser.driver.title == "succeeded: result_0 of fit")


def test_figures_of_a_run(browser: Browser, notebook_campaign: Project) -> None:
    """plotly's figures are drawn from their data by the report's script file, and nothing is asked of a network."""
    _open_run(browser, notebook_campaign, "figure")
    wait_until(lambda: len(browser.driver.find_elements(By.CSS_SELECTOR, "svg.main-svg .trace")) == 2)
    assert [Path(url).name for url in browser.requested()] == ["compare-figure.html", "plotly.min.js"]
    assert browser.console() == []


def test_tables_of_a_run(browser: Browser, notebook_campaign: Project) -> None:
    """pandas' tables look as on the page of the notebook."""
    _open_run(browser, notebook_campaign, "table")
    cells = browser.driver.find_elements(By.CSS_SELECTOR, "article table.dataframe td")
    assert [cell.text for cell in cells] == [
        "1",
        "0.25",
        "2",
        "1.00",
        "1",
        "0.25",
        "2",
        "10.00",
        "1",
        "0.25",
        "2",
        "2.00",
    ]
    assert browser.script("return getComputedStyle(arguments[0]).textAlign", cells[0]) == "right"
    browser.assert_quiet()


def test_hostile_outputs(browser: Browser, notebook_campaign: Project) -> None:
    """Scripts, handlers and frames of an output are gone, its style sheet reaches itself alone, its text is there."""
    path = _open_run(browser, notebook_campaign, "hostile")
    card = _cards(browser)[0]
    host = card.find_element(By.CSS_SELECTOR, ".shadow")
    styled = host.shadow_root.find_element(By.CSS_SELECTOR, "td")
    assert browser.script("return getComputedStyle(arguments[0]).color", styled) == "rgb(1, 2, 3)"
    bold = host.shadow_root.find_element(By.CSS_SELECTOR, "b")
    assert bold.text == "bold" and bold.get_attribute("onclick") is None
    assert browser.script("return document.getElementById('cards').offsetHeight") > 0
    assert len(_cards(browser)) == 3 and _cards(browser)[2].find_elements(By.CSS_SELECTOR, ".shadow")
    content = Path(path).read_text()
    assert "evil.example" not in content and "onerror" not in content and "javascript:" not in content
    assert browser.script("return window.hacked") is None
    browser.assert_quiet()


@pytest.mark.parametrize(
    "attack",
    [
        {"text_html": "<img src=x onerror=hacked=1><svg onload=hacked=1><script>hacked=1</script></svg>"},
        {"text_html": "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=x=1'>"},
        {"text_html": "<style></style></template><script>hacked=1</script><style>@import 'https://evil.example/x'</style>"},
        {"text_html": "<style>a{}</style><template shadowrootmode=open><script>hacked=1</script></template>"},
        {"text_html": "<form action='javascript:hacked=1'><button formaction='javascript:hacked=1'>b</button></form>"},
        {"text_html": "<script>Plotly.newPlot('x', [{'y': 1}], {}, alert(1)); hacked=1</script>"},
        {"text_html": "<a href='&#106;avascript:hacked=1'>a</a><base href='https://evil.example'>"},
        {"text_markdown": "<script>hacked=1</script>[a](javascript:hacked=1) ![x](https://evil.example/x.png)"},
        {"text_latex": "$\\text{<img src=x onerror=hacked=1>}$ $\\href{javascript:hacked=1}{x}$ $\\style{\" a='x"},
        {"application_javascript": "window.hacked = 1", "text_plain": "</pre><script>hacked=1</script>"},
        {"application_vnd.plotly.v1+json": {"data": [{"y": [1], "text": "</script><script>hacked=1</script>"}],
         "layout": {"title": {"text": "<a href='javascript:hacked=1'>x</a><img src=x onerror=hacked=1>"}}}},
        {"application_vnd.plotly.v1+json": {"data": [{"y": [1]}], "layout": {"images": [{"source": "https://evil.example/x"}]}}},
        {"image_png": "iVBOR' onerror='hacked=1", "text_plain": "x"},
    ],
)  # fmt: skip
def test_attacks(browser: Browser, tmp_path: Path, attack: dict[str, Any]) -> None:
    """However an output tries, no script of its own runs, nothing is asked of a network, and the next card is whole."""
    tagged = [notebook_of(code(shown(**data), tags=["t"])) for data in (attack, {"text_plain": "harmless"})]
    directory, rows = _stub(tmp_path, tagged)
    _open(browser, directory, rows)
    first, second = _cards(browser)
    for element in first.find_elements(By.CSS_SELECTOR, "a, button, img, b"):
        browser.script("arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", element)
    assert second.find_element(By.CSS_SELECTOR, "pre").text == "harmless"
    assert browser.script("return window.hacked") is None
    assert not browser.script(
        "return document.querySelectorAll('#cards :is(iframe, form, object, embed, base, link)').length"
    )
    browser.assert_quiet()


def test_policy_refuses_scripts(browser: Browser, notebook_campaign: Project) -> None:
    """Were a handler ever left in an output, the page's policy would keep it from running."""
    _open_run(browser, notebook_campaign, "table")
    browser.script(
        "document.getElementById('cards').insertAdjacentHTML('beforeend', "
        "`<img src='data:,' onerror='window.hacked = 1'><b onclick='window.hacked = 2'>b</b>`);"
        "document.querySelector('#cards > b').click()"
    )
    refused: list[str] = []
    wait_until(lambda: refused.extend(browser.console()) or len(refused) >= 2)
    assert all("Content Security Policy" in line for line in refused)
    assert browser.script("return window.hacked") is None


def test_hostile_names(browser: Browser, tmp_path: Path) -> None:
    """Tags, config keys, values and errors are text, whatever they look like, and make a file's name like any other."""
    attack = "</title><script>hacked=1</script>{{data}} ../ü"
    directory = stub_campaign(tmp_path / "out", target="fit.ipynb")
    rows = [
        stub_row(directory, i, config={attack: attack + str(i)}, status="failed", failure_class=attack, error=attack)
        for i in range(2)
    ]
    for row in rows:
        os.makedirs(row.dir.path)
        write_json(row.dir.notebook("fit.ipynb"), notebook_of(code(tags=[attack])))
    _open(browser, directory, rows, tag=attack)
    assert os.path.dirname(matrix_path(directory, attack)) == directory.report
    assert browser.script("return window.hacked") is None
    assert browser.driver.title == f"{attack} of fit, side by side"
    assert all(card.text.count(attack) == 4 for card in _cards(browser))
    browser.assert_quiet()


def test_filter_and_sort(browser: Browser, tmp_path: Path) -> None:
    """Typing leaves the cards that have every word; sorting by a metric puts those without a number last both ways."""
    notebook = notebook_of(code(shown(text_plain="out"), tags=["t"]))
    directory, rows = _stub(tmp_path, [notebook] * 12)
    _open(browser, directory, rows)
    assert _names(browser) == [f"result_{i}" for i in range(12)]
    assert browser.driver.find_element(By.ID, "shown").text == "12 configs"
    sort = Select(browser.driver.find_element(By.ID, "sort"))
    assert [option.text for option in sort.options] == ["index", "attempts", "seconds", "x", "kind", "loss"]
    sort.select_by_visible_text("loss")
    assert _names(browser) == [f"result_{i}" for i in (*range(11, 1, -1), 0, 1)]
    assert _cards(browser)[0].find_element(By.CSS_SELECTOR, ".sorted-by").text == "loss 89.5"
    browser.driver.find_element(By.ID, "direction").click()
    assert _names(browser) == [f"result_{i}" for i in (0, *range(2, 12), 1)]
    box = browser.driver.find_element(By.ID, "filter")
    box.send_keys("KIND=b x=1")
    assert _names(browser) == ["result_11", "result_1"]
    assert browser.driver.find_element(By.ID, "shown").text == "2 of 12 configs"
    box.send_keys(" nothing")
    assert _names(browser) == [] and browser.driver.find_element(By.ID, "none").is_displayed()
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(Keys.DELETE)
    assert len(_names(browser)) == 12
    browser.assert_quiet()


def test_cards_per_row(browser: Browser, tmp_path: Path) -> None:
    """As many cards stand in a row as are asked for; by default as many as fit, on a narrow screen one."""
    notebook = notebook_of(code(shown(text_plain="out"), tags=["t"]))
    directory, rows = _stub(tmp_path, [notebook] * 6)
    _open(browser, directory, rows)

    def in_first_row() -> int:
        tops = [card.rect["y"] for card in _cards(browser)]
        return tops.count(tops[0])

    assert in_first_row() == 3
    per_row = Select(browser.driver.find_element(By.ID, "per-row"))
    for number in ("1", "2", "6"):
        per_row.select_by_visible_text(number)
        assert in_first_row() == int(number)
    per_row.select_by_visible_text("as fits")
    browser.resize(480)
    assert in_first_row() == 1


def test_configs_without_the_cell(browser: Browser, tmp_path: Path) -> None:
    """A config that has not run, one whose notebook is broken, older or silent: each says why it shows nothing."""
    silent = notebook_of(code(tags=["t"]))
    not_run = notebook_of(code(tags=["t"], configmill={"state": "not_run"}))
    markdown = notebook_of({"cell_type": "markdown", "metadata": {"tags": ["t"]}, "source": "**text**"})
    directory, rows = _stub(tmp_path, [silent, None, None, notebook_of(code(tags=["old"])), not_run, markdown])
    rows[1].attempts = 0
    Path(rows[2].dir.notebook("fit.ipynb")).write_text("{")
    _open(browser, directory, rows)
    notes = [card.find_element(By.CSS_SELECTOR, ".note").text for card in _cards(browser)[:5]]
    assert notes[0] == "The cell put nothing out."
    assert notes[1] == "It has not run yet."
    assert notes[2].startswith("The notebook 'fit.ipynb' is no JSON")
    assert notes[3] == "Its notebook has no cell tagged t."
    assert notes[4] == "The cell did not run."
    assert _cards(browser)[5].find_element(By.TAG_NAME, "strong").text == "text"
    browser.assert_quiet()


def test_many_configs(browser: Browser, tmp_path: Path) -> None:
    """With 300 configs and as many figures, few are drawn at a time, and what is typed takes effect at once."""
    figure = {"data": [{"type": "scatter", "y": list(range(50))}], "layout": {"height": 250}}
    data = {"application_vnd.plotly.v1+json": figure}
    notebook = notebook_of(code(shown(**data), tags=["t"]))
    directory, rows = _stub(tmp_path, [notebook] * 300)
    _open(browser, directory, rows)
    drawn = "return document.querySelectorAll('[data-drawn]').length"
    wait_until(lambda: browser.script(drawn) > 5)
    browser.script("document.querySelector('#cards').lastElementChild.scrollIntoView()")
    last = _cards(browser)[-1]
    wait_until(lambda: last.find_elements(By.CSS_SELECTOR, "svg.main-svg .trace"))
    wait_until(lambda: browser.script(drawn) < 40)
    took = browser.script("""
        const box = document.getElementById("filter"), start = performance.now();
        box.value = "x=299"; box.dispatchEvent(new Event("input")); document.body.offsetHeight;
        return performance.now() - start;
    """)
    assert took < 1000 and _names(browser) == ["result_299"]
    browser.assert_quiet()


def test_unknown_tag(tmp_path: Path) -> None:
    """It names the nearest tag, or those that there are; papermill's own are none; nothing is written."""
    marker = {"cell_type": "markdown", "metadata": {"tags": ["papermill-error-cell-tag"]}, "source": "x"}
    directory, rows = _stub(tmp_path, [notebook_of(marker, code(tags=["forecast", "errors"])), None])
    for tag, said in (
        ("forcast", 'Did you mean "forecast"?'),
        ("zzz", 'There are: "forecast", "errors".'),
        ("papermill-error-cell-tag", 'There are: "forecast", "errors".'),
    ):
        with pytest.raises(UsageError) as raised:
            write_cell_matrix(directory, rows, "fit.ipynb", tag, matrix_path(directory, tag))
        assert str(raised.value) == f"No cell of the notebook is tagged {tag!r}. {said}"
    assert not os.path.exists(directory.report)


def test_nothing_to_compare(tmp_path: Path) -> None:
    """A campaign of a function, and one whose notebooks have not run, are the user's mistake, in two sentences."""
    directory, rows = _stub(tmp_path, [None])
    with pytest.raises(UsageError, match="is no notebook and has no cells"):
        write_cell_matrix(directory, rows, "experiments:run", "t", matrix_path(directory, "t"))
    with pytest.raises(UsageError, match="holds no executed notebook yet"):
        write_cell_matrix(directory, rows, "fit.ipynb", "t", matrix_path(directory, "t"))
    with pytest.raises(UsageError, match="There are none"):
        write_json(rows[0].dir.notebook("fit.ipynb"), notebook_of(code()))
        write_cell_matrix(directory, rows, "fit.ipynb", "t", matrix_path(directory, "t"))


def test_path_of_a_tag() -> None:
    """Tags that differ have paths that differ, of a length that every file system takes."""
    directory = CampaignDir("/out")
    tags = ("plot", "a b", "a_b", "a/b", "../../x", "ü", "x" * 300, "x" * 301)
    names = [matrix_path(directory, tag).removeprefix("/out/report/") for tag in tags]
    assert names[0] == "compare-plot.html"
    assert len(set(names)) == len(tags)
    assert all("/" not in name and len(name) < 120 for name in names)

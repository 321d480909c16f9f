"""An executed notebook's page, as it looks in a browser that has no network."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import plotly.graph_objects as go
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from configmill.errors import PageError
from configmill.report.index.page import copy_plotly
from configmill.report.notebooks.page import render_page
from tests.browser import Browser
from tests.conftest import Project, wait_until
from tests.report.notebook_campaign import (
    FAILING_CELL,
    FAILING_INDEX,
    NUM_CELLS,
    code,
    notebook_of,
    page_head,
    png,
    saved_path,
    shown,
    write,
)

FAILURE = {
    "status": "failed",
    "failure_class": "code_error",
    "error": "ValueError: no <b>fit</b>",
    "where": "cell 4, line 2",
    "cell_errors": ({"cell": FAILING_CELL, "error": "ValueError: no <b>fit</b>"},),
}
FIGURE = {"data": [{"type": "scatter", "y": [1, 3, 2]}], "layout": {"height": 200}}
#: An address that no browser can reach; what asks for it is seen by its host.
ELSEWHERE = "https://elsewhere.example"


def _open(browser: Browser, notebook: dict[str, Any], folder: Path, **head: Any) -> None:
    """Write the notebook and its page, and open the page."""
    copy_plotly(str(folder))
    page = folder / "fit.html"
    text = render_page(str(write(folder, notebook)), page_head(**{"plotly_src": "plotly.min.js", **head}))
    page.write_text(text, encoding="utf-8")
    browser.open(page)


def _all(browser: Browser, selector: str) -> list[WebElement]:
    return browser.driver.find_elements(By.CSS_SELECTOR, selector)


def _texts(browser: Browser, selector: str) -> list[str]:
    return [element.text for element in _all(browser, selector)]


def _draws(browser: Browser, number: int) -> None:
    """Wait until so many figures are drawn: those far below the window are not."""
    for figure in _all(browser, ".plotly-figure"):
        browser.script("arguments[0].scrollIntoView()", figure)
        wait_until(lambda figure=figure: figure.find_elements(By.CSS_SELECTOR, "svg.main-svg .trace"))
    assert len(_all(browser, ".plotly-figure")) == number


# Real notebooks, run by run_notebook.py


@pytest.mark.parametrize("through_link", [False, True])
def test_head_of_a_failed_run(browser: Browser, notebook_campaign: Project, through_link: bool) -> None:
    """The published page says what failed, when, where and of which config; its links lead somewhere.

    So they do where it was opened through `result_<n>`: a browser takes a link for a folder.
    """
    page = notebook_campaign.result_dir(FAILING_INDEX) / "fit.html"
    browser.open(page if through_link else page.resolve())
    assert browser.driver.title == "failed: result_1 of fit"
    head = browser.driver.find_element(By.TAG_NAME, "header").text
    record = notebook_campaign.json(FAILING_INDEX, "attempts/1.json")
    for fact in ("result_1 of fit", "failed", "code_error", "ValueError: no <b>fit</b> at depth 10", record["host"]):
        assert fact in head
    assert f"{FAILING_CELL} of {NUM_CELLS} cells ran" in head
    assert _texts(browser, ".varying dt") == ["model.depth"] and _texts(browser, ".varying dd") == ["10"]
    config = dict(zip(_texts(browser, ".config th"), _texts(browser, ".config td"), strict=True))
    assert config == {"model": "", "name": "<b>tree</b>", "depth": "10", "seed": "3"}
    assert _texts(browser, ".config .varies th") == ["depth"]
    links = [unquote(urlsplit(link.get_attribute("href") or "").path) for link in _all(browser, "nav a")]
    assert [Path(link).name for link in links] == ["index.html", "1.log"] and all(map(os.path.isfile, links))
    browser.assert_quiet()


def test_cells_that_failed_and_that_never_ran(browser: Browser, notebook_campaign: Project) -> None:
    """The failing cell is marked and linked from the head, those after it are marked as not run, those before not."""
    browser.open(notebook_campaign.result_dir(FAILING_INDEX) / "fit.html")
    states = [element.get_attribute("class") for element in _all(browser, "section.code")]
    not_run = NUM_CELLS - FAILING_CELL
    assert states == ["cell code done"] * (FAILING_CELL - 1) + ["cell code failed"] + ["cell code not_run"] * not_run
    assert _texts(browser, ".code .badge") == ["failed"] + ["not run"] * not_run
    failing = browser.driver.find_element(By.CSS_SELECTOR, ".cell.failed")
    assert browser.script("return getComputedStyle(arguments[0]).borderLeftColor", failing) == "rgb(179, 38, 30)"
    assert "ValueError: no <b>fit</b> at depth 10" in failing.find_element(By.CSS_SELECTOR, ".traceback").text
    assert len(_texts(browser, ".seconds")) == FAILING_CELL and all(_texts(browser, ".seconds"))
    browser.driver.find_element(By.LINK_TEXT, f"Cell {FAILING_CELL}").click()
    wait_until(lambda: 0 <= failing.rect["y"] - browser.script("return scrollY") < 900)
    assert "papermill-error-cell" not in browser.driver.page_source
    browser.assert_quiet()


def test_outputs_of_every_kind(browser: Browser, notebook_campaign: Project) -> None:
    """Images, tables, colours, stderr, formulas and plotly's figures look right, without any request to a network."""
    browser.open(notebook_campaign.result_dir(0) / "fit.html")
    images = _all(browser, "img.image, .markdown img")
    for image in images:
        browser.script("arguments[0].scrollIntoView()", image)
        wait_until(lambda image=image: browser.script("return arguments[0].naturalWidth", image) > 0)
    assert len(images) == 3
    assert browser.script("return arguments[0].naturalWidth", images[0]) == 3, "the picture that the text refers to"
    assert _texts(browser, "table.dataframe td")[:2] == ["1", "0.25"]
    assert _texts(browser, ".stderr") == ["an outcry"]
    assert _texts(browser, ".stdout") == ["red <b>plain</b>"]
    red = browser.driver.find_element(By.CSS_SELECTOR, ".stdout .ansi-red-fg")
    assert browser.script("return getComputedStyle(arguments[0]).color", red) == "rgb(192, 48, 43)"
    assert browser.script("return document.querySelectorAll('.markdown msup').length") == 1
    _draws(browser, 1)
    assert [url for url in browser.requested() if not url.startswith("file:")] == []


def test_code_is_folded_and_shown_again(browser: Browser, notebook_campaign: Project, tmp_path: Path) -> None:
    """A button hides the code and shows it again; what failed keeps its place."""
    page = tmp_path / "fit.html"
    path = saved_path(notebook_campaign, FAILING_INDEX)
    page.write_text(render_page(str(path), page_head(**FAILURE)))
    browser.open(page)

    def visible() -> list[bool]:
        return [source.is_displayed() for source in _all(browser, ".source")]

    assert visible() == [True] * NUM_CELLS
    button = browser.driver.find_element(By.ID, "toggle-code")
    for caption, is_shown in (("Show code", False), ("Hide code", True)):
        button.click()
        assert button.text == caption
        assert visible() == [is_shown] * NUM_CELLS
        assert browser.driver.find_element(By.CSS_SELECTOR, "table.dataframe").is_displayed()
    browser.assert_quiet()


def test_code_is_left_out(browser: Browser, notebook_campaign: Project, tmp_path: Path) -> None:
    """With hide_input no code is in the page, nor a button for it; what the cells put out is."""
    page = tmp_path / "fit.html"
    path = saved_path(notebook_campaign, FAILING_INDEX)
    page.write_text(render_page(str(path), page_head(**FAILURE), hide_input=True))
    assert "get_config_from_env" not in page.read_text()
    browser.open(page)
    assert _all(browser, ".source") == _all(browser, "#toggle-code") == []
    assert browser.driver.find_element(By.CSS_SELECTOR, "table.dataframe").is_displayed()
    assert browser.driver.find_element(By.CSS_SELECTOR, ".cell.failed").is_displayed()
    browser.assert_quiet()


def test_page_with_plotly_inside(browser: Browser, notebook_campaign: Project, tmp_path: Path) -> None:
    """Without a script file to share, the page holds plotly.js itself; without figures it never does."""
    page = tmp_path / "fit.html"
    page.write_text(render_page(str(saved_path(notebook_campaign, 0)), page_head(plotly_src=None)))
    assert page.stat().st_size > 4_000_000
    browser.open(page)
    _draws(browser, 1)
    assert len(render_page(str(saved_path(notebook_campaign, 1)), page_head(plotly_src=None))) < 200_000


# Outputs of other libraries, and odd ones


@pytest.mark.parametrize("renderer", ["notebook", "notebook_connected", "whole", "whole_connected"])
def test_figures_that_plotly_left_as_html(browser: Browser, tmp_path: Path, renderer: str) -> None:
    """They are drawn from their data by the shared script, whatever way they would have loaded plotly.js."""
    figure = go.Figure(FIGURE)
    if renderer.startswith("whole"):
        outputs = [shown(text_html=figure.to_html(include_plotlyjs="cdn" if "connected" in renderer else True))]
    else:
        import plotly.io as pio

        chosen = pio.renderers[renderer]
        outputs = [shown(text_html=figure.to_html(full_html=False, include_plotlyjs=False, include_mathjax="cdn"))]
        outputs.insert(0, shown(text_html=_what_activating_puts_out(chosen)))
    _open(browser, notebook_of(code(*outputs)), tmp_path)
    _draws(browser, 1)
    assert (tmp_path / "fit.html").stat().st_size < 100_000
    browser.assert_quiet()


def _what_activating_puts_out(renderer: Any) -> str:
    """The HTML by which one of plotly's renderers loads plotly.js into a notebook."""
    from IPython.utils.capture import capture_output

    with capture_output() as captured:
        renderer.activate()
    return "".join(output.data["text/html"] for output in captured.outputs)


def test_map_waits_for_a_click(browser: Browser, tmp_path: Path) -> None:
    """A figure whose outlines of countries come from a network says so, and is not drawn until a reader wants it."""
    world = {"data": [{"type": "choropleth", "locations": ["FRA"], "z": [1]}], "layout": {}}
    notebook = notebook_of(code(shown(**{"application_vnd.plotly.v1+json": world})))
    _open(browser, notebook, tmp_path)
    assert "This figure loads from cdn.plot.ly." in browser.driver.find_element(By.CSS_SELECTOR, ".plotly-figure").text
    browser.assert_quiet()
    _all(browser, "button.load")[0].click()
    wait_until(lambda: any("cdn.plot.ly" in url for url in browser.requested()))


def test_outputs_that_load_from_a_network_wait(browser: Browser, tmp_path: Path) -> None:
    """Nothing is asked for as the page opens; one click loads scripts, images and frames, and runs what needs them."""
    html = (
        f"<link rel=stylesheet href='{ELSEWHERE}/a.css'><img src='{ELSEWHERE}/a.png'><style>p {{ background: "
        f"url({ELSEWHERE}/b.png) }}</style><iframe src='{ELSEWHERE}/frame'></iframe>"
    )
    scripts = f"<p id=out></p><script src='{ELSEWHERE}/a.js'></script><script>document.title = 'ran'</script>"
    inline = f"<script>const late = new Image(); late.src = '{ELSEWHERE}/late.png'</script>"
    picture = base64.b64encode(png(4, 4)).decode()
    notebook = notebook_of(
        code(shown(text_html=html), shown(text_html=scripts, image_png=picture)), code(shown(text_html=inline))
    )
    _open(browser, notebook, tmp_path)
    assert "Some outputs would load from elsewhere.example. Nothing was loaded." in _texts(browser, "header")[0]
    assert len(_all(browser, ".waits img.image")) == 1, "an image that the output also has stands for it"
    assert browser.driver.title != "ran"
    browser.assert_quiet()
    _all(browser, "button.load")[0].click()
    wait_until(lambda: browser.driver.title == "ran")
    wanted = {f"{ELSEWHERE}/{name}" for name in ("a.css", "a.png", "frame", "a.js", "late.png")}
    seen: set[str] = set()

    def all_asked_for() -> bool:
        seen.update(browser.requested())
        return wanted <= seen

    wait_until(all_asked_for)
    assert f"{ELSEWHERE}/b.png" not in seen
    assert not _all(browser, "button.load")


def test_broken_markup_stays_in_its_output(browser: Browser, tmp_path: Path) -> None:
    """End tags too many, unclosed tags, a whole document with a style of its own: the page around them stays whole."""
    outputs = [
        "<div><b>bold</div></div></div></section></main></body></html>after",
        "<!-- unclosed <table><tr><td>cell",
        "<!doctype html><html><head><title>theirs</title><style>body { display: none }</style><body>whole</body>",
        "<script>const text = '<!-- <script>'</script>",
        "<textarea>",
        "<svg><style>a { fill: red } <!--</style><foreignObject><p>",
        "<template>",
    ]
    notebook = notebook_of(*(code(shown(text_html=output)) for output in outputs), code(source="the_last_cell()"))
    _open(browser, notebook, tmp_path)
    cells = _all(browser, "body > main > section.code > .content")
    assert len(cells) == len(outputs) + 1
    assert cells[-1].text == "the_last_cell()"
    assert cells[0].text.splitlines()[1:] == ["bold", "after"]
    assert browser.script("return getComputedStyle(arguments[0]).fontWeight", cells[-1]) == "400"
    assert browser.driver.title == "succeeded: result_0 of fit"
    browser.assert_quiet()


def test_failing_scripts_are_said_in_the_page(browser: Browser, tmp_path: Path) -> None:
    """A script of an output runs; one that fails says so in the page, and the console stays empty."""
    notebook = notebook_of(
        code(shown(application_javascript="element.append('ran: </script>' + (1 < 2))")),
        code(shown(text_html="<script>require(['jquery'], () => {})</script>")),
        code(shown(text_html="<script>syntax error here</script>")),
        code(shown(text_html="<script>Promise.reject(new Error('too late'))</script>")),
    )
    _open(browser, notebook, tmp_path)
    assert "ran: </script>true" in _texts(browser, ".code")[0]
    notes = wait_until(lambda: texts if len(texts := _texts(browser, ".script-failed")) == 3 else None)
    assert "require is not defined" in " ".join(notes) and "too late" in " ".join(notes)
    browser.assert_quiet()


def test_hostile_head(browser: Browser, tmp_path: Path) -> None:
    """What configs, errors and names hold is text in the page, whatever it looks like."""
    attack = "</title></script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>{{ 7 * 7 }}"
    head = dict.fromkeys(("title", "failure_class", "error", "where", "started", "host", "commit"), attack)
    _open(
        browser, notebook_of(code()), tmp_path,
        **head, status="failed", config={attack: {attack: attack}}, varying=(f"{attack}.{attack}",),
        cell_errors=({"cell": 1, "error": attack + "!"},), index_href=f"{attack}/index.html", log_href=attack,
    )  # fmt: skip
    assert browser.script("return window.hacked") is None
    assert browser.driver.title == f"failed: {attack}"
    assert not _all(browser, "header img, header script")
    text = browser.driver.find_element(By.TAG_NAME, "header").text
    assert text.count("{{ 7 * 7 }}") >= 8 and "49" not in text
    browser.assert_quiet()


def test_files_that_the_text_refers_to(browser: Browser, tmp_path: Path) -> None:
    """Local images are embedded, links lead from the page to the notebook's folder, what is not there is said."""
    books = tmp_path / "the books"
    books.mkdir()
    (books / "a dot.png").write_bytes(png(5, 5))
    (books / "other.md").write_text("other")
    source = "![one](a%20dot.png) <img src='a dot.png'> ![](gone.png) [other](other.md) ![two](attachment:b.png)"
    cell = {"cell_type": "markdown", "metadata": {}, "source": source}
    cell["attachments"] = {"b.png": {"image/png": base64.b64encode(png(6, 6)).decode()}}
    page = tmp_path / "out" / "fit.html"
    page.parent.mkdir()
    page.write_text(render_page(str(write(page.parent, notebook_of(cell))), page_head(), notebook_dir=str(books)))
    (books / "a dot.png").unlink()
    browser.open(page)
    widths = [browser.script("return arguments[0].naturalWidth", image) for image in _all(browser, "main img")]
    assert widths == [5, 5, 6]
    assert _texts(browser, ".missing") == ["gone.png is not here"]
    link = browser.driver.find_element(By.LINK_TEXT, "other").get_attribute("href")
    assert link == (books / "other.md").as_uri()
    browser.assert_quiet()


def test_formulas(browser: Browser, tmp_path: Path) -> None:
    """LaTeX in text and in outputs is set without MathJax; sums of money are no formulas; what can't be set is kept."""
    text = "It costs $5 and $6.\n\n$$\\hat y = \\frac{1}{n}\\sum_i x_i$$\n\nThus $\\left($ and `$code$`."
    cell = {"cell_type": "markdown", "metadata": {}, "source": text}
    notebook = notebook_of(cell, code(shown(text_latex="$\\displaystyle \\alpha^{2}$", text_plain="alpha**2")))
    _open(browser, notebook, tmp_path)
    assert browser.script("return [...document.querySelectorAll('math')].map((math) => math.display)") == [None, None]
    assert len(_all(browser, "math mfrac")) == 1 and len(_all(browser, ".outputs math msup")) == 1
    shown_text = _texts(browser, ".markdown")[0]
    assert "It costs $5 and $6." in shown_text and "$\\left($" in shown_text and "$code$" in shown_text
    browser.assert_quiet()


def test_widgets_stand_as_they_were_saved(browser: Browser, tmp_path: Path) -> None:
    """A bar of tqdm shows where it ended; a widget without a still picture is shown by its text."""
    state = {
        "box": {"model_name": "HBoxModel", "state": {"children": ["IPY_MODEL_text", "IPY_MODEL_bar"]}},
        "text": {"model_name": "HTMLModel", "state": {"value": "<b>70%</b>"}},
        "bar": {"model_name": "FloatProgressModel", "state": {"value": 7.0, "max": 10.0, "min": 0.0}},
        "odd": {"model_name": "DatePickerModel", "state": {}},
    }
    view = "application_vnd.jupyter.widget-view+json"
    outputs = [shown(**{view: {"model_id": name}, "text_plain": f"{name} as text"}) for name in ("box", "odd", "gone")]
    widgets = {"application/vnd.jupyter.widget-state+json": {"state": state}}
    _open(browser, notebook_of(code(*outputs), widgets=widgets), tmp_path)
    assert browser.script("return document.querySelector('progress').position") == 0.7
    assert _texts(browser, ".widget") == ["70%"]
    assert _texts(browser, "pre.text") == ["odd as text", "gone as text"]
    browser.assert_quiet()


def test_dark_scheme(browser: Browser, tmp_path: Path) -> None:
    """Where dark is preferred, text is light on dark, and images keep a light ground."""
    picture = base64.b64encode(png(4, 4)).decode()
    browser.prefer("dark")
    _open(browser, notebook_of(code(shown(text_plain="text"), shown(image_png=picture))), tmp_path)
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    assert browser.script(style, "pre.text", "color") == "rgb(228, 233, 240)"
    assert browser.script(style, "main", "backgroundColor") == "rgb(23, 29, 37)"
    assert browser.script(style, "img", "backgroundColor") == "rgb(255, 255, 255)"


# What needs no browser


def _page(folder: Path, notebook: dict[str, Any], **head: Any) -> str:
    return render_page(str(write(folder, notebook)), page_head(**head))


def test_huge_outputs_are_cut(tmp_path: Path) -> None:
    """Of 10 MB of text, of 100,000 outputs and of a table without end, begin and end are shown; the page says so."""
    text = {"output_type": "stream", "name": "stdout", "text": "first\n" + "x" * 10_000_000 + "\nlast"}
    page = _page(tmp_path, notebook_of(code(text)))
    assert len(page) < 300_000 and "first\n" in page and "\nlast</pre>" in page
    assert "of 10,000,011 characters are left out here; fit.ipynb holds all of it." in page
    many = [{"output_type": "stream", "name": ("stdout", "stderr")[i % 2], "text": f"line {i}"} for i in range(100_000)]
    page = _page(tmp_path, notebook_of(code(*many)))
    assert len(page) < 300_000 and "line 0<" in page and "line 99999<" in page
    assert "99,000 outputs of this cell are left out here" in page
    page = _page(tmp_path, notebook_of(code(shown(text_html="<table>" + "<tr><td>1</td></tr>" * 300_000))))
    assert len(page) < 2_300_000 and "markup beyond 2,000,000 characters is left out here" in page


def test_progress_shows_its_last_state(tmp_path: Path) -> None:
    """What a carriage return overwrote is not shown, also where it was written in several goes."""
    parts = ["\r 10%|#   |", "\r 50%|##  |", "\r100%|####|", "\ndone\r\n"]
    outputs = [{"output_type": "stream", "name": "stderr", "text": part} for part in parts]
    assert '<pre class="output stderr">100%|####|\ndone\n</pre>' in _page(tmp_path, notebook_of(code(*outputs)))


@pytest.mark.parametrize("minor", range(6))
def test_every_minor_format(tmp_path: Path, minor: int) -> None:
    """Notebooks of formats 4.0 to 4.5 are shown, with lines as a list or in one piece, with and without ids."""
    cell = code(shown(text_plain=["a\n", "b"]), source=["first\n", "second"]) | ({"id": "x-1"} if minor == 5 else {})
    page = _page(tmp_path, notebook_of(cell, minor=minor))
    assert "a\nb</pre>" in page and 'id="cell-1"' in page and ">second</span>" in page


def test_odd_content_is_shown(tmp_path: Path) -> None:
    """Metadata of wrong types, unknown outputs and languages, half a surrogate pair, broken images: no error."""
    outputs = [
        {"output_type": "stream"}, {"output_type": "unheard of"}, {"output_type": "error"},
        {"output_type": "display_data"},
        shown(text_plain=None), shown(image_png="@@ no base64 @@", text_plain="instead"), shown(text_plain="\ud800"),
        {"output_type": "display_data", "data": [], "metadata": 7},
        shown(**{"application_vnd.plotly.v1+json": {"data": [{"y": [float("nan")]}]}}),
        shown(**{"application_x-odd": "?"}),
    ]  # fmt: skip
    cells = [
        code(*outputs, tags=7, configmill=[], papermill=None),
        {"cell_type": "code", "metadata": None, "source": None, "outputs": {}},
        {"cell_type": "raw", "source": "<b>raw</b>"},
        {"cell_type": "markdown", "source": "![x](attachment:gone.png) \ud83d\ude00"},
    ]
    page = _page(tmp_path, notebook_of(*cells, language_info={"name": "klingon"}, kernelspec=[], widgets=3))
    page.encode("utf-8")
    assert (
        "instead</pre>" in page and "&lt;b&gt;raw&lt;/b&gt;" in page and "attachment:gone.png" in page and "😀" in page
    )
    assert "an output (application/x-odd) can&#x27;t be shown here; fit.ipynb holds all of it." in page


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"cells": [', "is no JSON"),
        ("[]", "has no list of cells"),
        ('{"nbformat": 4, "cells": {}}', "has no list of cells"),
        ('{"nbformat": 3, "cells": []}', "is of format 3, not 4"),
        ('{"nbformat": 4, "cells": [3]}', "Cell 1 of the notebook"),
        ('{"nbformat": 4, "cells": [{"cell_type": "heading"}]}', "neither code, markdown nor raw"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_broken_notebook(tmp_path: Path, content: str, why: str) -> None:
    """What is no notebook raises PageError with one sentence that names the file."""
    path = tmp_path / "fit.ipynb"
    path.write_text(content)
    with pytest.raises(PageError) as raised:
        render_page(str(path), page_head())
    assert why in str(raised.value) and "'fit.ipynb'" in str(raised.value)


def test_no_notebook(tmp_path: Path) -> None:
    """A notebook that is gone is told from a broken one: its next attempt may have begun."""
    with pytest.raises(FileNotFoundError):
        render_page(str(tmp_path / "fit.ipynb"), page_head())


def test_head_of_a_good_run(tmp_path: Path) -> None:
    """Everything that is known is there, and nothing is said of what is not."""
    page = _page(tmp_path, notebook_of(code()), dirty=True, config={"pair": {"__type__": "tuple", "items": [1, "a"]}})
    for fact in ("2026-01-31 23:59:58 UTC", "1 min 15 s", "node &lt;7&gt;", "0123456789ab + uncommitted changes"):
        assert f"<dd>{fact}</dd>" in page
    assert "<td>(1, &#34;a&#34;)</td>" in page
    unknown = dict.fromkeys(("started", "seconds", "attempt", "host", "commit", "log_href"))
    page = _page(tmp_path, notebook_of(code()), **unknown, config={})
    assert "None" not in page.split("<main>")[0].split("</style>")[-1] and ">Log</a>" not in page


def test_links_are_quoted(tmp_path: Path) -> None:
    """Names with characters that mean something in an address are quoted in it."""
    page = _page(tmp_path, notebook_of(code()), index_href='../a "b" #1 50%/index.html')
    assert 'href="../a%20%22b%22%20%231%2050%25/index.html"' in page

"""The campaign's page in a browser: rows, sorting, filtering, links, any number of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from configmill.protocol.layout import CampaignDir
from configmill.report.index.page import Page, write_index
from configmill.store.tables import latest_rows
from tests.browser import Browser
from tests.conftest import Project
from tests.report.conftest import NUM_CONFIGS, NUM_KILLED, NUM_RAISED
from tests.report.index_view import IndexView
from tests.report.stub_rows import stub_campaign, stub_row, stub_rows


def _path(href: str | None) -> Path:
    return Path(unquote(urlsplit(href or "").path))


def test_a_row_per_config(view: IndexView) -> None:
    """Each config has a row with what varies, its metrics and its status; the counts add up; the console is empty."""
    rows = view.rows()
    assert [row["index"] for row in rows] == [str(index) for index in range(NUM_CONFIGS)]
    assert rows[0].pop("seconds").endswith(" s")
    assert rows[0].pop("files").split() == ["log", "config"]
    assert rows[0] == {
        "index": "0", "plot": "", "status": "succeeded", "model.kind": "tree", "model.depth": "1", "rate": "0.1",
        "seed": "0", "loss.test": "1.1", "loss.train": "0.55", "steps": "100", "attempts": "1",
    }  # fmt: skip
    failed = NUM_RAISED + NUM_KILLED
    assert view.column("status").count("failed") == failed
    assert view.chip("failed").text == f"{failed} failed"
    assert view.chip("succeeded").text == f"{NUM_CONFIGS - failed} succeeded"
    assert view.shown == f"{NUM_CONFIGS} of {NUM_CONFIGS} shown"
    assert view.one("h1").text == "experiment:run"
    view.traces()
    view.browser.assert_quiet()


def test_every_link_leads_to_a_file(view: IndexView) -> None:
    """All links and pictures of the page are there, quotes and spaces in the folder's name or not."""
    view.browser.script("document.querySelectorAll('#failures details').forEach((group) => { group.open = true; })")
    hrefs = [link.get_attribute("href") for link in view.all("main a, #foot a")]
    assert len(hrefs) > 2 * NUM_CONFIGS
    assert [href for href in hrefs if not _path(href).exists()] == []
    for picture in view.all("#results img")[:3]:
        view.browser.script("arguments[0].scrollIntoView()", picture)
        view.browser.driver.execute_async_script("arguments[0].decode().then(arguments[1])", picture)
        assert picture.get_attribute("loading") == "lazy"
        assert picture.get_property("naturalWidth") == 40


def test_sort_by_click(view: IndexView) -> None:
    """A click on a header sorts by number, another one turns it round; aria-sort says so; empty cells stay last."""
    assert view.sort("model.depth") == "ascending"
    assert list(dict.fromkeys(view.column("model.depth"))) == ["1", "2", "10"]
    assert view.head("index").get_attribute("aria-sort") == "none"
    assert view.sort("model.depth") == "descending"
    assert list(dict.fromkeys(view.column("model.depth"))) == ["10", "2", "1"]
    for order in ("ascending", "descending"):
        assert view.sort("loss.test") == order
        values = view.column("loss.test")
        assert values[-NUM_RAISED - NUM_KILLED :] == [""] * (NUM_RAISED + NUM_KILLED)
        numbers = [float(value) for value in values if value]
        assert numbers == sorted(numbers, reverse=order == "descending")
    view.browser.assert_quiet()


def test_sort_by_keyboard(view: IndexView) -> None:
    """A header can be reached and used without a mouse, and stays where the keyboard is."""
    button = view.head("rate").find_element(By.TAG_NAME, "button")
    view.browser.script("arguments[0].focus()", button)
    for order, first in (("ascending", "0.01"), ("descending", "0.1")):
        view.browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
        assert view.head("rate").get_attribute("aria-sort") == order
        assert view.column("rate")[0] == first


def test_filter_by_typing(view: IndexView) -> None:
    """Only rows in which each of the words is found in some column stay; the count says how many."""
    view.search("TREE fail")
    assert view.shown == f"2 of {NUM_CONFIGS} shown"
    assert {(row["model.kind"], row["status"]) for row in view.rows()} == {("tree", "failed")}
    view.search("result_23")
    assert view.column("index") == ["23"]
    view.search("nothing has this")
    assert (view.rows(), view.shown) == ([], f"0 of {NUM_CONFIGS} shown")
    assert view.one("#none").is_displayed()
    view.one("#clear").click()
    assert len(view.rows()) == NUM_CONFIGS
    view.browser.assert_quiet()


def test_status_chips(view: IndexView) -> None:
    """A chip leaves the rows of its status, a second one adds its own, and both go together with the search."""
    view.chip("failed").click()
    assert set(view.column("status")) == {"failed"}
    assert view.chip("failed").get_attribute("aria-pressed") == "true"
    view.search("forest")
    assert view.shown == f"4 of {NUM_CONFIGS} shown"
    view.chip("succeeded").click()
    assert set(view.column("model.kind")) == {"forest"}
    assert view.shown == f"12 of {NUM_CONFIGS} shown"
    view.chip("failed").click()
    assert set(view.column("status")) == {"succeeded"}


def test_the_address_keeps_the_view(view: IndexView) -> None:
    """What was sorted, searched, filtered and hidden is in the address: opened elsewhere, it shows the same rows."""
    view.sort("loss.train")
    view.sort("loss.train")
    view.search("forest 0.1")
    view.chip("succeeded").click()
    view.one("#columns summary").click()
    view.one('#column-list label[title="steps"]').click()
    before, columns = view.rows(), view.columns
    assert "steps" not in columns
    fragment = view.browser.driver.current_url.partition("#")[2]
    view.open(fragment)
    assert (view.rows(), view.columns) == (before, columns)
    assert view.one("#search").get_attribute("value") == "forest 0.1"
    view.browser.script("location.hash = 'sort=model.depth&query=tree'")
    assert set(view.column("model.kind")) == {"tree"}
    view.open("sort=nonsense&statuses=none&hidden=%3Cb%3E&metric=x&x=y&view=z&query=")
    assert len(view.rows()) == NUM_CONFIGS
    view.browser.assert_quiet()


def test_a_hidden_column_is_not_searched(view: IndexView) -> None:
    """What can't be seen isn't found: the search looks at the columns that are shown."""
    view.search("tree")
    assert len(view.rows()) == NUM_CONFIGS / 2
    view.one("#columns summary").click()
    view.one('#column-list label[title="model.kind"]').click()
    assert view.rows() == []


def test_pages_and_their_first_plots(browser: Browser, tmp_path: Path) -> None:
    """A published page is linked from its row and its picture, whatever its name is made of."""
    directory = stub_campaign(tmp_path / "out #1 'of\" 100%?", target="notebooks/a b.ipynb")
    rows = [stub_row(directory, i, config={"x": i}) for i in range(2)]
    Path(rows[0].dir.path).mkdir(parents=True)
    page = Path(rows[0].dir.path) / "a #b 50% c?d.html"
    page.write_text("<title>the page</title>")
    thumbnail = Path(directory.thumbnails) / "first #1.svg"
    thumbnail.parent.mkdir(parents=True)
    thumbnail.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="6"><circle r="3"/></svg>')
    pages = {rows[0].digest: Page(f"../experiments/{rows[0].digest}/{page.name}", f"thumbnails/{thumbnail.name}")}
    view = IndexView(browser, write_index(directory, rows, pages))
    view.open()
    assert view.one("#results img").get_property("naturalWidth") == 8
    assert len(view.all("#results img")) == 1
    for link in ("tbody th a", "td.picture a", "td.files a"):
        view.open()
        view.one(f"#results tr {link.removeprefix('tbody ')}" if link.startswith("td") else f"#results {link}").click()
        assert browser.driver.title == "the page"


def test_a_thousand_rows(browser: Browser, tmp_path: Path) -> None:
    """A thousand configs are a thousand rows, sorted and filtered as three are."""
    directory = stub_campaign(tmp_path / "out")
    view = IndexView(browser, write_index(directory, stub_rows(directory, 1000)))
    view.open()
    assert len(view.rows()) == 1000
    view.sort("loss.test")
    numbers = [float(value) for value in view.column("loss.test") if value]
    assert numbers == sorted(numbers) and len(numbers) == 1000 - 53
    view.search("linear 9")
    found = view.rows()
    assert view.shown == f"{len(found)} of 1000 shown"
    assert 0 < len(found) < 334 and {row["model.name"] for row in found} == {"linear"}
    view.traces()
    browser.assert_quiet()


def test_thousands_of_rows_come_in_parts(browser: Browser, tmp_path: Path) -> None:
    """Of very many rows the first are listed, more on request; sorting and searching still look at all of them."""
    directory = stub_campaign(tmp_path / "out")
    view = IndexView(browser, write_index(directory, stub_rows(directory, 2500)))
    view.open()
    assert len(view.rows()) == 500
    assert view.shown == "2500 of 2500 shown"
    view.sort("index")
    assert view.column("index")[:2] == ["2499", "2498"]
    view.search("result_7")
    view.search("result_2017")
    assert view.column("index") == ["2017"]
    view.search("")
    view.one("#more-some").click()
    assert len(view.rows()) == 1000
    view.one("#more-all").click()
    assert view.column("index") == [str(index) for index in reversed(range(2500))]
    assert not view.one("#more").is_displayed()


def test_many_columns(browser: Browser, tmp_path: Path) -> None:
    """Of a hundred metrics some wait under Columns; the table scrolls within its box and the page does not."""
    directory = stub_campaign(tmp_path / "out")
    metrics = {f"group_{i // 10}": {} for i in range(100)}
    for i in range(100):
        metrics[f"group_{i // 10}"][f"a_long_name_of_a_metric_{i}"] = i / 7
    view = IndexView(
        browser, write_index(directory, [stub_row(directory, i, config={"x": i}, result=metrics) for i in range(3)])
    )
    view.open()
    assert 12 < len(view.columns) < 40
    width, content = view.browser.script("const b = document.body; return [b.clientWidth, b.scrollWidth]")
    assert content <= width
    view.one("#columns summary").click()
    last = "group_9.a_long_name_of_a_metric_99"
    view.one(f'#column-list label[title="{last}"]').click()
    assert view.column(last) == ["14.143"] * 3
    view.browser.script("const box = document.getElementById('box'); box.scrollLeft = box.scrollWidth")
    box, index = view.one("#box").rect, view.one("#results tbody th").rect
    assert abs(box["x"] - index["x"]) < 3, "the first column stays in sight"


def test_a_campaign_without_rows(browser: Browser, tmp_path: Path) -> None:
    """A page of nothing opens, and says so."""
    directory = stub_campaign(tmp_path / "out")
    view = IndexView(browser, write_index(directory, []))
    view.open()
    assert view.shown == "0 of 0 shown"
    assert "nothing to plot" in view.one("#plots").text
    browser.assert_quiet()


def test_it_is_made_without_heavy_imports(campaign: Project) -> None:
    """Every command ends with this page: making it imports neither plotly nor pandas nor a template engine."""
    code = """
        import sys
        from configmill.protocol.layout import CampaignDir
        from configmill.report.index.page import write_index
        from configmill.store.tables import latest_rows
        directory = CampaignDir(sys.argv[1])
        write_index(directory, latest_rows(directory))
        print([name for name in ("plotly", "pandas", "jinja2", "numpy", "rich", "nbformat") if name in sys.modules])
        """
    script = campaign.write("make_index.py", code)
    done = subprocess.run(
        [sys.executable, str(script), str(campaign.out)], env=campaign.environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_it_is_made_again_at_any_time(campaign: Project, index_html: str) -> None:
    """Made again it replaces the page and leaves the script beside it, which is copied once."""
    directory = CampaignDir(str(campaign.out))
    script = Path(directory.report) / "plotly.min.js"
    before = (script.stat().st_mtime_ns, script.stat().st_ino)
    Path(index_html).write_text("spoilt")
    assert write_index(directory, latest_rows(directory)) == index_html
    assert Path(index_html).read_text().startswith("<!doctype html>")
    assert (script.stat().st_mtime_ns, script.stat().st_ino) == before
    script.write_text("cut off")
    write_index(directory, latest_rows(directory))
    assert script.stat().st_size > 1_000_000

"""Nothing that a config, an experiment or a name holds is ever run, or read as markup, by the campaign's page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configmill.protocol.layout import CampaignDir
from configmill.report.index.page import Page, to_script_json, write_index
from configmill.store.tables import latest_rows
from tests.browser import Browser
from tests.conftest import Project
from tests.report.index_view import IndexView
from tests.report.stub_rows import stub_campaign, stub_row

ATTACKS = [
    "</script><script>hacked=1</script>",
    "<!--<script>hacked=1",
    "<img src=x onerror=hacked=1>",
    "\"'><svg onload=hacked=1>",
    "javascript:hacked=1",
    '<a href="javascript:hacked=1">click</a>',
    "{{data}} {{nonce}}",
    "%{x} ${hacked=1} $\\hacked$",
    "\u2028hacked=1\u2029",
]
DST_NAME = "<img src=x onerror=hacked=1> #1 50%"


def _assert_unharmed(view: IndexView) -> None:
    """No script but the page's own ran, and no element but its own is there."""
    browser = view.browser
    assert browser.script("return typeof window.hacked") == "undefined"
    assert browser.driver.title != "hacked"
    assert browser.script("return document.querySelectorAll('[onerror], [onload], [onclick]').length") == 0
    assert browser.script("return document.querySelectorAll('body img[src=x], #results b, #failures b').length") == 0
    assert browser.script("return [...document.links].filter((link) => link.protocol !== 'file:').length") == 0
    assert browser.script("return document.querySelectorAll('#plot a').length") == 0
    browser.assert_quiet()


def test_hostile_campaign(browser: Browser, project: Project) -> None:
    """Config keys and values, metrics, errors, artifacts and the dst_dir's name that try to be script stay text."""
    project.write(
        "builder.py",
        f"""
        import configmill
        ATTACKS = {ATTACKS!r}
        def build():
            return [{{"value": a, a.replace(".", ""): i, "fails": i % 3 == 2}} for i, a in enumerate(ATTACKS)]
        """,
    )
    project.write(
        "experiment.py",
        """
        import os
        SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>top.hacked=1</script></svg>'
        def run(config):
            if config.fails:
                raise ValueError(config["value"])
            with open(os.path.join(config.meta.experiment_dir, "'><img src=x onerror=hacked=1>.svg"), "w") as file:
                file.write(SVG)
            return {"note": config["value"], config["value"]: 0.5, "loss": {config["value"]: 1.5}}
        """,
    )
    out = project.root / DST_NAME
    done = project.run("--num_threads", "2", dst=out)
    assert done.code == 1, done
    directory = CampaignDir(str(out))
    view = IndexView(browser, write_index(directory, latest_rows(directory)))
    view.open()
    view.traces()
    assert view.column("value") == [attack.strip() for attack in ATTACKS]
    assert view.one("#name").text == DST_NAME
    assert "ValueError: <img src=x onerror=hacked=1>" in view.one("#failures").text
    for option in view.all("#plot-metric option"):
        view.choose("plot-metric", option.get_attribute("value") or "")
    view.choose("plot-x", "value")
    view.choose("plot-colour", "value")
    view.one("#plot-heatmap").click()
    view.sort("value")
    view.search("<img src=x onerror=hacked=1>")
    assert len(view.rows()) >= 1
    _assert_unharmed(view)
    view.open(view.browser.driver.current_url.partition("#")[2])
    view.traces()
    _assert_unharmed(view)


def test_hostile_names_of_pages(browser: Browser, tmp_path: Path) -> None:
    """A target, a page's path, a class of failure that try to be script or another address stay text and paths."""
    target = " ".join(ATTACKS) + ".ipynb"
    directory = stub_campaign(tmp_path / "out", target=target)
    rows = [
        stub_row(directory, i, config={"x": i}, status="failed", failure_class=attack, error=attack, where=attack)
        for i, attack in enumerate([*ATTACKS, "//127.0.0.1:9/x", "/etc/passwd", "http://127.0.0.1:9/"])
    ]
    pages = {row.digest: Page(row.record["error"], row.record["error"]) for row in rows}
    view = IndexView(browser, write_index(directory, rows, pages))
    view.open("x=x")
    view.traces()
    assert browser.driver.title == f"out: {target}"
    hrefs = browser.script("return [...document.querySelectorAll('#results tbody th a')].map((link) => link.href)")
    assert len(hrefs) == len(rows)
    assert [href for href in hrefs if not href.startswith(Path(directory.report).as_uri() + "/")] == []
    assert browser.script("return typeof window.hacked") == "undefined"
    assert not [url for url in browser.requested() if not url.startswith("file:")]
    view.one('#results tr[data-index="4"] th a').click()
    assert browser.driver.current_url.startswith(("file:", "chrome-error:"))


def test_a_foreign_script_is_refused(browser: Browser, tmp_path: Path) -> None:
    """Even markup that got into the page could not run: its policy knows one nonce, new each time it is made."""
    directory = stub_campaign(tmp_path / "out")
    row = stub_row(directory, 0, config={"x": 0})
    path = write_index(directory, [row])
    text = Path(path).read_text()
    again = Path(write_index(directory, [row])).read_text()
    nonces = {part.split("'")[0] for whole in (text, again) for part in whole.split("'nonce-")[1:]}
    assert len(nonces) == 2
    injected = "<script>hacked=1</script><img src=x onerror=hacked=1><script src=evil.js></script>"
    injected += "<script>fetch('http://127.0.0.1:9/')</script>"
    (Path(directory.report) / "evil.js").write_text("hacked=1")
    Path(path).write_text(text.replace("<main>", f"<main>{injected}"))
    view = IndexView(browser, path)
    view.open()
    assert len(view.rows()) == 1
    assert browser.script("return typeof window.hacked") == "undefined"
    assert sum("Content Security Policy" in line for line in browser.console()) >= 4
    assert not [url for url in browser.requested() if url.startswith("http")]


@pytest.mark.parametrize("text", ["</script>", "<!--", "a & b", "\u2028\u2029", "\udcff", "é 漢字 🙂"])
def test_json_in_a_script(text: str) -> None:
    """The JSON within the page has no character that ends a script, and reads back as what went in."""
    written = to_script_json({"a": text})
    assert not set(written) & set("<>&\u2028\u2029")
    assert written.isascii()
    assert json.loads(written) == {"a": text}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_json_is_strict(number: float) -> None:
    """What JavaScript's JSON can't read is refused while it is written, not when the page is opened."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_script_json([number])

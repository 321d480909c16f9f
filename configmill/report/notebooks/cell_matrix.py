"""One page with what the cells of a tag put out, for every config of a campaign side by side.

    write_cell_matrix(directory, latest_rows(directory), target, "forecast", matrix_path(directory, "forecast"))

One file that opens from file:// without a network, with report/plotly.min.js beside it where there are figures. Outputs
are untrusted here: their HTML is cleaned, and a content security policy refuses any script but the page's own.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configmill.child.notebook import executed
from configmill.config.nearest import nearest_sentence
from configmill.errors import PageError, UsageError
from configmill.files import write_atomic
from configmill.protocol import status
from configmill.protocol.layout import CampaignDir, is_notebook, notebook_name
from configmill.report.index.data import plain_value, to_href
from configmill.report.index.page import PLOTLY_NAME, copy_plotly, to_script_json
from configmill.report.notebooks.encoded_text import encoded_text
from configmill.report.notebooks.outputs import OutputRenderer
from configmill.report.notebooks.page import ASSETS, MARKER_TAG
from configmill.report.notebooks.saved_notebook import mapping, read_notebook, tags_of
from configmill.store.tables import Row, to_records, varying_keys

#: Columns of the results by which cards can't be sorted sensibly.
_NOT_SORTED_BY = ("digest", "status")
_STYLES = ("look.css", "cell_matrix.css")
_SCRIPTS = ("figures.js", "cell_matrix.js")


@dataclass(frozen=True)
class _Card:
    """What is shown of one config: the HTML of its outputs, or why there are none."""

    row: Row
    outputs: Sequence[str]
    instead: str
    has_figure: bool


def matrix_path(directory: CampaignDir, tag: str) -> str:
    """Where the page of a tag is, if nobody says otherwise: in report/, by a name that any file system takes."""
    name = re.sub(r"[^\w-]+", "_", tag)
    if name != tag or len(name) > 80:
        name = f"{name[:80]}-{hashlib.sha256(tag.encode('utf-8', 'replace')).hexdigest()[:8]}"
    return os.path.join(directory.report, f"compare-{name}.html")


def write_cell_matrix(directory: CampaignDir, rows: Sequence[Row], target: str, tag: str, path: str) -> None:
    """Write the page to `path`, atomically.

    Raises UsageError for a campaign that is not of a notebook, one without an executed notebook, and a tag that no cell
    has; OSError where it can't be written.
    """
    if not is_notebook(target):
        raise UsageError(
            f"The experiments of {directory.path!r} are of {target!r}, which is no notebook and has no cells. "
            "Give the --dst_dir of run_notebook.py."
        )
    notebooks = {row.digest: _read(row, target) for row in rows}
    _require_tag(directory, [notebook for notebook in notebooks.values() if isinstance(notebook, dict)], tag)
    cards = [_card(row, notebooks[row.digest], notebook_name(target), tag) for row in rows]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    if any(card.has_figure for card in cards):
        os.makedirs(directory.report, exist_ok=True)
        copy_plotly(directory.report)
    write_atomic(path, _page(directory, cards, target, tag, os.path.dirname(os.path.abspath(path))))


def _read(row: Row, target: str) -> dict[str, Any] | str:
    """The config's executed notebook, or why there is none."""
    try:
        return read_notebook(row.dir.notebook(target))
    except FileNotFoundError:
        return "No notebook was kept." if row.attempts else "It has not run yet."
    except PageError as error:
        return str(error)


def _require_tag(directory: CampaignDir, notebooks: Sequence[Mapping[str, Any]], tag: str) -> None:
    if not notebooks:
        raise UsageError(
            f"{directory.path!r} holds no executed notebook yet. Run run_notebook.py first, then compare its cells."
        )
    tags = dict.fromkeys(
        name for notebook in notebooks for cell in notebook["cells"] for name in tags_of(cell) if name != MARKER_TAG
    )
    if tag not in tags:
        raise UsageError(f"No cell of the notebook is tagged {tag!r}. {nearest_sentence(tag, tags)}")


def _card(row: Row, notebook: dict[str, Any] | str, name: str, tag: str) -> _Card:
    if isinstance(notebook, str):
        return _Card(row, (), notebook, False)
    cells = [cell for cell in notebook["cells"] if tag in tags_of(cell)]
    renderer = OutputRenderer(notebook, name=f"{name}.ipynb", files=None)
    try:
        outputs = [output for cell in cells for output in _shown(cell, renderer)]
    except Exception as error:  # one odd output must not take the page from all the others
        return _Card(row, (), f"Its outputs can't be shown: {type(error).__name__}: {error}", False)
    return _Card(row, outputs, "" if outputs else _why_nothing(cells, tag), renderer.has_figure)


def _shown(cell: Mapping[str, Any], renderer: OutputRenderer) -> Iterable[str]:
    if cell["cell_type"] == "markdown":
        return [renderer.markdown(cell["source"], cell["attachments"])]
    return renderer.render(cell["outputs"]) if cell["cell_type"] == "code" else ()


def _why_nothing(cells: Sequence[Mapping[str, Any]], tag: str) -> str:
    if not cells:
        return f"Its notebook has no cell tagged {tag}."
    states = {mapping(cell["metadata"].get(executed.KEY)).get("state") for cell in cells}
    if states & {executed.NOT_RUN, executed.PENDING}:
        return "The cell did not run."
    return "The cell put nothing out."


def _page(directory: CampaignDir, cards: Sequence[_Card], target: str, tag: str, folder: str) -> str:
    nonce = secrets.token_urlsafe(18)
    varying = varying_keys([card.row for card in cards])
    plotly = to_href(os.path.relpath(os.path.join(directory.report, PLOTLY_NAME), folder))
    has_figure = any(card.has_figure for card in cards)
    parts = {
        "nonce": nonce,
        # plotly.js draws many points by WebGL programs that it compiles from its own text.
        "eval": " 'unsafe-eval'" if has_figure else "",
        "title": html.escape(f"{tag} of {notebook_name(target)}, side by side"),
        "tag": html.escape(tag),
        "notebook": html.escape(notebook_name(target)),
        "back": _link(directory.index_html, folder, "← All results"),
        "style": "".join(map(_asset, _STYLES)),
        "outputs_style": _asset("outputs.css"),
        "cards": "\n".join(_card_html(card, varying, target, folder) for card in cards),
        "data": to_script_json(_sorting_data(cards, varying)),
        "plotly": f'<script nonce="{nonce}" src="{html.escape(plotly)}"></script>' if has_figure else "",
        "script": "".join(map(_asset, _SCRIPTS)),
    }
    # In one pass: what one part holds is never taken for the place of another.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("cell_matrix.html"))


def _card_html(card: _Card, varying: Sequence[str], target: str, folder: str) -> str:
    row = card.row
    name = f"result_{row.index}"
    pairs = "".join(
        f"<div><dt>{html.escape(key)}</dt><dd>{html.escape(encoded_text(row.flat_config[key]))}</dd></div>"
        for key in varying
        if key in row.flat_config
    )
    log = _link(os.path.join(row.dir.path, str(row.record.get("log"))), folder, "log")
    failure = _failure_html(row)
    instead = f'<p class="note">{html.escape(card.instead)}</p>' if card.instead else ""
    shown = "".join(f"<div>{output}</div>" for output in card.outputs)
    return (
        f'<article data-status="{html.escape(row.status)}"><header>'
        f"<h2>{_link(row.dir.page(target), folder, name) or name}</h2>"
        f'<span class="badge">{html.escape(row.status)}</span><span class="files">{log}</span></header>'
        f'<p class="sorted-by" hidden></p><dl>{pairs}</dl>{failure}{instead}'
        f'<div class="outputs">{shown}</div></article>'
    )


def _failure_html(row: Row) -> str:
    if row.status not in (status.FAILED, status.INTERRUPTED):
        return ""
    said = (row.record.get("failure_class"), row.record.get("error"))
    text = ": ".join(str(part) for part in said if part) or "It was cut off, and nothing says how."
    return f'<p class="failure">{html.escape(text[:1000])}</p>'


def _sorting_data(cards: Sequence[_Card], varying: Sequence[str]) -> dict[str, Any]:
    """The columns by which cards are sorted; for each card its values, and the text in which a filter looks."""
    records = to_records([card.row for card in cards])
    columns = [name for name in records[0] if name not in _NOT_SORTED_BY] if records else []
    return {
        "columns": columns,
        "values": [[plain_value(record[name]) for name in columns] for record in records],
        "texts": [_searched(card.row, varying) for card in cards],
    }


def _searched(row: Row, varying: Sequence[str]) -> str:
    values = [f"{key}={encoded_text(row.flat_config[key])}" for key in varying if key in row.flat_config]
    said = (f"result_{row.index}", row.status, row.record.get("failure_class"), row.record.get("error"), *values)
    return " ".join(str(part) for part in said if part).casefold()


def _link(path: str, folder: str, text: str) -> str:
    """A link from a page in `folder` to a file, empty where there is no such file."""
    if not os.path.isfile(path):
        return ""
    return f'<a href="{html.escape(to_href(os.path.relpath(path, folder)))}">{html.escape(text)}</a>'


def _asset(name: str) -> str:
    with open(os.path.join(ASSETS, name), encoding="utf-8") as file:
        return file.read()

"""An executed notebook as one HTML file that opens from file:// and asks nothing of a network.

    text = render_page("/data/out/experiments/3f2a…/forecasting.ipynb", head, notebook_dir="/home/me/project/notebooks")

nbconvert makes the page by assets/page.html.j2, of outputs that `outputs` renders. Images are embedded, LaTeX is
MathML, figures of plotly are drawn by the report's plotly.min.js. What an output would load from a network waits for a
click.

A page is as trustworthy as its notebook: scripts that its outputs hold run when it is opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from configmill.child.notebook import executed
from configmill.errors import PageError
from configmill.report.notebooks.fragments import Files
from configmill.report.notebooks.head import PageHead, config_lines, facts, varying_values
from configmill.report.notebooks.outputs import OutputRenderer
from configmill.report.notebooks.plotly_figures import LOAD_BUTTON, plotly_inside
from configmill.report.notebooks.saved_notebook import mapping, read_notebook, tags_of

__all__ = ["PageHead", "render_page"]

ASSETS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "assets")
#: papermill's own cells, which say in red what the page's head says.
MARKER_TAG = "papermill-error-cell-tag"
#: A config of more keys than this is folded: the outputs are what one comes for.
_MAX_OPEN_CONFIG = 12
_MAX_SOURCE = 200_000
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")

#: What became of a cell, in words where that isn't plain to see.
_STATE_WORDS = {
    executed.DONE: "", executed.FAILED: "failed", executed.NOT_RUN: "not run", executed.PENDING: "not run",
    executed.RUNNING: "cut off",
}  # fmt: skip
_STATE_CLASSES = {executed.PENDING: executed.NOT_RUN, executed.RUNNING: executed.FAILED}


def render_page(
    notebook_path: str, head: PageHead, *, hide_input: bool = False, notebook_dir: str | None = None
) -> str:
    """The page's HTML, for the folder that `notebook_path`, the executed notebook, is in.

    `hide_input` leaves the code out (a traceback still shows lines of it). `notebook_dir` is the folder of the notebook
    that ran, where the files are that its text refers to. Raises PageError, in one sentence, for a notebook that can't
    be shown, and FileNotFoundError where there is none.
    """
    notebook = read_notebook(notebook_path)
    name = os.path.basename(notebook_path)
    page_folder = os.path.dirname(os.path.abspath(notebook_path))
    try:
        renderer = OutputRenderer(notebook, name=name, files=Files(notebook_dir or page_folder, page_folder))
        text = _render(notebook, head, renderer, hide_input=hide_input)
    except Exception as error:  # nbconvert and what it is made of raise what they like
        raise PageError(
            f"The notebook {name!r} can't be made a page: {type(error).__name__}: {str(error)[:300]}."
        ) from error
    return _without_lone_surrogates(text)


def _render(notebook: dict[str, Any], head: PageHead, renderer: OutputRenderer, *, hide_input: bool) -> str:
    from nbformat import from_dict

    from configmill.report.notebooks.exporter import page_exporter

    cells = _prepared_cells(notebook, renderer)
    metadata = {"language_info": {"name": _language(notebook["metadata"])}}
    ready = from_dict({"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": cells})
    page = {**_head_content(head, cells), "hide_input": hide_input, **_needs(head, renderer)}
    text, _ = page_exporter(ASSETS).from_notebook_node(ready, {"page": page})
    return text


def _prepared_cells(notebook: dict[str, Any], renderer: OutputRenderer) -> list[dict[str, Any]]:
    """The cells with what the template shows of each under `metadata["page"]`, outputs and markdown rendered."""
    numbers = {id(cell): number for number, cell in enumerate(executed.cells_to_run(notebook), start=1)}
    prepared = []
    for cell in notebook["cells"]:
        if MARKER_TAG in tags_of(cell):
            continue
        page: dict[str, Any] = {"number": numbers.get(id(cell))}
        metadata = {"tags": [], "page": page}
        source = cell["source"]
        if cell["cell_type"] == "markdown":
            page["html"] = renderer.markdown(source, cell["attachments"])
        if cell["cell_type"] != "code":
            prepared.append({"cell_type": cell["cell_type"], "metadata": metadata, "source": source[:_MAX_SOURCE]})
            continue
        page["outputs"] = renderer.render(cell["outputs"])
        page.update(_what_became_of(cell))
        code = {"execution_count": None, "outputs": [], "source": source[:_MAX_SOURCE]}
        if source.strip() or page["outputs"]:
            prepared.append({"cell_type": "code", "metadata": metadata, **code})
    return prepared


def _what_became_of(cell: Mapping[str, Any]) -> dict[str, Any]:
    kept = cell["metadata"].get(executed.KEY)
    state = kept.get("state") if isinstance(kept, dict) else None
    seconds = kept.get("seconds") if isinstance(kept, dict) else None
    shown = state if isinstance(state, str) and state in _STATE_WORDS else ""
    return {
        "state": _STATE_CLASSES.get(shown, shown),
        "state_word": _STATE_WORDS.get(shown, ""),
        "seconds": _cell_seconds(seconds) if isinstance(seconds, int | float) else "",
    }


def _cell_seconds(seconds: float) -> str:
    from configmill.report.durations import duration

    return f"{seconds * 1000:.0f} ms" if seconds < 1 else duration(seconds)


def _head_content(head: PageHead, cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    lines = config_lines(head.config, head.varying)
    numbered = [cell["metadata"]["page"] for cell in cells if cell["metadata"]["page"]["number"] is not None]
    return {
        "title": head.title,
        "status": head.status,
        "failure_class": head.failure_class,
        "error": head.error,
        "where": head.where,
        "cell_errors": head.cell_errors,
        "facts": facts(head),
        "varying": varying_values(head.config, head.varying),
        "config": lines,
        "config_open": len(lines) <= _MAX_OPEN_CONFIG,
        "cells": numbered if any(page["state"] for page in numbered) else [],
        "ran": sum(page["state"] in (executed.DONE, executed.FAILED) for page in numbered),
        "index_href": quote(head.index_href),
        "log_href": None if head.log_href is None else quote(head.log_href),
    }


def _needs(head: PageHead, renderer: OutputRenderer) -> dict[str, Any]:
    """What the page must bring along or ask for, so that its outputs look right."""
    return {
        "plotly_src": quote(head.plotly_src) if renderer.has_figure and head.plotly_src is not None else None,
        "plotly_inside": plotly_inside() if renderer.has_figure and head.plotly_src is None else "",
        "hosts": sorted(renderer.hosts),
        "load_button": LOAD_BUTTON,
        "guard": renderer.has_script or bool(renderer.hosts),
    }


def _language(metadata: Mapping[str, Any]) -> str:
    """What the code is highlighted as: Python where the notebook says nothing, plain text where nobody knows it."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    said = mapping(metadata.get("language_info"))
    names = [said.get("pygments_lexer"), said.get("name"), mapping(metadata.get("kernelspec")).get("language")]
    name = next((name for name in names if isinstance(name, str) and name), "python")
    if name.startswith(("ipython", "python")):
        return "ipython3"
    try:
        get_lexer_by_name(name)
    except ClassNotFound:
        return "text"
    return name


def _without_lone_surrogates(text: str) -> str:
    """`text` as UTF-8 can hold it: JSON can hold half a pair, and an output may."""
    if _LONE_SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

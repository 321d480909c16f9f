"""Figures of plotly: as JSON in the page, drawn there by plotly.min.js, which is on every machine that has plotly.

    figure_html({"data": [...], "layout": {...}})      # what a notebook holds as application/vnd.plotly.v1+json
    figure_in_script("... Plotly.newPlot(...) ...")    # what plotly's other renderers and fig.to_html() leave

assets/figures.js draws what `figure_html` leaves; nothing here runs a notebook's own script.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from configmill.report.notebooks.saved_notebook import mapping

MIME = "application/vnd.plotly.v1+json"
#: What plotly gives a figure without a height of its own, in CSS pixels.
DEFAULT_HEIGHT = 450

#: What loads at a click everything in a page that waits for it.
LOAD_BUTTON = '<button type="button" class="load">Load from the network</button>'

_ON_GLOBES = frozenset({"choropleth", "scattergeo"})
_ON_MAPS = frozenset(f"{kind}{on}" for kind in ("scatter", "density", "choropleth") for on in ("map", "mapbox"))
_URL = re.compile(r"\s*(?:https?:)?//([\w.-]+)", re.IGNORECASE)
_CALL = "Plotly.newPlot("
#: Scripts that only load or set up plotly.js: a page brings its own.
_SET_UP = re.compile(
    r"\s*(?:/\*\*?\s*\*\s*plotly\.js v"
    r"|window\.PlotlyConfig\s*="
    r"|if \(window\.MathJax"
    r"|import [\"']https://cdn\.plot\.ly/[^\"']*[\"']\s*$)"
)
_SET_UP_FILE = re.compile(r"(?:plotly|mathjax)[^/]*(?:/[^?]*)?\.js(?:$|\?)", re.IGNORECASE)


def figure_html(figure: Mapping[str, Any], *, trusted: bool) -> str:
    """The element that assets/figures.js draws `figure` into.

    One that would load from a network is drawn at a click; in a page whose outputs aren't trusted it isn't.
    """
    height = mapping(figure.get("layout")).get("height")
    shown = height if isinstance(height, int | float) and 0 < height < 20_000 else DEFAULT_HEIGHT
    parts = {part: figure[part] for part in ("data", "layout", "config", "frames") if part in figure}
    hosts = hosts_of(figure)
    size = f' style="min-height:{shown:g}px"'
    note = ""
    if hosts:
        size = " data-waits"
        said = f"This figure loads from {html.escape(', '.join(hosts))}."
        note = f'<p class="note">{said} {LOAD_BUTTON if trusted else ""}</p>'
    data = f'<script type="application/json">{json_for_script(parts)}</script>'
    return f'<div class="plotly-figure"{size}>{data}{note}</div>'


def hosts_of(figure: Mapping[str, Any]) -> list[str]:
    """What plotly.js would load from to draw the figure: outlines of countries, tiles of maps, images."""
    data = figure.get("data")
    traces = [trace for trace in data if isinstance(trace, dict)] if isinstance(data, list) else []
    kinds = {str(trace.get("type")) for trace in traces}
    images = mapping(figure.get("layout")).get("images")
    sources = [mapping(image).get("source") for image in images] if isinstance(images, list) else []
    hosts = {
        found[1] for url in [*sources, *(trace.get("geojson") for trace in traces)] if (found := _URL.match(str(url)))
    }
    if kinds & _ON_GLOBES:
        hosts.add("cdn.plot.ly")
    if kinds & _ON_MAPS:
        hosts.add("a server of maps")
    return sorted(hosts)


def figure_in_script(script: str) -> dict[str, Any] | None:
    """The figure that a script of plotly's draws; None where it draws none, or one that is not all JSON."""
    start = script.find(_CALL)
    if start < 0:
        return None
    decoder = json.JSONDecoder()
    position = start + len(_CALL)
    arguments: list[Any] = []
    try:
        while len(arguments) < 4:
            value, position = decoder.raw_decode(script, _skip_space(script, position))
            arguments.append(value)
            position = _skip_space(script, position)
            if script[position] != ",":
                break
            position += 1
    except (ValueError, IndexError, RecursionError):
        return None
    if len(arguments) < 2 or not isinstance(arguments[1], list):
        return None
    return dict(zip(("data", "layout", "config"), arguments[1:], strict=False))


def only_sets_up(script: str) -> bool:
    """Whether a script does nothing but load or set up plotly.js."""
    return _SET_UP.match(script) is not None


def is_set_up_file(url: str) -> bool:
    """Whether a script's address is plotly.js, or the MathJax that it comes with."""
    return _SET_UP_FILE.search(url) is not None


def plotly_inside() -> str:
    """A script element with all of plotly.js, 4 to 5 MB."""
    import pkgutil

    source = (pkgutil.get_data("plotly", "package_data/plotly.min.js") or b"").decode("utf-8")
    safe = source.replace("</script", "<\\/script")
    return f"<script>{safe}</script>"


def json_for_script(value: Any) -> str:
    """`value` as JSON that can stand in a script element: nothing in it ends the element, NaN is null."""
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_without_nan(value), separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list) else value


def _skip_space(text: str, position: int) -> int:
    while text[position : position + 1].isspace():
        position += 1
    return position

"""The campaign's page, `report/index.html`: what failed, plots of the metrics over what varies, a row per config.

    directory = CampaignDir("/data/out")
    write_index(directory, latest_rows(directory), {"3f2a…": Page("../experiments/3f2a…/forecasting.html", None)})

One file that opens from file:// without a network, and `plotly.min.js` beside it. What configs and experiments hold is
data in it, never markup: strict JSON in a script element of its own, from which the page's script (assets/index_*.js)
makes text nodes. A content security policy, whose nonce nobody knew when the experiments ran, refuses any other script.

Neither plotly nor pandas nor a template engine is imported: every command ends here.
"""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from configmill.files import write_atomic
from configmill.protocol.layout import CampaignDir
from configmill.report.index.data import Page, report_data
from configmill.store.tables import Row

__all__ = ["PLOTLY_NAME", "Page", "write_index"]

PLOTLY_NAME = "plotly.min.js"
_ASSETS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "assets")
#: In the order in which they are needed.
_SCRIPTS = ("values", "state", "failures", "table", "plot_data", "plot", "devices", "energy", "main")
_NOT_IN_A_SCRIPT = str.maketrans({"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"})


def write_index(directory: CampaignDir, rows: Sequence[Row], pages: Mapping[str, Page] = {}) -> str:
    """Write `report/index.html`, atomically, and the script file beside it; return the page's path.

    `pages` has the published page by an experiment's digest. Raises OSError where the directory can't be written to.
    """
    os.makedirs(directory.report, exist_ok=True)
    copy_plotly(directory.report)
    write_atomic(directory.index_html, _render(report_data(directory, rows, pages)))
    return directory.index_html


def copy_plotly(folder: str) -> bool:
    """Have `plotly.min.js` in `folder`, copied once; False where the installed plotly brings none."""
    spec = importlib.util.find_spec("plotly")
    for package in (spec.submodule_search_locations or ()) if spec else ():
        source = os.path.join(package, "package_data", PLOTLY_NAME)
        if os.path.isfile(source):
            _copy_if_other_size(source, os.path.join(folder, PLOTLY_NAME))
            return True
    return False


def _copy_if_other_size(source: str, target: str) -> None:
    if os.path.exists(target) and os.path.getsize(target) == os.path.getsize(source):
        return
    with open(source, "rb") as file:
        write_atomic(target, file.read())


def _render(data: dict[str, Any]) -> str:
    parts = {
        "title": html.escape(f"{data['name']}: {data['target']}"),
        "nonce": secrets.token_urlsafe(18),
        "style": _asset("look.css") + _asset("index.css"),
        "script": "\n".join(_asset(f"index_{name}.js") for name in _SCRIPTS),
        "data": to_script_json(data),
    }
    # In one pass: what one part holds is never taken for the place of another.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("index.html"))


def to_script_json(data: Any) -> str:
    """`data` as strict JSON of ASCII that can neither end nor open an element. Raises ValueError for NaN."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).translate(_NOT_IN_A_SCRIPT)


def _asset(name: str) -> str:
    with open(os.path.join(_ASSETS, name), encoding="utf-8") as file:
        return file.read()

"""A notebook that puts out what notebooks put out, run over three configs, of which the second fails half-way.

content, head = saved_notebook(project, 1), page_head(status="failed")
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

from configmill.report.notebooks.page import PageHead
from tests.conftest import Project
from tests.notebooks.written import write_notebook

NOTEBOOK = "my books/fit.ipynb"
NUM_CELLS, FAILING_CELL, FAILING_INDEX = 8, 4, 1
BUILDER = """
    import configmill

    def build():
        return configmill.grid({"model": {"name": "<b>tree</b>", "depth": 1}, "seed": 3}, {"model.depth": [1, 10, 2]})
    """
#: What would change the page, or ask for something, if any of it were run.
HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'><b onclick='x()'>bold</b>"
    "<a href='javascript:window.hacked = 3'>link</a><iframe src='https://evil.example/'></iframe>"
    "<img src='https://evil.example/x.png'><style>#T_1 td { color: rgb(1, 2, 3) } #cards { display: none }</style>"
    "<table id='T_1'><tr><td>styled</td></tr></table></div></div></article></main>"
)
_CELLS = (
    {"cell_type": "markdown", "source": "# The fit\n\n![a picture](pictures/a%20dot.png) costs $x^2$"},
    "import sys, configmill\nimport pandas as pd, matplotlib.pyplot as plt, plotly.graph_objects as go\n"
    "from IPython.display import HTML, SVG, display\nconfig = configmill.get_config_from_env()",
    "print('\\x1b[31mred\\x1b[0m <b>plain</b>')\nprint('an outcry', file=sys.stderr)",
    {"source": "pd.DataFrame({'fold': [1, 2], 'mae': [0.25, config.model.depth]})", "metadata": {"tags": ["table"]}},
    "if config.model.depth == 10:\n    raise ValueError(f'no <b>fit</b> at depth {config.model.depth}')",
    {"source": "plt.plot([1, 3, config.model.depth])\nplt.show()\n"
               "display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"30\" height=\"20\"><rect width=\"30\" "
               "height=\"20\"/></svg>'))", "metadata": {"tags": ["plot"]}},
    {"source": "go.Figure(go.Scatter(y=[1.5, 3, config.model.depth]), layout={'height': 300})",
     "metadata": {"tags": ["figure"]}},
    {"source": f"display(HTML({HOSTILE!r}))", "metadata": {"tags": ["hostile"]}},
    "configmill.log_metrics(step=0, mae=1 / config.model.depth)",
)  # fmt: skip


def run_campaign(project: Project) -> None:
    """Write the notebook, its picture and its builder, and run it; its pages are made too."""
    project.write("builder.py", BUILDER)
    write_notebook(project, *_CELLS, name=NOTEBOOK)
    picture = project.root / "my books" / "pictures" / "a dot.png"
    picture.parent.mkdir()
    picture.write_bytes(png(3, 2))
    done = project.run_notebook("--num_threads", "2", "--num_retries", "0", "--publish_notebook", notebook=NOTEBOOK)
    assert done.code == 1, done


def saved_path(project: Project, index: int) -> Path:
    """The executed notebook of a config."""
    return project.result_dir(index) / "fit.ipynb"


def page_head(**changed: Any) -> PageHead:
    """The head of a page of a good run, except for what is changed."""
    facts: dict[str, Any] = {
        "title": "result_0 of fit", "status": "succeeded", "failure_class": None, "error": None, "where": None,
        "cell_errors": (), "started": "2026-01-31T23:59:58.123Z", "seconds": 75.0, "attempt": 2, "host": "node <7>",
        "commit": "0123456789abcdef", "dirty": False, "config": {"model": {"depth": 1, "name": "<b>tree</b>"}},
        "varying": ("model.depth",), "index_href": "../../report/index.html", "log_href": "attempts/2.log",
    }  # fmt: skip
    return PageHead(**{**facts, **changed})


def notebook_of(*cells: dict[str, Any], minor: int = 4, **metadata: Any) -> dict[str, Any]:
    """An executed notebook of these cells."""
    return {"nbformat": 4, "nbformat_minor": minor, "metadata": metadata, "cells": list(cells)}


def code(*outputs: dict[str, Any], source: str = "pass", **metadata: Any) -> dict[str, Any]:
    """A code cell with its outputs."""
    return {
        "cell_type": "code", "metadata": metadata, "source": source, "execution_count": 1, "outputs": list(outputs)
    }  # fmt: skip


def shown(**data: Any) -> dict[str, Any]:
    """An output that was displayed; `text_html` stands for text/html."""
    return {"output_type": "display_data", "metadata": {}, "data": {k.replace("_", "/", 1): v for k, v in data.items()}}


def write(folder: Path, notebook: dict[str, Any]) -> Path:
    """Write the notebook into a folder."""
    path = folder / "fit.ipynb"
    path.write_text(json.dumps(notebook))
    return path


def png(width: int, height: int) -> bytes:
    """A grey image."""
    rows = zlib.compress(b"".join(b"\0" + b"\x80" * width for _ in range(height)))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)

"""nbconvert's HTML exporter with the template of this package, assets/page.html.j2.

    text, _ = page_exporter(assets).from_notebook_node(notebook, {"page": {...}})

Import it late: it imports nbconvert, which takes 0.3 s.
"""

from __future__ import annotations

import logging
import threading
from functools import cache
from typing import Any

from nbconvert import HTMLExporter
from nbconvert.exporters import TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbformat import NotebookNode

TEMPLATE = "page.html.j2"
_LOG = logging.getLogger("configmill.report.nbconvert")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False


@cache
def page_exporter(assets: str) -> PageExporter:
    """The exporter with the template in the folder `assets`; compiling that takes half as long as a small page."""
    return PageExporter(assets)


class PageExporter(HTMLExporter):
    """Makes pages by the template in the folder `assets`; code is highlighted as the notebook's `language_info`."""

    def __init__(self, assets: str) -> None:
        # By default it looks for templates in the working directory as well, where a user may have what they like.
        folders: dict[str, list[str]] = {"extra_template_paths": [assets], "extra_template_basedirs": []}
        self._turn = threading.Lock()
        super().__init__(template_file=TEMPLATE, log=_LOG, **folders)  # type: ignore[no-untyped-call]

    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        """The page and its resources.

        What HTMLExporter does beyond TemplateExporter is to parse the whole page again for alternative texts, at 2 s
        for each MB, and to choose among the forms of an output, of which there is one here.
        """
        highlight = Highlight2HTML(pygments_lexer=nb.metadata.language_info.name, parent=self)
        ready = self._init_resources(resources)  # type: ignore[no-untyped-call]
        with self._turn:  # the filter is this notebook's
            self.register_filter("highlight_code", highlight)  # type: ignore[no-untyped-call]
            return TemplateExporter.from_notebook_node(self, nb, ready, **kw)

"""What a cell put out, as HTML: of each output the richest form that a page without a network can show.

    renderer = OutputRenderer(notebook, name="forecasting.ipynb", files=Files(folder, page_folder))
    renderer.render(cell["outputs"])     # one HTML text per output
    renderer.has_figure, renderer.hosts  # what the page must bring, and what its outputs would load from

With `files=None` outputs are untrusted: their HTML is reduced to what can't run a script.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
from collections.abc import Callable, Mapping
from typing import Any

from configmill.report.notebooks import plotly_figures
from configmill.report.notebooks.clean_html import cleaned
from configmill.report.notebooks.fragments import Files, settle
from configmill.report.notebooks.saved_notebook import mapping
from configmill.report.notebooks.widgets import widget_html

#: Characters of text that are shown of one output and of all outputs of a cell.
MAX_TEXT = 200_000
MAX_TEXT_OF_CELL = 1_000_000
#: Characters of markup that are shown of one output, and of an untrusted one, which takes long to clean.
MAX_MARKUP = 2_000_000
MAX_UNTRUSTED_MARKUP = 300_000
#: Outputs of a cell that are shown.
MAX_OUTPUTS = 1_000

_IMAGES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp")

_Output = Mapping[str, Any]
#: HTML for the value that an output has of one MIME type; None where that value is of no use.
_Form = Callable[[Any, _Output], str | None]


class OutputRenderer:
    """Renders the outputs of one notebook, and remembers what its page will need."""

    def __init__(self, notebook: Mapping[str, Any], *, name: str, files: Files | None) -> None:
        widgets = mapping(mapping(notebook.get("metadata")).get("widgets"))
        self._widgets = mapping(mapping(widgets.get("application/vnd.jupyter.widget-state+json")).get("state"))
        self._name = name
        self._files = files
        self._room = MAX_TEXT_OF_CELL
        self.hosts: set[str] = set()
        self.has_figure = False
        self.has_script = False
        #: From the richest to the plainest.
        self._forms: dict[str, _Form] = {
            plotly_figures.MIME: self._figure,
            "application/vnd.jupyter.widget-view+json": self._widget,
            "text/html": self._markup,
            "text/markdown": lambda source, _: self.markdown(source, {}),
            "text/latex": self._latex,
            **{mime: _image_form(mime) for mime in _IMAGES},
            "application/javascript": self._javascript,
            "text/vnd.mermaid": lambda source, _: self._text(source),
            "application/json": lambda value, _: self._text(json.dumps(value, indent=2, ensure_ascii=False)),
            "text/plain": lambda text, _: self._text(text),
        }

    def render(self, outputs: list[dict[str, Any]]) -> list[str]:
        """The HTML of each output of one cell; of too many, the first and the last."""
        self._room = MAX_TEXT_OF_CELL
        if len(outputs) <= MAX_OUTPUTS:
            return [shown for output in outputs if (shown := self._output(output))]
        half = MAX_OUTPUTS // 2
        note = self._note(f"{len(outputs) - 2 * half:,} outputs of this cell are left out here")
        return [*map(self._output, outputs[:half]), note, *map(self._output, outputs[-half:])]

    def markdown(self, source: str, attachments: Mapping[str, Any]) -> str:
        """Markdown as HTML that can stand in the page; as text where that fails."""
        from configmill.report.notebooks.latex import markdown_html

        try:
            markup = markdown_html(source[:MAX_TEXT], attachments, trusted=self._files is not None)
        except Exception:  # an attachment that is missing, or nesting beyond what the parser can take
            return self._text(source)
        return self._markup(markup, {"data": {}, "metadata": {}}) or ""

    def _output(self, output: _Output) -> str:
        if output["output_type"] == "stream":
            return self._text(output["text"], "stderr" if output["name"] == "stderr" else "stdout")
        if output["output_type"] == "error":
            return self._text(output["traceback"], "traceback")
        data = output["data"]
        for mime, form in self._forms.items():
            shown = form(data[mime], output) if mime in data else None
            if shown is not None:
                return shown
        return self._note(f"an output ({', '.join(data) or 'empty'}) can't be shown here")

    def _figure(self, figure: Any, _: _Output) -> str | None:
        if not isinstance(figure, dict) or not isinstance(figure.get("data"), list):
            return None
        self.has_figure = True
        self.hosts.update(plotly_figures.hosts_of(figure))
        return plotly_figures.figure_html(figure, trusted=self._files is not None)

    def _widget(self, view: Any, output: _Output) -> str | None:
        shown = widget_html(self._widgets, str(mapping(view).get("model_id")))
        return None if shown is None else f'<div class="widget">{self._markup(shown, output)}</div>'

    def _latex(self, source: str, output: _Output) -> str | None:
        from configmill.report.notebooks.latex import latex_html

        trusted = self._files is not None
        shown = latex_html(source[:MAX_TEXT], trusted=trusted)
        return f'<div class="latex">{self._markup(shown, output) if trusted else shown}</div>'

    def _javascript(self, source: str, output: _Output) -> str | None:
        if self._files is None:
            return None
        # Jupyter gives a script the element that it puts out into.
        element = "const element = document.currentScript.parentElement;"
        script = source.replace("</script", "<\\/script")
        return self._markup(f"<div><script>{{{element}\n{script}\n}}</script></div>", output)

    def _markup(self, source: str, output: _Output) -> str | None:
        trusted = self._files is not None
        limit = MAX_MARKUP if trusted else MAX_UNTRUSTED_MARKUP
        fragment = settle(source, self._files, limit, inert=not trusted)
        markup = fragment.html if trusted else cleaned(fragment)
        self.has_figure |= bool(fragment.figures)
        if not markup.strip():
            return ""  # it only loaded plotly.js, which the page brings
        cut = self._note(f"markup beyond {limit:,} characters is left out here") if fragment.cut else ""
        if not trusted:
            return f'<div class="markup">{markup}</div>{cut}'
        self.has_script |= fragment.has_script
        self.hosts |= fragment.hosts
        if not fragment.waits:
            return f'<div class="markup">{markup}</div>{cut}'
        image = next((_image(mime, output) for mime in _IMAGES if mime in output["data"]), None)
        hosts = html.escape(", ".join(sorted(fragment.hosts)))
        return (
            f'<div class="markup waits"><template>{markup}</template>{image or ""}'
            f'<p class="note">This output runs scripts that load from {hosts}. '
            f"{plotly_figures.LOAD_BUTTON}</p></div>{cut}"
        )

    def _text(self, text: str, kind: str = "text") -> str:
        limit = min(MAX_TEXT, max(self._room, 1_000))
        self._room -= min(len(text), limit)
        if len(text) <= limit:
            return _preformatted(text, kind)
        half = limit // 2
        note = self._note(f"{len(text) - 2 * half:,} of {len(text):,} characters are left out here")
        return _preformatted(text[:half], kind) + note + _preformatted(text[-half:], kind)

    def _note(self, text: str) -> str:
        return f'<p class="note">… {html.escape(text)}; {html.escape(self._name)} holds all of it.</p>'


def _preformatted(text: str, kind: str) -> str:
    from nbconvert.filters.ansi import ansi2html

    return f'<pre class="output {kind}">{ansi2html(text)}</pre>'


def _image_form(mime: str) -> _Form:
    return lambda _, output: _image(mime, output)


def _image(mime: str, output: _Output) -> str | None:
    """The image as an element that holds it; None for what is no base64, which would be an error in the console."""
    value = output["data"][mime]
    if mime == "image/svg+xml":
        raw = value.encode("utf-8", "replace")
    else:
        try:
            raw = base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError):
            return None
    size = mapping(output["metadata"].get(mime))
    shown = "".join(
        f' {name}="{size[name]:g}"' for name in ("width", "height") if isinstance(size.get(name), int | float)
    )
    described = html.escape(str(output["data"].get("text/plain") or "image").strip("<>")[:200])
    encoded = base64.b64encode(raw).decode("ascii")
    return f'<img class="image" loading="lazy" alt="{described}" src="data:{mime};base64,{encoded}"{shown}>'

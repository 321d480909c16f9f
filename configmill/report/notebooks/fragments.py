"""The HTML of an output or of markdown, made fit to stand in a page that opens from a file without a network.

    fragment = settle('<img src="plot.png"><script src="https://cdn.example/x.js"></script>', Files(folder, folder))
    fragment.html       # tags balanced, plot.png embedded
    fragment.waits      # True: it has a script that needs a network, so it must not run as the page opens

It keeps a page whole and its console empty. It makes nothing safe: scripts of an output stay (see `clean_html`).
"""

from __future__ import annotations

import base64
import html
import mimetypes
import os
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urlsplit

from configmill.report.notebooks import plotly_figures

#: Bytes up to which a local file is embedded; a larger one is referred to.
MAX_EMBEDDED = 20_000_000

_VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
})  # fmt: skip
#: A browser ends a paragraph where one of these begins, unless one of the others is between them.
_END_PARAGRAPHS = frozenset({
    "address", "article", "aside", "blockquote", "center", "details", "div", "dl", "fieldset", "figure", "footer",
    "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main", "nav", "ol", "p", "pre", "section", "table",
    "ul",
})  # fmt: skip
_HOLD_PARAGRAPHS = frozenset({"button", "caption", "foreignobject", "object", "table", "td", "template", "th"})
#: Tags of a whole document, or that would change the page around them. What is in them stays.
_DROPPED = frozenset({
    "html", "head", "body", "base", "meta", "plaintext", "xmp", "frameset", "frame", "applet",
})  # fmt: skip
#: These go with what is in them.
_DROPPED_WHOLE = frozenset({"title", "noscript"})
#: The attributes by which an element loads something as soon as it is in a page.
_LOADING = {
    "img": ("src", "srcset"), "iframe": ("src", "srcdoc"), "video": ("src", "poster"), "audio": ("src",),
    "source": ("src", "srcset"), "embed": ("src",), "object": ("data",), "track": ("src",), "input": ("src",),
    "link": ("href",), "image": ("href", "xlink:href"), "use": ("href", "xlink:href"), "table": ("background",),
    "td": ("background",),
}  # fmt: skip
_HOST = re.compile(r"(?:https?:)?//([\w.-]+)", re.IGNORECASE)
_CSS_LOAD = re.compile(r"@import[^;]*(?:;|$)|(?:url|image-set)\(\s*['\"]?\s*(?:https?:)?//[^)]*\)", re.IGNORECASE)
#: In a script, an address that isn't the name of an XML namespace. A library has many that it never loads.
_SCRIPT_LOAD = re.compile(r"https?://(?!www\.w3\.org)([\w.-]+)")
_LIBRARY_LENGTH = 100_000


class Files:
    """Where a page's local references lead: they are relative to `folder`, and the page is in `page_folder`."""

    def __init__(self, folder: str, page_folder: str) -> None:
        self._folder = folder
        self._page_folder = page_folder

    def resolved(self, url: str, *, embed: bool) -> str | None:
        """The address to use in the page: a data: one where it is to be embedded. None where there is no such file."""
        try:
            parts = urlsplit(url)
        except ValueError:  # a host in brackets that is no address
            return None
        path = os.path.join(self._folder, unquote(parts.path))
        if parts.scheme not in ("", "file") or not os.path.isfile(path):
            return None
        if embed and os.path.getsize(path) <= MAX_EMBEDDED and (mime := mimetypes.guess_type(path)[0]):
            with open(path, "rb") as file:
                return f"data:{mime};base64,{base64.b64encode(file.read()).decode('ascii')}"
        relative = quote(os.path.relpath(path, self._page_folder))
        return relative + (f"#{parts.fragment}" if parts.fragment else "")


@dataclass
class Fragment:
    """`hosts` are those that it would load from; `waits` says that it must not be run before a reader wants that."""

    html: str = ""
    hosts: set[str] = field(default_factory=set)
    waits: bool = False
    has_script: bool = False
    cut: bool = False
    #: Elements that assets/figures.js draws; they are in `html` too, unless it is inert.
    figures: list[str] = field(default_factory=list)
    #: Style sheets that were taken out of what is inert.
    styles: list[str] = field(default_factory=list)


def settle(source: str, files: Files | None, limit: int | None = None, *, inert: bool = False) -> Fragment:
    """The fragment as it can stand in a page; `limit` is the length of markup, scripts left out, at which it is cut.

    `inert` takes scripts and style sheets out of it.
    """
    writer = _Writer(files, limit, inert)
    try:
        writer.feed(source)
        writer.close()
    except _Full:
        writer.fragment.cut = True
    return writer.finished()


class _Full(Exception):
    """The fragment is as long as it may be."""


class _Writer(HTMLParser):
    """Writes what it reads, with every element ended where it began and nothing that loads from a network."""

    def __init__(self, files: Files | None, limit: int | None, inert: bool) -> None:
        super().__init__(convert_charrefs=False)
        self.fragment = Fragment()
        self._files = files
        self._room = limit
        self._inert = inert
        self._out: list[str] = []
        self._open: list[str] = []
        self._is_document = False
        #: The script, style or dropped element that is being read, its start tag and its text.
        self._raw: tuple[str, str, dict[str, str | None]] | None = None
        self._raw_text: list[str] = []
        #: Scripts that were left out because all they do is set up plotly.js.
        self._set_up: list[str] = []

    def finished(self) -> Fragment:
        """What was written, with what is open ended."""
        self._close_until(0)
        self.fragment.html = "".join(self._out)
        return self.fragment

    def handle_decl(self, decl: str) -> None:
        self._is_document = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._raw is not None or tag in _DROPPED:
            return
        if tag in ("script", "style") or tag in _DROPPED_WHOLE:
            self._raw, self._raw_text = (tag, self.get_starttag_text() or "", dict(attrs)), []
            return
        if tag in _END_PARAGRAPHS:
            self._end_paragraph()
        if tag not in _VOID:
            self._open.append(tag)
        is_plotly = "plotly-graph-div" in (dict(attrs).get("class") or "").split()
        self._write('<div hidden="">' if is_plotly else self._start_tag(tag, attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        # Only in SVG and MathML does a slash end an element.
        if self._open and self._open[-1] == tag and ("svg" in self._open or "math" in self._open):
            self._open.pop()
            if not self._out[-1].endswith("/>"):
                self._write(f"</{tag}>")

    def handle_endtag(self, tag: str) -> None:
        if self._raw is not None:
            if tag == self._raw[0]:
                self._end_raw(*self._raw)
            return
        if tag in self._open:
            self._close_until(len(self._open) - 1 - self._open[::-1].index(tag))

    def handle_data(self, data: str) -> None:
        if self._raw is not None:
            self._raw_text.append(data)
        else:
            self._write(data.replace("<", "&lt;"))

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")

    def _write(self, text: str) -> None:
        self._out.append(text)
        if self._room is not None:
            self._room -= 0 if text.startswith("<") and "data:" in text else len(text)
            if self._room < 0:
                raise _Full

    def _end_paragraph(self) -> None:
        for depth in range(len(self._open) - 1, -1, -1):
            if self._open[depth] in _HOLD_PARAGRAPHS:
                return
            if self._open[depth] == "p":
                self._close_until(depth)
                return

    def _close_until(self, depth: int) -> None:
        while len(self._open) > depth:
            self._out.append(f"</{self._open.pop()}>")
            self._room = None if self._room is None else self._room - len(self._out[-1])

    def _end_raw(self, tag: str, start: str, attrs: dict[str, str | None]) -> None:
        text, self._raw = "".join(self._raw_text), None
        if "svg" in self._open or "math" in self._open:
            text = text.replace("<", "&lt;")  # it is markup there
        elif tag == "script" and "<!--" in text:
            text = text.replace("<!--", "<\\!--")  # after which an end tag need not be one
        if tag == "style":
            self._style(start, attrs, _CSS_LOAD.sub("none", text))
        elif tag == "script":
            self._out.append(self._script(start, attrs, text))

    def _style(self, start: str, attrs: dict[str, str | None], rules: str) -> None:
        if not self._inert:
            # A document's rules for html and body are not meant for the page that it now stands in.
            self._out.append(f"{start}{f'@scope {{{rules}}}' if self._is_document else rules}</style>")
        elif "scoped" not in attrs:  # by which the rules are known that pandas gives every table
            self.fragment.styles.append(rules)

    def _script(self, start: str, attrs: dict[str, str | None], text: str) -> str:
        figure = plotly_figures.figure_in_script(text)
        if figure is not None:
            self.fragment.figures.append(plotly_figures.figure_html(figure, trusted=not self._inert))
            self.fragment.hosts.update(plotly_figures.hosts_of(figure))
            return "" if self._inert else self.fragment.figures[-1]
        if self._inert:
            return ""
        whole = f"{start}{text}</script>"
        source = (attrs.get("src") or "").strip()
        if (attrs.get("type") or "").endswith("json"):
            return whole
        if plotly_figures.only_sets_up(text) or (source and plotly_figures.is_set_up_file(source)):
            self._set_up.append(whole)
            return ""
        if "Plotly." in text:  # it draws what is not all JSON, so it does need them
            whole, self._set_up = "".join([*self._set_up, whole]), []
            text = whole
        hosts = _HOST.findall(source) if source else _SCRIPT_LOAD.findall(text) if len(text) < _LIBRARY_LENGTH else []
        self.fragment.hosts.update(hosts)
        self.fragment.waits |= bool(hosts)
        self.fragment.has_script = True
        if source and not hosts and not source.startswith("data:"):
            return self._local_script(source, attrs)
        return whole

    def _local_script(self, source: str, attrs: dict[str, str | None]) -> str:
        found = self._files.resolved(source, embed=False) if self._files is not None else None
        return "" if found is None else f"<script{_attributes({**attrs, 'src': found})}></script>"

    def _start_tag(self, tag: str, attrs: list[tuple[str, str | None]]) -> str:
        given = dict(attrs)
        changed = dict(given)
        for name in _LOADING.get(tag, ()):
            if given.get(name):
                self._settle_load(tag, name, given[name] or "", changed)
        if "style" in given and _CSS_LOAD.search(given["style"] or ""):
            changed["style"] = _CSS_LOAD.sub("none", given["style"] or "")
        if tag == "a" and self._files is not None and given.get("href") and not (given["href"] or "").startswith("#"):
            changed["href"] = self._files.resolved(given["href"] or "", embed=False) or given["href"]
        if tag == "img" and "src" in given and not {"src", "data-later-src"} & changed.keys():
            return f'<span class="missing">{html.escape(changed["title"] or "")}</span>'
        if changed == given:
            return self.get_starttag_text() or ""
        return f"<{tag}{_attributes(changed)}{'/' if (self.get_starttag_text() or '').endswith('/>') else ''}>"

    def _settle_load(self, tag: str, name: str, value: str, attrs: dict[str, str | None]) -> None:
        """Have an attribute load from a file or not at all; from a network only later, when a reader wants that."""
        if name == "srcdoc":
            hosts = _SCRIPT_LOAD.findall(value)
        else:
            hosts = _HOST.findall(value) if _HOST.match(value.strip()) or name == "srcset" else []
        if hosts:
            self.fragment.hosts.update(hosts)
            attrs[f"data-later-{name.replace(':', '-')}"] = attrs.pop(name)
            return
        if name == "srcdoc" or value.strip().startswith(("#", "blob:", "about:", "javascript:")):
            return
        if value.strip().startswith("data:") and _is_data(value.strip()):
            return
        embed = tag in ("img", "image", "input", "video", "audio", "source")
        found = self._files.resolved(value.strip(), embed=embed) if self._files is not None else None
        del attrs[name]
        if found is not None:
            attrs[name] = found
        elif name == "src":
            attrs["title"] = f"{value[:200]} is not here"


def _is_data(url: str) -> bool:
    """Whether a data: address can be decoded; one that can't be is an error in the console."""
    head, _, content = url.partition(",")
    if not head.endswith(";base64") or "%" in content:
        return True
    try:
        base64.b64decode("".join(content.split()), validate=True)
    except ValueError:
        return False
    return True


def _attributes(attrs: dict[str, str | None]) -> str:
    return "".join(f" {name}" if value is None else f' {name}="{html.escape(value)}"' for name, value in attrs.items())

"""Untrusted HTML reduced to what can't run a script or load anything: text, tables, images that it holds itself.

    cleaned(settle('<table onclick="steal()"><tr><td>1</td></tr></table><script>steal()</script>', None, inert=True))

For pages that show outputs of many notebooks beside one another. Such a page forbids scripts of others by a content
security policy as well; neither relies on the other.
"""

from __future__ import annotations

import re

from configmill.report.notebooks.fragments import Fragment

_TAGS = frozenset({
    "a", "abbr", "b", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup", "dd", "del",
    "details", "div", "dl", "dt", "em", "figcaption", "figure", "font", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "i", "img", "ins", "kbd", "label", "li", "mark", "ol", "p", "pre", "progress", "q", "s", "samp", "small",
    "span", "strike", "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt",
    "u", "ul", "var",
})  # fmt: skip
_ATTRIBUTES = frozenset({
    "align", "alt", "border", "class", "color", "colspan", "dir", "height", "lang", "max", "open", "rowspan",
    "scope", "start", "style", "title", "valign", "value", "width",
})  # fmt: skip
_CSS_PROPERTIES = frozenset({
    "background-color", "border", "border-bottom", "border-bottom-color", "border-collapse", "border-color",
    "border-left", "border-left-color", "border-radius", "border-right", "border-right-color", "border-spacing",
    "border-style", "border-top", "border-top-color", "border-width", "color", "display", "font", "font-family",
    "font-size", "font-style", "font-variant", "font-weight", "height", "letter-spacing", "line-height",
    "list-style-type", "margin", "margin-bottom", "margin-left", "margin-right", "margin-top", "max-height",
    "max-width", "min-height", "min-width", "opacity", "overflow", "overflow-x", "overflow-y", "padding",
    "padding-bottom", "padding-left", "padding-right", "padding-top", "text-align", "text-decoration",
    "text-indent", "text-transform", "vertical-align", "white-space", "width", "word-break",
})  # fmt: skip
_LINK = re.compile(r"(?:https?:|mailto:|#)", re.IGNORECASE)


def cleaned(fragment: Fragment) -> str:
    """The HTML of `settle(..., inert=True)` with nothing left that runs or loads; its style sheets hold for it alone.

    The figures of plotly that its scripts drew follow it, for assets/figures.js to draw.
    """
    import bleach
    from bleach.css_sanitizer import CSSSanitizer

    # Names are unique in a shadow tree; in the page itself they could be mistaken for the page's own.
    attributes = _ATTRIBUTES | {"id"} if fragment.styles else _ATTRIBUTES

    def allowed(tag: str, name: str, value: str) -> bool:
        if name == "src":
            return tag == "img" and value.startswith("data:image/")
        if name == "href":
            return tag == "a" and _LINK.match(value) is not None
        return name in attributes

    markup = bleach.clean(
        fragment.html,
        tags=_TAGS,
        attributes=allowed,
        protocols=("http", "https", "mailto", "data"),
        strip=True,
        css_sanitizer=CSSSanitizer(allowed_css_properties=_CSS_PROPERTIES),
    )
    if fragment.styles:
        markup = _in_shadow_tree(markup, fragment.styles)
    return str(markup) + "".join(fragment.figures)


def _in_shadow_tree(markup: str, styles: list[str]) -> str:
    sheet = "\n".join(styles).replace("<", "\\3c ")
    inside = f'<style>{sheet}</style><div class="markup">{markup}</div>'
    return f'<div class="shadow"><template shadowrootmode="open">{inside}</template></div>'

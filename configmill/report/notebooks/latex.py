r"""LaTeX as MathML, which browsers set themselves: MathJax would have to come from a network.

    latex_html(r"$\frac{1}{n} \sum_i y_i$", trusted=True)     # an output of LaTeX
    markdown_html("The error is $e_t$.", {}, trusted=True)    # nbconvert's markdown, with its formulas set

What can't be converted stands as it was written.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

_FORMULA = re.compile(
    r"\$\$(?P<display>.+?)\$\$|\\\[(?P<bracket>.+?)\\\]|(?P<environment>\\begin\{(?P<name>[a-z]+\*?)\}.+?\\end\{(?P=name)\})"
    r"|\$(?P<inline>[^$]+?)\$|\\\((?P<parenthesis>.+?)\\\)",
    re.DOTALL,
)
_BLOCKS = frozenset({"display", "bracket", "environment"})
#: Environments that say only that a formula stands by itself.
_PLAIN_ENVIRONMENT = re.compile(r"\s*\\begin\{(equation\*?|displaymath|math)\}(.*)\\end\{\1\}\s*", re.DOTALL)
#: Of these alone the converter can't make markup that is not MathML: it escapes nothing.
_HARMLESS = re.compile(r"(?:(?!\\(?:href|style|class|cssId)\b)[^<>&\"'])*")
#: What the converter does not know, as what it does.
_OPERATOR = re.compile(r"\\operatorname\*?(?=\s*\{)")
_DISPLAY_STYLE = re.compile(r"\\displaystyle\b")
_TILDE, _SIMILAR = "<mi>&#x0007E;</mi>", "<mo>&#x0223C;</mo>"


def mathml(formula: str, *, block: bool) -> str | None:
    """The formula, without its dollars, as a math element; None where it can't be converted."""
    from latex2mathml.converter import convert

    plain = _PLAIN_ENVIRONMENT.fullmatch(formula)
    source = _OPERATOR.sub(r"\\mathrm", plain[2] if plain else formula)
    block = block or _DISPLAY_STYLE.search(source) is not None
    try:
        converted = convert(_DISPLAY_STYLE.sub("", source).strip(), display="block" if block else "inline")
    except Exception:  # it raises errors of many kinds, which have no base of their own
        return None
    return converted.replace(_TILDE, _SIMILAR)


def latex_html(source: str, *, trusted: bool) -> str:
    """An output of LaTeX, its formulas as MathML. Where it isn't trusted, nothing of it is markup of its own."""
    parts = []
    end = 0
    for found in _FORMULA.finditer(source):
        parts.append(html.escape(source[end : found.start()]))
        kind = next(kind for kind, text in found.groupdict().items() if text is not None)
        allowed = trusted or _HARMLESS.fullmatch(found[kind])
        shown = mathml(found[kind], block=kind in _BLOCKS) if allowed else None
        parts.append(shown or html.escape(found[0]))
        end = found.end()
    return "".join([*parts, html.escape(source[end:])])


def markdown_html(source: str, attachments: Mapping[str, Any], *, trusted: bool) -> str:
    """Markdown as HTML, which still holds what markup it held; `attachments` are images that it may refer to.

    Raises what its parser raises. Formulas stay LaTeX where it isn't trusted.
    """
    renderer = _Renderer if trusted else IPythonRenderer
    markdown = MarkdownWithMath(
        renderer=renderer(escape=False, attachments=dict(attachments), exclude_anchor_links=True)
    )
    return str(markdown.render(source))


class _Renderer(IPythonRenderer):
    def block_math(self, body: str) -> str:
        return mathml(body, block=True) or super().block_math(body)

    def inline_math(self, body: str) -> str:
        # "$5 and $6" is no formula: none begins or ends with a space.
        shown = mathml(body, block=False) if body == body.strip() else None
        return shown or super().inline_math(body)

    def latex_environment(self, name: str, body: str) -> str:
        shown = mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", block=True)
        return shown or super().latex_environment(name, body)

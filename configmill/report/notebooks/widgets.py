"""Widgets of ipywidgets as they stood when the notebook was saved, as plain HTML: bars, labels, and boxes of those.

    widget_html(state, model_id)      # None for a kind that has no still picture: its text stands for it then

A live widget needs scripts from a network and does nothing without its kernel. The bars of tqdm are what notebooks that
run unattended mostly have.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from configmill.report.notebooks.saved_notebook import mapping

_REFERENCE = "IPY_MODEL_"
_MAX_DEPTH = 20
_BOXES = frozenset({"BoxModel", "HBoxModel", "VBoxModel", "GridBoxModel"})
_TEXTS = frozenset({"HTMLModel", "HTMLMathModel", "LabelModel"})
_BARS = frozenset({"FloatProgressModel", "IntProgressModel"})


def widget_html(state: Mapping[str, Any], model_id: str, depth: int = 0) -> str | None:
    """The widget `model_id` of a notebook's widget state; HTML that it holds is as the notebook has it."""
    model = mapping(state.get(model_id))
    name, values = model.get("model_name"), mapping(model.get("state"))
    if name in _BOXES and depth < _MAX_DEPTH:
        children = values.get("children")
        ids = [str(child).removeprefix(_REFERENCE) for child in children] if isinstance(children, list) else []
        shown = [widget_html(state, child, depth + 1) or "" for child in ids]
        return f'<div class="{"widget-column" if name == "VBoxModel" else "widget-row"}">{"".join(shown)}</div>'
    if name in _TEXTS:
        text = str(values.get("value") or "")
        return f"<span>{html.escape(text) if name == 'LabelModel' else text}</span>"
    if name in _BARS:
        return _bar(values)
    return None


def _bar(values: Mapping[str, Any]) -> str:
    low, high, value = (values.get(name, default) for name, default in (("min", 0), ("max", 100), ("value", 0)))
    if not all(isinstance(number, int | float) for number in (low, high, value)):
        return ""
    label = html.escape(str(values.get("description") or ""))
    return f'<label>{label}<progress max="{max(high - low, 1e-9):g}" value="{value - low:g}"></progress></label>'

"""An executed notebook as it lies in an experiment's directory, read so that nothing in it surprises what shows it.

    notebook = read_notebook(path)                       # nbformat 4.0 to 4.5
    notebook["cells"][0]["outputs"][0]["data"]["text/html"]

Text is a str and never a list of lines, what must be a mapping is one, and what a stream wrote in several goes is one
output. What user code wrote is left as it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from configmill.errors import PageError

NBFORMAT = 4
CELL_TYPES = ("code", "markdown", "raw")


def read_notebook(path: str) -> dict[str, Any]:
    """The notebook at `path`.

    Raises PageError, in one sentence, for what is no notebook, and FileNotFoundError where there is no file.
    """
    name = os.path.basename(path)
    try:
        with open(path, "rb") as file:
            notebook = json.loads(file.read().decode("utf-8", "replace"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise PageError(f"The notebook {name!r} can't be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise PageError(f"The notebook {name!r} is no JSON: {error}.") from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise PageError(f"The notebook {name!r} has no list of cells.")
    if notebook.get("nbformat") != NBFORMAT:
        raise PageError(f"The notebook {name!r} is of format {notebook.get('nbformat')!r}, not {NBFORMAT}.")
    for number, cell in enumerate(notebook["cells"], start=1):
        if not isinstance(cell, dict) or cell.get("cell_type") not in CELL_TYPES:
            raise PageError(f"Cell {number} of the notebook {name!r} is neither code, markdown nor raw text.")
    cells = [_regular_cell(cell) for cell in notebook["cells"]]
    return {**notebook, "metadata": mapping(notebook.get("metadata")), "cells": cells}


def tags_of(cell: Mapping[str, Any]) -> list[str]:
    """The tags of a cell."""
    tags = mapping(cell.get("metadata")).get("tags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def text_of(value: Any) -> str:
    """The text of a field that nbformat allows to be a list of lines."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> dict[str, Any]:
    """`value` where it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def _regular_cell(cell: dict[str, Any]) -> dict[str, Any]:
    metadata = {**mapping(cell.get("metadata")), "tags": tags_of(cell)}
    regular = {"cell_type": cell["cell_type"], "metadata": metadata, "source": text_of(cell.get("source"))}
    if cell["cell_type"] == "code":
        given = cell.get("outputs")
        outputs = [_regular_output(o) for o in given if isinstance(o, dict)] if isinstance(given, list) else []
        return {**regular, "execution_count": cell.get("execution_count"), "outputs": _merged_streams(outputs)}
    attachments = {name: mapping(data) for name, data in mapping(cell.get("attachments")).items()}
    return {**regular, "attachments": attachments}


def _regular_output(output: dict[str, Any]) -> dict[str, Any]:
    kind = output.get("output_type")
    if kind == "stream":
        return {"output_type": kind, "name": output.get("name"), "text": text_of(output.get("text"))}
    if kind == "error":
        traceback = output.get("traceback")
        lines = "\n".join(line for line in traceback if isinstance(line, str)) if isinstance(traceback, list) else ""
        message = f"{output.get('ename')}: {output.get('evalue')}"
        return {"output_type": kind, "message": message, "traceback": lines or message}
    given = mapping(output.get("data"))
    data = {mime: value if mime.endswith("json") else text_of(value) for mime, value in given.items()}
    return {"output_type": "display_data", "data": data, "metadata": mapping(output.get("metadata"))}


def _merged_streams(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Outputs with what a stream wrote in several goes as one: a line that came in parts is to be one line."""
    merged: list[dict[str, Any]] = []
    parts: list[str] = []
    for output in [*outputs, {"output_type": None}]:
        last = merged[-1] if merged else None
        if last is not None and last["output_type"] == "stream":
            if output["output_type"] == "stream" and output["name"] == last["name"]:
                parts.append(output["text"])
                continue
            last["text"] = _without_overwritten("".join(parts))
        parts = [output.get("text", "")]
        merged.append(output)
    return merged[:-1]


def _without_overwritten(text: str) -> str:
    """`text` without what a carriage return had overwritten: of a progress bar, its last state."""
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))

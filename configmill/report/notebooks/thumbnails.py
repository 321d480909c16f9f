"""The first plot of an executed notebook, small, as report/index.html shows it.

    write_thumbnail(directory, digest, directory.experiment(digest).notebook(target))  ->  "thumbnails/3f2a….png"

Images are made smaller where Pillow is installed (matplotlib brings it); without it they are kept as they are.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

from configmill.errors import PageError
from configmill.files import remove_if_there, write_atomic
from configmill.protocol.layout import CampaignDir
from configmill.report.notebooks.saved_notebook import mapping, read_notebook, text_of

#: In CSS pixels; the index shows it at half of that at most, on screens that may have twice the dots.
MAX_WIDTH = 320

_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/svg+xml": ".svg"}
_BEGINNINGS = {".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff"}


def first_plot(notebook: Mapping[str, Any]) -> tuple[str, bytes] | None:
    """The first image that a cell put out, as a file's suffix and content; None where there is none."""
    for data in _display_data(notebook):
        for mime, suffix in _SUFFIXES.items():
            content = _content(suffix, text_of(data.get(mime)))
            if content is not None:
                return suffix, content
    return None


def write_thumbnail(directory: CampaignDir, digest: str, notebook_path: str) -> str | None:
    """Have the notebook's first plot in `report/thumbnails`, at most MAX_WIDTH wide; its path relative to report/.

    One that is newer than the notebook is left as it is. None where the notebook is missing, broken or has no plot; a
    thumbnail of an earlier attempt is removed then.
    """
    paths = {suffix: os.path.join(directory.thumbnails, digest + suffix) for suffix in _SUFFIXES.values()}
    up_to_date = next((path for path in paths.values() if _is_newer(path, notebook_path)), None)
    if up_to_date is not None:
        return os.path.relpath(up_to_date, directory.report)
    plot = _first_plot_of_file(notebook_path)
    for suffix, path in paths.items():
        if plot is None or suffix != plot[0]:
            remove_if_there(path)
    if plot is None:
        return None
    suffix, content = plot
    os.makedirs(directory.thumbnails, exist_ok=True)
    write_atomic(paths[suffix], content if suffix == ".svg" else _made_smaller(content))
    return os.path.relpath(paths[suffix], directory.report)


def _first_plot_of_file(path: str) -> tuple[str, bytes] | None:
    try:
        with open(path, "rb") as file:
            # Most of the time goes into parsing, and every command asks for every notebook without a plot anew.
            if b'"image/' not in file.read():
                return None
        return first_plot(read_notebook(path))
    except (PageError, OSError):
        return None


def _display_data(notebook: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    cells = notebook.get("cells")
    for cell in cells if isinstance(cells, list) else ():
        outputs = mapping(cell).get("outputs")
        for output in outputs if isinstance(outputs, list) else ():
            if mapping(output).get("output_type") in ("display_data", "execute_result"):
                yield mapping(output.get("data"))


def _content(suffix: str, text: str) -> bytes | None:
    """The image's bytes; None for what is none."""
    if suffix == ".svg":
        return text.encode("utf-8", "replace") if "<svg" in text else None
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if content.startswith(_BEGINNINGS[suffix]) else None


def _made_smaller(content: bytes) -> bytes:
    try:
        from PIL import Image

        with Image.open(io.BytesIO(content)) as image:
            kind = image.format
            if image.width <= MAX_WIDTH:
                return content
            image.thumbnail((MAX_WIDTH, image.height))
            smaller = io.BytesIO()
            image.save(smaller, kind)  # `optimize` takes four times as long, for 3 % of the size
    except Exception:  # no Pillow, or an image that it can't make sense of, which a browser still may
        return content
    return smaller.getvalue()


def _is_newer(path: str, notebook_path: str) -> bool:
    try:
        return os.stat(path).st_mtime_ns > os.stat(notebook_path).st_mtime_ns
    except OSError:
        return False

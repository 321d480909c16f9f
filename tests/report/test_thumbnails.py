"""The first plot of a notebook as a small file of the report."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from configmill.protocol.layout import CampaignDir
from configmill.report.notebooks.thumbnails import MAX_WIDTH, first_plot, write_thumbnail
from tests.conftest import Project
from tests.report.notebook_campaign import code, notebook_of, png, saved_path, shown, write

SVG = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _jpeg(width: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, 10)).save(content, "JPEG")
    return content.getvalue()


def _write_again(folder: Path, notebook: dict[str, Any], thumbnail: Path) -> Path:
    """Write a notebook that is newer than the thumbnail, as clocks with coarse ticks may not have it."""
    path = write(folder, notebook)
    later = thumbnail.stat().st_mtime_ns + 1_000_000
    os.utime(path, ns=(later, later))
    return path


def test_first_image_in_order() -> None:
    """Of all outputs of all cells the first image counts, whatever is put out before it; its bytes are as they were."""
    picture = png(4, 3)
    broken = (shown(image_png="@@"), shown(image_png=_encoded(b"no image")), shown(image_svg_xml="text"))
    stream = {"output_type": "stream", "name": "stdout", "text": "text"}
    # nbformat allows lines, and saves base64 with a newline at its end.
    lines = shown(image_png=[_encoded(picture)[:10] + "\n", _encoded(picture)[10:] + "\n"])
    later = shown(image_jpeg=_encoded(_jpeg(5)))
    markdown = {"cell_type": "markdown", "source": "text", "metadata": {}}
    notebook = notebook_of(markdown, code(stream, shown(text_plain="x"), *broken), code(lines), code(later))
    assert first_plot(notebook) == (".png", picture)
    assert first_plot(notebook_of(code(later))) == (".jpg", _jpeg(5))
    svg = {"output_type": "execute_result", "metadata": {}, "data": {"image/svg+xml": SVG}}
    assert first_plot(notebook_of(code(svg, lines))) == (".svg", SVG.encode())


@pytest.mark.parametrize(
    "notebook", [{}, {"cells": 3}, {"cells": [None, {"outputs": [3, {"data": []}]}]}, notebook_of()]
)
def test_no_image(notebook: dict[str, Any]) -> None:
    """A notebook without one, or one that is no notebook, has no first plot, and that is no error."""
    assert first_plot(notebook) is None


def test_thumbnail_of_a_run(notebook_campaign: Project) -> None:
    """The plot of a notebook that ran is made smaller, among the report's thumbnails; without a plot there is none."""
    directory = CampaignDir(str(notebook_campaign.out))
    path = write_thumbnail(directory, "good", str(saved_path(notebook_campaign, 0)))
    assert path == "thumbnails/good.png"
    with Image.open(Path(directory.report) / path) as image:
        assert image.width == MAX_WIDTH and 200 < image.height < 320
    assert write_thumbnail(directory, "bad", str(saved_path(notebook_campaign, 1))) is None


def test_narrow_images_are_kept(tmp_path: Path) -> None:
    """What is narrow enough is kept byte for byte, SVG too; a wide JPEG stays one."""
    directory = CampaignDir(str(tmp_path / "out"))
    for suffix, content, notebook in (
        ("png", png(MAX_WIDTH, 2), notebook_of(code(shown(image_png=_encoded(png(MAX_WIDTH, 2)))))),
        ("svg", SVG.encode(), notebook_of(code({**shown(), "data": {"image/svg+xml": SVG}}))),
    ):
        assert write_thumbnail(directory, suffix, str(write(tmp_path, notebook))) == f"thumbnails/{suffix}.{suffix}"
        assert (Path(directory.thumbnails) / f"{suffix}.{suffix}").read_bytes() == content
    wide = write(tmp_path, notebook_of(code(shown(image_jpeg=_encoded(_jpeg(900))))))
    assert write_thumbnail(directory, "wide", str(wide)) == "thumbnails/wide.jpg"
    with Image.open(Path(directory.thumbnails) / "wide.jpg") as image:
        assert (image.format, image.width) == ("JPEG", MAX_WIDTH)


def test_thumbnail_follows_the_notebook(tmp_path: Path) -> None:
    """It is made again only for a newer notebook; one of another kind, or of a plot that is gone, is removed."""
    directory = CampaignDir(str(tmp_path / "out"))
    path = write(tmp_path, notebook_of(code(shown(image_png=_encoded(png(4, 4))))))
    assert write_thumbnail(directory, "x", str(path)) == "thumbnails/x.png"
    thumbnail = Path(directory.thumbnails) / "x.png"
    thumbnail.write_bytes(b"kept")
    os.utime(path, ns=(1, 1))
    assert write_thumbnail(directory, "x", str(path)) == "thumbnails/x.png"
    assert thumbnail.read_bytes() == b"kept"
    path = _write_again(tmp_path, notebook_of(code(shown(image_jpeg=_encoded(_jpeg(4))))), thumbnail)
    assert write_thumbnail(directory, "x", str(path)) == "thumbnails/x.jpg"
    assert os.listdir(directory.thumbnails) == ["x.jpg"]
    _write_again(tmp_path, notebook_of(code()), Path(directory.thumbnails) / "x.jpg")
    assert write_thumbnail(directory, "x", str(path)) is None
    assert os.listdir(directory.thumbnails) == []


def test_broken_notebooks_have_none(tmp_path: Path) -> None:
    """A missing or half-written notebook, and an image that ends too soon, are no error."""
    directory = CampaignDir(str(tmp_path / "out"))
    assert write_thumbnail(directory, "x", str(tmp_path / "gone.ipynb")) is None
    half = tmp_path / "half.ipynb"
    half.write_text('{"cells": [{"outputs": [{"data": {"image/png": "iVB')
    assert write_thumbnail(directory, "x", str(half)) is None
    cut = _encoded(png(900, 900)[:60])
    path = write(tmp_path, notebook_of(code(shown(image_png=cut))))
    assert write_thumbnail(directory, "x", str(path)) == "thumbnails/x.png"

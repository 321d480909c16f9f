"""What lies in a folder, so that before and after can be compared."""

from __future__ import annotations

import os
from pathlib import Path


def listing(root: Path, *, times: bool = False) -> dict[str, tuple[object, ...]]:
    """Everything below `root`, itself included: its kind and content, and with `times` when it was last changed.

    Python's own caches don't count.
    """
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in ("", *folders, *files):
            path = os.path.join(folder, name)
            found[path] = (*_content(path), os.lstat(path).st_mtime_ns if times else None)
    return found


def _content(path: str) -> tuple[str, bytes]:
    if os.path.islink(path):
        return "link", os.fsencode(os.readlink(path))
    if os.path.isdir(path):
        return "directory", b""
    return "file", Path(path).read_bytes()

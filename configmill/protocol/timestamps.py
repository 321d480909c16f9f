"""How moments are written: UTC, ISO 8601, milliseconds."""

from __future__ import annotations

import time


def timestamp(seconds: float) -> str:
    """`seconds` since the epoch as `2026-01-31T23:59:59.123Z`."""
    milliseconds = int(seconds * 1000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{text}.{milliseconds % 1000:03d}Z"


def timestamp_for_name(seconds: float) -> str:
    """`seconds` since the epoch as a part of a file's name that sorts by time: `20260131-235959-123`."""
    milliseconds = int(seconds * 1000)
    text = time.strftime("%Y%m%d-%H%M%S", time.gmtime(milliseconds // 1000))
    return f"{text}-{milliseconds % 1000:03d}"

"""Standard logging, configured for user code before it can use it: time, name, level, message, on stderr.

    configure_on_import("INFO")

The module `logging` takes a third of a cold start (it brings traceback, string and threading along), and not every
experiment logs. So it is configured at the moment when it is first imported, by whoever that is.
"""

from __future__ import annotations

import sys

from configmill.child.after_import import after_import

FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"


def configure_on_import(level: str) -> None:
    """Have the root logger write to stderr from `level` on, now or when `logging` is imported."""
    after_import("logging", lambda: _configure(level))


def _configure(level: str) -> None:
    import logging

    logging.basicConfig(level=level, format=FORMAT, stream=sys.stderr)

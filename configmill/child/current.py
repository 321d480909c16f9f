"""Which attempt this process belongs to, and whose checkpoint it took up.

The stub notes both, so that user code may change `os.environ` as it likes; a process that user code starts, and a
notebook's kernel, know the attempt by their environment.
"""

from __future__ import annotations

import os

from configmill.protocol.attempt import Attempt

#: The attempt that the stub runs in this process, None elsewhere.
attempt: Attempt | None = None

#: The number of the attempt whose checkpoint was loaded, None where none was.
resumed_from: int | None = None


def this_attempt() -> Attempt | None:
    """The attempt that this process belongs to, None by hand."""
    return attempt or Attempt.from_env(os.environ)

"""Which attempt this process belongs to, and whose checkpoint it took up.

The stub notes both, so that user code may change `os.environ` as it likes; a process that user code starts, and a
notebook's kernel, know the attempt by their environment.
"""

from __future__ import annotations

import os

from configmill.protocol.attempt import Attempt

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from configmill.child.inheritance import Inheritance
    from configmill.config import Config
    from configmill.measure.provenance import ProjectCode

#: The attempt that the stub runs in this process, None elsewhere.
attempt: Attempt | None = None

#: The number of the attempt whose checkpoint was loaded, None where none was.
resumed_from: int | None = None


#: The files of the project that go into the result, None where nobody asks.
code: ProjectCode | None = None

#: What this process, or one above it, was forked with by the fork server; None where it started cold.
inherited: Inheritance | None = None

#: The config that user code got from `get_config_from_env`, None where it never asked.
config: Config | None = None


def this_attempt() -> Attempt | None:
    """The attempt that this process belongs to, None by hand."""
    return attempt or Attempt.from_env(os.environ)

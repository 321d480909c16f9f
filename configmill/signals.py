"""The module `signal` without its enums: 3 ms of every cold start, which needs none of them.

from configmill.signals import signal

Numbers are plain ints here; all else is the very same.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

__all__ = ["signal"]

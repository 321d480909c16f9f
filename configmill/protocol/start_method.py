"""How an attempt's process comes about."""

from __future__ import annotations

#: A fork of the fork server, which has imported everything.
WARM = "warm"
#: A new Python process.
COLD = "cold"
#: Warm where that is safe, else cold, saying why.
AUTO = "auto"

START_METHODS = (AUTO, WARM, COLD)

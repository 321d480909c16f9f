"""Which attempt's checkpoint this process took up: `load_checkpoint` notes it, the stub puts it into the record."""

from __future__ import annotations

#: The number of that attempt, None where none was loaded.
attempt: int | None = None

"""How much is measured, and where.

Settings(rounds=5, folder=Path("/tmp/bench")).items(200)  ->  200
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """What the command line asked for."""

    rounds: int
    folder: Path  # for everything that is written; on a disk, and removed at the end
    quick: bool = False  # a look at whether all works, with figures that say little
    kernels: int = 100

    def items(self, count: int) -> int:
        """Return how many items to measure where `count` would be right: a tenth in a quick run, but two at least."""
        return max(2, count // 10) if self.quick else count

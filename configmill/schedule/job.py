"""One experiment in the queue.

Job(index=3, demand=Demand(num_gpus=2), expected_seconds=600.0)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from configmill.schedule.demand import Demand


@dataclass
class Job:
    """One experiment to run: the index of its config, what it needs, and what has become of it in this command."""

    index: int
    priority: float = 0.0
    retries_used: int = 0
    times_lost: int = 0
    #: When it became ready to start (s), for the time that it was queued.
    ready_at: float = 0.0
    #: What it asked for.
    demand: Demand = field(default_factory=Demand)
    #: How long it is thought to run; None where nothing is known.
    expected_seconds: float | None = None
    #: It ran out of a device's memory: from now on it shares none.
    alone: bool = False

    @property
    def occupies(self) -> Demand:
        """What it takes up when it starts now."""
        return self.demand.alone() if self.alone else self.demand

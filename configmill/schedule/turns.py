"""The clock by which it is known when nothing may overtake a job any more.

    clock = TurnClock()
    clock.start(area)                                 # a job of this area starts
    clock.pass_time(now, share_used=0.5, waited_for=True)

It reads shares of the capacity, times expected seconds: the area of every job that was started, and every share of the
capacity that was left unused while a job waited. A job that comes when it reads `s`, while jobs of area `w` wait, and
that may be overtaken by area `b`, has its turn at `s + w + b`. Whatever starts, and whatever is left idle, brings that
nearer: docs/scheduling.md has the argument.

Idle time is real, areas are expected. Where all take ten times as long as was thought, the two are not alike: what has
ended tells by how much (`factor`).
"""

from __future__ import annotations

#: Given predictions are taken to be wrong throughout by no more than this. Without a limit, jobs that are said to take
#: no time at all would have the clock stand still.
MAX_FACTOR = 8.0


class TurnClock:
    """Areas started, and capacity left idle; times are seconds of the queue's clock."""

    def __init__(self) -> None:
        self.reading = 0.0
        #: Whether any prediction was given; what stands in for missing ones may be wrong by any factor.
        self.has_predictions = False
        self._last: float | None = None
        self._expected_of_ended = 0.0
        self._taken_by_ended = 0.0

    @property
    def factor(self) -> float:
        """Expected seconds for each real one, of the jobs that have succeeded; 1 until one has."""
        if self._taken_by_ended <= 0:
            return 1.0
        factor = self._expected_of_ended / self._taken_by_ended
        return min(max(factor, 1 / MAX_FACTOR), MAX_FACTOR) if self.has_predictions else factor

    def start(self, area: float) -> None:
        """A job starts."""
        self.reading += area

    def take_back(self, area: float) -> None:
        """A job did not start after all."""
        self.reading -= area

    def end(self, *, expected: float, seconds: float, share: float, succeeded: bool) -> None:
        """A job has ended that took this long. What it took beyond its prediction counts too."""
        if succeeded:
            self._expected_of_ended += expected
            self._taken_by_ended += seconds
        self.reading += share * max(0.0, seconds * self.factor - expected)

    def pass_time(self, now: float, *, share_used: float, waited_for: bool) -> None:
        """Until `now` this share of the capacity was used, and a job waited for the rest or none did."""
        passed = 0.0 if self._last is None else max(0.0, now - self._last)
        self._last = now
        if waited_for:
            self.reading += max(0.0, 1.0 - share_used) * passed * self.factor

"""One device of a pool: how much of it is handed out, since when, and why it isn't free."""

from __future__ import annotations

from configmill.gpus.devices import Device
from configmill.gpus.grants import Holding
from configmill.gpus.records import Record

#: Ten tenths are one: shares are sums of floats.
_ROUNDING = 1e-9


class DeviceState:
    """Not thread-safe: the pool's lock guards it. Times are the pool's clock, in seconds."""

    def __init__(self, device: Device, now: float) -> None:
        self.device = device
        self.used = 0.0
        self.num_grants = 0
        self.holding: Holding | None = None
        #: The record of our last use of which nothing is left.
        self.over: Record | None = None
        #: A minder of ours has had it, and may be closing its descriptors just now.
        self.expected = False
        self.leaving = False
        self.cut_out: str | None = None
        #: Why it is handed out to nobody for now.
        self.held: str | None = None
        self.refusal: str | None = None
        self._look_again = now
        self._joined = self.since = now
        self._busy = 0.0

    @property
    def usable(self) -> bool:
        """Whether it may be handed out again at some time."""
        return not self.leaving and self.cut_out is None

    @property
    def ready(self) -> bool:
        """Whether it may be handed out now, as far as this manager is concerned."""
        return self.usable and self.held is None

    def fits(self, share: float) -> bool:
        """Whether it is shared already and has room for `share` more."""
        return self.ready and 0 < self.used < 1 and self.used + share <= 1 + _ROUNDING

    def take(self, share: float, now: float) -> None:
        """Hand out `share` of it."""
        if not self.num_grants:
            self.since, self.refusal = now, None
        self.num_grants += 1
        self.used = min(self.used + share, 1.0)

    def give_back(self, share: float, now: float) -> bool:
        """Take `share` back; whether that was the last of it."""
        self.num_grants -= 1
        self.used = max(self.used - share, 0.0) if self.num_grants else 0.0
        if self.num_grants:
            return False
        self._busy += now - self.since
        self.since = now
        return True

    def refused(self, reason: str, look_again: float) -> None:
        """Somebody else has it, or it can't be used; there is nothing new before `look_again`."""
        self.refusal, self._look_again = reason, look_again

    def free_share(self, now: float) -> float:
        """How much a take could get, as far as is known."""
        if not self.ready or (not self.used and self.refusal is not None and now < self._look_again):
            return 0.0
        return 0.0 if self.used + _ROUNDING >= 1 else 1.0 - self.used

    def why_not_free(self, now: float) -> str | None:
        """The reason in words."""
        if self.cut_out is not None:
            return self.cut_out
        if self.held is not None and not self.used:
            return self.held
        if self.used:
            what = "handed out" if self.used + _ROUNDING >= 1 else f"shared: {self.used:g} of it is handed out"
            return f"{what} by this manager for {now - self.since:.0f} s" + (", and lost" if self.leaving else "")
        return self.refusal

    def busy_seconds(self, now: float) -> float:
        """For how long it has been handed out."""
        return self._busy + (now - self.since if self.num_grants else 0.0)

    def idle_seconds(self, now: float) -> float:
        """For how long it was there and not handed out."""
        return now - self._joined - self.busy_seconds(now)

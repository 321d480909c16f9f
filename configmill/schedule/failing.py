"""When something fails so often that trying on is a waste: a device that ends all it is given, a family of configs.

    health = DeviceHealth(3)
    health.note("GPU-1", failed=True, seconds=2.0)       # True once the device is to be cut out
    families = FamilyFailures(max_failures=5)
    families.note(("code_error", "train.py:12 in fit"))  # True once what fails like this is to be stopped

Both only count; what follows from it is the manager's to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from configmill.protocol import status

#: A broken device fails what it is given while it is being set up, and so eats a queue in minutes.
QUICK_SECONDS = 30.0
#: Failures that may be a device's. The others are known to be the experiment's, the host's or somebody's wish.
MAYBE_THE_DEVICES = (status.CODE_ERROR, status.KILLED, status.KERNEL_DIED, status.OOM_GPU)

#: What failures have in common: their class, and where in the user's code they were raised.
Family = tuple[str, str | None]


@dataclass
class DeviceHealth:
    """Quick failures of each device, one after the other."""

    #: So many in a row cut it out; None: never.
    max_quick_failures: int | None
    _in_a_row: Counter[str] = field(default_factory=Counter)
    _cut_out: set[str] = field(default_factory=set)

    def note(self, device_id: str, *, failed: bool, seconds: float) -> bool:
        """An attempt on the device has ended. Returns whether the device is to be used no more.

        `failed` where the failure may be the device's (`MAYBE_THE_DEVICES`). One that took its time, and every success,
        shows that the device works.
        """
        if failed and seconds < QUICK_SECONDS:
            self._in_a_row[device_id] += 1
        else:
            self._in_a_row[device_id] = 0
        if self.max_quick_failures is not None and self._in_a_row[device_id] >= self.max_quick_failures:
            self._cut_out.add(device_id)
        return device_id in self._cut_out

    def quick_failures(self, device_id: str) -> int:
        """How many quick failures in a row it has had."""
        return self._in_a_row[device_id]

    @property
    def cut_out(self) -> Collection[str]:
        """The devices that are to be used no more."""
        return frozenset(self._cut_out)


@dataclass
class FamilyFailures:
    """Configs that failed for good, by what their failures have in common."""

    #: So many stop the family; None: never.
    max_failures: int | None
    _failures: Counter[Family] = field(default_factory=Counter)

    def note(self, family: Family) -> bool:
        """A config has failed like this, retries included. Returns whether the family is to be stopped."""
        self._failures[family] += 1
        return self.is_stopped(family)

    def is_stopped(self, family: Family) -> bool:
        """Whether as many have failed like this as may."""
        return self.max_failures is not None and self._failures[family] >= self.max_failures

"""When something fails so often that trying on is a waste: a device that ends all it is given, a family of configs.

    health = DeviceHealth(3)
    health.note("GPU-1", failed=True, seconds=2.0)
    health.judge({"GPU-2": 40.0}).cut_out                # GPU-1, once that was its third, since GPU-2 does well
    families = FamilyFailures(max_failures=5)
    families.note(("code_error", "train.py:12 in fit"))  # True once what fails like this is to be stopped

Both only count; what follows from it is the manager's to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from configmill.protocol import status

#: A broken device fails what it is given while it is being set up, and so eats a queue in minutes.
QUICK_SECONDS = 30.0
#: Failures that may be a device's. The others are known to be the experiment's, the host's or somebody's wish.
MAYBE_THE_DEVICES = (status.CODE_ERROR, status.KILLED, status.KERNEL_DIED, status.OOM_GPU)

#: What failures have in common: their class, and where in the user's code they were raised.
Family = tuple[str, str | None]


@dataclass(frozen=True)
class Verdict:
    """Which devices are to be used no more, and which not for now."""

    cut_out: Collection[str]
    held: Collection[str]


@dataclass
class DeviceHealth:
    """Quick failures of each device, one after the other, held against what the other devices do meanwhile.

    Where everything fails it is the experiment, and a broken device must not eat the queue while the others are still
    busy: so a device with too many quick failures in a row gets nothing until one of those has shown how it does.
    """

    #: So many in a row make a device suspect; None: never.
    max_quick_failures: int | None
    _in_a_row: Counter[str] = field(default_factory=Counter)
    #: Those that something has succeeded on, or has run on for a while.
    _works: set[str] = field(default_factory=set)
    _cut_out: set[str] = field(default_factory=set)

    def note(self, device_id: str, *, failed: bool, seconds: float) -> None:
        """An attempt on the device has ended.

        `failed` where the failure may be the device's (`MAYBE_THE_DEVICES`). One that took its time, and every success,
        shows that the device works.
        """
        if failed and seconds < QUICK_SECONDS:
            self._in_a_row[device_id] += 1
        else:
            self._in_a_row[device_id] = 0
            self._works.add(device_id)

    def judge(self, in_use: Mapping[str, float]) -> Verdict:
        """What is to become of the suspects; `in_use`: for how many seconds what runs on a device has run already.

        A suspect is cut out for good while another device does well, and held while none does but some may yet.
        """
        suspects = {id for id in self._in_a_row if self.is_suspect(id)}
        do_well = {id for id in self._works if not self._in_a_row[id]}
        do_well |= {id for id, seconds in in_use.items() if id not in suspects and seconds >= QUICK_SECONDS}
        if do_well:
            self._cut_out |= suspects
        undecided = suspects - self._cut_out if in_use.keys() - suspects else ()
        return Verdict(frozenset(self._cut_out), frozenset(undecided))

    def is_suspect(self, device_id: str) -> bool:
        """Whether as many attempts in a row have failed quickly on it as make it one."""
        return self.max_quick_failures is not None and self._in_a_row[device_id] >= self.max_quick_failures

    def quick_failures(self, device_id: str) -> int:
        """How many quick failures in a row it has had."""
        return self._in_a_row[device_id]


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

"""The one retry policy: whether and when an experiment that failed is tried again in this command."""

from __future__ import annotations

import math
from dataclasses import dataclass

from configmill.protocol import status

#: Whether a failure of that class is tried again where `--num_retries` allows it.
RETRIED_BY_DEFAULT = {
    status.CODE_ERROR: True,  # most flaky experiments raise some exception of their own
    status.OOM_GPU: True,
    status.OOM_HOST: True,
    status.TIMEOUT: True,
    status.KILLED: True,
    status.KERNEL_DIED: True,
    status.NETWORK: True,
    status.IO: True,
    status.CONFIG_DRIFT: False,  # the builder would have to change
    status.CONFIG_REFUSED: False,
    status.LOST: True,  # and it doesn't use up a retry: the experiment did nothing wrong
    status.CANCELLED: False,  # somebody wanted its end
}

#: An experiment that kills whoever minds it must come to an end too.
MAX_LOST = 10


@dataclass(frozen=True)
class RetryPolicy:
    """`num_retries` more attempts; before the k-th retry wait `backoff ** k` seconds."""

    num_retries: int = 0
    backoff: float = 2.0

    def delay(
        self, failure_class: str | None, retries_used: int, times_lost: int, *, has_remedy: bool = False
    ) -> float | None:
        """Seconds to wait before the next attempt; None: there is none.

        `retries_used` counts the retries before this failure, `times_lost` the lost attempts, this one included.
        `has_remedy`: it is tried again in another way, which uses up no retry and needs no wait.
        """
        if failure_class is None or not RETRIED_BY_DEFAULT[failure_class]:
            return None
        if has_remedy:
            return 0.0
        if failure_class == status.LOST:
            return 0.0 if times_lost < MAX_LOST else None
        if retries_used >= self.num_retries:
            return None
        try:
            return float(self.backoff ** (retries_used + 1))
        except OverflowError:
            return math.inf

    def runs_alone(self, failure_class: str | None) -> bool:
        """Whether the next attempt shares no device: it, or what ran beside it, needed more memory than there was."""
        return failure_class == status.OOM_GPU

"""How sure a mean over repeats is, and whether two of them can be told apart.

one, other = interval_of([10.1, 10.3, 10.2]), interval_of([10.2, 10.4, 10.5])
one.overlaps(other)  ->  True: not distinguishable
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

#: Fewer repeats than these bear no claim.
LEAST_REPEATS = 3
#: The 0.975 quantile of Student's t by degrees of freedom, from 1. Beyond, `_quantile` is exact to 0.001.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
_NORMAL = 1.959964


@dataclass(frozen=True)
class Interval:
    """A mean of `count` repeats and half the width of its 95 % confidence interval, None where they are too few."""

    mean: float
    half_width: float | None
    count: int

    def overlaps(self, other: "Interval") -> bool | None:
        """Return whether the two intervals have a value in common; None where one of the two has no interval."""
        if self.half_width is None or other.half_width is None:
            return None
        return abs(self.mean - other.mean) <= self.half_width + other.half_width


def interval_of(values: Sequence[float]) -> Interval:
    """Return the mean with its interval by Student's t: mean ± t(0.975, n - 1) s / sqrt(n), from LEAST_REPEATS values.

    Raises ValueError where there is no value, or one that isn't finite.
    """
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(f"There is no mean of {list(values)!r}. Give at least one number, and finite ones only.")
    count = len(values)
    if count < LEAST_REPEATS:
        return Interval(fmean(values), None, count)
    return Interval(fmean(values), _quantile(count - 1) * stdev(values) / math.sqrt(count), count)


def _quantile(freedom: int) -> float:
    """From 21 degrees of freedom on, the first two terms of Fisher's expansion around the normal quantile."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = _NORMAL
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)

"""When simulated requests arrive: an absolute schedule, the same for the same seed on every machine and every rank.

    schedule(settings.arrivals, num_requests=4, seed=0)  ->  (0.0, 0.31, 0.42, 1.9)

The clock starts with the first request. A schedule says nothing of how long a request is served: one that arrives while
others are served waits, which is its queue time.
"""

import math
import random
from itertools import accumulate

from experiments.llm_inference.settings import ArrivalSettings


def schedule(arrivals: ArrivalSettings, num_requests: int, seed: int) -> tuple[float, ...]:
    """Return the second at which each of all requests (of all ranks) arrives, in ascending order, the first at 0."""
    if arrivals.process == "offline":
        return (0.0,) * num_requests
    if arrivals.process == "bursts":
        return tuple(index // arrivals.burst_size * arrivals.burst_interval for index in range(num_requests))
    if arrivals.process == "constant":
        return tuple(index * arrivals.delay_max for index in range(num_requests))
    # Of Random's methods only random() is promised to give the same numbers in every version of Python.
    uniform = random.Random(seed).random
    gaps = [_gap(arrivals, uniform()) for _ in range(num_requests - 1)]
    return tuple(accumulate(gaps, initial=0.0))


def offered_rate(times: tuple[float, ...]) -> float | None:
    """Return requests/s over the schedule, None where all arrive at once."""
    return (len(times) - 1) / times[-1] if times and times[-1] > 0 else None


def _gap(arrivals: ArrivalSettings, uniform: float) -> float:
    """The seconds to the next request, made of a number from [0, 1).

    Gaps of a Poisson process are exponential: -ln(1 - u) / rate, the inverse of their distribution function.
    """
    if arrivals.process == "uniform":
        return arrivals.delay_min + (arrivals.delay_max - arrivals.delay_min) * uniform
    assert arrivals.query_rate  # checked when the settings were read
    return -math.log1p(-uniform) / arrivals.query_rate

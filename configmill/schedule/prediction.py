"""How long an experiment is thought to run, from how long it and its like took.

    predict_seconds(of_config=[61.0, 64.0], of_target=[300.0], hint=None)      # 62.5

A prediction decides about order alone. What may run how long before it is ended is another number (`timeout`): an
experiment that takes longer than was thought is none the worse for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Of so many of the last runs the mean is taken: one may have been an exception, and old ones are of other code. (Two
#: is what Tsafrir, Etsion and Feitelson, 2007, take for batch systems.)
RECENT_RUNS = 2


def predict_seconds(*, of_config: Sequence[float], of_target: Sequence[float], hint: float | None) -> float | None:
    """Seconds that the next run is thought to take; None where nothing is known.

    `of_config` and `of_target` are the seconds of earlier runs that succeeded, oldest first: of the same config, and of
    any config of the same experiment. `hint` is what the config or an estimator says.
    """
    for seconds in (of_config, of_target):
        known = [value for value in seconds if math.isfinite(value) and value >= 0]
        if known:
            recent = known[-RECENT_RUNS:]
            return math.fsum(recent) / len(recent)
    return hint

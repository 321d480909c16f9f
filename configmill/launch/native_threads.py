"""How many threads native libraries start in each experiment: the cores, shared among those that run side by side.

BLAS and OpenMP start a thread per core in every process. With several experiments at a time they then fight for the
cores: exponential smoothing fits took 20 times their CPU time on two cores. joblib bounds its own workers the same way.
"""

from __future__ import annotations

from collections.abc import Mapping

from configmill.child.ranks.environment import THREAD_VARIABLES
from configmill.processes import num_cores


def native_thread_limits(width: int, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to set for each of `width` experiments; none where one has all cores or the user chose."""
    if width == 1 or any(name in environ for name in THREAD_VARIABLES):
        return {}
    return dict.fromkeys(THREAD_VARIABLES, str(max(1, num_cores() // width)))

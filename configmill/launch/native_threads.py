"""How many threads native libraries start in each experiment: the cores, shared among those that run side by side.

BLAS and OpenMP start a thread per core in every process. With several experiments at a time they then fight for the
cores: exponential smoothing fits took 20 times their CPU time on two cores. joblib bounds its own workers the same way.
"""

from __future__ import annotations

from collections.abc import Mapping

from configmill.processes import num_cores

#: The variables that numpy's, PyTorch's and others' native libraries read when they are loaded.
VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def native_thread_limits(width: int, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to set for each of `width` experiments; none where one has all cores or the user chose."""
    if width == 1 or any(name in environ for name in VARIABLES):
        return {}
    return dict.fromkeys(VARIABLES, str(max(1, num_cores() // width)))

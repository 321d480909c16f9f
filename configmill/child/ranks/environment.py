"""The environment of an experiment's ranks.

ranks_environment(os.environ, num_processes=2, native_threads=None)
->  {... without RANK, MASTER_PORT, ..., "OMP_NUM_THREADS": "4"}
"""

from __future__ import annotations

from configmill.processes import num_cores

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Mapping

#: The pid of the launcher that Configmill started; by it a process knows that it is a rank of an experiment.
LAUNCHED = "CONFIGMILL_LAUNCHED"
#: The folder where ranks leave what they report.
RANKS_DIR = "CONFIGMILL_RANKS_DIR"
#: What torch sets for each rank.
RANK, WORLD_SIZE = "RANK", "WORLD_SIZE"

#: The variables that numpy's, PyTorch's and others' native libraries read when they are loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
#: What a launch sets for its ranks: a launch within one would take it for its own.
_OF_A_LAUNCH = frozenset(
    {
        RANK,
        WORLD_SIZE,
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "MASTER_ADDR",
        "MASTER_PORT",
        "GROUP_RANK",
        "GROUP_WORLD_SIZE",
        "ROLE_NAME",
        "ROLE_RANK",
        "ROLE_WORLD_SIZE",
    }
)


def ranks_environment(environ: Mapping[str, str], num_processes: int, native_threads: int | None) -> dict[str, str]:
    """`environ` for `num_processes` ranks: nothing of another launch, and the threads of native libraries shared out.

    `native_threads` is what all ranks may start together; None: what the user has set for each, or else the cores.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if name not in _OF_A_LAUNCH and not name.startswith("TORCHELASTIC_")
    }
    if native_threads is None and any(name in environ for name in THREAD_VARIABLES):
        return kept
    each = max(1, (native_threads or num_cores()) // num_processes)
    return {**kept, **dict.fromkeys(THREAD_VARIABLES, str(each))}


def launch_of(environ: Mapping[str, str]) -> tuple[int, int]:
    """The rank of this process and how many there are; (0, 1) where it is alone. Raises ValueError."""
    return int(environ.get(RANK) or 0), int(environ.get(WORLD_SIZE) or 1)

"""The local engine: N long-lived worker loops in joblib threads.

joblib gets the loops, never the list of experiments: handing it a generator that blocks (for a device, a back-off)
would hold back results that are already there. Threads are enough, since each experiment has a process of its own, and
loky's workers would break together.
"""

from __future__ import annotations

from collections.abc import Callable


def run_loops(loop: Callable[[], None], width: int) -> None:
    """Run `loop` `width` times side by side, in this thread where `width` is 1; returns when all have returned."""
    if width == 1:
        loop()
        return
    from joblib import Parallel, delayed  # 0.1 s, which a usage error, a dry run and a single loop need not pay

    Parallel(n_jobs=width, backend="threading")(delayed(loop)() for _ in range(width))

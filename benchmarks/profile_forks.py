"""Profile every fork of the fork server, its minders and the experiments below them, from the fork to its end.

    PROFILES=/tmp/profiles run_experiment.py ... --start_method warm --preload benchmarks.profile_forks
    python -c "import pstats, glob; pstats.Stats(*glob.glob('/tmp/profiles/*')).sort_stats('tottime').print_stats(25)"

They end after milliseconds, which is too soon for a profiler that samples from outside. Each leaves a file of its own
in the folder that PROFILES names; the times are several times what they are without a profile.
"""

import cProfile
import os
from typing import NoReturn

FOLDER = os.environ["PROFILES"]
os.makedirs(FOLDER, exist_ok=True)

_exit = os._exit
_profile: cProfile.Profile | None = None


def _begin() -> None:
    global _profile
    if _profile is not None:
        _profile.disable()  # a fork of a fork goes on with its parent's
    _profile = cProfile.Profile()
    _profile.enable()


def _end(status: int) -> NoReturn:
    if _profile is not None:
        _profile.disable()
        _profile.dump_stats(os.path.join(FOLDER, f"{os.getpid()}.prof"))
    _exit(status)


os.register_at_fork(after_in_child=_begin)
os._exit = _end

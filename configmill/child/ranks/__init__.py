"""An experiment that is several processes, its ranks, started by `accelerate launch` (`resources.launcher`).

    minder ──> experiment's process (launched.py) ──> accelerate's launcher (launcher.py) ──> ranks (rank.py)
                    │ watches                             PDEATHSIG all along               each: stub.perform
                    └──────────────── attempts/<n>.ranks/ <── reports, tracebacks, rank 0's result

environment.py  the variables that ranks are given, and those of other launches that they must not see
folder.py       the names of the files in `attempts/<n>.ranks/`
launched.py     start the ranks, wait, end what is left, and say what became of them all
watch.py        which ranks have begun, reported or died, as the experiment's process sees it
verdict.py      which of several failures is the attempt's
launcher.py     the process of `accelerate launch`
rank.py         a rank's process
lines.py        `[rank 1] ` in front of each line
by_hand.py      ranks of an `accelerate launch ... run_experiment_stub.py` that a user typed
"""

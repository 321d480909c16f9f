"""submitit's local executor, two jobs at a time: `python submitit_local.py COUNT DST_DIR WORK`.

It starts whatever it is given at once, so two threads take turns. They look for a job's end every 5 ms: submitit's own
`result()` looks once a second, which would be all that is measured.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import experiment
import submitit

# The job's process does not find this folder's modules.
cloudpickle.register_pickle_by_value(experiment)


def run_experiment(index: int) -> None:
    """Submit one experiment and wait for it."""
    job = executor.submit(experiment.run, index, dst_dir, work)
    while not job.done():
        time.sleep(0.005)
    job.result()


if __name__ == "__main__":
    count, dst_dir, work = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    executor = submitit.LocalExecutor(folder=f"{dst_dir}/submitit")
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(run_experiment, range(count)))

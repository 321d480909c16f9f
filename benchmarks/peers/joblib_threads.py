"""joblib threads that each wait for a script: `python joblib_threads.py COUNT DST_DIR WORK`."""

import subprocess
import sys
from pathlib import Path

from joblib import Parallel, delayed

EXPERIMENT = Path(__file__).with_name("experiment.py")


def run_experiment(index: int, dst_dir: str, work: str) -> None:
    """Run one experiment in a process of its own."""
    subprocess.run([sys.executable, EXPERIMENT, str(index), dst_dir, work], check=True)


if __name__ == "__main__":
    count, dst_dir, work = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    Parallel(n_jobs=2, backend="threading")(delayed(run_experiment)(index, dst_dir, work) for index in range(count))

"""joblib threads that each wait for a script: `python joblib_threads.py COUNT DST_DIR`."""

import subprocess
import sys
from pathlib import Path

from joblib import Parallel, delayed

NOOP = Path(__file__).with_name("noop.py")


def run_experiment(index: int, dst_dir: str) -> None:
    """Run one experiment in a process of its own."""
    subprocess.run([sys.executable, NOOP, str(index), dst_dir], check=True)


if __name__ == "__main__":
    count, dst_dir = int(sys.argv[1]), sys.argv[2]
    Parallel(n_jobs=2, backend="threading")(delayed(run_experiment)(index, dst_dir) for index in range(count))

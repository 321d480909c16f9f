"""papermill in joblib's worker processes: `python papermill_loky.py COUNT DST_DIR NOTEBOOK`."""

import sys

from joblib import Parallel, delayed


def run_notebook(index: int, dst_dir: str, notebook: str) -> None:
    """Run the notebook for one index; its kernel is a process of its own."""
    import papermill

    papermill.execute_notebook(notebook, f"{dst_dir}/{index}.ipynb", {"index": index}, progress_bar=False)


if __name__ == "__main__":
    count, dst_dir, notebook = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    Parallel(n_jobs=2, backend="loky")(delayed(run_notebook)(index, dst_dir, notebook) for index in range(count))

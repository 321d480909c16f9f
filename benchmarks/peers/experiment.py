"""The experiment as a script, `python experiment.py INDEX DST_DIR noop|heavy`, and as a function for Python's tools."""

import json
import os
import sys


def run(index: int, dst_dir: str, work: str) -> None:
    """Import what the work needs, where it is a heavy one, and write the result."""
    if work == "heavy":
        import pandas  # noqa: F401
        import torch  # noqa: F401
        from transformers import AutoConfig  # noqa: F401
    experiment_dir = os.path.join(dst_dir, str(index))
    os.makedirs(experiment_dir, exist_ok=True)
    with open(os.path.join(experiment_dir, "result.json"), "w") as file:
        json.dump({"value": index}, file)


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2], sys.argv[3])

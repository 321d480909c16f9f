"""The experiment as a script: `python noop.py INDEX DST_DIR`."""

import json
import os
import sys

index, dst_dir = int(sys.argv[1]), sys.argv[2]
experiment_dir = os.path.join(dst_dir, str(index))
os.makedirs(experiment_dir)
with open(os.path.join(experiment_dir, "result.json"), "w") as file:
    json.dump({"value": index}, file)

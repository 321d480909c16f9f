"""Ray tasks in a new worker process each: `python ray_tasks.py COUNT DST_DIR WORK`."""

import sys
import tempfile

import experiment
import ray


@ray.remote(num_cpus=1, max_calls=1)
def run_experiment(index: int, dst_dir: str, work: str) -> None:
    """Run one experiment in a worker that ends after it."""
    experiment.run(index, dst_dir, work)


if __name__ == "__main__":
    count, dst_dir, work = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    # In a folder that is removed: Ray leaves a session's files behind. A short one: its sockets are in there.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", _temp_dir=folder)
        ray.get([run_experiment.remote(index, dst_dir, work) for index in range(count)])
        ray.shutdown()

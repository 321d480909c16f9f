"""What earlier runs teach the queue: how long an experiment takes, and how much of the host's memory."""

from __future__ import annotations

import itertools
import json

from configmill.protocol.layout import CampaignDir
from configmill.store.history import History
from tests.conftest import Project


def test_seconds_and_memory_of_earlier_runs(project: Project) -> None:
    """Of the config its own latest successes count, of the target the campaign's; what never ran has none."""
    project.write("builder.py", "def build():\n    return [{'mb': 300}, {'mb': 1}]\n")
    project.write(
        "experiment.py",
        """
        import time

        def run(config):
            kept = b"x" * (config.mb << 20)
            time.sleep(0.05)
            return {"size": len(kept)}
        """,
    )
    assert project.run().code == 0
    assert project.run("--no_incremental", "--index", "0").code == 0
    history = History(CampaignDir(str(project.out)))
    digests = [project.result_dir(index).resolve().name for index in range(2)]
    assert len(history.of_config(digests[0])) == 2 and len(history.of_config(digests[1])) == 1
    assert all(0.05 <= seconds < 10 for seconds in [*history.of_config(digests[0]), *history.of_target])
    large, small = (history.memory_of_config(digest) for digest in digests)
    assert large is not None and small is not None
    assert 290 << 20 <= large < 400 << 20 and small < 60 << 20  # a page that a fork has not touched is not resident
    assert history.of_config("never") == [] and history.memory_of_config("never") is None


def test_a_failure_tells_memory_and_no_time(project: Project) -> None:
    """How long a failure took predicts nothing; what memory it took does."""
    project.write("builder.py", "def build():\n    return [{'x': 1}]\n")
    project.write("experiment.py", "def run(config):\n    kept = b'x' * (100 << 20)\n    raise ValueError(len(kept))\n")
    assert project.run().code == 1
    history = History(CampaignDir(str(project.out)))
    digest = project.result_dir(0).resolve().name
    assert history.of_config(digest) == [] == history.of_target
    assert (history.memory_of_config(digest) or 0) >= 90 << 20


def test_heavy_ones_do_not_run_side_by_side(project: Project) -> None:
    """Experiments that ask for most of the host's memory run one after another, whatever --num_threads says."""
    with open("/proc/meminfo", encoding="ascii") as file:
        total_gb = int(file.readline().split()[1]) * 1024 / 1e9
    asks = {"memory_gb": round(0.6 * total_gb, 1)}
    project.write("builder.py", f"def build():\n    return [{{'x': x, 'resources': {asks!r}}} for x in range(3)]\n")
    project.write(
        "experiment.py",
        """
        import time

        def run(config):
            began = time.monotonic()
            time.sleep(0.1)
            return {"began": began, "ended": time.monotonic()}
        """,
    )
    done = project.run("--num_threads", "3")
    assert done.code == 0, done
    spans = sorted((result["began"], result["ended"]) for result in (project.json(i, "result.json") for i in range(3)))
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans)), json.dumps(spans)

"""Scripts that call the customer's names, in a project of their own, with an experiment that is quick.

    done = script(project, 'print(run_single_config_with_retry({"model_name": "m", "config_name": "fine"}))')

What an experiment does is in its `config_name`: `fails...`, `flaky...` (its third attempt succeeds), `hangs...` (in its
first attempt), else it succeeds, unless its seed is 13; it notes each attempt in `<its key>.attempts`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.conftest import Done, Project

CAMPAIGN = "a campaign"

QUICK = """
    import os, time

    def run(config):
        name = "-".join(str(config.get(part)) for part in ("model_name", "config_name", "cycle_id")).replace("/", "_")
        with open(f"{name}.attempts", "a") as file:
            file.write(f"{config.meta.attempt} begins\\n")
        print("rank", os.environ.get("RANK"), "of", os.environ.get("WORLD_SIZE"), flush=True)
        if config.config_name.startswith("fails") or config.get("seed") == 13:
            raise RuntimeError("as it was told")
        if config.config_name.startswith("flaky") and config.meta.attempt < 3:
            raise RuntimeError("not yet")
        if config.config_name.startswith("hangs") and config.meta.attempt == 1:
            time.sleep(1000)
        with open(f"{name}.attempts", "a") as file:
            file.write(f"{config.meta.attempt} ends\\n")
        return {"experiment_id": f"id-of-{name}"}
    """

_PRELUDE = """
    import os
    from experiments.llm_inference import campaign
    campaign.EXPERIMENT = "quick.run"
    from config_builders.llm_inference import get_controlled_configs, get_model_configs
    from experiments.llm_inference.launching import launch_experiment_via_accelerate
    from experiments.llm_inference.progress import (
        get_next_experiment_id, load_progress, log_failed_experiment, save_progress
    )
    from experiments.llm_inference.retry import batch_launch_experiments, run_single_config_with_retry
    """


def write_script(project: Project, text: str) -> Path:
    """The script of the text, with the names that it calls."""
    project.write("quick.py", QUICK)
    return project.write("script.py", textwrap.dedent(_PRELUDE) + textwrap.dedent(text))


def environment(project: Project, **more: str) -> dict[str, str]:
    """The project's environment; the campaign is in a folder of a hostile name within it."""
    return project.environment(CONFIGMILL_LLM_DST_DIR=str(project.root / CAMPAIGN), OMP_NUM_THREADS="1", **more)


def script(project: Project, text: str) -> Done:
    """Run it to its end."""
    return project.call([sys.executable, str(write_script(project, text))], env=environment(project))


def start(project: Project, text: str) -> subprocess.Popen[str]:
    """Start it and return at once."""
    return subprocess.Popen(
        [sys.executable, str(write_script(project, text))],
        cwd=project.root, env=environment(project), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def attempts(project: Project) -> dict[str, list[str]]:
    """What each experiment noted, by model, name and cycle."""
    notes = sorted(path for path in os.listdir(project.root) if path.endswith(".attempts"))
    return {note.removesuffix(".attempts"): (project.root / note).read_text().splitlines() for note in notes}

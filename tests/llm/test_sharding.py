from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from experiments.llm_inference import sharding
from experiments.llm_inference.loading import UnsupportedError
from experiments.llm_inference.runner import ExperimentRunner
from tests.llm.tiny import config_of


def _run(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    with ExperimentRunner(config | {"save_outputs": True}, folder) as runner:
        return runner.run_setup().run_torch().aggregate_results()


def test_layers_on_disk_give_the_same_text(
    models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory for a part of the model: the rest is on disk, which is recorded; the text is that of the whole in memory.

    Nothing of it is left on disk afterwards.
    """
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    config = config_of(models["llama"], models["prompts"])
    whole = _run(config, tmp_path)
    monkeypatch.setattr(sharding, "memory_budget", lambda device: {"cpu": 100_000})  # of 115 kB
    offloaded = _run(config | {"sharding_config": {"sharding_strategy": "device_map"}}, tmp_path)
    placed = offloaded["model_architecture"]["placement"]
    assert set(placed["parameters"]) == {"cpu", "disk"}
    assert sum(placed["parameters"].values()) == whole["model_architecture"]["num_parameters"]
    assert "disk" in placed["modules"].values()
    assert offloaded["token_output"] == whole["token_output"]
    gc.collect()
    assert not list(tmp_path.glob("offload-*"))


def test_a_model_that_fits_is_not_offloaded(models: dict[str, str], tmp_path: Path) -> None:
    """device_map puts what fits into memory, and says so."""
    config = config_of(models["llama"], models["prompts"], sharding_config={"sharding_strategy": "device_map"})
    placed = _run(config, tmp_path)["model_architecture"]["placement"]
    assert list(placed["parameters"]) == ["cpu" if not torch.cuda.is_available() else "0"]


def test_memory_for_weights_is_a_part_of_what_is_free() -> None:
    """The budget of a device is below what it has free: the KV cache needs room, too."""
    budget = sharding.memory_budget(torch.device("cpu"))
    assert 0 < budget["cpu"] < psutil.virtual_memory().available


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
def test_the_repeated_blocks_of_a_model_are_found(models: dict[str, str], kind: str) -> None:
    """They are what fsdp gathers one at a time: the layers, of encoder and decoder both, and nothing inside them."""
    from transformers import AutoModel

    layers = sharding.layers_of(AutoModel.from_pretrained(models[kind]))
    assert len(layers) == (4 if kind == "t5" else 2)
    assert {type(layer).__name__ for layer in layers} <= {"LlamaDecoderLayer", "GPT2Block", "T5Block"}


def test_fsdp_of_an_encoder_decoder_is_refused(models: dict[str, str], tmp_path: Path) -> None:
    """Generation calls its encoder around fsdp: that is said, and not found out as an error of torch's."""
    config = config_of(models["t5"], models["prompts"]) | {"sharding_config": {"sharding_strategy": "full_shard"}}
    with pytest.raises(UnsupportedError, match=r"fsdp, and .* is an encoder-decoder model.*Use device_map"):
        _run(config, tmp_path)


@pytest.mark.parametrize("strategy", ["full_shard", "shard_grad_op"])
def test_fsdp_works_for_a_single_rank_with_offload(models: dict[str, str], tmp_path: Path, strategy: str) -> None:
    """The same text as without, in a group of one, which is gone afterwards."""
    config = config_of(models["llama"], models["prompts"])
    plain = _run(config, tmp_path)
    fsdp = {"sharding_strategy": strategy, "fsdp_config": {"cpu_offload": True}}
    sharded = _run(config | {"sharding_config": fsdp}, tmp_path)
    assert sharded["token_output"] == plain["token_output"]
    assert sharded["model_architecture"]["num_parameters"] == plain["model_architecture"]["num_parameters"]
    assert not torch.distributed.is_initialized()
    assert "MASTER_ADDR" not in os.environ

from __future__ import annotations

from typing import Any

import pytest
from transformers import AutoConfig

from experiments.llm_inference import estimate_gpu_requirements
from experiments.llm_inference.flops import ModelShape
from experiments.llm_inference.requirements import device_bytes, num_devices_for, weight_bytes, working_bytes
from experiments.llm_inference.settings import Settings
from tests.llm.tiny import config_of

GB = 10**9


def _devices(*gigabytes: float) -> list[dict[str, Any]]:
    return [{"id": f"GPU-{i}", "index": i, "total_memory": int(size * GB)} for i, size in enumerate(gigabytes)]


#: As published for a model of 8 billion parameters with 8 heads of keys for 32 of queries.
LARGE = AutoConfig.for_model(
    "llama", vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
    num_attention_heads=32, num_key_value_heads=8, tie_word_embeddings=False,
)  # fmt: skip


def _large(**more: Any) -> tuple[Settings, ModelShape]:
    config = {"model_name": "large", "fp_precision": "bfloat16", "max_input_tokens": 1024, "max_output_tokens": 1024}
    return Settings.from_config(config | {"num_input_prompts": 64} | more), ModelShape.from_config(LARGE)


def test_weights_are_counted_by_precision_and_quantisation() -> None:
    """8.03 billion parameters: 2 bytes each in bfloat16, 4 in float32, half a byte in 4 bits."""
    assert weight_bytes(*_large()) == pytest.approx(16.06 * GB, rel=0.01)
    assert weight_bytes(*_large(fp_precision="float32")) == pytest.approx(32.1 * GB, rel=0.01)
    quantised = {"quantization": True, "load_in_4bit": True}
    assert weight_bytes(*_large(quantization_config=quantised)) == pytest.approx(4.02 * GB, rel=0.01)


def test_the_cache_grows_with_the_batch_and_counts_grouped_queries() -> None:
    """128 KiB a token in bfloat16 (2 * 32 layers * 8 heads * 128 * 2 bytes): 2048 tokens of one sequence are 268 MB."""
    one, nine = (working_bytes(*_large(batching_options={"batch_size___fixed_batching": size})) for size in (1, 9))
    logits = 2 * 4 * 128256
    assert (nine - one) / 8 == pytest.approx(1.2 * (2048 * 131072 + logits), rel=0.001)


def test_logits_are_counted_where_heads_are_wider_than_the_model() -> None:
    """The vocabulary decides, whatever the sizes of the heads (Qwen 3, Gemma, T5 have such)."""
    config = AutoConfig.for_model(
        "qwen3", vocab_size=1000, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=64,
    )  # fmt: skip
    assert ModelShape.from_config(config).vocabulary == 1000


def test_ranks_that_share_a_model_need_less_each() -> None:
    """Over 8 ranks a rank has an eighth of the weights and the layers that it gathers; offloaded, only these."""
    alone = device_bytes(*_large())
    fsdp = {"sharding_strategy": "fsdp"}
    shared = device_bytes(*_large(num_processes=8, sharding_config=fsdp))
    offload = {"sharding_strategy": "fsdp", "fsdp_config": {"cpu_offload": True}}
    offloaded = device_bytes(*_large(num_processes=8, sharding_config=offload))
    assert alone - shared == pytest.approx(16.06 * GB * (7 / 8 - 2 / 32), rel=0.01)
    assert shared - offloaded == pytest.approx(16.06 * GB / 8, rel=0.01)


def test_a_model_over_devices_takes_as_many_as_hold_it() -> None:
    """The largest first, four fifths of each; all there are where even they don't suffice."""
    assert num_devices_for(20 * GB, [24 * GB, 24 * GB, 24 * GB]) == 2
    assert num_devices_for(19 * GB, [24 * GB, 24 * GB, 24 * GB]) == 1
    assert num_devices_for(500 * GB, [24 * GB, 24 * GB]) == 2


def test_what_is_asked_for_can_be_met(models: dict[str, str]) -> None:
    """A device for each rank, with the memory that it needs, and never more than the devices have."""
    config = config_of(models["llama"], models["prompts"])
    asked = estimate_gpu_requirements(config, _devices(24, 80))
    assert asked["num_gpus"] == 1
    assert 1.0 < asked["gpu_memory_gb"] < 1.1
    assert estimate_gpu_requirements(config | {"num_processes": 2}, _devices(0.5, 0.25))["gpu_memory_gb"] == 0.25


@pytest.mark.parametrize("more", [{"model_name": "./nowhere"}, {"no_such_key": 1}, {"fp_precision": "int3"}])
def test_a_config_that_is_wrong_is_left_to_its_experiment(models: dict[str, str], more: dict[str, Any]) -> None:
    """Nothing is raised here, where it would end the whole command."""
    assert estimate_gpu_requirements(config_of(models["llama"], models["prompts"]) | more, _devices(24)) is None


def test_without_devices_nothing_is_asked_for(models: dict[str, str]) -> None:
    """It runs on the CPU then."""
    assert estimate_gpu_requirements(config_of(models["llama"], models["prompts"]), []) is None

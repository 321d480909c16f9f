from __future__ import annotations

from typing import Any

import pytest

from configmill import Config
from experiments.llm_inference.keys import KEYS
from experiments.llm_inference.settings import AUTO_BATCH_SIZE, Backend, Settings, SettingsError

#: Every key that published configs use, with a value that is not the default.
PUBLISHED: dict[str, Any] = {
    "model_name": "gpt2",
    "task_type": "summarisation",
    "suite": "controlled",
    "config_name": "batching_16",
    "cycle_id": 3,
    "num_processes": 2,
    "gpu_list": [0, 1],
    "num_input_prompts": 10,
    "max_input_tokens": 64,
    "max_output_tokens": 16,
    "num_warmup_iterations": 1,
    "fp_precision": "bfloat16",
    "batching_options": {
        "batch_size___fixed_batching": 16,
        "adaptive_batching": True,
        "adaptive_max_tokens": 3500,
        "max_batch_size___adaptive_batching": 100,
    },
    "decoder_config": {
        "decoding_mode": "top_k",
        "decoder_temperature": 0.7,
        "decoder_top_k": 50,
        "decoder_top_p": 0.9,
    },
    "quantization_config": {"quantization": True, "load_in_8bit": False, "load_in_4bit": True},
    "latency_simulation": {
        "simulate": True,
        "delay_min": 0.1,
        "delay_max": 0.3,
        "simulate_burst": True,
        "burst_interval": 4.0,
        "burst_size": 5,
    },
    "query_rate": 1.0,
    "sharding_config": {
        "sharding_strategy": "FULL_SHARD",
        "fsdp_config": {"cpu_offload": True, "use_orig_params": True},
    },
    "model_config": {"use_cache": False, "gradient_checkpointing": True},
    "inference_type": "pure_generative",
    "backend": "pytorch",
    "is_encoder_decoder": True,
    "save_outputs": True,
    "decode_token_to_text": True,
}


def batches_of(size: int | str) -> dict[str, Any]:
    """A config with 32 prompts in fixed batches."""
    return {"num_input_prompts": 32, "batching_options": {"batch_size___fixed_batching": size}}


def settings_of(**config: Any) -> Settings:
    """The settings of a small config."""
    return Settings.from_config({"model_name": "gpt2", **config})


def test_every_published_key_is_read() -> None:
    """A config with all keys that the published ones use gives settings that say the same, from a Config or a dict."""
    settings = Settings.from_config(PUBLISHED)
    assert Settings.from_config(Config(PUBLISHED).freeze()) == settings
    asked = Config(settings.requested())
    written = Config(PUBLISHED).flatten()
    assert {key: asked[key] for key in written} == {**written, "sharding_config.sharding_strategy": "full_shard"}
    assert (settings.batching.batch_size, settings.batching.max_tokens, settings.batching.max_batch_size) == (
        16,
        3500,
        100,
    )
    assert (settings.sharding.strategy, settings.sharding.fsdp_strategy) == ("fsdp", "full_shard")
    assert (settings.quantization_bits, settings.model.precision, settings.model.is_encoder_decoder) == (
        4,
        "bfloat16",
        True,
    )
    assert settings.gpu_list == (0, 1)


def test_every_key_of_the_config_has_a_default_and_none_stands_for_it() -> None:
    """The model's name is enough, and a key that is None is as good as none."""
    bare = Settings.from_config({"model_name": "gpt2"})
    spelled = Settings.from_config(
        {**dict.fromkeys(("fp_precision", "batching_options", "query_rate")), "model_name": "gpt2"}
    )
    assert spelled == bare
    assert set(bare.values) == set(KEYS)


def test_the_managers_part_is_left_aside() -> None:
    """What a config asks of the experiment manager is no key of the experiment."""
    assert settings_of(resources={"num_gpus": 2}) == settings_of()


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"model_nam": "x"}, "model_name"),
        ({"batch_size": 4}, "batching_options.batch_size___fixed_batching"),
        ({"use_cache": True}, "model_config.use_cache"),
        ({"decoder_config": {"top_k": 4}}, "decoder_config.decoder_top_k"),
        ({"latency_simulation": {"burst_siz": 4}}, "latency_simulation.burst_size"),
    ],
)
def test_an_unknown_key_names_the_nearest(config: dict[str, Any], named: str) -> None:
    """A key that isn't there is an error, whatever its value, that names the one most likely meant."""
    with pytest.raises(SettingsError, match=f'which this experiment doesn\'t know. Did you mean "{named}"'):
        settings_of(**config)


@pytest.mark.parametrize(
    ("config", "quoted"),
    [
        ({"fp_precision": "float8"}, "'float8'.*float32, float16, bfloat16"),
        ({"num_processes": 0}, "num_processes is 0.*whole number from 1"),
        ({"num_input_prompts": True}, "num_input_prompts is True"),
        ({"max_output_tokens": 2.5}, "max_output_tokens is 2.5"),
        ({"seed": 2**63}, "seed is 9223372036854775808.*below 2"),
        ({"query_rate": float("nan")}, "query_rate is nan"),
        ({"query_rate": float("inf")}, "query_rate is inf"),
        ({"save_outputs": 1}, "save_outputs is 1.*True or False"),
        ({"task_type": "../x"}, "task_type is '../x'"),
        ({"gpu_list": "0,1"}, r"gpu_list is '0,1'.*\[0, 1\]"),
        ({"model_config": 3}, "model_config is 3, which is no mapping"),
        ({"batching_options": {"batch_size___fixed_batching": "all"}}, "'all'.*\"auto\""),
        ({"decoder_config": {"decoding_mode": "beam"}}, "'beam'.*greedy, temperature, top_k, top_p"),
        ({"decoder_config": {"decoding_mode": "top_k"}}, "decoder_top_k is None"),
        ({"decoder_config": {"decoding_mode": "top_p", "decoder_top_p": 1.5}}, "decoder_top_p is 1.5.*from 0 to 1"),
        ({"decoder_config": {"decoding_mode": "temperature", "decoder_temperature": 0}}, "decoder_temperature is 0"),
        ({"quantization_config": {"quantization": True}}, "load_in_8bit and load_in_4bit"),
        (
            {"quantization_config": {"quantization": True, "load_in_8bit": True, "load_in_4bit": True}},
            "with 2 of load_in_8bit and load_in_4bit",
        ),
        ({"latency_simulation": {"simulate": True}}, "nothing says when requests arrive"),
        ({"latency_simulation": {"delay_min": 2, "delay_max": 1}}, "delay_min is 2, above delay_max, 1"),
        ({"latency_simulation": {"simulate": True, "simulate_burst": True}}, "burst_size 0 and burst_interval 0"),
    ],
)
def test_what_cannot_be_is_refused_with_what_was_given(config: dict[str, Any], quoted: str) -> None:
    """A value that makes no sense, by itself or beside others, is an error that quotes it and says what to do."""
    with pytest.raises(SettingsError, match=quoted):
        settings_of(**config)


@pytest.mark.parametrize("config", [None, [], "gpt2"])
def test_what_is_no_config_is_refused(config: Any) -> None:
    """Anything but a mapping is an error that says so."""
    with pytest.raises(SettingsError, match="which is no mapping"):
        Settings.from_config(config)


def test_a_config_without_a_model_is_refused() -> None:
    """The model is the one thing without a default."""
    with pytest.raises(SettingsError, match="no 'model_name'"):
        Settings.from_config({})


GREEDY = {"do_sample": False, "temperature": None, "top_k": None, "top_p": None}
BURSTS = {"simulate": True, "simulate_burst": True, "burst_size": 3, "burst_interval": 1}
FSDP = {"sharding_config": {"sharding_strategy": "fsdp"}}
OFFLOAD = {"sharding_config": {"fsdp_config": {"cpu_offload": True}}}
ORIGINAL = {"sharding_config": {"sharding_strategy": "fsdp", "fsdp_config": {"use_orig_params": True}}}
ALL = {"decoder_temperature": 0.7, "decoder_top_k": 5, "decoder_top_p": 0.5}


@pytest.mark.parametrize(
    ("decoder", "arguments"),
    [
        ({}, GREEDY),
        ({"decoding_mode": "greedy", **ALL}, GREEDY),
        ({"decoding_mode": "temperature"}, {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}),
        ({"decoding_mode": "temperature", **ALL}, {"do_sample": True, "temperature": 0.7, "top_k": 0, "top_p": 1.0}),
        ({"decoding_mode": "top_k", **ALL}, {"do_sample": True, "temperature": 0.7, "top_k": 5, "top_p": 1.0}),
        ({"decoding_mode": "top_p", **ALL}, {"do_sample": True, "temperature": 0.7, "top_k": 0, "top_p": 0.5}),
    ],
)
def test_the_decoding_mode_decides_how_tokens_are_chosen(decoder: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Greedy is do_sample=False; each other mode reads its own key and the temperature, and no key of another mode."""
    assert settings_of(decoder_config=decoder).decoder.generate_arguments() == arguments


def test_auto_begins_with_the_largest_batch() -> None:
    """`auto` is 64, and is known to have been auto."""
    batching = settings_of(batching_options={"batch_size___fixed_batching": "auto"}).batching
    assert (batching.batch_size, batching.auto) == (AUTO_BATCH_SIZE, True) == (64, True)


@pytest.mark.parametrize(
    ("given", "parameters", "iterations"),
    [(None, 1e9, 3), (None, 1e10, 3), (None, 1.1e10, 5), (0, 1e11, 0), (7, 1, 7)],
)
def test_warm_up_is_longer_for_large_models(given: int | None, parameters: float, iterations: int) -> None:
    """Three iterations, five above ten billion parameters, and what the config says where it does."""
    assert settings_of(num_warmup_iterations=given).warmup_iterations(int(parameters)) == iterations


@pytest.mark.parametrize(
    ("config", "backend", "idle"),
    [
        ({"model_config": {"gradient_checkpointing": True}}, Backend(), ["model_config.gradient_checkpointing"]),
        ({"gpu_list": [0]}, Backend(device="cpu"), ["gpu_list"]),
        ({"gpu_list": [0]}, Backend(device="cuda"), []),
        ({"decoder_config": {"decoder_temperature": 0.7}}, Backend(), ["decoder_config.decoder_temperature"]),
        ({"decoder_config": {"decoder_temperature": 1.0, "decoder_top_p": 1.0, "decoder_top_k": 0}}, Backend(), []),
        (
            {"decoder_config": {"decoding_mode": "top_k", **ALL}},
            Backend(),
            ["decoder_config.decoder_top_p"],
        ),
        ({"batching_options": {"adaptive_max_tokens": 99}}, Backend(), ["batching_options.adaptive_max_tokens"]),
        (
            {"batching_options": {"adaptive_batching": True, "batch_size___fixed_batching": 4}},
            Backend(),
            ["batching_options.batch_size___fixed_batching"],
        ),
        (
            {"latency_simulation": {"burst_size": 4, "delay_max": 1}, "query_rate": 2.0},
            Backend(),
            ["latency_simulation.delay_max", "latency_simulation.burst_size", "query_rate"],
        ),
        (
            {"latency_simulation": {"simulate": True, "delay_max": 1, "burst_size": 3}, "query_rate": 2.0},
            Backend(),
            ["latency_simulation.burst_size", "query_rate"],
        ),
        (
            {"latency_simulation": {**BURSTS, "delay_max": 1}},
            Backend(),
            ["latency_simulation.delay_max"],
        ),
        (OFFLOAD, Backend(), ["sharding_config.fsdp_config.cpu_offload"]),
        (FSDP, Backend(world_size=1), ["sharding_config.sharding_strategy"]),
        (FSDP, Backend(world_size=2), []),
        (ORIGINAL, Backend(world_size=2), ["sharding_config.fsdp_config.use_orig_params"]),
        ({"quantization_config": {"load_in_4bit": True}}, Backend(), ["quantization_config.load_in_4bit"]),
        ({"decode_token_to_text": True}, Backend(), ["decode_token_to_text"]),
        (
            {"measurement": {"latency_pass": False}, "latency_bounds": {"ttft_s": 1, "e2e_s": 2}},
            Backend(),
            ["latency_bounds.ttft_s", "latency_bounds.e2e_s"],
        ),
        ({"prompts": {"source": "mine.jsonl", "split": "test"}}, Backend(), ["prompts.split"]),
        ({"prompts": {"source": "default", "field": "text"}}, Backend(), ["prompts.field"]),
        ({"model_config": {"use_cache": False}}, Backend(), []),
        (batches_of(64), Backend(), ["batching_options.batch_size___fixed_batching"]),
        (batches_of(32), Backend(), []),
        (batches_of(17), Backend(world_size=2), ["batching_options.batch_size___fixed_batching"]),
        (batches_of("auto"), Backend(world_size=2), []),
        ({}, Backend(), []),
    ],
)
def test_what_has_no_effect_is_named_with_the_reason(config: dict[str, Any], backend: Backend, idle: list[str]) -> None:
    """Only keys that ask for something, and that nothing reads, are named; with `strict` they are an error."""
    sentences = settings_of(**config).ineffective(backend)
    assert [sentence.partition(" has no effect")[0] for sentence in sentences] == idle
    strict = settings_of(**config, strict=True)
    if not idle:
        assert strict.ineffective(backend) == []
        return
    with pytest.raises(SettingsError, match=f"{idle[0]} has no effect"):
        strict.ineffective(backend)

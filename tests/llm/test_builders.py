from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from config_builders import llm_inference as builders
from configmill import Config, ConfigList, UsageError
from configmill.plan.resources import from_mapping
from experiments.llm_inference.keys import KEYS
from experiments.llm_inference.settings import Backend, Settings

LISTS = {
    "controlled": lambda: builders.build_controlled(),
    "suite": lambda: builders.build_suite(models=["a/x", "b/y"], cycles=2),
    "scenarios": lambda: builders.build_scenarios(),
    "grid": lambda: builders.build_grid({"model_config.use_cache": [True, False]}, batch_size=[1, "auto"]),
    "demo": lambda: builders.build_demo(),
}


def key(config: Any) -> str:
    """What tells a suite's runs apart, as the customer's loop does."""
    return "::".join(str(config[name]) for name in ("model_name", "suite", "config_name", "cycle_id"))


def test_the_base_config_has_every_key_and_its_defaults() -> None:
    """Nothing that a config may say is missing, and what the base config says is what holds without it."""
    assert set(Config(builders.base_config).flatten()) == set(KEYS)
    bare = dict(Settings.from_config({"model_name": builders.SMALL_MODEL}).values)
    assert Settings.from_config(builders.base_config).values == {**bare, "config_name": "base"}


@pytest.mark.parametrize("name", LISTS)
def test_every_config_of_every_list_can_be_run(name: str) -> None:
    """Its keys and values make sense, none is without effect on a GPU, and the manager takes its resources."""
    configs = LISTS[name]()
    assert isinstance(configs, ConfigList) and len({config.digest() for config in configs}) == len(configs)
    for index, config in enumerate(configs):
        settings = Settings.from_config(config)
        assert settings.ineffective(Backend(device="cuda", world_size=settings.num_processes)) == []
        request = from_mapping(config["resources"].to_dict(), index, config)
        assert request.exclusive_host and request.timeout and request.on_oom
        assert (request.launcher == "accelerate") == (settings.num_processes > 1)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_the_same_each_time(name: str) -> None:
    """It is built again in each experiment's process, which must find the config that was recorded."""
    assert [config.digest() for config in LISTS[name]()] == [config.digest() for config in LISTS[name]()]


def test_builders_import_no_framework() -> None:
    """The manager builds the list in its own process: torch stays out of it."""
    code = "import config_builders.llm_inference, sys; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_controlled_configs_vary_one_thing_each() -> None:
    """Each differs from the base config in keys of one section, or in arrivals alone; all five kinds are there."""
    base, *varied = [Config(config).flatten() for config in builders.get_controlled_configs()]
    kinds = Counter()
    for config in varied:
        changed = {name for name in config if config[name] != base[name]} - {"config_name"}
        sections = {name.partition(".")[0].replace("query_rate", "latency_simulation") for name in changed}
        assert len(sections) == 1
        kinds[sections.pop()] += 1
    assert kinds == {
        "batching_options": 5, "fp_precision": 2, "decoder_config": 3, "num_processes": 1, "latency_simulation": 3
    }  # fmt: skip


def test_the_customers_configs_can_be_changed_without_changing_ours() -> None:
    """What a caller sets in a config that it got is gone in the next one."""
    builders.get_controlled_configs()[0]["batching_options"]["batch_size___fixed_batching"] = 99
    assert builders.get_controlled_configs()[0]["batching_options"]["batch_size___fixed_batching"] == 8
    assert builders.base_config["batching_options"]["batch_size___fixed_batching"] == 8


def test_a_suite_is_models_by_controlled_by_cycles_each_with_its_own_key() -> None:
    """Every model's every controlled config once a cycle, cycles one after another."""
    configs = list(builders.build_suite(models=["a/x", "b/y"], cycles=3))
    each = len(builders.get_controlled_configs())
    assert len({key(config) for config in configs}) == len(configs) == 2 * each * 3
    assert [config.cycle_id for config in configs] == [cycle for cycle in (1, 2, 3) for _ in range(2 * each)]
    assert "a/x::controlled::base::1" in {key(config) for config in configs}


def test_cycles_are_in_seeded_orders_of_their_own() -> None:
    """No two cycles, and no two seeds, run in the same order; models alternate rather than follow one another."""

    def names(configs: Any) -> list[tuple[str, str]]:
        return [(config.model_name, config.config_name) for config in configs]

    configs = builders.build_suite(models=["a/x", "b/y"], cycles=2)
    half = len(configs) // 2
    first, second = names(configs[:half]), names(configs[half:])
    assert first != second and sorted(first) == sorted(second)
    assert names(builders.build_suite(models=["a/x", "b/y"], cycles=2, seed=1)) != first + second
    assert {model for model, _ in first[: half // 2]} == {"a/x", "b/y"}


def test_resources_are_derived_and_what_is_given_holds() -> None:
    """Several processes are launched, devices bounded, `auto` begins with all prompts, a config's word counts."""
    config = {"model_name": "m", "num_processes": 2, "gpu_list": [0, 1], "resources": {"timeout": 5}}
    resources = builders.with_resources(config)["resources"]
    assert resources == {
        "exclusive_host": True, "timeout": 5, "launcher": "accelerate", "gpu_list": [0, 1],
        "on_oom": {"batching_options": {"batch_size___fixed_batching": "halve"}},
    }  # fmt: skip
    auto = builders.with_resources({"model_name": "m", "batching_options": {"batch_size___fixed_batching": "auto"}})
    assert auto["batching_options"]["batch_size___fixed_batching"] == 32 and "launcher" not in auto["resources"]
    many = builders.with_resources({"num_input_prompts": 300, "batching_options": auto["batching_options"] | {
        "batch_size___fixed_batching": "auto"
    }})  # fmt: skip
    assert many["batching_options"]["batch_size___fixed_batching"] == 64
    adaptive = builders.with_resources({"model_name": "m", "batching_options": {"adaptive_batching": True}})
    defaults = Settings.from_config({"model_name": "m"}).batching
    assert adaptive["batching_options"] == {
        "adaptive_batching": True, "adaptive_max_tokens": defaults.max_tokens,
        "max_batch_size___adaptive_batching": defaults.max_batch_size,
    }  # fmt: skip
    assert builders.with_resources(auto) == auto


def test_a_grid_takes_short_names_and_is_their_product() -> None:
    """An axis is a key's last part or all of it; names say where on the axes a config is."""
    configs = builders.build_grid({"model_config.use_cache": [True, False]}, batch_size=[1, 8], num_processes=[1, 2])
    assert len(configs) == 8
    last = configs[7]
    assert last.config_name == "use_cache_False-batch_size_8-num_processes_2"
    assert (last["batching_options.batch_size___fixed_batching"], last.num_processes) == (8, 2)
    assert last["model_config.use_cache"] is False and last["resources.launcher"] == "accelerate"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: builders.build_grid(batch_sizes=[1]), "'batch_sizes'.*Did you mean \"batching_options.batch_size___"),
        (lambda: builders.build_grid(batch_size=[8, 0]), "batch_size___fixed_batching is 0, which can't be used"),
        (lambda: builders.build_grid(decoding_mode=["greedy", "top_k"]), "decoder_top_k is None. Give it a number"),
        (lambda: builders.build_grid(batch_size=8), "not a list"),
        (lambda: builders.build_suite(models="gpt2"), r"models is 'gpt2'.*\['gpt2'\]"),
        (lambda: builders.build_suite(cycles=0), "cycles is 0"),
    ],
)
def test_what_makes_no_list_is_a_usage_error(build: Any, message: str) -> None:
    """An axis that isn't there names the nearest; a text for a list, and no cycle, are refused."""
    with pytest.raises(UsageError, match=message):
        build()


def test_the_demo_is_small_and_shows_all_there_is() -> None:
    """At least eight configs of the small model: batches of several sizes, precision, decoder, two ranks, arrivals."""
    configs = [Settings.from_config(config) for config in builders.build_demo()]
    assert len(configs) >= 8 and {settings.model.name for settings in configs} == {builders.SMALL_MODEL}
    assert {settings.batching.batch_size for settings in configs} >= {1, 2, 4, 8, 16}
    assert {settings.num_processes for settings in configs} == {1, 2}
    assert {settings.arrivals.process for settings in configs} == {"offline", "poisson"}
    assert all(settings.num_input_prompts * settings.max_output_tokens <= 256 for settings in configs)

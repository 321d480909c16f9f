"""How efficiently a language model generates text: throughput, latency, FLOPs, memory and energy.

    run_experiment.py --experiment_builder experiments.llm_inference.run_experiment \
        --config_builder "config_builders.llm_inference.build_demo()" --dst_dir out/llm

    from experiments.llm_inference import ExperimentRunner
    with ExperimentRunner(config) as runner:
        runner.run_setup().run_torch().aggregate_results()

Names are imported when they are first used: builders, notebooks and the manager need a part of them, and torch and
transformers take seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from configmill.protocol import attempt
from experiments.llm_inference.experiment import estimate_gpu_requirements, run_experiment

if TYPE_CHECKING:
    from experiments.llm_inference.distributed import generate_unique_id, setup_distributed
    from experiments.llm_inference.energy import start_energy_tracking, stop_energy_tracking
    from experiments.llm_inference.files import load_results
    from experiments.llm_inference.generation import run_gen_inference, tokenise_prompts
    from experiments.llm_inference.launching import launch_experiment_via_accelerate
    from experiments.llm_inference.loading import UnsupportedError, load_model_tokenizer
    from experiments.llm_inference.progress import (
        get_next_experiment_id,
        load_progress,
        log_failed_experiment,
        save_progress,
    )
    from experiments.llm_inference.prompts import filter_prompts_by_length
    from experiments.llm_inference.retry import batch_launch_experiments, run_single_config_with_retry
    from experiments.llm_inference.runner import ExperimentRunner
    from experiments.llm_inference.settings import Settings, SettingsError
    from experiments.llm_inference.sources import ModelUnavailableError

__all__ = [
    "ExperimentRunner",
    "ModelUnavailableError",
    "Settings",
    "SettingsError",
    "UnsupportedError",
    "batch_launch_experiments",
    "estimate_gpu_requirements",
    "filter_prompts_by_length",
    "generate_unique_id",
    "get_next_experiment_id",
    "launch_experiment_via_accelerate",
    "load_model_tokenizer",
    "load_progress",
    "load_results",
    "log_failed_experiment",
    "run_experiment",
    "run_gen_inference",
    "run_single_config_with_retry",
    "save_progress",
    "setup_distributed",
    "start_energy_tracking",
    "stop_energy_tracking",
    "tokenise_prompts",
]

#: The module of each name that isn't imported above.
_HOMES = {
    "ExperimentRunner": "runner",
    "ModelUnavailableError": "sources",
    "Settings": "settings",
    "SettingsError": "settings",
    "UnsupportedError": "loading",
    "batch_launch_experiments": "retry",
    "filter_prompts_by_length": "prompts",
    "generate_unique_id": "distributed",
    "get_next_experiment_id": "progress",
    "launch_experiment_via_accelerate": "launching",
    "load_model_tokenizer": "loading",
    "load_progress": "progress",
    "load_results": "files",
    "log_failed_experiment": "progress",
    "run_gen_inference": "generation",
    "run_single_config_with_retry": "retry",
    "save_progress": "progress",
    "setup_distributed": "distributed",
    "start_energy_tracking": "energy",
    "stop_energy_tracking": "energy",
    "tokenise_prompts": "generation",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


if attempt.is_fork_server:  # it imports once for all experiments what each of them would have to import
    import experiments.llm_inference.runner  # noqa: F401

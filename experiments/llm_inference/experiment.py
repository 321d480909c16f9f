"""What the manager calls: the experiment of one config, and what it needs.

    run_experiment.py --experiment_builder experiments.llm_inference.run_experiment \
        --config_builder "config_builders.llm_inference.build_demo()" --dst_dir out/llm

Importing this module imports neither torch nor transformers: the process that manages experiments imports it too.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def run_experiment(config: Mapping[str, Any]) -> dict[str, Any]:
    """Run the experiment of a config, in each of its ranks, and return the figures that stand in tables.

    Its files are in `raw_results/` of the experiment's directory then. Raises SettingsError, ModelUnavailableError and
    UnsupportedError, which say what to change, and whatever goes wrong in torch.
    """
    from experiments.llm_inference.runner import ExperimentRunner

    with ExperimentRunner(config) as runner:
        runner.run_setup().run_torch()
        runner.save_configuration_run_results_json()
        runner.save_configuration_run_results_tabular()
        return runner.metrics()


def estimate_gpu_requirements(config: Mapping[str, Any], devices: Sequence[Mapping[str, Any]] = ()) -> Any:
    """Return how many of the devices that there are an experiment needs, how much memory of each, and its launcher.

    The model is fetched here, where it isn't on this host yet: before a device is leased. Without devices none is
    asked for, and the experiment runs on the CPU. Several processes are ranks, which accelerate starts.
    """
    number = config.get("num_processes")
    launcher = {"launcher": "accelerate"} if isinstance(number, int) and number > 1 else {}
    if not devices:
        return launcher or None
    from experiments.llm_inference.requirements import requirements_of

    return {**(requirements_of(config, devices) or {}), **launcher} or None

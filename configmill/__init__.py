"""Configmill: run a list of experiments from configs, each once, isolated, in parallel, resumable.

The public names; each is imported when it is first used, so that `import configmill` costs nothing.

    summary = configmill.run("config_builders.mine.build()", "experiments.mine.run", "out/mine", num_threads=2)
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

    from configmill.api import run
    from configmill.child.context import add_to_table, load_checkpoint, log_metrics, save_checkpoint
    from configmill.child.rebuild import get_config_from_env
    from configmill.config import Config, ConfigList, grid, replicas, zip_
    from configmill.errors import ConfigDriftError, ConfigmillError, ConfigRefusedError, Terminated, UsageError
    from configmill.gpus.detector import GPUDetector
    from configmill.gpus.pool import GPUResourcePool
    from configmill.measure.energy.meter import EnergyMeter
    from configmill.protocol.summary import Summary
    from configmill.store.results import load_configs, load_results

__all__ = [
    "Config",
    "ConfigDriftError",
    "ConfigList",
    "ConfigRefusedError",
    "ConfigmillError",
    "EnergyMeter",
    "GPUDetector",
    "GPUResourcePool",
    "Summary",
    "Terminated",
    "UsageError",
    "add_to_table",
    "get_config_from_env",
    "grid",
    "load_checkpoint",
    "load_configs",
    "load_results",
    "log_metrics",
    "replicas",
    "run",
    "save_checkpoint",
    "zip_",
]

#: Where each public name lives.
_HOMES = {
    "Config": "configmill.config",
    "ConfigList": "configmill.config",
    "grid": "configmill.config",
    "replicas": "configmill.config",
    "zip_": "configmill.config",
    "ConfigDriftError": "configmill.errors",
    "ConfigRefusedError": "configmill.errors",
    "ConfigmillError": "configmill.errors",
    "Terminated": "configmill.errors",
    "UsageError": "configmill.errors",
    "GPUDetector": "configmill.gpus.detector",
    "GPUResourcePool": "configmill.gpus.pool",
    "EnergyMeter": "configmill.measure.energy.meter",
    "Summary": "configmill.protocol.summary",
    "get_config_from_env": "configmill.child.rebuild",
    "add_to_table": "configmill.child.context",
    "log_metrics": "configmill.child.context",
    "save_checkpoint": "configmill.child.context",
    "load_checkpoint": "configmill.child.context",
    "load_configs": "configmill.store.results",
    "load_results": "configmill.store.results",
    "run": "configmill.api",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'configmill' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

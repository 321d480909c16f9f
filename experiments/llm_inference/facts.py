"""What an experiment ran on and with: machine, versions, model, and what came of what the config asked for.

experiment_setup(...)["device_name"], model_architecture(model)["num_parameters"]
"""

import importlib.metadata
import os
import platform
from collections import Counter
from typing import Any

import psutil
import torch

from experiments.llm_inference import sharding
from experiments.llm_inference.generation import Generator
from experiments.llm_inference.settings import Settings

#: Packages whose version a result may depend on; None where one isn't installed.
_PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "bitsandbytes", "codecarbon", "configmill", "numpy")


def machine(device: torch.device) -> dict[str, Any]:
    """Return this rank's host and device."""
    return {
        "host": platform.node(),
        "device": str(device),
        "device_name": device_name(device),
        "cpu_name": cpu_name(),
        "num_cores": len(os.sched_getaffinity(0)),
        "num_threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "device_memory_bytes": torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None,
        "operating_system": platform.platform(),
    }


def device_name(device: torch.device) -> str:
    """Return the name of a GPU as CUDA has it, of a CPU as the kernel has it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def cpu_name() -> str:
    """Return the model of the first CPU (/proc/cpuinfo), or the machine's architecture where that isn't told."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            return next(names, platform.machine())
    except OSError:
        return platform.machine()


def versions() -> dict[str, str | None]:
    """Return Python's version and those of the packages that matter."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return {**found, "cuda": torch.version.cuda}


def model_architecture(model: Any) -> dict[str, Any]:
    """Return what a model is made of, and where it is on this rank."""
    config = model.config
    parameters = [parameter for _, parameter in sharding.own_parameters(model)]
    dtypes = Counter(str(parameter.dtype).removeprefix("torch.") for parameter in parameters)
    return {
        "class": type(model).__name__.removeprefix("FSDP"),
        "model_type": config.model_type,
        "is_encoder_decoder": bool(config.is_encoder_decoder),
        "num_parameters": sum(parameter.numel() for parameter in parameters),
        "parameter_bytes": sum(parameter.numel() * parameter.element_size() for parameter in parameters),
        "parameters_by_dtype": dict(dtypes),
        "num_layers": getattr(config, "num_hidden_layers", None),
        "hidden_size": getattr(config, "hidden_size", None),
        "num_attention_heads": getattr(config, "num_attention_heads", None),
        "vocab_size": getattr(config, "vocab_size", None),
        "attention": getattr(config, "_attn_implementation", None),
        "placement": sharding.placement(model),
        "config": config.to_dict(),
        "modules": str(model),
    }


def effective(model: Any, generator: Generator, settings: Settings, world_size: int) -> dict[str, Any]:
    """Return what holds, beside what was asked for: as the model and the machine have it."""
    quantization = getattr(model.config, "quantization_config", None)
    return {
        "precision": str(model.dtype).removeprefix("torch."),
        "quantization": None if quantization is None else str(getattr(quantization, "quant_method", quantization)),
        "device": str(generator.device),
        "placement": sharding.placement(model)["parameters"],
        "world_size": world_size,
        "num_threads": torch.get_num_threads(),
        "arrivals": settings.arrivals.process,
        "generate": generator.arguments,
        "attention": getattr(model.config, "_attn_implementation", None),
    }

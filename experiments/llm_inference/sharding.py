"""A model over several devices: parameters shared among ranks (fsdp), or layers over devices, memory and disk.

    shard(model, settings.sharding, torch.device("cpu"))       # every rank keeps its part of each layer
    placement(model)["parameters"]                             # {"cuda:0": 134515008}: where they are

fsdp is torch's `fully_shard` (FSDP2), which also works among CPU ranks. Every rank has to call the model equally often.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil
import torch
import torch.distributed as dist

from experiments.llm_inference.settings import ShardingSettings

#: The part of what is free that weights may take; the rest is for activations and the KV cache.
_SHARE_FOR_WEIGHTS = 0.8


def shard(model: Any, sharding: ShardingSettings, device: torch.device) -> None:
    """Give each rank its part of every parameter of `model`, which all ranks have loaded on the CPU."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

    if not dist.is_initialized():  # a single rank: its share is the whole, with `cpu_offload` kept off the device
        dist.init_process_group(store=dist.HashStore(), rank=0, world_size=1, backend=_backend(device))
    mesh = init_device_mesh(device.type, _mesh_shape(sharding))
    offload = CPUOffloadPolicy(pin_memory=device.type == "cuda") if sharding.cpu_offload else OffloadPolicy()
    arguments: dict[str, Any] = {
        "mesh": mesh,
        "reshard_after_forward": sharding.fsdp_strategy != "shard_grad_op",
        "offload_policy": offload,
    }
    for layer in layers_of(model):
        fully_shard(layer, **arguments)
    fully_shard(model, **arguments)
    if not sharding.cpu_offload:
        model.to(device)


def _backend(device: torch.device) -> str:
    return "nccl" if device.type == "cuda" else "gloo"


def _mesh_shape(sharding: ShardingSettings) -> tuple[int, ...]:
    """One dimension to shard over; hybrid_shard has copies of the shards on each host before it."""
    world_size = dist.get_world_size()
    if sharding.fsdp_strategy != "hybrid_shard":
        return (world_size,)
    per_host = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
    return (world_size // per_host, per_host)


def layers_of(model: Any) -> list[torch.nn.Module]:
    """Return the blocks that a transformer repeats: the elements of its lists of modules that are of one class."""
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList) and len(module)]
    blocks = [block for layers in lists for block in layers if len({type(layer) for layer in layers}) == 1]
    inside = {id(part) for block in blocks for part in block.modules() if part is not block}
    return [block for block in blocks if id(block) not in inside]


def load_over_devices(kind: Any, path: str, device: torch.device, arguments: dict[str, Any]) -> Any:
    """Load a model with its layers on the devices that they fit on, then in memory, then on disk.

    What is on disk is in a temporary folder, which goes with the model.
    """
    folder = tempfile.TemporaryDirectory(prefix="offload-")
    budget = memory_budget(device)
    model = kind.from_pretrained(path, device_map="auto", max_memory=budget, offload_folder=folder.name, **arguments)
    model.offload_folder = folder
    return model


def memory_budget(device: torch.device) -> dict[int | str, int]:
    """Return the bytes that weights may take on each device that this process may use, and in memory ("cpu")."""
    budget: dict[int | str, int] = {"cpu": int(psutil.virtual_memory().available * _SHARE_FOR_WEIGHTS)}
    if device.type == "cuda":
        for index in range(torch.cuda.device_count()):
            budget[index] = int(torch.cuda.mem_get_info(index)[0] * _SHARE_FOR_WEIGHTS)
    return budget


def own_parameters(model: Any) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Yield the names and parameters of a model, tied ones once: what is on disk has lost the tie."""
    tied = set(model._tied_weights_keys or ()) if model.config.tie_word_embeddings else set()
    return ((name, parameter) for name, parameter in model.named_parameters() if name not in tied)


def placement(model: Any) -> dict[str, Any]:
    """Return where a model's parameters are, as it turned out: how many there are on each device, by its name.

    `modules` says which module is where, for a model that was laid over devices.
    """
    modules = getattr(model, "hf_device_map", None)
    if modules is not None:
        return {"parameters": _by_map(model, modules), "modules": {name: str(place) for name, place in modules.items()}}
    counted: Counter[str] = Counter()
    for _, parameter in own_parameters(model):
        local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
        counted[str(local.device)] += local.numel()
    return {"parameters": dict(counted), "modules": None}


def _by_map(model: Any, modules: dict[str, Any]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for name, parameter in own_parameters(model):
        module = max((known for known in modules if known == "" or f"{name}.".startswith(f"{known}.")), key=len)
        counted[str(modules[module])] += parameter.numel()
    return dict(counted)

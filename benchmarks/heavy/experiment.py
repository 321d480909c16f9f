"""The experiment with heavy imports, which does nothing with them."""

from collections.abc import Mapping
from pathlib import Path

import pandas
import torch
from transformers import AutoConfig

USED = (pandas, torch, AutoConfig)


def run(config: Mapping[str, int]) -> dict[str, int]:
    """Return the config's value, and where it asks for it the memory that only this process has, in bytes."""
    result = {"value": config["index"]}
    return result | {"uss": unique_set_size()} if config["measure_memory"] else result


def unique_set_size() -> int:
    """Return the bytes that would be freed if this process alone ended."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024

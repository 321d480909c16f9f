"""Configs: nested values with a stable digest, lists of them, and the strings that build them.

It knows nothing of running experiments.

    from configmill.config import Config, grid
    configs = grid(Config({"model": {"lr": 0.1}}), {"model.lr": [0.1, 0.01], "seed": range(3)})
"""

from __future__ import annotations

from configmill.config.config import Config
from configmill.config.meta import ConfigMeta
from configmill.config.sweeps import ConfigList, grid, replicas, zip_

__all__ = ["Config", "ConfigList", "ConfigMeta", "grid", "replicas", "zip_"]

"""The configs that a request means, with their identities, checked; nothing is created.

plan = make_plan(request)
plan.config(3), plan.digests[3], plan.selected
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configmill.child.rebuild import put_first_on_path
from configmill.config import Config, ConfigList
from configmill.config.builder import build, entry
from configmill.config.identity import find_duplicates, identity_digest
from configmill.config.overrides import apply_overrides
from configmill.errors import UnstableDigestError, UsageError
from configmill.plan.selection import select
from configmill.protocol.layout import CampaignDir
from configmill.protocol.request import RunRequest
from configmill.store.campaign import check_usable

#: What of a config's `resources` mapping is acted on; the rest is said to be ignored.
ACTED_ON_RESOURCES = ("timeout", "priority")
KNOWN_RESOURCES = (
    *ACTED_ON_RESOURCES,
    "expected_seconds", "gpu_memory_gb", "memory_gb", "num_cpus", "exclusive_host", "launcher", "on_oom", "num_gpus",
)  # fmt: skip


@dataclass(frozen=True)
class Resources:
    """What a config asks for itself: `timeout` in seconds (None: the command's), `priority` (higher goes first)."""

    timeout: float | None
    priority: float


@dataclass(frozen=True)
class Plan:
    """Every config of the list in order; `selected` are the indices to work on."""

    configs: ConfigList
    digests: Sequence[str]
    resources: Sequence[Resources]
    selected: Sequence[int]
    overrides: Mapping[str, object]
    warnings: Sequence[str]

    def config(self, index: int) -> Config:
        """The config at `index` with the overrides applied, to be read or changed freely."""
        config = self.configs[index]
        apply_overrides(config, self.overrides, index=index)
        return config


def make_plan(request: RunRequest, configs: ConfigList | None = None) -> Plan:
    """Build the list (or take `configs`, given as objects) and check everything that can be known before a start.

    Raises UsageError.
    """
    directory = CampaignDir(request.dst_dir)
    check_usable(directory, request.target, clean=request.clean_dst_dir)
    put_first_on_path(request.project_dir)
    if configs is None:
        configs = build(request.config_builder)
    digests, resources, ignored = [], [], set()
    for index in range(len(configs)):
        config = entry(configs, index, request.config_builder)
        apply_overrides(config, request.overrides, index=index)
        digests.append(_digest(request.target, config, index))
        asked, unknown = _resources(config, index)
        resources.append(asked)
        ignored |= unknown
    duplicates = find_duplicates(digests)
    if duplicates is not None:
        raise _duplicate(request, *duplicates)
    warnings = [
        f"resources.{key} is not acted on by this version: experiments run without regard to it"
        for key in sorted(ignored)
    ]
    selected = select(request.selection, len(configs))
    return Plan(configs, digests, resources, selected, request.overrides, warnings)


def _digest(target: str, config: Config, index: int) -> str:
    try:
        return identity_digest(target, config)
    except UnstableDigestError as error:
        raise UnstableDigestError(f"Config {index}: {error}") from error


def _duplicate(request: RunRequest, first: int, second: int) -> UsageError:
    after = " after --set" if request.overrides else ""
    return UsageError(
        f"The configs at {first} and {second} of {request.config_builder!r} are the same{after}. "
        "Every config runs once: remove one, or give each a key that differs (a seed, for replicas)."
    )


def _resources(config: Config, index: int) -> tuple[Resources, set[str]]:
    """What the config's `resources` ask for, and which of its keys this version doesn't act on."""
    asked: Any = config.get("resources")
    if asked is None:
        return Resources(None, 0.0), set()
    if not isinstance(asked, Mapping):
        raise UsageError(
            f"Config {index}: resources is {asked!r}, which is no mapping. Write resources={{'timeout': 60}}, for one."
        )
    unknown = [key for key in asked if key not in KNOWN_RESOURCES]
    if unknown:
        raise UsageError(
            f"Config {index}: there is no resource {unknown[0]!r}. Use one of {', '.join(sorted(KNOWN_RESOURCES))}."
        )
    timeout = asked.get("timeout")
    if timeout is not None:
        timeout = _number(timeout, f"Config {index}: resources.timeout")
        if timeout <= 0:
            raise UsageError(f"Config {index}: resources.timeout is {timeout!r}. Give a number of seconds above 0.")
    priority = _number(asked.get("priority", 0), f"Config {index}: resources.priority")
    return Resources(timeout, priority), {key for key in asked if key not in ACTED_ON_RESOURCES}


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{what} is {value!r}, which is no number. Give a number.")
    return float(value)

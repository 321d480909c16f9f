"""Lists of configs from axes: grids, zipped axes, replicas. All are lazy: entry i costs the same at any length.

It doesn't search (an optimiser's suggestions) or sample.

    configs = grid({"model": {"lr": 0.1}}, {"model.lr": [0.1, 0.01], "seed": range(3)})
    len(configs) == 6 and configs[1] == {"model": {"lr": 0.1}, "seed": 1}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from configmill.config.coerce import is_mapping_like
from configmill.config.config import Config
from configmill.config.config_list import ConfigList
from configmill.config.unstable import type_name
from configmill.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ConfigList", "grid", "replicas", "zip_"]


def grid(base: Any, axes: Mapping[str, Iterable[Any]]) -> ConfigList:
    """Return the product of `base` (one config or a list of them) with all axes, the last axis fastest.

    `axes` maps dotted keys, which `base` may lack, to their values. Raises UsageError for an axis without values, or
    whose values are a string, a mapping or a set.
    """
    bases = _bases(base)
    values_of = _axes(axes, "grid")
    per_base = 1
    for values in values_of.values():
        per_base *= len(values)
    slowest_last = [(key, values, len(values)) for key, values in reversed(values_of.items())]
    in_order = list(values_of)

    def make(index: int) -> Config:
        base_index, rest = divmod(index, per_base)
        chosen = {}
        for key, values, count in slowest_last:
            rest, position = divmod(rest, count)
            chosen[key] = values[position]
        config = bases[base_index]
        for key in in_order:
            config[key] = chosen[key]
        return config

    return _tried(ConfigList.lazy(len(bases) * per_base, make))


def zip_(base: Any, axes: Mapping[str, Iterable[Any]]) -> ConfigList:
    """Return `base` (one config or a list of them) with the first values of all axes, with the second ones, and so on.

    Raises UsageError for axes of different lengths, and as `grid` does.
    """
    bases = _bases(base)
    values_of = _axes(axes, "zip_")
    lengths = {key: len(values) for key, values in values_of.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f'"{key}" has {length}' for key, length in lengths.items())
        raise UsageError(
            f"The axes of zip_ differ in length: {shown}. Give each the same number of values, or use grid."
        )
    per_base = next(iter(lengths.values()), 1)

    def make(index: int) -> Config:
        base_index, position = divmod(index, per_base)
        config = bases[base_index]
        for key, values in values_of.items():
            config[key] = values[position]
        return config

    return _tried(ConfigList.lazy(len(bases) * per_base, make))


def replicas(base: Any, n_or_seeds: int | Iterable[Any], key: str = "seed") -> ConfigList:
    """Return every config of `base` once for each seed, side by side: seeds 0 to n - 1, or those given.

    Raises UsageError for a number below one, and as `grid` does.
    """
    if isinstance(n_or_seeds, int) and (isinstance(n_or_seeds, bool) or n_or_seeds < 1):
        raise UsageError(f"{n_or_seeds!r} replicas can't be made. Give a number from 1, or the seeds.")
    return grid(base, {key: range(n_or_seeds) if isinstance(n_or_seeds, int) else n_or_seeds})


def _bases(base: Any) -> ConfigList:
    return ConfigList([base]) if is_mapping_like(base) else ConfigList(base)


def _axes(axes: Any, function: str) -> dict[str, Any]:
    if not isinstance(axes, Mapping):
        raise UsageError(
            f"The axes of {function} are {axes!r:.200} (a {type_name(axes)}), not a mapping. "
            'Give each key its values: {"model.lr": [0.1, 0.01]}.'
        )
    return {key: _axis(key, values) for key, values in axes.items()}


def _axis(key: Any, values: Any) -> Any:
    if not isinstance(key, str):
        raise UsageError(f"The axis {key!r:.100} (a {type_name(key)}) isn't named by a string. Use a dotted key.")
    if isinstance(values, (str, bytes, Mapping, set, frozenset)) or not hasattr(type(values), "__iter__"):
        raise UsageError(
            f'The values of the axis "{key}" are {values!r:.100} (a {type_name(values)}), not a list. '
            "Give a list of values, in order; of one: [value]."
        )
    listed = values if isinstance(values, range) else list(values)
    if not len(listed):
        raise UsageError(f'The axis "{key}" has no values. Give at least one, or leave the axis out.')
    return listed


def _tried(configs: ConfigList) -> ConfigList:
    """Make the first config, so that an axis that can't be set is an error here and not in the middle of a list."""
    if len(configs):
        configs[0]
    return configs

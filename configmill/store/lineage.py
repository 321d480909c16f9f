"""Which configs were tried in a config's place when a device's memory ran out: `attempts/lineage.json`.

    write_lineage(directory, Lineage(tried=(Rung("3f2a…", {"batch_size": 64}), Rung("9b1c…", {"batch_size": 32}))))
    read_lineage(directory).tried[-1].digest

The original's file names the derived configs, and is written before the first attempt at any of them: whatever is
killed afterwards, a success is found again. A derived config's file names its original.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configmill.files import read_json_of_experiment, remove_if_there, write_json
from configmill.protocol.layout import ExperimentDir


@dataclass(frozen=True)
class Rung:
    """A config on the way down: its identity, and the values that tell it from the original."""

    digest: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Lineage:
    """`tried`: the original itself, then what was tried in its place, in that order; empty where nothing was."""

    #: The original for which this config was last tried; None where that was for its own sake.
    derived_from: str | None = None
    tried: tuple[Rung, ...] = ()
    succeeded_as: str | None = None


def read_lineage(directory: ExperimentDir) -> Lineage:
    """The lineage in an experiment's directory, an empty one where there is none."""
    match read_json_of_experiment(directory.lineage):
        case {"derived_from": str() | None as origin, "tried": list(tried), "succeeded_as": str() | None as success}:
            rungs = tuple(Rung(str(one.get("digest")), one.get("values") or {}) for one in tried)
            return Lineage(origin, rungs, success)
    return Lineage()


def write_lineage(directory: ExperimentDir, lineage: Lineage) -> None:
    """Keep it, in one step; an empty one has no file."""
    if lineage == Lineage():
        remove_if_there(directory.lineage)
        return
    tried = [{"digest": rung.digest, "values": _plain(rung.values)} for rung in lineage.tried]
    written = {"derived_from": lineage.derived_from, "tried": tried, "succeeded_as": lineage.succeeded_as}
    write_json(directory.lineage, written)


def in_words(rungs: Sequence[Rung]) -> str:
    """What was tried: `batch_size=64, 32 and 16`, or of several keys `(batch_size=64, length=512) and (...)`."""
    keys = list(rungs[0].values)
    if len(keys) == 1:
        return f"{keys[0]}={_listed(_number(rung.values.get(keys[0])) for rung in rungs)}"
    each = [", ".join(f"{key}={_number(value)}" for key, value in rung.values.items()) for rung in rungs]
    return each[0] if len(each) == 1 else _listed(f"({one})" for one in each)


def with_tried(error: str | None, tried: Sequence[Rung]) -> str:
    """The error of the last one that was tried, with all of them."""
    return f"{error} (tried {in_words(tried)})"


def _listed(texts: Iterable[str]) -> str:
    *before, last = texts
    return f"{', '.join(before)} and {last}" if before else last


def _plain(values: Mapping[str, Any]) -> dict[str, float]:
    """Numbers as JSON has them, numpy's included: what ran is in the derived config's own config.json."""
    return {key: int(value) if value == int(value) else float(value) for key, value in values.items()}


def _number(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)

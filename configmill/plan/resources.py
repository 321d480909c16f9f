"""What a config's `resources`, an estimator and the command line ask for, read and checked.

    from_mapping({"num_gpus": 2, "gpu_memory_gb": 24}, index=3)
        ->  ResourceRequest(num_gpus=GpuCount(2, 2), gpu_memory_bytes=24000000000, ...)

What a config gives wins over what an estimator returns, key by key; of the command there is only `--num_gpus`, which
comes between them. Whether a request can be met is `plan.meetable`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from configmill.config import Config
from configmill.config.nearest import nearest_name, nearest_sentence
from configmill.errors import UsageError
from configmill.protocol.resources import (
    ACCELERATE,
    COMMAND,
    CONFIG,
    ESTIMATOR,
    GIGABYTE,
    HOOK,
    LAUNCHERS,
    NOTHING_ASKED,
    NUM_PROCESSES,
    GpuCount,
    Remedy,
    ResourceRequest,
    checked_num_gpus,
    real_number,
    shown,
)

#: By its name in a config: the field of the request, one of it in the field's unit, and what is wanted.
_AMOUNTS = {
    "gpu_memory_gb": ("gpu_memory_bytes", GIGABYTE, "GB (10^9 bytes)"),
    "memory_gb": ("memory_bytes", GIGABYTE, "GB (10^9 bytes)"),
    "num_cpus": ("num_cpus", None, "cores"),
    "timeout": ("timeout", None, "seconds"),
    "expected_seconds": ("expected_seconds", None, "seconds"),
}
_KNOWN = ("num_gpus", *_AMOUNTS, "exclusive_host", "priority", "on_oom", "launcher", "gpu_list")
#: What an estimator may return.
ESTIMATED = ("num_gpus", "gpu_memory_gb", "memory_gb", "expected_seconds", "launcher")


def from_mapping(asked: Any, index: int, config: Config | None = None) -> ResourceRequest:
    """What the `resources` of the config at `index` ask for; `config` is all of it, for the keys that `on_oom` names.

    Raises UsageError, naming config and key, for what makes no sense. None stands for what isn't asked for.
    """
    if asked is None:
        return NOTHING_ASKED
    if not isinstance(asked, Mapping):
        raise UsageError(
            f"Config {index}: resources is {shown(asked)}, which is no mapping. Write resources={{'timeout': 60}}, "
            "for one."
        )
    for key in asked:
        if key not in _KNOWN:
            raise _unknown(str(key), index)
    given = {key: value for key, value in asked.items() if value is not None}
    if not given:
        return NOTHING_ASKED
    fields = _fields(given, lambda key: f"Config {index}: resources.{key}")
    if "on_oom" in given:
        fields["on_oom"] = _remedies(given["on_oom"], config, f"Config {index}: resources.on_oom")
    if "launcher" in given and config is not None:
        fields["num_processes"] = _num_processes(config, index)
    return ResourceRequest(**fields, origins=dict.fromkeys(given, CONFIG))


def with_command(request: ResourceRequest, num_gpus: float | None) -> ResourceRequest:
    """The request with `--num_gpus`, where the config doesn't say itself. Raises UsageError."""
    if num_gpus is None or "num_gpus" in request.origins:
        return request
    count = checked_num_gpus(num_gpus, "--num_gpus")
    return replace(request, num_gpus=count, origins={**request.origins, "num_gpus": COMMAND})


def is_launched_unsaid(request: ResourceRequest, config: Config) -> bool:
    """Whether a config names several processes and nobody has said what starts them: its module may know."""
    number = None if "launcher" in request.origins else real_number(config.get(NUM_PROCESSES))
    return number is not None and number > 1


def with_estimate(
    request: ResourceRequest, estimate: Mapping[str, Any], index: int, config: Config | None = None
) -> ResourceRequest:
    """The request with what an estimator returned for the config at `index`, where nobody has asked for that yet.

    Raises UsageError, naming config and key, for what makes no sense.
    """
    what = f"{HOOK} for config {index}"
    for key in estimate:
        if key not in ESTIMATED:
            raise UsageError(f"{what} returned {key!r}, which isn't estimated. {nearest_sentence(key, ESTIMATED)}")
    given = {key: value for key, value in estimate.items() if value is not None}
    _fields(given, lambda key: f"{what}: {key}")  # also what isn't wanted must make sense
    wanted = {key: value for key, value in given.items() if key not in request.origins}
    origins = {**request.origins, **dict.fromkeys(wanted, ESTIMATOR)}
    fields = _fields(wanted, str)
    if "launcher" in wanted and config is not None:
        fields["num_processes"] = _num_processes(config, index)
    return replace(request, **fields, origins=origins, estimate=dict(estimate))


def _unknown(key: str, index: int) -> UsageError:
    close = nearest_name(key, _KNOWN)
    hint = f'Did you mean "{close}"?' if close else f"Use one of {', '.join(sorted(_KNOWN))}."
    return UsageError(f"Config {index}: there is no resource {key!r}. {hint}")


def _fields(given: Mapping[str, Any], place: Callable[[str], str]) -> dict[str, Any]:
    """The request's fields, `on_oom` left out; `place(key)` begins the sentence of a UsageError."""
    fields: dict[str, Any] = {}
    for key, value in given.items():
        if key == "num_gpus":
            fields[key] = _num_gpus(value, place(key))
        elif key == "exclusive_host":
            fields[key] = _boolean(value, place(key))
        elif key == "priority":
            fields[key] = _priority(value, place(key))
        elif key == "gpu_list":
            fields[key] = _gpu_list(value, place(key))
        elif key == "launcher":
            fields[key] = _launcher(value, place(key))
        elif key in _AMOUNTS:
            name, unit, wanted = _AMOUNTS[key]
            fields[name] = _amount(value, unit, place(key), wanted)
    return fields


def _num_gpus(value: Any, place: str) -> GpuCount:
    if not isinstance(value, Mapping):
        return checked_num_gpus(value, f"{place} is")
    given = f"{place} is {shown(dict(value))}"
    if set(value) != {"min", "max"}:
        raise UsageError(f"{given}, which is no range. Give both of its ends: {{'min': 1, 'max': 4}}.")
    ends = [real_number(value[end]) for end in ("min", "max")]
    least, most = (int(end) if end is not None and end >= 1 and end == int(end) else None for end in ends)
    if least is None or most is None:
        raise UsageError(f"{given}, whose ends are not both whole numbers from 1. Give {{'min': 1, 'max': 4}}, say.")
    if least > most:
        raise UsageError(f"{given}, which runs backwards. Give a max that is no less than min.")
    return GpuCount(least, most)


def _boolean(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{place} is {shown(value)}, which is neither True nor False. Give one of them.")
    return value


def _priority(value: Any, place: str) -> float:
    number = real_number(value)
    if number is None:
        raise UsageError(f"{place} is {shown(value)}, which is no number. Give a number: the higher, the sooner.")
    return float(number)


def _gpu_list(value: Any, place: str) -> tuple[int | str, ...]:
    entries = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    numbers = [real_number(entry) for entry in entries]
    if not entries or not all(
        isinstance(entry, str) or (number is not None and number >= 0 and number == int(number))
        for entry, number in zip(entries, numbers, strict=True)
    ):
        raise UsageError(f"{place} is {shown(value)}, which names no devices. Give a list: [0, 1] or ['GPU-3f2a'].")
    named = tuple(entry if number is None else int(number) for entry, number in zip(entries, numbers, strict=True))
    if len(set(named)) < len(named):
        raise UsageError(f"{place} is {shown(value)}, which names a device twice. Name each once.")
    return named


def _launcher(value: Any, place: str) -> str:
    if value not in LAUNCHERS:
        close = nearest_sentence(value, LAUNCHERS) if isinstance(value, str) else f"Give {ACCELERATE!r}."
        raise UsageError(f"{place} is {shown(value)}, which launches nothing here. {close}")
    return str(value)


def _num_processes(config: Config, index: int) -> int | None:
    """What a config that is launched says itself; None where it doesn't."""
    value = config.get(NUM_PROCESSES)
    if value is None:
        return None
    number = real_number(value)
    if number is None or number < 1 or number != int(number):
        raise UsageError(
            f"Config {index}: {NUM_PROCESSES} is {shown(value)}, and resources.launcher is to start so many. Give a "
            "whole number from 1, or leave it out: then there is one process a device."
        )
    return int(number)


def _amount(value: Any, unit: int | None, place: str, wanted: str) -> float:
    """`value` in the request's unit, whole where it has one."""
    number = real_number(value)
    if number is None:
        raise UsageError(f"{place} is {shown(value)}, which is no number. Give a number of {wanted} above 0.")
    amount = number if unit is None else real_number(number * unit)
    if amount is None or number <= 0:
        raise UsageError(f"{place} is {shown(value)}, which can't be. Give a number of {wanted} above 0.")
    return amount if unit is None else max(1, int(amount))


def _remedies(given: Any, config: Config | None, place: str) -> tuple[Remedy, ...]:
    if not isinstance(given, Mapping) or not given:
        raise UsageError(f"{place} is {shown(given)}, which names no key. Write {{'batch_size': 'halve'}}, for one.")
    remedies = tuple(_each_remedy(given, "", place))
    if config is not None:
        for remedy in remedies:
            _check_remedy(remedy, config, place)
    return remedies


def _each_remedy(given: Mapping[str, Any], prefix: str, place: str) -> Iterator[Remedy]:
    """The remedies by dotted keys: a mapping holds keys of a nested config, unless it says whether to halve."""
    for key, value in given.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, str) and value == "halve":
            yield Remedy(dotted)
        elif not isinstance(value, Mapping) or not value or isinstance(value.get("halve"), bool):
            yield Remedy(dotted, _floor(value, f"{place}[{dotted!r}]"))
        else:
            yield from _each_remedy(value, f"{dotted}.", place)


def _floor(value: Any, place: str) -> float:
    """The floor of a remedy that is written out."""
    written_out = isinstance(value, Mapping) and value.get("halve") is True and set(value) <= {"halve", "floor"}
    floor = real_number(value.get("floor", 1)) if written_out else None
    if floor is None or floor <= 0:
        text = shown(dict(value) if isinstance(value, Mapping) else value)
        raise UsageError(
            f"{place} is {text}, which is no remedy. Write 'halve', or {{'halve': True, 'floor': 1}} with a floor "
            "above 0."
        )
    return floor


def _check_remedy(remedy: Remedy, config: Config, place: str) -> None:
    """Raise UsageError where the config's value can't be halved."""
    if remedy.key not in config:
        keys = [key for key in config.flatten() if not key.startswith("resources.")]
        raise UsageError(f"{place} names {remedy.key!r}, which the config lacks. {nearest_sentence(remedy.key, keys)}")
    value = config.get(remedy.key)
    number = real_number(value)
    if number is None or number <= 0:
        raise UsageError(
            f"{place} is to halve {remedy.key!r}, which is {shown(value)}. Name a key whose value is a number above 0."
        )
    if number < remedy.floor:
        raise UsageError(
            f"{place} is to halve {remedy.key!r}, which is {shown(value)}, below the floor {remedy.floor:g} as it is. "
            f"Give a lower floor: {{'halve': True, 'floor': {number / 8:g}}}, say."
        )

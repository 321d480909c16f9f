"""How many experiments at a time are worth it, and what binds.

    advise_width(widths=[1] * 20, measured=[Measured(300.0)], host=HostFacts(devices=4, cores=32))
    # Advice(width=4, binds="devices")

The width is the least of what each of these allows:

- experiments: there are no more;
- devices: as many as can hold devices at once, the narrowest first, and beside them those that ask for none;
- cores: what the host has over what an experiment was measured to use on average (its CPU time over its run time; one
  that mostly waits counts as an eighth of a core). Where nothing is measured, half of the host's cores for experiments
  without a device, and no limit for the others;
- memory: the experiments with the highest measured peaks, side by side, take nine tenths of what there is at most;
- the longest experiment: where it takes longer than all others side by side, fewer do as well. A makespan within 5 %
  counts as as good; it is reckoned as max(longest, sum / width), which longest first comes close to (Graham 1969).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

EXPERIMENTS, DEVICES, CORES, MEMORY, LONGEST = "experiments", "devices", "cores", "memory", "longest"

#: What is left to the system, and to peaks that are higher next time.
_USABLE_MEMORY = 0.9
#: A makespan so much longer is as good.
_AS_GOOD = 1.05
#: However little it uses, each experiment has processes that must start, and a thread that waits for them.
_LEAST_CORES = 0.125
#: Without a measurement: most libraries use threads of their own.
_UNMEASURED_CORES = 2.0
#: Below these a better width isn't worth a sentence: the part of the run, and the seconds, that it would have saved.
_WORTH_PART, _WORTH_SECONDS = 0.2, 5.0


@dataclass(frozen=True)
class Measured:
    """What one run was measured to take: seconds, seconds of CPU time, peak bytes of the host's memory."""

    seconds: float
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None


@dataclass(frozen=True)
class HostFacts:
    """What experiments can be given: devices, cores, bytes of memory; infinite where it isn't known."""

    devices: int = 0
    cores: float = math.inf
    memory_bytes: float = math.inf


@dataclass(frozen=True)
class Advice:
    """How many at a time, at least 1, and which of the limits binds (EXPERIMENTS, DEVICES, ...)."""

    width: int
    binds: str


def advise_width(*, widths: Sequence[float], measured: Sequence[Measured], host: HostFacts) -> Advice:
    """How many of the experiments are worth running at a time.

    `widths` has for each experiment to run the devices that it asks for (a share of one below 1; 0: none); `measured`
    what runs of such experiments took, in any order, as many as are known, maybe none.
    """
    limits = {
        EXPERIMENTS: float(len(widths)),
        DEVICES: _beside(widths, host.devices),
        CORES: _by_cores(widths, measured, host.cores),
        MEMORY: _by_memory(measured, host.memory_bytes, len(widths)),
    }
    binds = min(limits, key=lambda name: limits[name])
    width = max(1, math.floor(limits[binds]))
    enough = _by_longest(measured, len(widths), width)
    return Advice(enough, LONGEST) if enough < width else Advice(width, binds)


@dataclass(frozen=True)
class Better:
    """Another width, and about how long (s) the run would have taken with it, and with the width that it had."""

    advice: Advice
    seconds: float
    seconds_now: float


def better_width(
    width: int, *, widths: Sequence[float], measured: Sequence[Measured], host: HostFacts
) -> Better | None:
    """The width that would have been better than `width` by more than is worth a sentence; None where none would.

    Too wide is a width at which the experiments' memory may not suffice. More than the devices or cores allow costs
    nothing: what can't start waits, and CPU time is shared.
    """
    known = [one.seconds for one in measured]
    if not known:
        return None
    advice = advise_width(widths=widths, measured=measured, host=host)
    effective = max(1, math.floor(min(width, len(widths), _beside(widths, host.devices))))
    now, then = (_makespan(known, len(widths), at) for at in (effective, advice.width))
    saved = now - then
    if advice.width > effective and saved >= max(_WORTH_SECONDS, _WORTH_PART * now):
        return Better(advice, then, now)
    if advice.binds == MEMORY and advice.width < effective:
        return Better(advice, then, now)
    return None


def _beside(widths: Sequence[float], devices: int) -> float:
    """How many can run beside one another as far as devices go."""
    asking = sorted(width for width in widths if width)
    if not asking:
        return math.inf
    room, number = devices + 1e-9, 0
    while number < len(asking) and (room := room - asking[number]) >= 0:
        number += 1
    return max(1, number) + len(widths) - len(asking)


def _by_cores(widths: Sequence[float], measured: Sequence[Measured], cores: float) -> float:
    if not math.isfinite(cores):
        return math.inf
    known = [one for one in measured if one.cpu_seconds is not None and one.seconds > 0]
    seconds = math.fsum(one.seconds for one in known)
    if seconds > 0:
        used = math.fsum(one.cpu_seconds or 0.0 for one in known) / seconds
        return max(1, round(cores / max(used, _LEAST_CORES)))
    without = sum(not width for width in widths)
    if not without:
        return math.inf
    return max(1, math.floor(cores / _UNMEASURED_CORES)) + len(widths) - without


def _by_memory(measured: Sequence[Measured], memory_bytes: float, number: int) -> float:
    peaks = sorted((one.peak_memory_bytes for one in measured if one.peak_memory_bytes), reverse=True)
    if not peaks or not math.isfinite(memory_bytes):
        return math.inf
    mean = math.fsum(peaks) / len(peaks)
    room, fitting = _USABLE_MEMORY * memory_bytes, 0
    while fitting < number:
        room -= peaks[fitting] if fitting < len(peaks) else mean
        if room < 0:
            return max(1, fitting)
        fitting += 1
    return math.inf


def _by_longest(measured: Sequence[Measured], number: int, width: int) -> int:
    known = [one.seconds for one in measured]
    if not known or max(known) <= 0:
        return width
    return min(width, math.ceil(_sum(known, number) / (_AS_GOOD * _makespan(known, number, width))))


def _makespan(known: Sequence[float], number: int, width: int) -> float:
    """The lower bound: of `number` experiments, of which the `known` seconds are a sample, so many at a time."""
    return max(max(known), _sum(known, number) / width)


def _sum(known: Sequence[float], number: int) -> float:
    return math.fsum(known) / len(known) * max(number, 1)

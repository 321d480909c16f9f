"""How many run at a time where the user leaves it to Configmill, and whether another width would have been better.

request, plan = settle_width(request, plan, devices)      # --num_threads auto: a number, and a note that says why
advice(request, plan, devices, campaign_dir, outcomes)    # a sentence after the run, None where it was wide enough
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from configmill.manager.devices import Devices
from configmill.measure.host import available_memory_bytes, usable_cpus
from configmill.plan.decide import decide
from configmill.plan.plan import Plan
from configmill.protocol.layout import CampaignDir
from configmill.protocol.outcome import Outcome
from configmill.protocol.request import AUTO_WIDTH, INHERITED_GPUS, RunRequest
from configmill.schedule import width as limits
from configmill.schedule.width import HostFacts, Measured, advise_width, better_width
from configmill.store.history import History

#: So many of the latest runs say how long such experiments take, and what of the host.
_LATEST = 100

_BINDS = {
    limits.EXPERIMENTS: "there are no more to run",
    limits.DEVICES: "as many as the devices allow",
    limits.CORES: "as many as the host's cores allow",
    limits.MEMORY: "as many as the host's memory allows",
    limits.LONGEST: "with more the longest experiment would take as long",
}


def settle_width(request: RunRequest, plan: Plan, devices: Devices) -> tuple[RunRequest, Plan]:
    """Where the request leaves the number open, the request with one, and the plan with a sentence that says why.

    What the campaign's latest successes took decides; where there are none, as many as the devices allow where
    experiments ask for devices, else half of the host's cores.
    """
    if request.num_threads != AUTO_WIDTH:
        return request, plan
    directory = CampaignDir(request.dst_dir)
    to_run = [decision.index for decision in decide(plan, directory, request) if decision.runs]
    widths = _widths(request, plan, to_run or plan.selected)
    measured = _measured(directory)
    advised = advise_width(widths=widths, measured=measured, host=_host(request, devices, widths))
    basis = f"by the last {len(measured)} that succeeded" if measured else "nothing is measured yet"
    if not measured and advised.binds == limits.CORES:
        basis += ", so it is half of them"
    number = advised.width if widths else 1
    why = _BINDS[advised.binds] if widths else "each wants the host for itself"
    note = f"--num_threads auto: {number} at a time, {why} ({basis})"
    return replace(request, num_threads=number), replace(plan, warnings=(*plan.warnings, note))


def advice(
    request: RunRequest, plan: Plan, devices: Devices, campaign: CampaignDir, outcomes: Mapping[int, Outcome]
) -> str | None:
    """What another width would have made of the run that is over, where it is worth a sentence."""
    succeeded = [index for index, outcome in outcomes.items() if outcome.succeeded]
    widths = _widths(request, plan, succeeded)
    # Who keeps devices out of our sight may have reasons for the width that we don't know.
    if len(widths) < 2 or request.gpus == INHERITED_GPUS:
        return None
    measured = _measured(campaign, {plan.digests[index] for index in succeeded})
    host = _host(request, devices, widths)
    better = better_width(request.num_threads, widths=widths, measured=measured, host=host)
    if better is None:
        return None
    width, why = better.advice.width, _BINDS[better.advice.binds]
    if width > request.num_threads:
        saved = f"would have taken about {better.seconds:.3g} s in place of {better.seconds_now:.3g} s"
        return f"--num_threads {width} {saved}: {why}"
    return f"--num_threads {width} is safer: {request.num_threads} at their peaks need more memory than the host has"


def _widths(request: RunRequest, plan: Plan, indices: Iterable[int]) -> list[float]:
    """The devices that each asks for, those left out that want the host for themselves: nothing runs beside them."""
    asked = [plan.resources[index] for index in indices]
    return [one.num_gpus.fixed(0) if request.hands_out_gpus else 0 for one in asked if not one.exclusive_host]


def _host(request: RunRequest, devices: Devices, widths: Sequence[float]) -> HostFacts:
    return HostFacts(
        # Looking for devices takes long where there is no persistence daemon.
        devices=len(devices.find()[0]) if any(widths) else 0,
        cores=usable_cpus() or math.inf,
        memory_bytes=available_memory_bytes() or math.inf,
    )


def _measured(campaign: CampaignDir, digests: Iterable[str] | None = None) -> list[Measured]:
    records = History(campaign).latest_records(_LATEST, digests)
    return [one for record in records if (one := _one(record)) is not None]


def _one(record: dict[str, Any]) -> Measured | None:
    seconds, cpu = record.get("seconds"), record.get("cpu_seconds")
    peak, baseline = record.get("peak_rss_bytes"), record.get("baseline_rss_bytes") or 0
    if not isinstance(seconds, int | float):
        return None
    return Measured(
        seconds,
        cpu if isinstance(cpu, int | float) else None,
        max(0, peak - baseline) if isinstance(peak, int) and isinstance(baseline, int) else None,
    )

"""What a policy would make of a list of jobs, as JSON: `configmill simulate --jobs jobs.json --gpus 8`."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from configmill.cli.options import search_from_here
from configmill.cli.parser import Parser, number, whole_number
from configmill.config.nearest import nearest_sentence
from configmill.errors import UsageError
from configmill.schedule.policies import DEFAULT_POLICY, SIMULATED_POLICIES, make_policy
from configmill.schedule.simulator import Played, SimulatedJob, mispredicted, simulate

DESCRIPTION = """\
Play a list of jobs on pretend devices, with the code that schedules experiments, and print JSON.

  configmill simulate --jobs jobs.json --gpus 8 --policy area

jobs.json is a list of {"seconds": 600, "num_gpus": 2, "arrival": 0}, with "expected_seconds" and "priority" where
wanted. num_gpus is 1 and arrival 0 where they are not given; expected_seconds is the true number of seconds, and null
says that nothing is known beforehand.
"""

_KEYS = ("seconds", "num_gpus", "arrival", "expected_seconds", "priority")


def command(arguments: Sequence[str]) -> int:
    """Parse, play, print; returns the exit code. Raises UsageError."""
    parser = Parser("configmill simulate", DESCRIPTION)
    parser.add_argument("--jobs", metavar="PATH", required=True, help="the list of jobs, a JSON file")
    parser.add_argument("--gpus", metavar="N", required=True, help="how many devices there are")
    parser.add_argument(
        "--policy", metavar="NAME", default=DEFAULT_POLICY,
        help=f"{', '.join(SIMULATED_POLICIES)} or module:Class (default: {DEFAULT_POLICY})",
    )  # fmt: skip
    parser.add_argument(
        "--seed", metavar="N",
        help="shuffle jobs that come at the same moment, instead of taking them in the order of the list; also draws "
        "what --prediction_error needs",
    )  # fmt: skip
    parser.add_argument(
        "--prediction_error", metavar="F", default="1",
        help="multiply each expected_seconds by F**u, u even between -1 and 1 (default: 1, as they are)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="nothing else is ever printed; taken for uniformity")
    given = parser.parse(arguments)
    num_gpus = whole_number("--gpus", given.gpus)
    seed = None if given.seed is None else whole_number("--seed", given.seed)
    factor = _factor(given.prediction_error)
    if ":" in given.policy:
        search_from_here()
    policy = make_policy(given.policy, SIMULATED_POLICIES)
    played = simulate(_disturbed(_read_jobs(given.jobs, num_gpus), seed, factor), num_gpus, policy)
    print(json.dumps({"policy": given.policy, "seed": seed, "prediction_error": factor, **_to_json(played)}))
    return 0


def _factor(given: str) -> float:
    factor = number("--prediction_error", given)
    if not 1 <= factor < math.inf:
        raise UsageError(f"--prediction_error {given!r} is no factor from 1. Give one, such as --prediction_error 2.")
    return factor


def _disturbed(jobs: list[SimulatedJob], seed: int | None, factor: float) -> list[SimulatedJob]:
    """The jobs in another order, and predicted worse."""
    numbers = random.Random(0 if seed is None else seed)
    if seed is not None:
        numbers.shuffle(jobs)
    if factor == 1:
        return jobs
    wrong = mispredicted(jobs, factor, numbers)
    return [replace(job, expected_seconds=expected) for job, expected in zip(jobs, wrong, strict=True)]


def _to_json(played: Played) -> dict[str, Any]:
    waits = played.waits
    return {
        "num_jobs": len(played.jobs),
        "num_gpus": played.num_gpus,
        "makespan": played.makespan,
        "lower_bound": played.lower_bound,
        "ratio": played.ratio,
        "mean_wait": math.fsum(waits) / len(waits) if waits else 0.0,
        "max_wait": max(waits, default=0.0),
        "wait_by_width": {
            f"{width:g}": {"jobs": number_of, "mean": mean, "max": longest}
            for width, (number_of, mean, longest) in played.waits_by_width().items()
        },
        "idle_share": played.idle_share,
    }


def _read_jobs(path: str, num_gpus: int) -> list[SimulatedJob]:
    try:
        with open(path, encoding="utf-8") as file:
            entries = json.load(file)
    except OSError as error:
        raise UsageError(f"--jobs {path!r} can't be read: {error.strerror}. Name a JSON file.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--jobs {path!r} is no JSON: {error}. Write a list of objects into it.") from error
    if not isinstance(entries, list):
        raise UsageError(f"--jobs {path!r} holds no list. Write [{{'seconds': 60, 'num_gpus': 1, 'arrival': 0}}, ...].")
    return [_job(entry, index, num_gpus) for index, entry in enumerate(entries)]


def _job(entry: object, index: int, num_gpus: int) -> SimulatedJob:
    if not isinstance(entry, Mapping):
        raise UsageError(f"Job {index} is {entry!r}, which is no object. Write {{'seconds': 60, 'num_gpus': 1}}.")
    unknown = [key for key in entry if key not in _KEYS]
    if unknown:
        raise UsageError(f"Job {index} has a key {unknown[0]!r}. {nearest_sentence(unknown[0], _KEYS)}")
    if "seconds" not in entry:
        raise UsageError(f"Job {index} has no 'seconds'. Say how long it runs.")
    seconds = _number(entry, index, "seconds")
    wanted = _number(entry, index, "num_gpus", default=1.0)
    if wanted > 1 and wanted != math.floor(wanted):
        raise UsageError(f"Job {index}: num_gpus is {entry['num_gpus']!r}. Above 1, give a whole number.")
    if math.ceil(wanted) > num_gpus:
        raise UsageError(f"Job {index}: num_gpus is {wanted:g}, and --gpus {num_gpus} has not as many. Give more.")
    unpredicted = "expected_seconds" in entry and entry["expected_seconds"] is None
    return SimulatedJob(
        seconds=seconds,
        num_gpus=wanted,
        arrival=_number(entry, index, "arrival", default=0.0),
        expected_seconds=None if unpredicted else _number(entry, index, "expected_seconds", default=seconds),
        priority=_number(entry, index, "priority", default=0.0, least=-math.inf),
    )


def _number(
    entry: Mapping[str, object], index: int, key: str, *, default: float | None = None, least: float = 0.0
) -> float:
    """The entry's number there, finite and not below `least`. Raises UsageError."""
    value = entry.get(key, default)
    wanted = "a number" if least == -math.inf else f"a number from {least:g}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"Job {index}: {key} is {value!r}. Give {wanted}.")
    try:
        converted = float(value)
    except OverflowError:
        converted = math.inf
    # Beyond this, sums of seconds are no longer exact enough to tell who ends first.
    if not abs(converted) <= 1e15 or converted < least:
        shown = "a number with very many digits" if isinstance(value, int) and abs(value) > 10**30 else repr(value)
        raise UsageError(f"Job {index}: {key} is {shown}. Give {wanted}.")
    return converted

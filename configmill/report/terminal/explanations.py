"""Why configs run, are skipped or wait, for the terminal. `print_explanations(view)`, `print_explanation(one)`.

The values are those that `configmill explain --json` prints.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from configmill.protocol import status
from configmill.report.durations import duration
from configmill.report.terminal.lines import visible

#: Experiments of a kind that are listed; `--json` has all of them.
MAX_LISTED = 20
_MAX_BEHIND = 5


def print_explanations(view: Mapping[str, Any]) -> None:
    """Print the counts, and of each kind the first experiments."""
    print(f"{view['dst_dir']}: {view['total']} configs")
    configs: Sequence[Mapping[str, Any]] = view["configs"]
    to_run = [one for one in configs if one["verdict"] == "runs"]
    ended = [one for one in to_run if one["status"] in (status.FAILED, status.INTERRUPTED)]
    kinds = {
        "skipped, as they succeeded before": view["skipped"],
        "running": view["running"],
        "waiting": view["waiting"],
        "would run: they never ran": len(to_run) - len(ended),
        "would run again: they failed or were interrupted": len(ended),
    }
    for kind, count in kinds.items():
        if count:
            print(f"  {count:>6} {kind}")
    print(_manager_line(view["in_use_by"]))
    dst_dir = view["dst_dir"]
    _print_group("running", [one for one in configs if one["verdict"] == "running"], dst_dir)
    _print_group("waiting", sorted((one for one in configs if one["verdict"] == "waiting"), key=_place), dst_dir)
    _print_group("failed or interrupted", ended, dst_dir)


def print_explanation(one: Mapping[str, Any]) -> None:
    """Print what becomes of one config, why, and what is known of it."""
    print(visible(f"result_{one['index']} {one['why']}"))
    print(f"    identity  {one['digest']}")
    for name, value in _facts(one):
        print(visible(f"    {name:<8}  {value}"))


def _print_group(title: str, group: Sequence[Mapping[str, Any]], dst_dir: str) -> None:
    """Print the first of a group; a reason that many have in common is said once."""
    if not group:
        return
    print(f"\n{title}:")
    said = ""
    for one in group[:MAX_LISTED]:
        if one["verdict"] == "waiting" and one["why"] != said:
            said = one["why"]
            print(visible(f"  {said}"))
        print(visible(f"  result_{one['index']}  {_in_one_line(one)}".rstrip()))
    if len(group) > MAX_LISTED:
        print(f"  ... and {len(group) - MAX_LISTED} more: configmill explain {shlex.quote(dst_dir)} --json")


def _place(one: Mapping[str, Any]) -> tuple[bool, int, int]:
    """In the order of the queue; what isn't listed there comes last."""
    return one["place"] is None, one["place"] or 0, one["index"]


def _manager_line(in_use_by: Mapping[str, Any] | None) -> str:
    if in_use_by is None:
        return "no manager is at work"
    return f"in use by a manager on {in_use_by['host']} (pid {in_use_by['pid']}, since {in_use_by['since']})"


def _in_one_line(one: Mapping[str, Any]) -> str:
    if one["verdict"] == "running":
        return "; ".join([f"attempt {one['attempt']}", *(f"{name} {value}" for name, value in _where_and_when(one))])
    if one["verdict"] == "waiting":
        asks = [f"asks for {one['asks']}"] if one["asks"] else []
        return "; ".join([*asks, *_order(one)])
    what = f"attempt {one['attempt']} {one['status']}"
    # Without a record: its manager and its minder were killed together, and no command has been here since.
    return what if "failure_class" not in one else f"{what} ({one['failure_class']}): {one['error']}"


def _where_and_when(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is known of an attempt that runs, by name."""
    facts = []
    if one["since"] is not None:
        facts.append(("since", f"{one['since']} ({_ago(one['since'])} ago)"))
    if "cell" in one:
        facts.append(("cell", f"{one['cell']} of {one['cells']}"))
    if one["pid"] is not None:
        facts.append(("pid", str(one["pid"])))
    if one["gpus"]:
        facts.append(("on", ", ".join(one["gpus"])))
    return facts


def _order(one: Mapping[str, Any]) -> list[str]:
    behind = [f"result_{index}" for index in one["behind"]]
    more = [f"{len(behind) - _MAX_BEHIND} more"] if len(behind) > _MAX_BEHIND else []
    facts = [f"behind {', '.join([*behind[:_MAX_BEHIND], *more])}"] if behind else []
    if one["expected_start"] is not None:
        facts.append(f"expected to start {_in(one['expected_start'])}")
    return facts


def _facts(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is known besides, by name."""
    facts: list[tuple[str, str]] = []
    if one["verdict"] == "waiting":
        facts += [("asks for", one["asks"])] if one["asks"] else []
        facts += [("order", text) for text in _order(one)]
    elif one["verdict"] == "running":
        facts += _where_and_when(one)
    elif one["verdict"] == "skipped":
        facts.append(("success", f"attempt {one['attempt']}, {_ended(one)}"))
    if one.get("error") is not None:
        facts.append(("error", one["error"]))
    if one.get("where") is not None:
        facts.append(("at", one["where"]))
    if one.get("failure_class") is not None:
        facts += [("ended", str(one["ended"])), ("retried", _retried(one))]
    if one.get("gpus") and one["verdict"] != "running":
        facts.append(("ran on", ", ".join(one["gpus"])))
    if one.get("start_method"):
        facts.append(("start", str(one["start_method"])))
    if one.get("log"):
        facts.append(("log", one["log"]))
    return facts


def _ended(one: Mapping[str, Any]) -> str:
    seconds = one["seconds"]
    return f"ended {one['ended']}" + (f" after {duration(seconds)}" if isinstance(seconds, int | float) else "")


def _retried(one: Mapping[str, Any]) -> str:
    failure_class = one["failure_class"]
    if failure_class == status.LOST:
        return "lost attempts are tried again in the same command, whatever --num_retries says"
    if one["retried_by_default"]:
        return f"{failure_class} is tried again in the same command as often as --num_retries says"
    return f"{failure_class} is never tried again in the same command; the next command runs it"


def _ago(moment: str) -> str:
    return duration(max(0.0, time.time() - datetime.fromisoformat(moment).timestamp()))


def _in(moment: str) -> str:
    seconds = datetime.fromisoformat(moment).timestamp() - time.time()
    return f"in {duration(seconds)}, at {moment}" if seconds > 0 else f"since {moment}"

"""What of a plan runs and what is already done, and why; read-only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from configmill.plan.code_changes import CodeChanges, named
from configmill.plan.plan import Plan
from configmill.protocol import status
from configmill.protocol.layout import CampaignDir
from configmill.protocol.request import RunRequest
from configmill.store.derived import standing
from configmill.store.experiments import State, read_state


@dataclass(frozen=True)
class Decision:
    """Whether the config at `index` runs, and why or why not."""

    index: int
    digest: str
    runs: bool
    why: str
    #: The files of the project that are others now than when the result was made, where that is what decides.
    changed: tuple[str, ...] = ()
    #: The identity of the derived config that it succeeded as, where it is skipped for that.
    succeeded_as: str | None = None


def decide(plan: Plan, directory: CampaignDir, request: RunRequest, *, in_use: bool = False) -> list[Decision]:
    """A Decision for each selected config, in order; `in_use`: another manager works in the campaign now."""
    changes = CodeChanges(directory, request.project_dir)
    return [_decide_one(index, plan.digests[index], directory, request, changes, in_use) for index in plan.selected]


def other_version(decisions: Iterable[Decision]) -> list[Decision]:
    """Those that skip a result which another version of the code made."""
    return [decision for decision in decisions if decision.changed and not decision.runs]


def changed_files(decisions: Iterable[Decision]) -> list[str]:
    """The files that changed since any of the results was made."""
    return sorted({path for decision in decisions for path in decision.changed})


def _decide_one(
    index: int, digest: str, directory: CampaignDir, request: RunRequest, changes: CodeChanges, in_use: bool
) -> Decision:
    if request.clean_dst_dir:
        return Decision(index, digest, True, "runs: --clean_dst_dir empties the directory first")
    place = standing(directory, digest)
    if not place.is_done:
        state = read_state(place.dir, in_use=in_use)
        return Decision(index, digest, True, why_it_runs(state, place.derived_as))
    if not request.incremental:
        return Decision(index, digest, True, "runs again: it succeeded before, and --no_incremental is given")
    changed = changes.since(place.dir)
    if changed and request.rerun_on_code_change:
        return Decision(index, digest, True, f"runs again: {named(changed)} changed since", changed)
    derived = place.digest if place.derived_as else None
    return Decision(index, digest, False, why_it_is_skipped(changed, place.derived_as), changed, derived)


def why_it_is_skipped(changed: Sequence[str], derived_as: str = "") -> str:
    """What is said of an experiment that succeeded; `changed` are the files that are others since.

    `derived_as`: the values with which it did, where those are not its own.
    """
    as_what = f" with {derived_as}, as device memory ran out" if derived_as else ""
    if not changed:
        return f"skipped: it succeeded before{as_what}"
    return f"skipped: it succeeded before{as_what}, with another version of the code (changed since: {named(changed)})"


def why_it_runs(state: State, derived_as: str = "") -> str:
    """What is said of an experiment in that state, which is no success; `derived_as` as in `why_it_is_skipped`."""
    as_what = f" with {derived_as}" if derived_as else ""
    if state.status == status.PENDING:
        return "runs: it never ran"
    if state.status == status.RUNNING:
        return f"would run: attempt {state.attempts}{as_what} is running now, by another manager"
    failure_class = (state.record or {}).get("failure_class")
    word = f"{state.status} ({failure_class})" if failure_class else state.status
    return f"runs: attempt {state.attempts}{as_what} {word}"

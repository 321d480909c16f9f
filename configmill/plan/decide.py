"""What of a plan runs and what is already done, and why; read-only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from configmill.plan.code_changes import CodeChanges, named
from configmill.plan.plan import Plan
from configmill.protocol import status
from configmill.protocol.layout import CampaignDir, ExperimentDir
from configmill.protocol.request import RunRequest
from configmill.store.experiments import is_done, read_state


@dataclass(frozen=True)
class Decision:
    """Whether the config at `index` runs, and why or why not."""

    index: int
    digest: str
    runs: bool
    why: str
    #: The files of the project that are others now than when the result was made, where that is what decides.
    changed: tuple[str, ...] = ()


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
    experiment = directory.experiment(digest)
    if request.clean_dst_dir:
        return Decision(index, digest, True, "runs: --clean_dst_dir empties the directory first")
    if not is_done(experiment):
        return Decision(index, digest, True, _why_it_runs(experiment, in_use))
    if not request.incremental:
        return Decision(index, digest, True, "runs again: it succeeded before, and --no_incremental is given")
    changed = changes.since(experiment)
    if not changed:
        return Decision(index, digest, False, "skipped: it succeeded before")
    if request.rerun_on_code_change:
        return Decision(index, digest, True, f"runs again: {named(changed)} changed since", changed)
    why = f"skipped: it succeeded before, with another version of the code (changed since: {named(changed)})"
    return Decision(index, digest, False, why, changed)


def _why_it_runs(experiment: ExperimentDir, in_use: bool) -> str:
    state = read_state(experiment, in_use=in_use)
    if state.status == status.PENDING:
        return "runs: it never ran"
    if state.status == status.RUNNING:
        return f"would run: attempt {state.attempts} is running now, by another manager"
    failure_class = (state.record or {}).get("failure_class")
    word = f"{state.status} ({failure_class})" if failure_class else state.status
    return f"runs: attempt {state.attempts} {word}"

"""What of a plan runs and what is already done, and why; read-only."""

from __future__ import annotations

from dataclasses import dataclass

from configmill.plan.plan import Plan
from configmill.protocol import status
from configmill.protocol.layout import CampaignDir, ExperimentDir
from configmill.store.experiments import is_done, read_state


@dataclass(frozen=True)
class Decision:
    """Whether the config at `index` runs, and why or why not."""

    index: int
    digest: str
    runs: bool
    why: str


def decide(
    plan: Plan, directory: CampaignDir, *, incremental: bool, clean: bool = False, in_use: bool = False
) -> list[Decision]:
    """A Decision for each selected config, in order; `in_use`: another manager works in the campaign now."""
    return [_decide_one(index, plan.digests[index], directory, incremental, clean, in_use) for index in plan.selected]


def _decide_one(
    index: int, digest: str, directory: CampaignDir, incremental: bool, clean: bool, in_use: bool
) -> Decision:
    experiment = directory.experiment(digest)
    if clean:
        return Decision(index, digest, True, "runs: --clean_dst_dir empties the directory first")
    if is_done(experiment):
        if incremental:
            return Decision(index, digest, False, "skipped: it succeeded before")
        return Decision(index, digest, True, "runs again: it succeeded before, and --no_incremental is given")
    return Decision(index, digest, True, _why_it_runs(experiment, in_use))


def _why_it_runs(experiment: ExperimentDir, in_use: bool) -> str:
    state = read_state(experiment, in_use=in_use)
    if state.status == status.PENDING:
        return "runs: it never ran"
    if state.status == status.RUNNING:
        return f"would run: attempt {state.attempts} is running now, by another manager"
    failure_class = (state.record or {}).get("failure_class")
    word = f"{state.status} ({failure_class})" if failure_class else state.status
    return f"runs: attempt {state.attempts} {word}"

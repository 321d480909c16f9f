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


def decide(plan: Plan, directory: CampaignDir, *, incremental: bool, clean: bool = False) -> list[Decision]:
    """A Decision for each selected config, in order. The campaign is not in use, or this process holds it."""
    return [_decide_one(index, plan.digests[index], directory, incremental, clean) for index in plan.selected]


def _decide_one(index: int, digest: str, directory: CampaignDir, incremental: bool, clean: bool) -> Decision:
    experiment = directory.experiment(digest)
    if clean:
        return Decision(index, digest, True, "runs: --clean_dst_dir empties the directory first")
    if is_done(experiment):
        if incremental:
            return Decision(index, digest, False, "skipped: it succeeded before")
        return Decision(index, digest, True, "runs again: it succeeded before, and --no_incremental is given")
    return Decision(index, digest, True, _why_it_runs(experiment))


def _why_it_runs(experiment: ExperimentDir) -> str:
    state = read_state(experiment, in_use=False)
    if state.status == status.PENDING:
        return "runs: it never ran"
    failure_class = (state.record or {}).get("failure_class")
    word = f"{state.status} ({failure_class})" if failure_class else state.status
    return f"runs: attempt {state.attempts} {word}"

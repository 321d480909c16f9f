"""What came of a command, from the plan and the outcomes of what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configmill.manager.campaign_run import CampaignRun
from configmill.plan.decide import Decision, changed_files, other_version
from configmill.plan.plan import Plan
from configmill.protocol import status
from configmill.protocol.outcome import Outcome
from configmill.protocol.request import RunRequest
from configmill.protocol.summary import CellErrors, Failure, Summary


def summarise(
    run: str,
    request: RunRequest,
    plan: Plan,
    decisions: Sequence[Decision],
    done: CampaignRun,
    seconds: float,
    warnings: Sequence[str],
) -> Summary:
    """The summary of the command `run`; `warnings` are of what is shown of the campaign."""
    outcomes = done.outcomes
    by_status = [outcome.status for outcome in outcomes.values()]
    failures = sorted(
        (
            _failure(index, done.digest(index), outcome)
            for index, outcome in outcomes.items()
            if outcome.status == status.FAILED
        ),
        key=lambda failure: failure.index,
    )
    num_to_run = sum(decision.runs for decision in decisions)
    return Summary(
        run=run,
        dst_dir=request.dst_dir,
        total=len(plan.configs),
        selected=len(plan.selected),
        succeeded=sum(word in status.SUCCESSES for word in by_status),
        succeeded_with_errors=tuple(
            CellErrors(index, done.digest(index), outcome.error or "")
            for index, outcome in sorted(outcomes.items())
            if outcome.status == status.SUCCEEDED_WITH_ERRORS
        ),
        skipped=len(decisions) - num_to_run,
        failed=by_status.count(status.FAILED),
        interrupted=by_status.count(status.INTERRUPTED),
        not_started=num_to_run - len(outcomes),
        seconds=round(seconds, 3),
        failures=tuple(failures),
        unread_keys=_unread_keys(plan, outcomes),
        warnings=(*plan.warnings, *warnings),
        signal=done.signal,
        parallelism=done.use.parallelism(request.num_threads),
        **other_version_facts(decisions),
    )


def _failure(index: int, digest: str, outcome: Outcome) -> Failure:
    return Failure(
        index=index,
        digest=digest,
        failure_class=outcome.failure_class or "",
        error=outcome.error or "",
        where=outcome.where,
        log=outcome.log,
        attempts=outcome.attempt,
    )


def _unread_keys(plan: Plan, outcomes: dict[int, Outcome]) -> tuple[str, ...]:
    """The keys that successful experiments had and none of them read: most often a misspelling."""
    successes = {index: set(outcome.unread_keys) for index, outcome in outcomes.items() if outcome.succeeded}
    candidates = set().union(*successes.values())
    for index, unread in successes.items():
        if not candidates:
            break
        config = plan.config(index)
        candidates -= {key for key in candidates if key in config and key not in unread}
    return tuple(sorted(candidates))


def other_version_facts(decisions: Sequence[Decision]) -> dict[str, Any]:
    """What the summary says of skipped results that another version of the code made."""
    skipped = other_version(decisions)
    return {"skipped_of_other_version": len(skipped), "changed_code": tuple(changed_files(skipped))}

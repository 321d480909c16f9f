"""From a RunRequest to a Summary: the one loop behind every command and the Python API.

summary = run(request, on_event=print)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from configmill.config import ConfigList
from configmill.config.saved import save_configs
from configmill.engines.local import run_loops
from configmill.launch.cold import ColdLauncher
from configmill.manager.campaign_run import CampaignRun
from configmill.manager.run_record import RunRecord
from configmill.manager.signals import SignalListener
from configmill.plan.code_changes import named
from configmill.plan.decide import Decision, changed_files, decide, other_version
from configmill.plan.plan import Plan, make_plan
from configmill.protocol import status
from configmill.protocol.events import Event, Note, Planned
from configmill.protocol.layout import CampaignDir
from configmill.protocol.outcome import Outcome
from configmill.protocol.request import RunRequest
from configmill.protocol.summary import CellErrors, Failure, Summary
from configmill.store.campaign import open_campaign
from configmill.store.experiments import interrupt_unfinished, unfinished_experiments
from configmill.store.lock import is_in_use


def run(
    request: RunRequest,
    *,
    configs: ConfigList | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    conclude: Callable[[CampaignDir, bool], Sequence[str]] = lambda directory, changed: (),
    confirm_clean: Callable[[str], bool] | None = None,
    owns_process: bool = False,
) -> Summary:
    """Run every config of the request once; raises UsageError before anything is created.

    `configs` are given as objects, in place of a builder string. `conclude` is called under the lock when all has
    ended, with whether anything has changed, to make what is shown of the campaign; it returns warnings.
    `owns_process`: this process is the manager and nothing else (see ColdLauncher).
    """
    began = time.monotonic()
    plan = make_plan(request, configs)
    directory = CampaignDir(request.dst_dir)
    width = max(1, min(request.num_threads, len(plan.selected)))
    with (
        open_campaign(directory, request.target, clean=request.clean_dst_dir, confirm_clean=confirm_clean) as campaign,
        RunRecord(directory, request, plan.digests) as record,
        ColdLauncher(campaign.lock_fd, width=width, owns_process=owns_process) as launcher,
    ):
        if configs is not None:
            request = replace(request, config_builder=_save_given(directory, record.run, configs))
        decisions = decide(plan, directory, request)
        to_run = [decision.index for decision in decisions if decision.runs]
        links_changed = campaign.update_links(plan.digests)
        campaign_run = CampaignRun(request, record, plan, to_run, campaign, launcher, on_event)
        with SignalListener(campaign_run.on_signal):
            skipped = len(decisions) - len(to_run)
            campaign_run.emit(
                Planned(
                    directory.path,
                    len(plan.configs),
                    len(to_run),
                    skipped,
                    request.num_threads,
                    _shown_keys(request, plan),
                )
            )
            for note in (*plan.warnings, *_reruns(decisions)):
                campaign_run.emit(Note(note))
            unfinished = [directory.experiment(plan.digests[index]) for index in to_run]
            if campaign.previous_died:  # what this command doesn't select is put in order as well
                unfinished = unfinished_experiments(directory)
            interrupt_unfinished(unfinished, record.run, request.target)
            if to_run:
                loops = min(width, len(to_run))
                campaign_run.start_early(loops)
                run_loops(campaign_run.work, loops)
            changed = to_run or links_changed or campaign.previous_died or len(plan.selected) < len(plan.configs)
            if changed or not os.path.exists(directory.results_csv):
                record.derive_tables(plan)
            warnings = conclude(directory, bool(changed))
            if campaign_run.error is not None:
                raise campaign_run.error
            summary = _summarise(record.run, request, plan, decisions, campaign_run, time.monotonic() - began)
            summary = replace(summary, warnings=(*summary.warnings, *warnings))
            record.close(summary)
    return summary


def dry_run(request: RunRequest, configs: ConfigList | None = None) -> tuple[Summary, list[Decision]]:
    """What `run` would do and why; touches nothing."""
    plan = make_plan(request, configs)
    directory = CampaignDir(request.dst_dir)
    decisions = decide(plan, directory, request, in_use=is_in_use(directory))
    num_to_run = sum(decision.runs for decision in decisions)
    summary = Summary(
        run="",
        dst_dir=request.dst_dir,
        total=len(plan.configs),
        selected=len(decisions),
        succeeded=0,
        skipped=len(decisions) - num_to_run,
        failed=0,
        interrupted=0,
        not_started=num_to_run,
        seconds=0.0,
        warnings=tuple(plan.warnings),
        dry_run=True,
        **_other_version(decisions),
    )
    return summary, decisions


def _reruns(decisions: Sequence[Decision]) -> list[str]:
    """What is to be said of those that run although they succeeded."""
    again = [decision for decision in decisions if decision.runs and decision.changed]
    return [f"{len(again)} run again: {named(changed_files(again))} changed since they succeeded"] if again else []


def _other_version(decisions: Sequence[Decision]) -> dict[str, Any]:
    """What the summary says of skipped results that another version of the code made."""
    skipped = other_version(decisions)
    return {"skipped_of_other_version": len(skipped), "changed_code": tuple(changed_files(skipped))}


def _shown_keys(request: RunRequest, plan: Plan) -> tuple[str, ...]:
    published = request.notebook is not None and request.notebook.publish
    return tuple(plan.configs.varying_keys()) if published else ()


def _save_given(directory: CampaignDir, run: str, configs: ConfigList) -> str:
    """Save configs that were given as objects, and return the string of the builder that makes them again."""
    path = directory.run_file(run, ".configs.json")
    save_configs(path, configs)
    return f"configmill.config.saved.load_configs({path!r})"


def _summarise(
    run: str, request: RunRequest, plan: Plan, decisions: Sequence[Decision], done: CampaignRun, seconds: float
) -> Summary:
    outcomes = done.outcomes
    by_status = [outcome.status for outcome in outcomes.values()]
    failures = sorted(
        (_failure(index, plan, outcome) for index, outcome in outcomes.items() if outcome.status == status.FAILED),
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
            CellErrors(index, plan.digests[index], outcome.error or "")
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
        warnings=tuple(plan.warnings),
        signal=done.signal,
        **_other_version(decisions),
    )


def _failure(index: int, plan: Plan, outcome: Outcome) -> Failure:
    return Failure(
        index=index,
        digest=plan.digests[index],
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

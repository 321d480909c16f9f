"""From a RunRequest to a Summary: the one loop behind every command and the Python API.

summary = run(request, on_event=print)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from configmill.config import ConfigList
from configmill.config.saved import save_configs
from configmill.engines.local import run_loops
from configmill.launch.cold import ColdLauncher
from configmill.manager.campaign_run import CampaignRun
from configmill.manager.run_record import RunRecord
from configmill.manager.signals import SignalListener
from configmill.plan.decide import Decision, decide
from configmill.plan.plan import Plan, make_plan
from configmill.protocol import status
from configmill.protocol.events import Event, Note, Planned
from configmill.protocol.layout import CampaignDir
from configmill.protocol.outcome import Outcome
from configmill.protocol.request import RunRequest
from configmill.protocol.summary import Failure, Summary
from configmill.store.campaign import open_campaign
from configmill.store.experiments import interrupt_unfinished
from configmill.store.lock import is_in_use


def run(
    request: RunRequest,
    *,
    configs: ConfigList | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    confirm_clean: Callable[[str], bool] | None = None,
    owns_process: bool = False,
) -> Summary:
    """Run every config of the request once; raises UsageError before anything is created.

    `configs` are given as objects, in place of a builder string. `owns_process`: this process is the manager and
    nothing else (see ColdLauncher).
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
        decisions = decide(plan, directory, incremental=request.incremental)
        to_run = [decision.index for decision in decisions if decision.runs]
        links_changed = campaign.update_links(plan.digests)
        campaign_run = CampaignRun(request, record, plan, to_run, campaign, launcher, on_event)
        with SignalListener(campaign_run.on_signal):
            skipped = len(decisions) - len(to_run)
            campaign_run.emit(Planned(directory.path, len(plan.configs), len(to_run), skipped, request.num_threads))
            for warning in plan.warnings:
                campaign_run.emit(Note(warning))
            interrupt_unfinished([directory.experiment(plan.digests[index]) for index in to_run], record.run)
            if to_run:
                loops = min(width, len(to_run))
                campaign_run.start_early(loops)
                run_loops(campaign_run.work, loops)
            changed = to_run or links_changed or campaign.previous_died or len(plan.selected) < len(plan.configs)
            if changed or not os.path.exists(directory.results_csv):
                record.derive_tables(plan)
            if campaign_run.error is not None:
                raise campaign_run.error
            summary = _summarise(record.run, request, plan, decisions, campaign_run, time.monotonic() - began)
            record.close(summary)
    return summary


def dry_run(request: RunRequest, configs: ConfigList | None = None) -> tuple[Summary, list[Decision]]:
    """What `run` would do and why; touches nothing."""
    plan = make_plan(request, configs)
    directory = CampaignDir(request.dst_dir)
    decisions = decide(
        plan, directory, incremental=request.incremental, clean=request.clean_dst_dir, in_use=is_in_use(directory)
    )
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
    )
    return summary, decisions


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
        succeeded=by_status.count(status.SUCCEEDED),
        skipped=len(decisions) - num_to_run,
        failed=by_status.count(status.FAILED),
        interrupted=by_status.count(status.INTERRUPTED),
        not_started=num_to_run - len(outcomes),
        seconds=round(seconds, 3),
        failures=tuple(failures),
        unread_keys=_unread_keys(plan, outcomes),
        warnings=tuple(plan.warnings),
        signal=done.signal,
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

"""From a RunRequest to a Summary: the one loop behind every command and the Python API.

summary = run(request, on_event=print)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

from configmill.config import ConfigList
from configmill.config.saved import save_configs
from configmill.engines.local import run_loops
from configmill.errors import UsageError
from configmill.launch.ahead import ServerAhead
from configmill.launch.launcher import Launcher
from configmill.manager.beginning import mark_of, server_orders
from configmill.manager.campaign_run import CampaignRun
from configmill.manager.devices import Devices
from configmill.manager.energy import energy_notes, settle_energy
from configmill.manager.run_record import RunRecord
from configmill.manager.signals import SignalListener
from configmill.manager.summarise import other_version_facts, summarise
from configmill.manager.width import advice, settle_width
from configmill.plan.code_changes import named
from configmill.plan.decide import Decision, changed_files, decide
from configmill.plan.plan import Plan, make_plan
from configmill.protocol.events import Event, Note, Planned
from configmill.protocol.layout import CampaignDir
from configmill.protocol.request import RunRequest
from configmill.protocol.start_method import COLD, WARM
from configmill.protocol.summary import Summary
from configmill.store.campaign import Campaign, open_campaign
from configmill.store.derived import note_success, standing_digests
from configmill.store.experiments import interrupt_unfinished, unfinished_experiments
from configmill.store.lock import is_in_use

Conclude = Callable[[CampaignDir, bool, Callable[[str], None]], Sequence[str]]


def run(
    request: RunRequest,
    *,
    configs: ConfigList | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    prepare: Callable[[], None] = lambda: None,
    conclude: Conclude = lambda directory, changed, say: (),
    confirm_clean: Callable[[str], bool] | None = None,
    owns_process: bool = False,
    ahead: ServerAhead | None = None,
) -> Summary:
    """Run every config of the request once; raises UsageError before anything is created.

    `configs` are given as objects, in place of a builder string. `prepare` is called once or twice, where something is
    to run, while nothing does yet. `conclude` is called under the lock when all has
    ended, with whether anything has changed, to make what is shown of the campaign; it says what takes long, and
    returns warnings.
    `owns_process`: this process is the manager and nothing else (see Minders). `ahead`: a fork server that has begun.
    """
    began = time.monotonic()
    request = settle_energy(request)
    devices = Devices(request)
    plan = make_plan(request, configs, find_devices=devices.find)
    request, plan = settle_width(request, plan, devices)
    devices.require([plan.resources[index] for index in plan.selected])
    width = max(1, min(request.num_threads, len(plan.selected)))
    with (
        closing(devices),
        Launcher(width=width, owns_process=owns_process, timeout=request.timeout, ahead=ahead) as launcher,
    ):
        directory = CampaignDir(request.dst_dir)
        if request.start_method == WARM and configs is None:  # those that were given exist as a builder only later
            _warm_up(launcher, request, plan, len(plan.selected))
            if request.clean_dst_dir or not os.path.exists(directory.campaign):
                prepare()
            _require_warm(launcher)
        with (
            open_campaign(
                directory, request.target, clean=request.clean_dst_dir, confirm_clean=confirm_clean
            ) as campaign,
            RunRecord(directory, request, plan.digests) as record,
        ):
            if configs is not None:
                request = replace(request, config_builder=_save_given(directory, record.run, configs))
            return _run_in(campaign, record, launcher, devices, request, plan, on_event, prepare, conclude, began)


def _run_in(
    campaign: Campaign,
    record: RunRecord,
    launcher: Launcher,
    devices: Devices,
    request: RunRequest,
    plan: Plan,
    on_event: Callable[[Event], None],
    prepare: Callable[[], None],
    conclude: Conclude,
    began: float,
) -> Summary:
    """Run what is to be run in a campaign that is open."""
    directory = campaign.dir
    decisions = decide(plan, directory, request)
    to_run = [decision.index for decision in decisions if decision.runs]
    for decision in decisions:
        if decision.succeeded_as is not None:  # its manager may have been killed before it kept that
            note_success(directory.experiment(decision.digest), decision.succeeded_as)
    done = {each.index: each.succeeded_as or each.digest for each in decisions if not each.runs}
    standing = standing_digests(directory, plan.digests, done)
    links_changed = campaign.update_links(standing)
    campaign_run = CampaignRun(request, record, plan, to_run, campaign, launcher, devices, on_event)
    with SignalListener(campaign_run.on_signal):
        launcher.begin(campaign.lock_fd, lambda text: campaign_run.emit(Note(text)))
        # What ranks import a fork server can't have imported for them.
        forkable = any(plan.resources[index].launcher is None for index in to_run)
        if to_run and (request.start_method == WARM or (request.start_method != COLD and forkable)):
            _warm_up(launcher, request, plan, len(to_run))
            if request.start_method == WARM:
                _require_warm(launcher)
        if to_run:
            prepare()
        _announce(campaign_run, request, plan, decisions, devices)
        unfinished = [directory.experiment(standing[index]) for index in to_run]
        if campaign.previous_died:  # what this command doesn't select is put in order as well
            unfinished = unfinished_experiments(directory)
        interrupt_unfinished(unfinished, record.run, request.target)
        if to_run:
            loops = min(launcher.width, len(to_run))
            if not launcher.is_warm:
                campaign_run.start_early(loops)
            run_loops(campaign_run.work, loops)
            campaign_run.nothing_waits()
        changed = to_run or links_changed or campaign.previous_died or len(plan.selected) < len(plan.configs)
        if changed or not os.path.exists(directory.results_csv):
            record.derive_tables(plan)
        warnings = conclude(directory, bool(changed), lambda text: campaign_run.emit(Note(text)))
        for warning in warnings:
            campaign_run.emit(Note(warning))
        if campaign_run.error is not None:
            raise campaign_run.error
        seconds = time.monotonic() - began
        summary = summarise(record.run, request, plan, decisions, campaign_run, seconds, warnings)
        summary = replace(summary, advice=advice(request, plan, devices, directory, campaign_run.outcomes))
        record.close(summary)
    return summary


def _warm_up(launcher: Launcher, request: RunRequest, plan: Plan, num_forks: int) -> None:
    """Have the fork server begin with its imports, unless it has."""
    if not launcher.is_warm:
        launcher.warm_up(server_orders(request, num_forks), mark_of(request, plan))


def _require_warm(launcher: Launcher) -> None:
    """Raise UsageError where the experiments can't start warm."""
    unsafe = launcher.wait_until_ready()
    if unsafe is None and not launcher.is_warm:
        unsafe = "no fork server could be started"
    if unsafe is not None:
        raise UsageError(
            f"--start_method 'warm' can't be used: {unsafe.removesuffix('.')}. Mend that, or leave it to "
            "--start_method auto, which then starts cold."
        )


def _announce(
    campaign_run: CampaignRun, request: RunRequest, plan: Plan, decisions: Sequence[Decision], devices: Devices
) -> None:
    """Tell what is about to happen, and what the user should know of it."""
    to_run = sum(decision.runs for decision in decisions)
    published = request.notebook is not None and request.notebook.publish
    planned = Planned(
        dst_dir=request.dst_dir,
        total=len(plan.configs),
        to_run=to_run,
        skipped=len(decisions) - to_run,
        num_threads=request.num_threads,
        varying=tuple(plan.configs.varying_keys()) if published else (),
    )
    campaign_run.emit(planned)
    without = sum(decision.runs and not plan.resources[decision.index].num_gpus.least for decision in decisions)
    notes = (
        *plan.warnings,
        *_cold_kernel(request, to_run),
        *_reruns(decisions),
        *devices.notes(without),
        *energy_notes(request, without),
    )
    for note in notes:
        campaign_run.emit(Note(note))


def dry_run(request: RunRequest, configs: ConfigList | None = None) -> tuple[Summary, list[Decision]]:
    """What `run` would do and why; touches nothing."""
    request = settle_energy(request)
    plan = make_plan(request, configs, find_devices=Devices(request).find)
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
        **other_version_facts(decisions),
    )
    return summary, decisions


def _cold_kernel(request: RunRequest, to_run: int) -> list[str]:
    notebook = request.notebook
    wanted = to_run and request.start_method != COLD
    return [notebook.cold_kernel] if wanted and notebook is not None and notebook.cold_kernel is not None else []


def _reruns(decisions: Sequence[Decision]) -> list[str]:
    """What is to be said of those that run although they succeeded."""
    again = [decision for decision in decisions if decision.runs and decision.changed]
    return [f"{len(again)} run again: {named(changed_files(again))} changed since they succeeded"] if again else []


def _save_given(directory: CampaignDir, run: str, configs: ConfigList) -> str:
    """Save configs that were given as objects, and return the string of the builder that makes them again."""
    path = directory.run_file(run, ".configs.json")
    save_configs(path, configs)
    return f"configmill.config.saved.load_configs({path!r})"

"""`run_experiment_stub.py`: one experiment in the foreground, in this very process, so that a debugger works in it.

It counts as an attempt and takes the dst_dir's lock, but never forks: the terminal stays the experiment's, and its
output is on the screen, not in the attempt's log. An exception is recorded and then raised, so that
`python -m pdb -c continue run_experiment_stub.py ...` stops where it came from.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from configmill.child.experiment_process import open_streams, prepare_process
from configmill.child.metering import Metering, add_to_result, start_metering
from configmill.child.ranks.by_hand import LaunchPlace, launch_place
from configmill.child.ranks.folder import RanksFolder
from configmill.child.ranks.launched import perform_launched
from configmill.child.ranks.rank import perform_rank, prefix_of, run_rank
from configmill.child.record import make_record, write_end, write_status
from configmill.child.stub import perform
from configmill.child.user_logging import FORMAT
from configmill.cli.energy_options import add_energy
from configmill.cli.exits import exit_code_of
from configmill.cli.options import EXIT_CODES, add_function, add_what, foreground_request
from configmill.cli.parser import Parser
from configmill.errors import Terminated, UsageError
from configmill.manager.beginning import begin
from configmill.manager.energy import energy_orders, settle_energy
from configmill.manager.run_record import RunRecord
from configmill.plan.plan import Plan, make_plan
from configmill.processes import become_subreaper, end_all_children
from configmill.protocol import status
from configmill.protocol.attempt import Attempt, is_inside_experiment
from configmill.protocol.layout import CampaignDir
from configmill.protocol.report import Report
from configmill.protocol.request import FOREGROUND, RunRequest
from configmill.protocol.resources import NUM_PROCESSES, ResourceRequest
from configmill.protocol.summary import Failure, Summary
from configmill.store.campaign import open_campaign
from configmill.store.experiments import interrupt_unfinished

DESCRIPTION = """\
Run one experiment of a list in the foreground, in this process: breakpoint() and pdb work in it, and what it prints is
on the terminal. It counts as an attempt.

  run_experiment_stub.py --experiment_builder experiments.forecasting.run_experiment \\
      --config_builder "config_builders.forecasting.build_ar_configs()" --config_idx 2 --dst_dir out/forecast
"""


def main() -> None:
    """The command."""
    raised: list[BaseException] = []
    code = exit_code_of(lambda arguments: command(arguments, raised))
    if raised and code == 1:
        raise raised[0]
    sys.exit(code)


def command(arguments: Sequence[str], raised: list[BaseException]) -> int:
    """Parse, run, report; returns the exit code and adds what user code raised to `raised`."""
    parser = Parser("run_experiment_stub.py", DESCRIPTION, EXIT_CODES)
    add_function(parser)
    add_what(parser)
    add_energy(parser)
    group = parser.add_argument_group("which of them, and how")
    group.add_argument("--config_idx", metavar="I", required=True, help="the config at this index (from 0)")
    group.add_argument("--log_level", metavar="LEVEL", default="INFO", help="DEBUG, INFO, WARNING, ERROR or CRITICAL")
    given = parser.parse(arguments)
    if is_inside_experiment():
        raise UsageError(
            "run_experiment_stub.py was called from inside an experiment. Call the experiment's function instead."
        )
    request = settle_energy(foreground_request(given))
    directory = CampaignDir(request.dst_dir)
    place = launch_place(directory, os.environ)
    if place is not None and place.rank > 0:
        _be_rank(place)
    plan = make_plan(request)
    if place is not None:
        place.check_number(plan.config(plan.selected[0]).get(NUM_PROCESSES))
    with open_campaign(directory, request.target) as campaign, RunRecord(directory, request, plan.digests) as record:
        index = plan.selected[0]
        digest = plan.digests[index]
        interrupt_unfinished([directory.experiment(digest)], record.run, request.target)
        attempt = begin(request, plan, campaign, index)
        began = time.monotonic()
        report = _perform(attempt, record.run, request, plan.resources[index], place)
        record.derive_tables(plan)
        summary = _summarise(record.run, request, plan, attempt.number, report, time.monotonic() - began)
        record.close(summary)
    if report.status not in status.SUCCESSES:
        print(f"{report.status}: {report.message}", file=sys.stderr)
    if report.error is not None and not isinstance(report.error, SystemExit):
        raised.append(report.error)  # a SystemExit, raised again, would end this process as it likes
    print(f"{report.status}: {directory.experiment(digest).path}", file=sys.stderr)
    return summary.exit_code


def _summarise(run: str, request: RunRequest, plan: Plan, number: int, report: Report, seconds: float) -> Summary:
    index = plan.selected[0]
    failure = Failure(
        index=index,
        digest=plan.digests[index],
        failure_class=report.failure_class or "",
        error=report.message or "",
        where=report.where,
        log=CampaignDir(request.dst_dir).experiment(plan.digests[index]).log(number),
        attempts=number,
    )
    told = signal.SIGTERM if isinstance(report.error, Terminated) else signal.SIGINT
    return Summary(
        run=run,
        dst_dir=request.dst_dir,
        total=len(plan.configs),
        selected=1,
        succeeded=int(report.status in status.SUCCESSES),
        skipped=0,
        failed=int(report.status == status.FAILED),
        interrupted=int(report.status == status.INTERRUPTED),
        not_started=0,
        seconds=round(seconds, 3),
        failures=(failure,) if report.status == status.FAILED else (),
        unread_keys=tuple(report.unread_keys),
        signal=told if report.status == status.INTERRUPTED else None,
    )


def _perform(
    attempt: Attempt, run: str, request: RunRequest, asked: ResourceRequest, place: LaunchPlace | None
) -> Report:
    """Run the experiment here, or in ranks below, and leave the record that a minder would."""
    log_level = request.log_level
    os.environ.update(attempt.to_env())
    if place is not None:
        open_streams(prefix_of(place.rank))
    _log_to_terminal_and(attempt.dir.log(attempt.number), log_level)
    write_status(attempt.dir, status.RUNNING, attempt.number, attempt.index, os.getpid())
    meter = _start_meter(request)
    started = time.time()
    num_processes = asked.processes_on(asked.num_gpus.least) or 1
    if place is not None:
        report = _perform_beside_others(attempt, place, log_level)
    elif num_processes > 1:
        report = _perform_launched(attempt, num_processes, log_level)
    else:
        report = perform(attempt)
    ended = time.time()
    if report.status == status.INTERRUPTED:
        report.failure_class = status.CANCELLED
    reading = None if meter is None else meter.finish()
    if num_processes > 1 and place is None:  # what its launcher has left, and not before the meter is done
        end_all_children()
        become_subreaper(False)
    if reading is not None and report.status in status.SUCCESSES:
        add_to_result(attempt.dir.result, reading)
    own, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    launched = num_processes > 1 or place is not None
    record = make_record(
        run=run,
        number=attempt.number,
        index=attempt.index,
        started=started,
        ended=ended,
        report=report,
        start_method=FOREGROUND,
        pid=os.getpid(),
        resources=asked.started_with(0).to_json() if launched else None,
        peak_rss_bytes=max(own.ru_maxrss * 1024, report.peak_rss_bytes or 0),
        cpu_seconds=own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime,
        energy=None if reading is None else reading.to_json(),
    )
    write_end(attempt.dir, record)
    return report


def _start_meter(request: RunRequest) -> Metering | None:
    """The meter of the whole attempt, where one is asked for; others may be at work on this host at the same time."""
    orders = energy_orders(request, exclusive=False, shared=False)
    if orders is None:
        return None
    lifeline_fd, _ = os.pipe()  # no manager's: it stays open as long as this process lives
    meter = start_metering(orders, (), lifeline_fd)
    if meter is not None:
        meter.wait_until_ready(lambda: False)
    return meter


def _perform_launched(attempt: Attempt, num_processes: int, log_level: str) -> Report:
    """Start the ranks as the manager has them started; they print to the terminal."""
    become_subreaper()
    return perform_launched(
        attempt, num_processes=num_processes, search_path=[entry for entry in sys.path if entry], log_level=log_level
    )


def _perform_beside_others(attempt: Attempt, place: LaunchPlace, log_level: str) -> Report:
    """Be rank 0 of a launch that a user typed."""
    folder = RanksFolder(attempt.dir.ranks(attempt.number))
    folder.create()
    place.tell(attempt, log_level)
    try:
        own = perform_rank(attempt, folder, place.rank)
        report = place.judge(attempt)
    finally:
        place.close()
    report.error = own.error
    return report


def _be_rank(place: LaunchPlace) -> NoReturn:
    """Be one of the other ranks: rank 0 has the lock, and writes the record."""
    attempt, log_level = place.wait_for_attempt()
    os.environ.update(attempt.to_env())
    prepare_process(attempt.target, (), log_level, prefix_of(place.rank))
    run_rank(attempt, RanksFolder(attempt.dir.ranks(attempt.number)), place.rank, place.num_processes)


def _log_to_terminal_and(path: str, level: str) -> None:
    """Configure logging as an experiment sees it, and keep it in the attempt's log; the terminal has the rest."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            "Run in the foreground: what it printed went to the terminal; here is what it logged (of several ranks, "
            "what rank 0 did, and that only where accelerate launch was typed).\n"
        )
    in_file = logging.FileHandler(path, encoding="utf-8")
    logging.basicConfig(level=level, format=FORMAT, handlers=[logging.StreamHandler(), in_file])

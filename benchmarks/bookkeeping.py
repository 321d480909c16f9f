"""What Configmill writes and reads for one successful experiment, with no process around it.

The same functions as in a run: the identity, the directories, `config.json` and `config.txt`, the log, the record,
the status (twice, as it changes), the success marker, the link, and the manager's look at the record.
"""

import time
from pathlib import Path

from benchmarks.noop.builder import build_configs
from configmill.child.record import make_record, write_end, write_status
from configmill.config import Config
from configmill.config.identity import identity_digest
from configmill.protocol import status
from configmill.protocol.layout import CampaignDir
from configmill.protocol.report import Report
from configmill.store.campaign import Campaign, open_campaign
from configmill.store.experiments import begin_attempt, read_outcome

TARGET = "benchmarks.noop.experiment:run"


def time_bookkeeping(count: int, dst_dir: Path) -> float:
    """Return the milliseconds per experiment that the bookkeeping of `count` experiments takes in a new directory."""
    configs = [Config(values) for values in build_configs(count)]
    with open_campaign(CampaignDir(str(dst_dir)), TARGET) as campaign:
        started = time.perf_counter()
        for index, config in enumerate(configs):
            keep_books(campaign, index, config)
        elapsed = time.perf_counter() - started
    return elapsed * 1e3 / count


def keep_books(campaign: Campaign, index: int, config: Config) -> None:
    """Do for one experiment what a run does around it."""
    digest = identity_digest(TARGET, config)
    experiment = campaign.dir.experiment(digest)
    number = begin_attempt(experiment, config, TARGET)
    campaign.link(index, digest)
    write_status(experiment, status.RUNNING, number, index)
    now = time.time()
    record = make_record(
        run="bench", number=number, index=index, started=now, ended=now, report=Report(status.SUCCEEDED)
    )
    write_end(experiment, record)
    read_outcome(experiment, number)

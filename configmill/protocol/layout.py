"""Names and places of files: a campaign's directory (dst_dir) and an experiment's within it.

    CampaignDir("/data/out").experiment("3f2a…").log(2)  ->  "/data/out/experiments/3f2a…/attempts/2.log"

Pure names: nothing here touches the disk. Everything is an absolute path as a str.
"""

from __future__ import annotations

import os

RESULT_LINK_PREFIX = "result_"
NOTEBOOK_SUFFIX = ".ipynb"
TABLE_SUFFIX = ".csv"
#: In bytes: a file's name has 255 at most, the suffix among them.
_MAX_TABLE_NAME = 200


def is_notebook(target: str) -> bool:
    """Whether a campaign's target is a notebook's path, and not an experiment's function."""
    return target.endswith(NOTEBOOK_SUFFIX)


def notebook_name(target: str) -> str:
    """The name that what is kept of a notebook bears: `forecasting` for `notebooks/forecasting.ipynb`."""
    return os.path.basename(target).removesuffix(NOTEBOOK_SUFFIX)


def is_table_name(name: str) -> bool:
    """Whether a table of the campaign may have that name: it becomes a file's, so no slash and no dot in front."""
    plain = name.replace("_", "").replace("-", "").replace(".", "")
    return len(os.fsencode(name)) <= _MAX_TABLE_NAME and not name.startswith(".") and plain.isalnum()


class ExperimentDir:
    """The files of one experiment, `dst_dir/experiments/<digest>`."""

    def __init__(self, path: str) -> None:
        base = path + "/"  # not joined: that would take a fifth of a resume of 10,000
        self.path = path
        self.config_json = base + "config.json"
        self.config_txt = base + "config.txt"
        self.success = base + "success.txt"
        self.status = base + "status.json"
        self.result = base + "result.json"
        self.metrics = base + "metrics.jsonl"
        self.checkpoints = base + "checkpoints"
        #: Its rows of the campaign's tables.
        self.tables = base + "tables"
        self.attempts = base + "attempts"
        #: What was tried in its place, or in whose place it was tried; see store.lineage.
        self.lineage = base + "attempts/lineage.json"

    def record(self, attempt: int) -> str:
        """The record of an attempt."""
        return f"{self.attempts}/{attempt}.json"

    def log(self, attempt: int) -> str:
        """The complete log of an attempt."""
        return os.path.join(self.attempts, f"{attempt}.log")

    def ranks(self, attempt: int) -> str:
        """What an attempt's ranks left, where it had several processes; see child.ranks."""
        return os.path.join(self.attempts, f"{attempt}.ranks")

    def device_samples(self, attempt: int) -> str:
        """How an attempt's devices were used over time; missing where it had none that NVML knows."""
        return os.path.join(self.attempts, f"{attempt}.devices.csv")

    def device_use(self, attempt: int) -> str:
        """How much of its devices an attempt used: peaks and means."""
        return os.path.join(self.attempts, f"{attempt}.devices.json")

    def table_row(self, table: str) -> str:
        """Its row of one of the campaign's tables."""
        return os.path.join(self.tables, f"{table}.json")

    def notebook(self, target: str) -> str:
        """The executed notebook, with all outputs."""
        return os.path.join(self.path, notebook_name(target) + NOTEBOOK_SUFFIX)

    def page(self, target: str) -> str:
        """The executed notebook as a page."""
        return os.path.join(self.path, notebook_name(target) + ".html")

    def archive(self, attempt: int) -> str:
        """Where an attempt's result, metrics and rows of tables move before the next attempt starts."""
        return os.path.join(self.attempts, str(attempt))


class CampaignDir:
    """The files of a campaign, `dst_dir`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.campaign = os.path.join(path, "campaign.json")
        self.lock = os.path.join(path, ".lock")
        self.waiting = os.path.join(path, "waiting.json")
        self.runs = os.path.join(path, "runs")
        self.experiments = os.path.join(path, "experiments")
        self.results_csv = os.path.join(path, "results.csv")
        self.failed_csv = os.path.join(path, "failed_experiments.csv")
        #: The tables that experiments add rows to.
        self.tables = os.path.join(path, "results")
        self.report = os.path.join(path, "report")
        self.index_html = os.path.join(self.report, "index.html")
        self.thumbnails = os.path.join(self.report, "thumbnails")

    def experiment(self, digest: str) -> ExperimentDir:
        """The experiment with that identity."""
        return ExperimentDir(f"{self.experiments}/{digest}")

    def result_link(self, index: int) -> str:
        """The link to the experiment of the config at `index`."""
        return os.path.join(self.path, f"{RESULT_LINK_PREFIX}{index}")

    def table(self, name: str) -> str:
        """One of the tables that experiments add rows to."""
        return os.path.join(self.tables, name + TABLE_SUFFIX)

    def run_file(self, run: str, suffix: str) -> str:
        """A file of one command: `runs/<run><suffix>`."""
        return os.path.join(self.runs, run + suffix)

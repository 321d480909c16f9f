from __future__ import annotations

from collections.abc import Iterator

import pytest

from configmill.protocol.layout import CampaignDir
from configmill.report.index.page import write_index
from configmill.store.tables import latest_rows
from tests.browser import Browser
from tests.conftest import Project, project_within
from tests.report.index_view import IndexView
from tests.report.notebook_campaign import run_campaign

BUILDER = """
    import configmill

    def build():
        sweep = configmill.grid(
            {"model": {"kind": "tree", "depth": 1}, "rate": 0.1},
            {"model.kind": ["tree", "forest"], "model.depth": [1, 2, 10], "rate": [0.1, 0.01]},
        )
        return configmill.replicas(sweep, 2)
    """
EXPERIMENT = """
    import os

    SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><rect width="40" height="30"/></svg>'

    def fit(model, rate):
        if model.depth == 10 and rate == 0.1:
            raise ValueError(f"depth {model.depth} does not converge at rate {rate}")

    def run(config):
        fit(config.model, config.rate)
        if config.model.kind == "forest" and config.model.depth == 2 and config.seed == 1:
            os.kill(os.getpid(), 9)
        with open(os.path.join(config.meta.experiment_dir, "fit #1.svg"), "w") as file:
            file.write(SVG)
        test = 1 / config.model.depth + config.rate + 0.01 * config.seed
        return {"loss": {"test": test, "train": test / 2}, "steps": 100 * config.model.depth}
    """
#: 24 configs: four failed of one kind in user code, two were killed, the rest succeeded.
NUM_CONFIGS, NUM_RAISED, NUM_KILLED = 24, 4, 2


@pytest.fixture(scope="package")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A sweep that ran, with successes and two kinds of failures, in a folder of a hostile name."""
    with project_within(tmp_path_factory.mktemp("report")) as project:
        project.write("builder.py", BUILDER)
        project.write("experiment.py", EXPERIMENT)
        done = project.run("--num_threads", "2")
        assert done.code == 1, done
        yield project


@pytest.fixture(scope="package")
def index_html(campaign: Project) -> str:
    """The path of that campaign's page."""
    directory = CampaignDir(str(campaign.out))
    return write_index(directory, latest_rows(directory))


@pytest.fixture
def view(browser: Browser, index_html: str) -> IndexView:
    """The real campaign's page, open."""
    view = IndexView(browser, index_html)
    view.open()
    return view


@pytest.fixture(scope="package")
def notebook_campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A notebook that ran over three configs, of which the second failed, with its pages published."""
    with project_within(tmp_path_factory.mktemp("notebooks")) as project:
        run_campaign(project)
        yield project

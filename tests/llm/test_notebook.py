"""The notebook over a campaign of language models: by hand and under the manager, on runs that were really measured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

import configmill
from experiments.llm_inference import run_experiment
from tests.conftest import REPOSITORY, Project, project_within
from tests.llm.tiny import config_of
from tests.user_land import by_hand, images, texts, with_our_user_land

NOTEBOOK = "notebooks/llm_inference.ipynb"
FIGURES = ["throughput", "latency", "energy", "pareto"]


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A user's own copy of experiments, builders and notebooks."""
    with project_within(tmp_path_factory.mktemp("users")) as made:
        yield with_our_user_land(made)


@pytest.fixture(scope="module")
def campaign(users: Project, models: dict[str, str]) -> Path:
    """A batch size in two cycles, another one in one, and a config that fails, where the notebook looks by hand."""
    dst_dir = users.root / "out/llm_inference"
    good = [
        config_of(models["llama"], models["prompts"], batching_options={"batch_size___fixed_batching": size})
        | {"cycle_id": cycle, "measurement": {"min_seconds": 0.2, "idle_seconds": 0.0}}
        for cycle, size in ((1, 2), (1, 4), (2, 2))
    ]
    configs = [*good, {"model_name": str(users.root / "no-such-model")}]
    configmill.run(configs, run_experiment, dst_dir, num_threads=1)
    return dst_dir


def test_its_cells_can_be_compared_by_tag() -> None:
    """Each figure has a cell of its own, which `configmill compare --cell` finds."""
    cells = nbformat.read(REPOSITORY / NOTEBOOK, as_version=4).cells
    tags = [tag for cell in cells for tag in cell.metadata.get("tags", []) if cell.cell_type == "code"]
    assert [tag for tag in tags if tag in FIGURES] == FIGURES
    assert len(set(tags)) == len(tags)


def test_without_a_campaign_it_says_what_to_run(tmp_path: Path) -> None:
    """The error names the directory that it looked in and the command that makes one."""
    with project_within(tmp_path) as empty, pytest.raises(CellExecutionError) as failed:
        by_hand(with_our_user_land(empty), NOTEBOOK)
    assert failed.value.ename == "UsageError"
    assert re.search(r"no campaign in .*out/llm_inference.*make demo-llm", failed.value.evalue), failed.value.evalue


def test_by_hand_it_shows_what_was_measured(users: Project, campaign: Path) -> None:
    """Four figures; the best is the mean over repeats in the campaign's own table; two repeats bear no claim."""
    notebook, metrics = by_hand(users, NOTEBOOK, ask="metrics")
    results = configmill.load_results(campaign)
    by_size = results.groupby("batching_options.batch_size___fixed_batching")["output_tokens_per_second"].mean()
    assert metrics["best_output_tokens_per_second"] == pytest.approx(by_size.max())
    assert (metrics["num_runs"], metrics["num_setups"]) == (3, 2)
    assert metrics["claim_by_output_tokens_per_second"] == "too few repeats for a claim"
    shown = texts(notebook)
    assert re.search(r"succeeded +3", shown), shown
    assert re.search(r"failed +1", shown), shown
    assert set(results["energy_method"].dropna()) <= {"modelled", "rapl", "nvml_counter", "nvml_poll"}
    assert results["energy_method"].dropna().iloc[0] in shown
    plots = images(notebook)
    assert len(plots) == len(FIGURES)
    assert all(plot.width > 1400 for plot in plots)


def test_under_the_manager_its_results_are_those_by_hand(users: Project, campaign: Path) -> None:
    """With the builder's own config, whose directory is relative to the project; nothing in it remains unread."""
    relative = str(campaign.relative_to(users.root))
    builder = f"config_builders.llm_inference.build_notebook(dst_dir={relative!r})"
    done = users.run_notebook("--publish_notebook", notebook=NOTEBOOK, builder=builder)
    assert done.code == 0, done
    result = json.loads((users.result_dir(0) / "result.json").read_text())
    assert result["num_runs"] == 3
    assert users.json(0, "attempts/1.json")["unread_keys"] == []
    assert (users.result_dir(0) / "llm_inference.html").exists()

"""The figures of a campaign of language models: whatever there is, drawn, and nothing unlike in one panel."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.llm_inference import figures
from tests.llm.results_of_runs import config_of, result_of, runs_of, suite

ALL = (
    figures.draw_throughput_by_batch,
    figures.draw_latency_percentiles,
    figures.draw_energy_by_precision,
    figures.draw_pareto,
)
COUNTED = {"energy_method": "nvml_counter", "energy_scope": "gpu"}


def campaigns() -> dict[str, pd.DataFrame]:
    """Kinds of campaigns, whole and partial."""
    one = (config_of(), result_of(10.0))
    no_energy = result_of(10.0, None, energy_method="none", energy_reason="shared")
    no_latency = {
        name: value for name, value in result_of(10.0).items() if not name.startswith(("ttft", "tpot", "e2e"))
    }
    adaptive = config_of(batching_options={"adaptive_batching": True, "max_batch_size___adaptive_batching": 8})
    return {
        "suite": suite(),
        "one run": runs_of([one]),
        "no energy": runs_of([(config_of(), no_energy)]),
        "no latency": runs_of([(config_of(), no_latency)]),
        "adaptive beside fixed": runs_of([one, (adaptive, result_of(12.0))]),
        "three ways": pd.concat([suite(), suite(**COUNTED), suite(contended=True)], ignore_index=True),
    }


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", campaigns())
def test_the_figures_take_whatever_campaign_there_is(name: str) -> None:
    """Whole and partial campaigns alike are drawn, at full width and without a warning."""
    for draw in ALL:
        figure = draw(campaigns()[name])
        figure.canvas.draw()
        assert figure.get_size_inches()[0] * figure.dpi == 1500


def test_a_panel_has_one_way_of_measuring_and_says_which() -> None:
    """Modelled and counted energies are in panels of their own, each titled with its method and its scope."""
    runs = pd.concat([suite(), suite(**COUNTED)], ignore_index=True)
    for draw in (figures.draw_energy_by_precision, figures.draw_pareto):
        titles = [" ".join(axes.get_title(loc="left").split()) for axes in draw(runs).axes]
        assert ["modelled" in title for title in titles] == [True, False]
        assert ["nvml_counter, gpu" in title for title in titles] == [False, True]
    alone = figures.draw_energy_by_precision(suite()).axes[0]
    assert heights(alone) == pytest.approx(heights(figures.draw_energy_by_precision(runs).axes[0]))


def test_points_show_the_means_and_hollow_ones_too_few_repeats() -> None:
    """At each batch size the mean of the repeats; without an interval the point isn't filled."""
    rows = [(config_of(1, cycle=cycle), result_of(rate)) for cycle, rate in enumerate((10.0, 11.0, 12.0))]
    figure = figures.draw_throughput_by_batch(runs_of([*rows, (config_of(4), result_of(30.0))]))
    [axes] = figure.axes
    marked = {
        (float(x), float(y)): line.get_markerfacecolor()
        for line in axes.lines
        if line.get_marker() not in ("none", "None", "_", "|")
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    assert set(marked) == {(1.0, 11.0), (4.0, 30.0)}
    assert marked[(4.0, 30.0)] == "white" != marked[(1.0, 11.0)]


def test_bars_have_the_percentiles_that_were_measured() -> None:
    """Four bars a setup, p50 to p99, each the mean of its repeats."""
    rows = [(config_of(cycle=cycle), result_of(rate)) for cycle, rate in enumerate((10.0, 20.0, 40.0))]
    first = figures.draw_latency_percentiles(runs_of(rows)).subfigs[0].axes[0]
    widths = [patch.get_width() for patch in first.patches]  # type: ignore[attr-defined]
    mean = (2 / 10 + 2 / 20 + 2 / 40) / 3
    assert widths == pytest.approx([mean * factor for factor in (1.0, 1.2, 1.3, 1.6)])


def test_what_cannot_be_drawn_says_why() -> None:
    """A campaign without energies or latencies has a line of text in place of an empty panel."""
    assert "No run has a figure of energy" in text(figures.draw_energy_by_precision(campaigns()["no energy"]))
    assert "latency_pass" in text(figures.draw_latency_percentiles(campaigns()["no latency"]))


def heights(axes: Axes) -> list[float]:
    """How high the bars of a panel are."""
    return [patch.get_height() for patch in axes.patches]  # type: ignore[attr-defined]


def text(figure: Figure) -> str:
    """What a figure without panels says."""
    assert not figure.axes
    return " ".join(one.get_text() for one in figure.texts)

"""One forecasting experiment: run the config's graph, leave a picture, return the errors."""

import logging
from pathlib import Path

import configmill
from experiments.forecasting.dag import Dag, DagBuilder, DagRunner, Results
from experiments.forecasting.plot import save_forecast_plot
from experiments.forecasting.series import SERIES

logger = logging.getLogger(__name__)

PLOT_NAME = "forecast.png"


def run_experiment(config: configmill.Config) -> dict[str, float | int]:
    """Return MAE, RMSE (both in the series' unit) and MASE over all rolling-origin folds, and how much was forecast.

    `forecast.png` is left in the experiment's directory. By hand there is no such directory, and nothing is written;
    `save_forecast_plot` draws what a `DagRunner` returned wherever it is told to.
    """
    dag = DagBuilder(config).build()
    logger.info("%s on %s, horizon %d", dag.forecaster.label, config.series.name, config.horizon)
    results = DagRunner(dag).run()
    if config.meta.experiment_dir is not None:
        unit = SERIES[config.series.name].unit
        save_forecast_plot(results, title_of(config, dag), unit, Path(config.meta.experiment_dir) / PLOT_NAME)
    return scores(results)


def title_of(config: configmill.Config, dag: Dag) -> str:
    """Return what is forecast, by which model and how far ahead, for a heading."""
    source = SERIES[config.series.name]
    steps = source.step if config.horizon == 1 else f"{source.step}s"
    return f"{source.title}: {dag.forecaster.label}, horizon {config.horizon} {steps}"


def scores(results: Results) -> dict[str, float | int]:
    """Return the numbers that a run is compared by: the errors over all folds, and how much was forecast."""
    return {
        "mae": results.accuracy.mae,
        "rmse": results.accuracy.rmse,
        "mase": results.accuracy.mase,
        "num_folds": len(results.folds),
        "num_forecasts": sum(len(result.forecast) for result in results.folds),
        "num_observations": len(results.series),
    }

"""`DagBuilder` makes a `Dag` of a config; `DagRunner` runs it fold by fold.

results = DagRunner(DagBuilder(config).build()).run()
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

import configmill
from experiments.forecasting import nodes
from experiments.forecasting.accuracy import Accuracy
from experiments.forecasting.folds import Fold
from experiments.forecasting.graph import Driver, build_driver
from experiments.forecasting.models import MODELS, Forecaster
from experiments.forecasting.series import SERIES

logger = logging.getLogger(__name__)

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class FoldResult:
    """One fold: truth and forecast have shape (horizon,) and the same index."""

    fold: Fold
    truth: pd.Series
    forecast: pd.Series
    accuracy: Accuracy


@dataclass(frozen=True)
class Results:
    """A whole run: the series, shape (n,), its folds, oldest first, and the accuracy over all of them."""

    series: pd.Series
    folds: list[FoldResult]
    accuracy: Accuracy


@dataclass(frozen=True)
class Dag:
    """The graph of `nodes`, with the config's settings bound to its inputs."""

    driver: Driver
    settings: dict[str, Any]

    @property
    def forecaster(self) -> Forecaster:
        """The config's model, not yet fitted."""
        forecaster: Forecaster = self.settings["forecaster"]
        return forecaster

    def compute(self, *names: str, known: Mapping[str, Any] = _NOTHING, **inputs: Any) -> dict[str, Any]:
        """Return the named nodes' values; a node in `known` has that value already and is not computed again."""
        computed: dict[str, Any] = self.driver.execute(
            list(names), inputs={**self.settings, **inputs}, overrides=dict(known)
        )
        return computed


class DagBuilder:
    """Reads the config: which series, which model with which settings, what horizon, how many folds."""

    def __init__(self, config: configmill.Config) -> None:
        self._config = config

    def build(self) -> Dag:
        """Return the graph. Raises ValueError for a series, a model or a model's key that doesn't exist."""
        series_name = _known("series.name", self._config.series.name, SERIES)
        settings = {
            "series_name": series_name,
            "season_length": self._config.series.season_length,
            "horizon": self._config.horizon,
            "num_folds": self._config.num_folds,
            "forecaster": self._build_forecaster(),
        }
        return Dag(build_driver(nodes), settings)

    def _build_forecaster(self) -> Forecaster:
        model = self._config.model
        name = _known("model.name", model.name, MODELS)
        settings = {key: model[key] for key in model if key != "name"}
        try:
            return MODELS[name](season_length=self._config.series.season_length, **settings)
        except TypeError as error:
            raise ValueError(f"Model {name!r} cannot be made of {settings}: {error}.") from error


class DagRunner:
    """Runs a graph, logs how far it is, and tells `log_metrics` each fold's errors as soon as the fold is done."""

    def __init__(
        self, dag: Dag, log_metrics: Callable[..., None] = configmill.log_metrics, log_level: int = logging.INFO
    ) -> None:
        self._dag = dag
        self._log_metrics = log_metrics
        self._log_level = log_level

    def run(self) -> Results:
        """Load the series once, run every fold on it, and score all folds together."""
        loaded = self._dag.compute("series", "folds")
        series: pd.Series = loaded["series"]
        first, last = series.index[0].date(), series.index[-1].date()
        logger.log(self._log_level, "%s: %d values from %s to %s", series.name, len(series), first, last)
        fold_results = [self._run_fold(series, fold) for fold in loaded["folds"]]
        accuracies = [result.accuracy for result in fold_results]
        overall: Accuracy = self._dag.compute("overall_accuracy", fold_accuracies=accuracies)["overall_accuracy"]
        errors = overall.mae, overall.rmse, overall.mase
        logger.log(self._log_level, "All folds: MAE %.3f, RMSE %.3f, MASE %.3f", *errors)
        return Results(series, fold_results, overall)

    def _run_fold(self, series: pd.Series, fold: Fold) -> FoldResult:
        result = FoldResult(
            fold=fold, **self._dag.compute("truth", "forecast", "accuracy", known={"series": series}, fold=fold)
        )
        errors = result.accuracy
        self._log_metrics(step=fold.number, mae=errors.mae, rmse=errors.rmse, mase=errors.mase)
        logger.log(
            self._log_level,
            "Fold %d: trained on %d values to %s, MAE %.3f",
            fold.number,
            fold.origin,
            series.index[fold.origin - 1].date(),
            errors.mae,
        )
        return result


def _known(key: str, name: str, registry: dict[str, Any]) -> str:
    if name not in registry:
        raise ValueError(f"{key} is {name!r}, which doesn't exist. Choose one of: {', '.join(registry)}.")
    return name

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.forecasting.accuracy import Accuracy, measure_accuracy, pool, seasonal_naive_scale


def test_mase_is_the_error_over_the_seasonal_naive_error_of_the_training_values() -> None:
    """By hand: seasons of 2 over 1 5 | 2 7 | 4 4 differ by 1, 2, 2, 3: the scale is 2; errors of 1 and 3 average 2."""
    train = np.array([1.0, 5.0, 2.0, 7.0, 4.0, 4.0])
    accuracy = measure_accuracy(np.array([10.0, 10.0]), np.array([9.0, 13.0]), train, season_length=2)
    assert accuracy == Accuracy(mae=2.0, rmse=math.sqrt(5.0), mase=1.0)


def test_the_seasonal_naive_method_scores_one_on_its_own_training_values() -> None:
    """Forecasting each training value by the one a season before has a MASE of 1: that is what the scale means."""
    train = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0])
    assert measure_accuracy(train[3:], train[:-3], train, season_length=3).mase == pytest.approx(1.0)


def test_the_scale_knows_nothing_but_the_training_values() -> None:
    """The same errors on other truths have the same MASE."""
    train = np.array([1.0, 2.0, 4.0, 7.0])
    near = measure_accuracy(np.array([8.0]), np.array([9.0]), train, season_length=1)
    far = measure_accuracy(np.array([8000.0]), np.array([8001.0]), train, season_length=1)
    assert near == far


@pytest.mark.parametrize("train", [[1.0, 2.0], [1.0, 2.0, 1.0, 2.0, 1.0]], ids=["too short", "exactly periodic"])
def test_no_scale_is_an_error_and_not_an_infinity(train: list[float]) -> None:
    """Where MASE is not defined, it says so."""
    with pytest.raises(ValueError, match=r"season of 2"):
        seasonal_naive_scale(np.array(train), 2)


def test_pooled_errors_are_those_of_all_forecasts_together() -> None:
    """Pooling two folds gives the MAE and RMSE of their errors in one row."""
    train = np.array([0.0, 1.0, 3.0])
    truth, forecast = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 0.0, 9.0])
    folds = [measure_accuracy(truth[part], forecast[part], train, 1) for part in (slice(0, 2), slice(2, 4))]
    together = measure_accuracy(truth, forecast, train, 1)
    pooled = pool(folds)
    assert (pooled.mae, pooled.rmse, pooled.mase) == pytest.approx((together.mae, together.rmse, together.mase))

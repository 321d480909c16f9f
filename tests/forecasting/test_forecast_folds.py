from __future__ import annotations

import pytest

from experiments.forecasting.folds import roll_origin


@pytest.mark.parametrize(("num_observations", "horizon", "num_folds"), [(309, 1, 8), (526, 12, 8), (11, 2, 5)])
def test_test_windows_follow_each_other_and_end_with_the_series(
    num_observations: int, horizon: int, num_folds: int
) -> None:
    """Every value after the first origin is forecast exactly once, from the fold just before it."""
    folds = roll_origin(num_observations, horizon, num_folds)
    forecast = [position for fold in folds for position in range(fold.origin, fold.origin + fold.horizon)]
    assert forecast == list(range(folds[0].origin, num_observations))
    assert [fold.number for fold in folds] == list(range(num_folds))
    assert {fold.horizon for fold in folds} == {horizon}


@pytest.mark.parametrize(("horizon", "num_folds"), [(2, 5), (10, 1), (0, 5), (1, 0), (-1, 3)])
def test_folds_that_do_not_fit_are_refused(horizon: int, num_folds: int) -> None:
    """Nothing to train on, or nothing to forecast, is an error that says the numbers."""
    with pytest.raises(ValueError, match=f"{num_folds} folds of {horizon} steps do not fit into 10"):
        roll_origin(10, horizon, num_folds)

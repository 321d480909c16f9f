"""Rolling-origin folds: each is fitted on all that lies before its origin and forecasts the steps after it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fold:
    """Train on positions [0, origin), forecast positions [origin, origin + horizon). Folds are numbered from 0."""

    number: int
    origin: int
    horizon: int


def roll_origin(num_observations: int, horizon: int, num_folds: int) -> list[Fold]:
    """Return the folds, oldest first; their test windows follow each other without gap and end with the series.

    Source: Tashman (2000), "Out-of-sample tests of forecasting accuracy", Int. J. Forecasting 16(4), 437-450;
    Hyndman & Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., section 5.10.

    Raises ValueError where the windows would leave nothing to train on.
    """
    first_origin = num_observations - num_folds * horizon
    if horizon < 1 or num_folds < 1 or first_origin < 1:
        raise ValueError(
            f"{num_folds} folds of {horizon} steps do not fit into {num_observations} observations. "
            "Use positive numbers, fewer folds or a shorter horizon."
        )
    return [Fold(number, first_origin + number * horizon, horizon) for number in range(num_folds)]

"""The series: public-domain data that statsmodels ships, so nothing is downloaded."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from statsmodels.datasets import co2, sunspots


@dataclass(frozen=True)
class Source:
    """Where a series comes from, what its values are measured in, and what one step of it is."""

    load: Callable[[], pd.Series]
    title: str
    unit: str
    step: str


def load_sunspots() -> pd.Series:
    """Return the yearly mean sunspot number, 1700 to 2008: shape (309,), no gaps.

    Source: SIDC, Royal Observatory of Belgium, as `statsmodels.datasets.sunspots` has it.
    """
    frame = sunspots.load_pandas().data
    years = pd.period_range(start=str(int(frame["YEAR"].iloc[0])), periods=len(frame), freq="Y").to_timestamp()
    return pd.Series(frame["SUNACTIVITY"].to_numpy(float), index=years.rename("year"), name="sunspots").asfreq("YS")


def load_co2() -> pd.Series:
    """Return the monthly mean CO2 at Mauna Loa in ppm, March 1958 to December 2001: shape (526,).

    The weekly record is averaged within each month. The five months without any measurement (the last is April 1964)
    stay NaN: filling them here would let a forecast see values from behind its origin.

    Source: Keeling & Whorf (2004), as `statsmodels.datasets.co2` has it.
    """
    weekly: pd.Series = co2.load_pandas().data["co2"]
    return weekly.resample("MS").mean().rename("co2")


SERIES: dict[str, Source] = {
    "sunspots": Source(load_sunspots, title="Sunspots", unit="sunspot number", step="year"),
    "co2": Source(load_co2, title="CO2 at Mauna Loa", unit="CO2 in ppm", step="month"),
}

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from configmill.schedule.prediction import predict_seconds

runs = st.lists(st.floats(0, 1e6), max_size=6)
hints = st.one_of(st.none(), st.floats(0, 1e6))


@given(runs, runs, hints)
def test_the_config_then_the_target_then_the_hint(of_config: list[float], of_target: list[float], hint: float) -> None:
    """The mean of the last two runs of the config; without any of the target; without any what it was told."""
    expected = hint
    for known in (of_target, of_config):
        if known:
            expected = sum(known[-2:]) / len(known[-2:])
    assert predict_seconds(of_config=of_config, of_target=of_target, hint=hint) == expected


def test_nothing_known_is_none() -> None:
    """Without runs and without a hint there is no prediction, rather than a made-up one."""
    assert predict_seconds(of_config=[], of_target=[], hint=None) is None


@given(runs, st.sampled_from([math.nan, math.inf, -1.0]))
def test_what_is_no_duration_is_left_out(of_config: list[float], odd: float) -> None:
    """A damaged record doesn't spoil a prediction."""
    with_it = predict_seconds(of_config=[*of_config, odd], of_target=[], hint=7.0)
    assert with_it == predict_seconds(of_config=of_config, of_target=[], hint=7.0)

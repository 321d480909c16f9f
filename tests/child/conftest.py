"""Attempts started by hand, warm and cold."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest

from tests.child import by_hand
from tests.processes.conftest import METHODS

Start = Callable[..., AbstractContextManager[by_hand.Started]]


@pytest.fixture(params=METHODS)
def start(request: pytest.FixtureRequest) -> Start:
    """`by_hand.start`, once for each start method."""
    return partial(by_hand.start, start_method=request.param)

from __future__ import annotations

from pathlib import Path

import pytest

from configmill.errors import UsageError
from configmill.schedule.demand import Capacity, Demand
from configmill.schedule.policies import POLICIES, SIMULATED_POLICIES, make_policy
from configmill.schedule.queue import Job, Queue
from configmill.schedule.retry import RetryPolicy

MINE = """
from configmill.schedule.policies import Area

class ShortestFirst(Area):
    longest_first = False

    def order(self, ticket):
        return ticket.seconds

class Incomplete:
    backfills = True

class NeedsMore(Area):
    def __init__(self, what):
        self.what = what

class Raises(Area):
    def order(self, ticket):
        raise RuntimeError("no idea")

class Exits(Area):
    def overtaking(self, ticket, waiting_area):
        raise SystemExit(0)

class SaysNothing(Area):
    def order(self, ticket):
        pass

class RaisesLater(Area):
    def order(self, ticket):
        return -1.0 / (3 - ticket.seconds)

shortest = ShortestFirst()
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own module of policies."""
    (tmp_path / "policies_of_mine.py").write_text(MINE)
    (tmp_path / "broken_policies.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)


def test_each_name_makes_its_policy() -> None:
    """The registry is what can be asked for."""
    for name, kind in POLICIES.items():
        assert type(make_policy(name)) is kind
    assert SIMULATED_POLICIES.keys() - POLICIES.keys() == {"waves"}


@pytest.mark.usefixtures("mine")
def test_a_policy_of_ones_own() -> None:
    """module:Class is loaded and decides the order."""
    jobs = [Job(i, demand=Demand(1), expected_seconds=s) for i, s in enumerate([3.0, 1.0, 2.0])]
    queue = Queue(jobs, RetryPolicy(), make_policy("policies_of_mine:ShortestFirst"), Capacity(3))
    taken = [queue.take(0.0) for _ in range(3)]
    assert [job.index for job in taken if isinstance(job, Job)] == [1, 2, 0]


@pytest.mark.usefixtures("mine")
def test_a_policy_that_fails_on_the_way() -> None:
    """What it can't judge and all that comes then goes by area; it is said once, with the place in the user's code."""
    said: list[str] = []
    policy = make_policy("policies_of_mine:RaisesLater", say=said.append)
    jobs = [Job(i, demand=Demand(1), expected_seconds=s) for i, s in enumerate([1.0, 3.0, 3.0, 9.0])]
    queue = Queue(jobs, RetryPolicy(), policy, Capacity(4))
    taken = [queue.take(0.0) for _ in range(4)]
    assert [job.index for job in taken if isinstance(job, Job)] == [3, 1, 2, 0]
    assert len(said) == 1 and "ZeroDivisionError" in said[0] and "policies_of_mine.py:" in said[0]


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("aera", "Did you mean 'area'?"),
        ("waves", "module:Class"),
        ("policies_of_mine:ShortestFrist", "Did you mean policies_of_mine:ShortestFirst?"),
        ("policies_of_mine:shortest", "no class"),
        ("policies_of_mine:Incomplete", "'order'"),
        ("policies_of_mine:NeedsMore", "no arguments"),
        ("policies_of_mine:Raises", "RuntimeError('no idea') in order(), at "),
        ("policies_of_mine:Exits", "SystemExit(0) in overtaking()"),
        ("policies_of_mine:SaysNothing", "must return a number"),
        ("policies_of_mine:", "module:Class"),
        ("no_such_module_here:Area", "no_such_module_here"),
        ("broken_policies:Area", "ZeroDivisionError"),
        (":", "module:Class"),
        ("", "area, fifo, easy"),
    ],
)
def test_what_is_no_policy_is_a_usage_error(name: str, said: str) -> None:
    """It quotes what was given and says what to do; the nearest name is named."""
    with pytest.raises(UsageError) as raised:
        make_policy(name)
    assert repr(name) in str(raised.value)
    assert said in str(raised.value)

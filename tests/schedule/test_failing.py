from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from configmill.protocol import status
from configmill.schedule.failing import MAYBE_THE_DEVICES, QUICK_SECONDS, DeviceHealth, FamilyFailures

#: Whether an attempt failed, and how long it took.
endings = st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, QUICK_SECONDS - 1, QUICK_SECONDS, 9999.0])))


@given(st.integers(1, 4), endings)
def test_k_quick_failures_in_a_row_make_a_suspect(k: int, drawn: list[tuple[bool, float]]) -> None:
    """Neither fewer, nor failures that took their time, nor such with a success between them."""
    health = DeviceHealth(k)
    in_a_row = 0
    for failed, seconds in drawn:
        in_a_row = in_a_row + 1 if failed and seconds < QUICK_SECONDS else 0
        health.note("a", failed=failed, seconds=seconds)
        assert health.quick_failures("a") == in_a_row
        assert health.is_suspect("a") is (in_a_row >= k)


def suspect(health: DeviceHealth, *devices: str) -> None:
    """Have three quick failures in a row on each of the devices."""
    for device in devices:
        for _ in range(3):
            health.note(device, failed=True, seconds=1.0)


def test_a_suspect_waits_for_what_becomes_of_the_others() -> None:
    """It is held while others are busy, cut out for good once one of them does well, and counted apart from them."""
    health = DeviceHealth(3)
    suspect(health, "a")
    health.note("b", failed=True, seconds=1.0)
    assert (health.judge({"b": 0.1}).held, health.judge({"b": 0.1}).cut_out) == ({"a"}, set())
    health.note("b", failed=False, seconds=2.0)
    assert (health.judge({}).held, health.judge({}).cut_out) == (set(), {"a"})
    suspect(health, "b")
    assert health.judge({}).cut_out == {"a"}


def test_what_runs_long_enough_does_well() -> None:
    """A suspect is not held for hours: what has outlived quick failures elsewhere shows that the experiment can run."""
    health = DeviceHealth(3)
    suspect(health, "a")
    assert health.judge({"b": QUICK_SECONDS - 1}).held == {"a"}
    assert health.judge({"b": QUICK_SECONDS}).cut_out == {"a"}


@given(st.permutations(["a", "b", "c"]))
def test_where_everything_fails_nothing_is_cut_out(order: list[str]) -> None:
    """Then it is the experiment; and with nothing left that could show otherwise, nothing is held."""
    health = DeviceHealth(3)
    for number, device in enumerate(order, start=1):
        suspect(health, device)
        still = dict.fromkeys(order[number:], 0.5)
        verdict = health.judge(still)
        assert not verdict.cut_out
        assert verdict.held == (set(order[:number]) if still else set())
    assert not health.judge(dict.fromkeys(order, 0.5)).held


def test_a_device_is_never_cut_out_where_nobody_says_when() -> None:
    """Without a number of failures none is too many."""
    health = DeviceHealth(None)
    for _ in range(100):
        health.note("a", failed=True, seconds=0.0)
    health.note("b", failed=False, seconds=0.0)
    assert not health.judge({"b": 0.1}).cut_out and not health.judge({"b": 0.1}).held


def test_the_classes_that_may_be_a_devices_exist() -> None:
    """Each is a class that records can hold."""
    assert set(MAYBE_THE_DEVICES) <= status.FAILURE_CLASSES.keys()


@given(st.lists(st.sampled_from([("io", "a:1"), ("io", "b:1"), ("killed", None)])), st.integers(1, 4))
def test_a_family_is_stopped_at_its_kth_failure(drawn: list[tuple[str, str | None]], k: int) -> None:
    """Failures with another class or from another place are another family's."""
    families = FamilyFailures(k)
    for number, family in enumerate(drawn):
        assert families.note(family) is (drawn[: number + 1].count(family) >= k)
        assert families.is_stopped(family) is (drawn[: number + 1].count(family) >= k)


def test_no_family_is_stopped_where_nobody_says_when() -> None:
    """It is off by default."""
    families = FamilyFailures(None)
    assert not any(families.note(("io", "a:1")) for _ in range(100))

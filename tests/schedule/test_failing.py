from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from configmill.protocol import status
from configmill.schedule.failing import MAYBE_THE_DEVICES, QUICK_SECONDS, DeviceHealth, FamilyFailures

#: Whether an attempt failed, and how long it took.
endings = st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, QUICK_SECONDS - 1, QUICK_SECONDS, 9999.0])))


@given(st.integers(1, 4), endings)
def test_k_quick_failures_in_a_row_cut_a_device_out(k: int, drawn: list[tuple[bool, float]]) -> None:
    """Neither fewer, nor failures that took their time, nor such with a success between them; and it stays out."""
    health = DeviceHealth(k)
    in_a_row, out = 0, False
    for failed, seconds in drawn:
        in_a_row = in_a_row + 1 if failed and seconds < QUICK_SECONDS else 0
        out = out or in_a_row >= k
        assert health.note("a", failed=failed, seconds=seconds) is out
        assert health.quick_failures("a") == in_a_row
        assert health.cut_out == ({"a"} if out else set())


def test_devices_are_counted_apart() -> None:
    """Failures of one device say nothing of another."""
    health = DeviceHealth(2)
    for device in ("a", "b", "c"):
        assert not health.note(device, failed=True, seconds=1.0)
    assert health.note("b", failed=True, seconds=1.0)
    assert health.cut_out == {"b"}


def test_a_device_is_never_cut_out_where_nobody_says_when() -> None:
    """Without a number of failures none is too many."""
    health = DeviceHealth(None)
    assert not any(health.note("a", failed=True, seconds=0.0) for _ in range(100))


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

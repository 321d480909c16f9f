from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.protocol import status
from configmill.schedule.retry import MAX_LOST, RETRIED_BY_DEFAULT, RetryPolicy

RETRIED = sorted(name for name, retried in RETRIED_BY_DEFAULT.items() if retried and name != status.LOST)
policies = st.builds(
    RetryPolicy,
    num_retries=st.integers(0, 20),
    backoff=st.floats(0, 100),
)


def test_the_policy_knows_every_failure_class() -> None:
    """Each class of failure that a record can hold has its row in the policy, and no other has."""
    assert RETRIED_BY_DEFAULT.keys() == status.FAILURE_CLASSES.keys()


@given(policies, st.integers(0, 20), st.integers(0, 20))
@pytest.mark.parametrize("failure_class", [None, status.CONFIG_DRIFT, status.CONFIG_REFUSED, status.CANCELLED])
def test_success_drift_and_cancellation_are_never_retried(
    failure_class: str | None, policy: RetryPolicy, used: int, lost: int
) -> None:
    """However many retries are left: what succeeded, drifted or was cancelled isn't tried again."""
    assert policy.delay(failure_class, used, lost) is None


@given(st.sampled_from(RETRIED), policies, st.integers(0, 20), st.integers(0, 20))
def test_the_kth_retry_waits_backoff_to_the_k(failure_class: str, policy: RetryPolicy, used: int, lost: int) -> None:
    """Retry k is granted for k up to num_retries, after backoff**k seconds."""
    expected = policy.backoff ** (used + 1) if used < policy.num_retries else None
    assert policy.delay(failure_class, used, lost) == expected


def test_the_default_backoff_is_two_four_eight() -> None:
    """By default a failure is retried after 2, 4 and 8 seconds."""
    policy = RetryPolicy(num_retries=3)
    assert [policy.delay(status.CODE_ERROR, used, 0) for used in range(4)] == [2.0, 4.0, 8.0, None]


@given(policies, st.integers(0, 20), st.integers(1, 3 * MAX_LOST))
def test_lost_is_retried_at_once_and_bounded(policy: RetryPolicy, used: int, lost: int) -> None:
    """A lost attempt is repeated without a wait and whatever num_retries says, until it was lost too often."""
    assert policy.delay(status.LOST, used, lost) == (0.0 if lost < MAX_LOST else None)


@pytest.mark.parametrize("backoff", [1e10, 1e300, 10**400], ids=["1e10", "1e300", "10**400"])
def test_a_backoff_beyond_all_floats_is_still_a_wait(backoff: float) -> None:
    """A back-off that grows past what a float holds is a long wait, not an arithmetic error in the manager."""
    delay = RetryPolicy(num_retries=50, backoff=backoff).delay(status.CODE_ERROR, 40, 0)
    assert delay is not None
    assert delay > 1e6
    assert not math.isnan(delay)

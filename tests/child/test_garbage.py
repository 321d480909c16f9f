"""Garbage is looked for seldom while much is imported, and as before afterwards."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from configmill.garbage import LookedForSeldom, take_as_old


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


class Cycle:
    """Refers to itself: nothing but a look frees it."""

    def __init__(self) -> None:
        self.self = self


def test_seldom() -> None:
    """Within, many objects bring about no look; afterwards the thresholds are those from before."""
    gc.set_threshold(700, 10, 10)
    gc.collect()
    looks = sum(generation["collections"] for generation in gc.get_stats())
    with LookedForSeldom():
        kept = [[] for _ in range(50_000)]  # type: ignore[var-annotated]
        assert sum(generation["collections"] for generation in gc.get_stats()) == looks
    assert gc.get_threshold() == (700, 10, 10)
    assert len(kept) == 50_000


def test_what_user_code_wants_stays() -> None:
    """Thresholds that are set within are left as they are."""
    with LookedForSeldom():
        gc.set_threshold(5, 5, 5)
    assert gc.get_threshold() == (5, 5, 5)


def test_old() -> None:
    """What is taken as old isn't looked at, but found; garbage that comes after it is collected."""
    gc.disable()
    try:
        old = Cycle()
        known = weakref.ref(old)
        del old
        take_as_old()
        assert any(thing is known() for thing in gc.get_objects())
        gc.collect(1)
        assert known() is not None
        newer = Cycle()
        newest = weakref.ref(newer)
        del newer
        gc.collect(1)
        assert newest() is None
    finally:
        gc.enable()
        gc.collect()
    assert known() is None

"""Managers that race for the same devices: real processes, judged by files that only one of them can make."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from configmill.gpus import pool as pool_module
from configmill.gpus.devices import virtual_devices
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import Lease, try_lease
from configmill.gpus.pool import GPUResourcePool
from tests.gpus.actors import Actor


def test_three_managers_never_share_one_of_four_devices(leases: LeaseDir, tmp_path: Path) -> None:
    """Each claims what it was given by files made with O_EXCL: no claim ever fails, and everybody gets some."""
    claims = tmp_path / "claims"
    claims.mkdir()
    racers = [Actor("race", leases.path, claims, 2.0) for _ in range(3)]
    try:
        taken = [racer.line() for racer in racers]
        assert [racer.process.wait() for racer in racers] == [0, 0, 0]
        assert all(int(count) > 0 for count in taken)
        assert not os.listdir(claims)
    finally:
        for racer in racers:
            racer.__exit__()


def test_killed_in_the_race(leases: LeaseDir) -> None:
    """Managers that are killed at any moment leave no device leased, and no ticket that counts."""
    for _ in range(5):
        with Actor("narrow_stream", leases.path, 4, 0.001) as streaming:
            assert streaming.line() == "streaming"
            streaming.kill()
        for device in virtual_devices(4):
            lease = try_lease(leases, device)
            assert isinstance(lease, Lease), lease
            lease.release()


def test_a_wide_request_beside_another_managers_stream(leases: LeaseDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """One manager keeps both devices busy without a pause; another that wants both gets them by its ticket.

    Without a ticket it would wait for ever: the stream's threads take each device again within a millisecond.
    """
    monkeypatch.setattr(pool_module, "TICKET_SECONDS", 0.5)
    with Actor("narrow_stream", leases.path, 2, 0.05) as streaming:
        assert streaming.line() == "streaming"
        with (
            GPUResourcePool(devices="virtual:2", lease_dir=leases.path) as pool,
            pool.lease(2, timeout=20) as ids,
        ):
            assert sorted(ids) == ["virtual:0", "virtual:1"]
        streaming.go_on()

"""A device's lease between real processes: who holds it, when it is free, and what is checked before it is used."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from configmill.errors import UsageError
from configmill.gpus import lease_dir as lease_dir_module
from configmill.gpus.devices import Device, virtual_devices
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import Lease, Refusal, lease_holder, try_lease
from configmill.gpus.records import Holder, Process, Record, pid_namespace
from configmill.gpus.tickets import Wish, place_ticket
from configmill.processes import is_running
from tests.conftest import wait_until
from tests.gpus.actors import Actor

DEVICE = virtual_devices(1)[0]


def take(leases: LeaseDir, device: Device = DEVICE, over: Record | None = None) -> Lease:
    """The lease of a device that must be free."""
    lease = try_lease(leases, device, over=over)
    assert isinstance(lease, Lease), lease
    return lease


def reason(leases: LeaseDir, device: Device = DEVICE) -> str:
    """Why a device that must not be free isn't."""
    refused = try_lease(leases, device)
    assert isinstance(refused, Refusal)
    return refused.reason


def start_minder(
    lease: Lease, script: str = "import sys; sys.stdin.read()", **variables: str
) -> subprocess.Popen[bytes]:
    """A process that inherits the lock, in a session of its own, as a minder is."""
    return subprocess.Popen(
        [sys.executable, "-c", script],
        pass_fds=[lease.descriptor], start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, **variables},
    )  # fmt: skip


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL, and wait."""
    process.kill()
    process.communicate()


def test_one_owner(leases: LeaseDir) -> None:
    """What one process has leased no other gets, and who has it is told."""
    with Actor("hold", leases.path, 0) as holder:
        assert holder.line() == "held"
        assert f"leased by the manager with pid {holder.process.pid}" in reason(leases)
        record = lease_holder(leases, DEVICE.id)
        assert record is not None and record.manager == Process.of(holder.process.pid)
        take(leases, virtual_devices(2)[1]).release()
        holder.go_on()
    take(leases).release()
    assert lease_holder(leases, DEVICE.id) is None


def test_sigkill_frees(leases: LeaseDir) -> None:
    """A holder that is killed leaves a free device at once."""
    with Actor("hold", leases.path, 0) as holder:
        assert holder.line() == "held"
        holder.kill()
        take(leases).release()


def test_the_minder_holds_it(leases: LeaseDir) -> None:
    """Once handed over, the lease lives as long as the minder, and not as long as who took it."""
    lease = take(leases)
    lease.write([Holder("/out", "d1", 1)])
    minder = start_minder(lease)
    lease.write([Holder("/out", "d1", 1, Process.of(minder.pid))])
    lease.close()
    assert "d1 in '/out'" in reason(leases)
    record = lease_holder(leases, DEVICE.id)
    assert record is not None and record.holders[0].minder == Process.of(minder.pid)
    end(minder)
    take(leases).release()


def test_a_manager_that_dies_before_it_tells_the_minder(leases: LeaseDir, tmp_path: Path) -> None:
    """Killed between the start of a minder and its hand-over, a manager leaves a device that stays leased."""
    script = f"""
import os, subprocess, sys
from configmill.gpus.devices import virtual_devices
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import try_lease
from configmill.gpus.records import Holder
lease = try_lease(LeaseDir({leases.path!r}), virtual_devices(1)[0])
lease.write([Holder("/out", "d1", 1)])
child = subprocess.Popen(["sleep", "1000"], pass_fds=[lease.descriptor], start_new_session=True,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    minder = int(done.stdout)
    try:
        assert done.returncode == -9
        assert "leased by" in reason(leases)
    finally:
        os.kill(minder, signal.SIGKILL)
    wait_until(lambda: not is_running(minder, None))
    lease = wait_until(lambda: lease if isinstance(lease := try_lease(leases, DEVICE), Lease) else None)
    lease.release()


@pytest.mark.parametrize("new_session", [True, False])
def test_a_child_that_outlives_its_minder(leases: LeaseDir, new_session: bool) -> None:
    """A daemon of a killed minder's keeps the device out of use, named, until it is gone; the record stays."""
    lease = take(leases)
    lease.write([Holder("/out", "d1", 1)])
    daemon = "import time; print(1, flush=True); time.sleep(1000)"
    script = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-c', {daemon!r}], start_new_session={new_session})\n"
        "print(p.pid, flush=True); time.sleep(1000)"
    )
    marks = {"CONFIGMILL_DST_DIR": "/out", "CONFIGMILL_CONFIG_DIGEST": "d1", "CONFIGMILL_ATTEMPT": "1"}
    minder = start_minder(lease, script, **(marks if new_session else {}))
    assert minder.stdout is not None
    said = {int(minder.stdout.readline()), int(minder.stdout.readline())}
    (child,) = said - {1}
    lease.write([Holder("/out", "d1", 1, Process.of(minder.pid))])
    lease.close()
    minder.kill()
    minder.wait()
    try:
        for _ in range(2):
            assert reason(leases) == f"quarantined: of d1 in '/out' there still run processes: pid {child}"
    finally:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: not is_running(child, None))
    minder.communicate()
    take(leases).release()


def test_another_attempt_of_the_same_campaign_is_no_leftover(leases: LeaseDir) -> None:
    """Processes of another config, or of another attempt, don't keep a device from being used."""
    lease = take(leases)
    minder = start_minder(
        lease, CONFIGMILL_DST_DIR="/out", CONFIGMILL_CONFIG_DIGEST="d1", CONFIGMILL_ATTEMPT="2"
    )  # fmt: skip
    lease.write([Holder("/out", "d1", 1), Holder("/out", "d2", 2)])
    other = take(leases, virtual_devices(2)[1])
    lease.close()
    other.release()
    end(minder)
    take(leases).release()


def test_a_pid_that_was_given_away_again(leases: LeaseDir) -> None:
    """A process that merely has the pid of a recorded minder is none of ours."""
    lease = take(leases)
    me = Process.of(os.getpid())
    lease.write([Holder("/out", "d1", 1, Process(me.pid, (me.started or 0) - 1))])
    lease.close()
    take(leases).release()


@pytest.mark.parametrize("change", ["boot", "pid_namespace"])
def test_pids_of_elsewhere(leases: LeaseDir, change: str) -> None:
    """A record of another boot, or of another container, says nothing about the pids here."""
    lease = take(leases)
    lease.record = replace(lease.record, **{change: "another"})
    lease.write([Holder("/out", "d1", 1, Process.of(os.getpid()))])
    lease.close()
    take(leases).release()
    assert pid_namespace()


def test_what_is_known_to_be_over_is_not_looked_for(leases: LeaseDir) -> None:
    """Who knows that nothing of its own is left takes the device again without a look at every process."""
    lease = take(leases)
    lease.write([Holder("/out", "d1", 1, Process.of(os.getpid()))])  # it would pass for a leftover
    lease.close()
    assert "quarantined" in reason(leases)
    again = take(leases, over=lease.record)
    again.close()
    assert isinstance(try_lease(leases, DEVICE, over=lease.record), Lease)


def test_user_forks_hold_nothing(leases: LeaseDir) -> None:
    """What user code forks while a device is leased does not keep it."""
    lease = take(leases)
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        here.close()
        there.send(b"up")  # what forks inherit is closed by now
        there.recv(1)
        os._exit(0)
    there.close()
    try:
        assert here.recv(2) == b"up"
        lease.release()
        take(leases).release()
    finally:
        here.close()
        os.waitpid(child, 0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"what": 1}', "\x00" * 100, '{"manager": null, "holders": []}'])
def test_a_scribbled_file(leases: LeaseDir, text: str) -> None:
    """Anybody may write to the files: what is no record is nobody's."""
    take(leases).release()
    Path(leases.lease_path(DEVICE.id)).write_text(text)
    take(leases).release()


def test_a_file_that_was_tidied_up(leases: LeaseDir) -> None:
    """A lock whose file has been removed is taken anew in the file that others will find."""
    take(leases).close()
    os.unlink(leases.lease_path(DEVICE.id))
    lease = take(leases)
    assert os.path.samestat(os.fstat(lease.descriptor), os.stat(leases.lease_path(DEVICE.id)))
    lease.release()


def test_hostile_ids(leases: LeaseDir) -> None:
    """The id of a MIG device of old drivers has slashes, and is one file all the same."""
    device = Device("MIG-GPU-aaaa/1/0", 0, "MIG", 1, "mig", "GPU-aaaa")
    take(leases, device).release()
    assert os.listdir(leases.path) == ["MIG-GPU-aaaa%2F1%2F0.lease"]


def test_modes_whatever_the_umask(leases: LeaseDir) -> None:
    """The directory is 1777 and its files 0666, so that the second user can lock them."""
    before = os.umask(0o077)
    try:
        take(leases).release()
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(leases.path).st_mode) == 0o1777
    assert stat.S_IMODE(os.stat(leases.lease_path(DEVICE.id)).st_mode) == 0o666


def test_a_symlink_is_not_followed(leases: LeaseDir, tmp_path: Path) -> None:
    """In a folder where everybody may write, a link to somebody's file is no lease."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    take(leases).release()
    os.unlink(leases.lease_path(DEVICE.id))
    os.symlink(victim, leases.lease_path(DEVICE.id))
    with pytest.raises(UsageError, match="can't be used"):
        try_lease(leases, DEVICE)
    assert victim.read_text() == "precious"


def test_a_relative_directory_is_refused() -> None:
    """It would be another one in each folder that a manager is started in, and devices would be shared."""
    with pytest.raises(UsageError, match="'my leases', which is no absolute path"):
        LeaseDir(environ={"CONFIGMILL_LEASE_DIR": "my leases"})


def test_a_directory_that_was_removed_while_in_use(leases: LeaseDir) -> None:
    """It is made anew, and known to have been: what was leased in the old one is protected from nobody."""
    held = take(leases)
    assert not leases.was_replaced
    shutil.rmtree(leases.path)
    take(leases, replace(DEVICE, id="GPU-other")).release()
    assert leases.was_replaced
    held.release()


def test_an_unusable_directory(tmp_path: Path) -> None:
    """A directory that can't be used is named, with what to set."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as raised:
        try_lease(LeaseDir(str(tmp_path / "file")), DEVICE)
    assert str(tmp_path / "file") in str(raised.value) and "CONFIGMILL_LEASE_DIR" in str(raised.value)


def test_a_file_that_another_user_closed(leases: LeaseDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without permission for a file the command ends loudly, and does not go on without leases."""
    take(leases).release()

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    kept = os.open
    monkeypatch.setattr(lease_dir_module.os, "open", refuse)
    with pytest.raises(UsageError, match="Permission denied"):
        try_lease(leases, DEVICE)
    monkeypatch.setattr(lease_dir_module.os, "open", kept)
    take(leases).release()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_second_user(leases: LeaseDir) -> None:
    """Whoever comes first, and with whatever umask: another user leases the same devices, and respects leases."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        shared = LeaseDir(os.path.join(folder, "leases"))
        before = os.umask(0o077)
        try:
            mine = take(shared)
            take(shared, virtual_devices(2)[1]).release()
        finally:
            os.umask(before)

        def as_another_user() -> None:
            theirs = LeaseDir(shared.path)
            assert "uid 0" in reason(theirs)
            for device in virtual_devices(3)[1:]:  # one whose file is there, and one whose file it makes
                take(theirs, device).release()
            place_ticket(theirs, Wish(frozenset({"virtual:1"}))).withdraw()
            with pytest.raises(UsageError, match="CONFIGMILL_LEASE_DIR"):
                try_lease(LeaseDir(os.path.join(folder, "closed")), DEVICE)

        os.mkdir(os.path.join(folder, "closed"), 0o700)
        assert in_a_fork_of(NOBODY, as_another_user) == 0
        take(shared, virtual_devices(3)[2]).release()
        mine.release()


NOBODY = 65534


def in_a_fork_of(user: int, act: Callable[[], None]) -> int:
    """The exit code of a fork that acts as `user`."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        os.umask(0o077)
        act()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)

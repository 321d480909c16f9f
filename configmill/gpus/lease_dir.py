"""The directory of the locks: one for all managers and users of a host, and node-local, as flock wants it.

    leases = LeaseDir()                       # CONFIGMILL_LEASE_DIR, or the default; made with the first file
    descriptor = leases.open("GPU-3f2a.lease")

It is world-writable with the sticky bit (1777) and its files are 0666, whatever the umask of who comes first: the
second user must be able to lock them.
"""

from __future__ import annotations

import fcntl
import os
import threading
import urllib.parse
from collections.abc import Mapping

from configmill.errors import UsageError
from configmill.files import remove_if_there
from configmill.processes import close, close_in_forks

LEASE_DIR = "CONFIGMILL_LEASE_DIR"
#: Not the TMPDIR of whoever runs: users and jobs have their own, and would not see one another's leases.
DEFAULT_LEASE_DIR = "/tmp/configmill-leases"

_DIR_MODE, _FILE_MODE = 0o1777, 0o666


class LeaseDir:
    """The directory, made when the first file in it is opened. Everything raises UsageError where it can't be used."""

    def __init__(self, path: str | None = None, environ: Mapping[str, str] = os.environ) -> None:
        given = environ.get(LEASE_DIR) or DEFAULT_LEASE_DIR
        if path is None and not os.path.isabs(given):
            raise UsageError(
                f"{LEASE_DIR} is {given!r}, which is no absolute path: managers that are started in different folders "
                "would not see one another's leases. Give an absolute path."
            )
        self.path = os.path.abspath(path or given)
        #: Whether it was removed, or put in another's place, while this process used it: what was leased before then
        #: is protected from nobody.
        self.was_replaced = False
        self._guard = threading.Lock()
        self._kept: int | None = None

    def lease_path(self, device_id: str) -> str:
        """The lock file of a device; an id may hold slashes (`MIG-GPU-…/1/0`)."""
        return self.file(urllib.parse.quote(device_id, safe=":") + ".lease")

    def file(self, name: str) -> str:
        """The path of a file in it."""
        return os.path.join(self.path, name)

    def open(self, path: str) -> int:
        """A descriptor of `path`, which is made where missing, for reading, writing and locking."""
        try:
            self._keep()
            while True:
                try:
                    # Without O_CREAT, which fs.protected_regular has the kernel refuse for another user's file.
                    return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                except FileNotFoundError:
                    self._create(path)
        except OSError as error:
            raise self._unusable(error) from error

    def new_file(self) -> tuple[int, str]:
        """A file that only this process knows, to be renamed once it is complete: its descriptor and its path."""
        try:
            self._keep()
            return self._make_beside()
        except OSError as error:
            raise self._unusable(error) from error

    def names(self) -> list[str]:
        """The names of all files; none where there is no directory yet."""
        try:
            return os.listdir(self.path)
        except FileNotFoundError as error:
            if os.path.islink(self.path) or not os.path.isdir(os.path.dirname(self.path)):
                raise self._unusable(error) from error
            return []
        except OSError as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Let go of the directory; locks in it stay as they are."""
        with self._guard:
            kept, self._kept = self._kept, None
        if kept is not None:
            close(kept)

    def _create(self, path: str) -> None:
        """Make `path` appear with its final mode: else another user would find it closed for a moment."""
        descriptor, beside = self._make_beside()
        os.close(descriptor)
        try:
            os.link(beside, path)
        except FileExistsError:
            return
        finally:
            remove_if_there(beside)

    def _make_beside(self) -> tuple[int, str]:
        beside = self.file(f".{os.getpid()}-{os.urandom(8).hex()}.tmp")
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        try:
            os.fchmod(descriptor, _FILE_MODE)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, beside

    def _keep(self) -> None:
        """Make the directory where missing, and lock it as tmpfiles.d(5) has it, so that nobody tidies it up."""
        with self._guard:
            if self._kept is not None:
                if self._is_the_kept():
                    return
                self.was_replaced = True
                close(self._kept)
                self._kept = None
            if not os.path.isdir(self.path):
                self._make_dir()
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            close_in_forks(descriptor)
            self._kept = descriptor

    def _is_the_kept(self) -> bool:
        assert self._kept is not None
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._kept))
        except FileNotFoundError:
            return False

    def _make_dir(self) -> None:
        beside = f"{self.path}.{os.getpid()}-{threading.get_ident()}"
        os.mkdir(beside)
        try:
            os.chmod(beside, _DIR_MODE)
            os.rename(beside, self.path)  # takes the place of an empty directory, and of no other
        except OSError:
            os.rmdir(beside)
            if not os.path.isdir(self.path):
                raise

    def _unusable(self, error: OSError) -> UsageError:
        return UsageError(
            f"The directory of the device leases, {self.path!r}, can't be used: {error.strerror or error}. "
            f"Make it writable for everybody (mode 1777), or set {LEASE_DIR} to a local directory that is: "
            "managers respect one another only within the same one."
        )

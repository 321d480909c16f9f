"""Writing files that are never seen half-written, and the one advisory lock.

    write_json(path, {"status": "running"})
    descriptor = try_lock(path)          # None: somebody else holds it

Nothing here knows what the files mean; names and places are `configmill.protocol.layout`'s.
"""

from __future__ import annotations

import os
from _thread import get_ident

from configmill.jsontext import dumps_indented, loads

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

_BESIDE = ".tmp"


def write_atomic(path: str, data: str | bytes, *, durable: bool = False) -> None:
    """Replace `path` by `data` in one step: a reader, or a crash, sees the old content or the new.

    `durable` also waits until the disk has it, so that it outlives a power cut (0.3 ms here; a rename alone outlives
    the death of any process).
    """
    # Not a longer name: that of a user's notebook may be as long as names can be.
    beside = os.path.join(os.path.dirname(path), f".{os.getpid()}-{get_ident()}{_BESIDE}")
    raw = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        try:
            _write_all(descriptor, raw)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(beside, path)
    except BaseException:
        remove_if_there(beside)  # a signal may come when it is renamed already
        raise


def is_beside(name: str) -> bool:
    """Whether `name` is that of what `write_atomic` writes beside a file, and leaves there if it is killed."""
    pid, _, thread = name.removeprefix(".").removesuffix(_BESIDE).partition("-")
    return name.startswith(".") and name.endswith(_BESIDE) and pid.isdecimal() and thread.isdecimal()


def append_line(path: str, line: str) -> None:
    """Append `line` in a single write, so that lines of several processes never mix."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        _write_all(descriptor, (line + "\n").encode("utf-8", "surrogateescape"))
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, raw: bytes) -> None:
    view = memoryview(raw)
    while view:
        view = view[os.write(descriptor, view) :]


def write_json(path: str, value: Any, *, durable: bool = False) -> None:
    """Write `value` as indented JSON, atomically. Raises TypeError for what JSON can't hold."""
    text = dumps_indented(value)
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold as an escape
        import json

        raw = json.dumps(value, indent=1).encode("ascii")
    write_atomic(path, raw + b"\n", durable=durable)


def read_json(path: str) -> Any:
    """The parsed content of `path`, None where there is no such file. Raises ValueError for anything but JSON."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_json_of_experiment(path: str) -> dict[str, Any] | None:
    """As `read_json`, but None for anything but an object: experiments may write what they like to their directory."""
    try:
        value = read_json(path)
    except (ValueError, OSError):
        return None
    return value if isinstance(value, dict) else None


def remove_if_there(path: str) -> None:
    """Remove the file `path`, which need not exist."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def try_lock(path: str) -> int | None:
    """Take the exclusive flock of `path` (created where missing): its open descriptor, or None where it is held.

    The lock lives as long as any copy of the descriptor is open, in this process or in one that inherited it.
    """
    import fcntl  # only where something is locked: no cold start does that

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_locked(path: str) -> bool:
    """Whether anybody holds the flock of `path`; creates nothing and leaves it as it is."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

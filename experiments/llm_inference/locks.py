"""One process at a time, over processes and until whoever holds it ends, however it ends.

with held("out/llm_inference.progress/lock", "the campaign out/llm_inference"):
    ...
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def held(path: str, what: str) -> Iterator[None]:
    """Hold the lock file `path` (made where missing), waiting for whoever has it; `what` it guards is for the log."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another process has %s; waiting until it is done", what)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""An exception of user code, as a class of failure and one line of text.

Classes of other packages are told by their names along the MRO: importing them to compare would cost every cold
start, and where they are not imported they can't have been raised.
"""

from __future__ import annotations

from configmill.config.frames import message_of
from configmill.errors import ConfigDriftError, ConfigRefusedError
from configmill.processes import signal_name
from configmill.protocol import status
from configmill.protocol.report import Report
from configmill.signals import signal

MAX_ERROR_LENGTH = 2000

#: Exceptions by module and name, any of which in the MRO decides; the first match in this order wins.
_CLASS_OF_EXCEPTION = {
    "torch.OutOfMemoryError": status.OOM_GPU,
    "torch.cuda.OutOfMemoryError": status.OOM_GPU,
    "torch._C.OutOfMemoryError": status.OOM_GPU,
    "cupy.cuda.memory.OutOfMemoryError": status.OOM_GPU,
    "builtins.MemoryError": status.OOM_HOST,
    "urllib.error.HTTPError": status.NETWORK,
    "urllib.error.URLError": status.NETWORK,
    "http.client.HTTPException": status.NETWORK,
    "socket.gaierror": status.NETWORK,
    "socket.herror": status.NETWORK,
    "ssl.SSLError": status.NETWORK,
    "requests.exceptions.RequestException": status.NETWORK,
    "httpx.TransportError": status.NETWORK,
    "aiohttp.client_exceptions.ClientError": status.NETWORK,
    "urllib3.exceptions.HTTPError": status.NETWORK,
    "builtins.ConnectionError": status.NETWORK,
    "builtins.TimeoutError": status.NETWORK,
    "builtins.OSError": status.IO,
}
#: How device memory errors read where they come as a plain RuntimeError.
_GPU_MEMORY_PHRASES = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "HIP out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def failure_class_of(error: BaseException) -> str:
    """The class of failure that `error` belongs to."""
    if isinstance(error, ConfigDriftError):
        return status.CONFIG_DRIFT
    if isinstance(error, ConfigRefusedError):
        return status.CONFIG_REFUSED
    names = {f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__}
    for name, failure_class in _CLASS_OF_EXCEPTION.items():
        if name in names:
            return failure_class
    if isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _GPU_MEMORY_PHRASES):
        return status.OOM_GPU
    return status.CODE_ERROR


def report_of_death(code: int | None, *, out_of_memory: bool) -> Report:
    """Of a process that ended before it could report: its exit code, or minus the signal, or None where nobody knows.

    `out_of_memory`: meanwhile the kernel has killed something for want of memory.
    """
    if code is None:
        return Report(status.FAILED, failure_class=status.KILLED, message="its process ended, nobody saw how")
    if code >= 0:
        message = f"its process ended with exit code {code} before the experiment returned"
        return Report(status.FAILED, failure_class=status.CODE_ERROR, message=message)
    if code == -signal.SIGKILL and out_of_memory:
        message = "the kernel killed it (SIGKILL) for want of memory"
        return Report(status.FAILED, failure_class=status.OOM_HOST, message=message)
    message = f"its process was ended by {signal_name(-code)}"
    return Report(status.FAILED, failure_class=status.KILLED, message=message)


def describe(error: BaseException) -> str:
    """`error` as one line: its class and the first line of its message."""
    return shorten(type(error).__name__, message_of(error))


def shorten(name: str, message: str) -> str:
    """An exception's name and the first line of its message."""
    first_line = next((line for line in message.splitlines() if line.strip()), "")
    return (f"{name}: {first_line}" if first_line else name)[:MAX_ERROR_LENGTH]


def class_of_name(name: str) -> str:
    """The class of failure of an exception of which only the name is known: a kernel that can't tell more raised it."""
    named = (found for full, found in _CLASS_OF_EXCEPTION.items() if full.rpartition(".")[2] == name)
    return next(named, status.CODE_ERROR)

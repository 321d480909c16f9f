"""The words for the states of an experiment and the classes of its failures, as they stand in files."""

from __future__ import annotations

PENDING = "pending"
RUNNING = "running"
SUCCEEDED = "succeeded"
#: A notebook that ran to its end with `--allow_errors`, some of its cells having raised.
SUCCEEDED_WITH_ERRORS = "succeeded with errors"
FAILED = "failed"
INTERRUPTED = "interrupted"

#: Every status that `status.json` can hold.
STATUSES = (PENDING, RUNNING, SUCCEEDED, SUCCEEDED_WITH_ERRORS, FAILED, INTERRUPTED)

#: Those of an experiment that is done.
SUCCESSES = (SUCCEEDED, SUCCEEDED_WITH_ERRORS)

CODE_ERROR = "code_error"
OOM_GPU = "oom_gpu"
OOM_HOST = "oom_host"
TIMEOUT = "timeout"
KILLED = "killed"
KERNEL_DIED = "kernel_died"
NETWORK = "network"
IO = "io"
CONFIG_DRIFT = "config_drift"
CONFIG_REFUSED = "config_refused"
LOST = "lost"
CANCELLED = "cancelled"

#: Every class of failure, with what it means.
FAILURE_CLASSES = {
    CODE_ERROR: "user code raised, or ended its process, before it returned",
    OOM_GPU: "a device ran out of memory",
    OOM_HOST: "the host ran out of memory (MemoryError, or the kernel's OOM killer)",
    TIMEOUT: "it ran longer than --timeout or resources.timeout",
    KILLED: "a signal from outside Configmill ended its process, a crash in native code included",
    KERNEL_DIED: "the notebook's kernel died",
    NETWORK: "a connection failed or timed out",
    IO: "reading or writing a file failed",
    CONFIG_DRIFT: "the process built another config than the manager recorded",
    CONFIG_REFUSED: "the experiment says that its config can't be carried out",
    LOST: "the process that minded it died, so nobody knows what became of it",
    CANCELLED: "it was told to end: Ctrl-C, SIGTERM, --abort_on_error, or the manager died",
}

"""The fork that becomes the experiment: nothing of the minder's is left in it, and it ends with a report.

if os.fork() == 0:
become_experiment(minder_pid, descriptors)
run_experiment(attempt, orders, report_fd)       # never returns
"""

from __future__ import annotations

import io
import os
import sys

from configmill.child import current
from configmill.child.stub import perform, print_error
from configmill.child.user_logging import configure_on_import
from configmill.processes import die_with_parent, exit_now
from configmill.protocol import status
from configmill.signals import signal

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Iterable

    from configmill.child.notebook.kernel_fork import KernelFork
    from configmill.protocol.attempt import Attempt
    from configmill.protocol.orders import Orders
    from configmill.protocol.report import Report


def become_experiment(minder_pid: int, descriptors: Iterable[int]) -> None:
    """Turn the fork into a process that user code can own: nothing of the minder's is left in it."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()  # user code that signals its own group must not reach the minder
    die_with_parent(minder_pid)
    for descriptor in descriptors:
        os.close(descriptor)


def prepare_process(target: str, search_path: Iterable[str], log_level: str, prefix: str = "") -> None:
    """What user code finds in its process before its first import: streams, `sys.argv`, `sys.path`, logging.

    `prefix` is put in front of each line that is printed.
    """
    prepare_streams(prefix)
    prepare_modules(target, search_path, log_level)


def prepare_streams(prefix: str = "") -> None:
    """The streams; `prefix` as in `prepare_process`."""
    import faulthandler  # a crash in native code leaves its Python traceback in the log

    open_streams(prefix)
    faulthandler.enable(file=2)


def prepare_modules(target: str, search_path: Iterable[str], log_level: str) -> None:
    """`sys.argv`, `sys.path` and logging."""
    sys.argv = [target]
    sys.path += [entry for entry in search_path if entry not in sys.path]
    configure_on_import(log_level)


def open_streams(prefix: str = "") -> None:
    """Have `sys.stdout` and `sys.stderr` keep nothing back but an unfinished line; `prefix` is in front of each."""
    sys.stdout = sys.__stdout__ = _line_by_line(1, prefix)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _line_by_line(2, prefix)  # type: ignore[misc]


def run_experiment(attempt: Attempt, orders: Orders, report_fd: int) -> None:
    """Run, report and exit; never returns."""
    kernel_fork = None
    if orders.notebook is not None and orders.notebook.forks_kernel:
        from configmill.child.notebook.kernel_fork import fork_kernel

        # Before this process has a thread, and what a kernel's own start would not have brought with it.
        kernel_fork = fork_kernel()
    if current.inherited is None:
        prepare_process(attempt.target, orders.search_path, orders.log_level)
    else:
        current.inherited.generators.renew()
    errors = sys.stderr
    report = _perform(attempt, orders, kernel_fork)
    with open(report_fd, "w", encoding="utf-8") as pipe:
        pipe.write(report.to_json())
    if report.error is not None:
        try:  # contextlib would cost each cold start half a millisecond
            print_error(report.error, errors)
        except (OSError, ValueError):  # user code has closed it
            report.error = None
    exit_now(0 if report.status in status.SUCCESSES else 1)


def _perform(attempt: Attempt, orders: Orders, kernel_fork: KernelFork | None) -> Report:
    if orders.launcher is not None:
        from configmill.child.ranks.launched import perform_launched

        return perform_launched(
            attempt,
            num_processes=orders.num_processes,
            search_path=orders.search_path,
            log_level=orders.log_level,
            native_threads=orders.native_threads,
        )
    if orders.notebook is None:
        return perform(attempt)
    from configmill.child.notebook.importing import import_runner

    perform_notebook = import_runner()  # with papermill: a quarter of a second
    return perform_notebook(attempt, orders, orders.notebook, kernel_fork)


def _line_by_line(descriptor: int, prefix: str) -> io.TextIOWrapper:
    """A text stream that keeps nothing back but an unfinished line, in UTF-8 whatever the locale.

    What was printed before a SIGKILL is in the log; what was written to its `buffer`, at once.
    """
    raw: io.FileIO = io.FileIO(descriptor, "w", closefd=False)
    if prefix:
        from configmill.child.ranks.lines import PrefixedLines

        raw = PrefixedLines(descriptor, prefix)
    # A TextIOWrapper over a raw stream is what `python -u` makes.
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=True)

"""What Configmill does inside a notebook's kernel, before the first cell and after the last one.

    enter(json.dumps({...}))     # before the first cell
    failure()                    # after a cell that raised: what, in JSON
    leave()                      # at the end: what only the kernel knows, in JSON
    end()

The runner (child/notebook/runner.py) has the kernel call these; a notebook that is opened by hand never meets them.
"""

from __future__ import annotations

import atexit
import faulthandler
import json
import os
import sys

from configmill.child import current
from configmill.child.failures import describe, failure_class_of
from configmill.child.rebuild import put_first_on_path
from configmill.child.user_logging import configure_on_import
from configmill.config.frames import last_user_frame
from configmill.measure.provenance import ProjectCode
from configmill.processes import die_with_parent
from configmill.protocol.attempt import Attempt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def enter(orders: str) -> None:
    """Make this kernel part of the experiment: it dies with the runner, imports the project, and writes to its log.

    `orders` is JSON: project_dir, dst_dir, search_path, log_level, notebook (its path) and source (the copy that runs).
    """
    die_with_parent(os.getppid())
    given = json.loads(orders)
    sys.path += [entry for entry in given["search_path"] if entry not in sys.path]
    put_first_on_path(given["project_dir"])
    current.attempt = Attempt.from_env(os.environ)  # user code may change the environment as it likes
    current.code = code_of_notebook(given["project_dir"], given["dst_dir"], given["notebook"], given["source"])
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        _write_through(stream, descriptor)
    # A crash in native code leaves its place in the log: of the cell's thread, since ipykernel has seven more.
    faulthandler.enable(file=_log_descriptor(sys.stderr, 2), all_threads=False)
    configure_on_import(given["log_level"])
    _send_what_utf8_lacks()


def code_of_notebook(project_dir: str, dst_dir: str, notebook: str, source: str) -> ProjectCode:
    """The code of a notebook's experiment, with the notebook itself as it is in its copy `source`."""
    inherited = current.inherited
    # The fork server has noted what it imported itself.
    code = ProjectCode(project_dir, leave_out=dst_dir) if inherited is None else inherited.code
    with open(source, "rb") as copy:
        code.add(notebook, copy.read())
    return code


def failure() -> str:
    """What the last cell raised, as JSON: its failure_class, message and where."""
    error = getattr(sys, "last_value", None)
    if not isinstance(error, BaseException):
        return "null"
    return json.dumps({"failure_class": failure_class_of(error), "message": _message(error), "where": _place(error)})


def leave() -> str:
    """What only the kernel knows, as JSON: whether the config was asked for, its unread keys, the code that ran."""
    config, code = current.config, current.code
    return json.dumps(
        {
            "unread_keys": None if config is None else config.unread_keys(),
            "resumed_from": current.resumed_from,
            "code": {} if code is None else code.tokens,
        }
    )


def end() -> None:
    """End this process as any Python ends: its threads, what is registered with atexit, files that are still open.

    All but ipykernel's closing of its sockets. That waits 10 s where a subprocess still holds the other end of its
    pipes, and now and then without any reason; its shutdown spends seconds on what a pool leaves running.
    """
    app = _shell().kernel.parent
    atexit.unregister(app.close)
    if app.iopub_thread is not None:
        atexit.unregister(app.iopub_thread.stop)
    app.io_loop.add_callback(app.io_loop.stop)  # the main thread then returns from the kernel


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the notebook called sys.exit({error.code!r})"
    if isinstance(error, SyntaxError) and error.filename in _cells_by_filename():
        return f"{type(error).__name__}: {error.msg}"  # without the name that IPython made up for the cell
    return describe(error)


def _place(error: BaseException) -> str | None:
    """The last frame in user code; one in a cell by the cell's number, not by the name that IPython made up for it."""
    where = last_user_frame(error)
    numbers = _cells_by_filename()
    deepest = None
    if isinstance(error, SyntaxError) and error.filename in numbers:
        return f"cell {numbers[error.filename]}, line {error.lineno}"
    step = error.__traceback__
    while step is not None:
        number = numbers.get(step.tb_frame.f_code.co_filename)
        if number is not None:
            deepest = (step.tb_frame.f_code, step.tb_lineno, number)
        step = step.tb_next
    if deepest is None or where is None:
        return where
    code, line, number = deepest
    if not where.startswith(f"{code.co_filename}:"):
        return f"{where} (called from cell {number}, line {line})"
    function = "" if code.co_name in ("<module>", "<cell line: 1>") else f" in {code.co_name}"
    return f"cell {number}, line {line}{function}"


def _cells_by_filename() -> dict[str, int]:
    """The numbers (`In [k]`) of the cells by the file names that IPython compiled them under."""
    shell = _shell()
    names = getattr(getattr(shell, "compile", None), "_filename_map", None)
    return dict(names) if isinstance(names, dict) else {}


def _shell() -> Any:
    # Whoever calls this is in an IPython kernel, which has imported it.
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def _send_what_utf8_lacks() -> None:
    """Have ipykernel send text with half a surrogate pair, as an escape; it would send an error of its own instead."""
    shell = _shell()
    session = getattr(getattr(shell, "kernel", None), "session", None)
    if session is None:
        return
    from jupyter_client.jsonutil import json_default

    pack = session.pack

    def pack_all(content: Any) -> bytes:
        try:
            return bytes(pack(content))
        except UnicodeEncodeError:
            return json.dumps(content, default=json_default, allow_nan=False).encode("ascii")

    session.pack = pack_all


def _write_through(stream: Any, descriptor: int) -> None:
    """Have what the kernel prints reach the attempt's log at once, and not with the next message to the runner.

    ipykernel collects text for 0.2 s before it sends it: what was printed just before a SIGKILL would be nowhere.
    """
    stream.echo = _Echo(stream, _log_descriptor(stream, descriptor))


def _log_descriptor(stream: Any, descriptor: int) -> int:
    """Where the descriptor led before ipykernel took it, if it did."""
    return int(getattr(stream, "_original_stdstream_copy", descriptor))


class _Echo:
    """What ipykernel writes to beside its messages; unbuffered."""

    def __init__(self, stream: Any, descriptor: int) -> None:
        self._stream = stream
        self._descriptor = descriptor

    def write(self, text: str) -> None:
        """Write `text` to the log, unless it was caught at the descriptor: that ipykernel copies there itself."""
        from threading import current_thread

        if current_thread() is not getattr(self._stream, "watch_fd_thread", None):
            os.write(self._descriptor, text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Nothing is kept back."""

"""A Python of this library's in a process of its own: the command, started without a shell and in its own session."""

from __future__ import annotations

import os
import subprocess
import sys

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_PACKAGE_PARENT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The child imports the very Configmill that the manager runs, installed or not, without leaving a trace on sys.path. Of
# what it imports nothing is garbage: looking for some takes a tenth of a cold start (see garbage.py).
_PROGRAM = (
    "import gc, sys; gc.disable(); sys.path.insert(0, {parent!r}); import configmill; sys.path.pop(0); "
    "from {module} import main; gc.freeze(); gc.unfreeze(); gc.enable(); main()"
)


def python_command(module: str, *arguments: str) -> list[str]:
    """The argv that runs `main()` of one of the library's modules."""
    optimisation = ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []
    # -P: neither the current directory nor anything else gets onto sys.path behind the program's back.
    program = _PROGRAM.format(parent=_PACKAGE_PARENT, module=module)
    return [sys.executable, "-P", *optimisation, "-c", program, *arguments]


def start_python(
    module: str,
    argument: str,
    *,
    env: Mapping[str, str],
    cwd: str | None = None,
    output: Any = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `main()` of one of the library's modules with one argument; it inherits `descriptors`. Raises OSError.

    Without `cwd` and `output` they are this process's. Nothing runs between fork and exec (`preexec_fn` can deadlock
    where there are threads), and the session is its own, so that a Ctrl-C in the terminal reaches the manager alone.
    """
    return subprocess.Popen(
        python_command(module, argument),
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=cwd,
        pass_fds=descriptors,
        start_new_session=True,
    )

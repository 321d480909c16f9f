"""What a module finds in a kernel when it is imported there: so much of it as can be there before there is one.

    with AsKernel() as kernel:
        kernel.pretend()                # from here on
        import plotly.io                # which then shows its figures in the notebook, and not in a browser
        kernel.finding                  # what was done that only a kernel can bear, or None

That is `sys.ps1`, the variable by which a kernel knows its parent, and an answer to `get_ipython()`. There is no shell
yet, so the answer only says of what kind it will be; a module that keeps it has the real one as soon as there is one.
"""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False  # what the server imports for itself makes each fork dearer
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

_PARENT = "JPY_PARENT_PID"
_PROMPTS = {"ps1": "In : ", "ps2": "...: ", "ps3": "Out: "}
#: By its being there modules tell a kernel from a terminal.
_CONFIG: dict[str, Any] = {"IPKernelApp": {}}


class AsKernel:
    """Pretends that this process is a kernel, from `pretend` on and while it is open."""

    def __init__(self) -> None:
        #: The first thing that makes a fork unsafe, in words that go on after "mine can't be imported: ".
        self.finding: str | None = None
        self._is_pretending = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._is_pretending:
            return
        os.environ.pop(_PARENT, None)
        for name in _PROMPTS:
            if hasattr(sys, name):
                delattr(sys, name)
        _give_out(None)

    def pretend(self) -> None:
        """Begin; ipykernel has been imported."""
        self._is_pretending = True
        os.environ[_PARENT] = str(os.getppid())
        for name, prompt in _PROMPTS.items():
            setattr(sys, name, prompt)
        _give_out(_stand_in(self._notice))

    def _notice(self, name: str) -> None:
        if self.finding is None:
            self.finding = f"it needs {name!r} of IPython's shell, which only a kernel has"


def _stand_in(notice: Any) -> Any:
    """An object of the class that a kernel's shell is of; `notice` is told what else it is asked for.

    Once there is a shell, it is that one in all but name.
    """
    real: Any = sys.modules["ipykernel.zmqshell"].ZMQInteractiveShell

    def shell_or_refusal(name: str) -> Any:
        shell = real._instance
        if shell is not None and shell is not stand_in:
            return shell
        notice(name)
        raise AttributeError(name)

    class Kernel:
        """That there is one is what most want to know, pandas for one."""

        def __getattr__(self, name: str) -> Any:
            return getattr(shell_or_refusal(f"kernel.{name}").kernel, name)

    kernel = Kernel()

    def get(_: Any, name: str) -> Any:
        if name == "__class__":
            return kind
        if name == "kernel" and real._instance is stand_in:
            return kernel
        return _CONFIG if name == "config" and real._instance is stand_in else getattr(shell_or_refusal(name), name)

    def put(_: Any, name: str, value: Any) -> None:
        setattr(shell_or_refusal(name), name, value)

    accesses = {"__module__": real.__module__, "__getattribute__": get, "__setattr__": put}
    kind = type(real)(real.__name__, (real,), accesses)
    stand_in = object.__new__(kind)
    return stand_in


def _give_out(shell: Any) -> None:
    """Have IPython answer with this shell; None for none."""
    kind: Any = sys.modules["ipykernel.zmqshell"].ZMQInteractiveShell
    for parent in kind._walk_mro():
        parent._instance = shell
    if shell is not None:
        # As IPython does while it runs a cell.
        builtins.get_ipython = lambda: shell  # type: ignore[attr-defined]
    elif hasattr(builtins, "get_ipython"):
        del builtins.get_ipython

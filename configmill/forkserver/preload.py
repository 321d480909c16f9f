"""What the server imports and builds before it forks, watching what that does to the process.

inherited = prepare(orders, surroundings, pristine_path, for_notebooks=False)      # raises UnsafeError
"""

from __future__ import annotations

import importlib
import os
import sys

from configmill.child.failures import describe
from configmill.child.generators import Generators
from configmill.child.inheritance import Inheritance
from configmill.child.rebuild import put_first_on_path
from configmill.child.target import load_target, module_of
from configmill.config import ConfigList
from configmill.config.builder import build, import_module_of
from configmill.errors import UsageError
from configmill.forkserver.as_kernel import AsKernel
from configmill.forkserver.canary import send_canary
from configmill.forkserver.environment import Watch
from configmill.forkserver.safety import Surroundings
from configmill.garbage import LookedForSeldom, take_as_old
from configmill.measure.provenance import ProjectCode
from configmill.protocol.fork_server import ServerOrders

TYPE_CHECKING = False  # what the server imports for itself makes each fork dearer
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    #: What it is called in a message, what to do, and the number of the notebook's leading import that it is, if so.
    Step = tuple[str, Callable[[], object], int | None]

#: Set while the server imports. torch then asks the driver's management library what devices there are, and not CUDA,
#: which would be initialised and useless in forks; a notebook's plots appear in it, as they would in a cold kernel; and
#: the debugger that ipykernel imports says nothing of frozen modules.
_CUDA_CHECK = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
_FOR_KERNELS = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


class UnsafeError(Exception):
    """What this process has imported or built can't be forked; the message says why.

    `max_leading` is how many of the notebook's leading imports do no harm, where it may be one of those that did.
    """

    def __init__(self, message: str, max_leading: int | None = None) -> None:
        super().__init__(message)
        self.max_leading = max_leading


def prepare(
    ask: Callable[[], ServerOrders], surroundings: Surroundings, pristine_path: list[str], *, for_notebooks: bool
) -> Inheritance:
    """Import everything and build the list; what comes of it is for forks to use. Raises UnsafeError.

    `ask` waits for the orders. `for_notebooks`: what any notebook needs is imported before.
    """
    environment = _set_variables(_CUDA_CHECK)
    generators = Generators()
    with Watch() as watch, AsKernel() as kernel, LookedForSeldom():
        if for_notebooks:
            environment |= _set_variables(_FOR_KERNELS)
            _carry_out(_for_any_notebook(forks_kernels=True), surroundings, watch, kernel)
        orders = ask()
        if orders.forks_kernels and not for_notebooks:
            environment |= _set_variables(_FOR_KERNELS)
        code = ProjectCode(orders.project_dir, leave_out=orders.dst_dir)
        code.pass_over()
        if orders.notebook_source is not None and not for_notebooks:
            _carry_out(_for_any_notebook(forks_kernels=orders.forks_kernels), surroundings, watch, kernel)
        _carry_out(_imports(orders, code, kernel), surroundings, watch, kernel)
        _check_fork(surroundings, "after the imports", 0 if orders.forks_kernels else None)
        configs = _built(orders.config_builder, watch)
        code.pass_over()
        _check(f"the config builder {orders.config_builder!r} was called", surroundings, watch)
        _check_fork(surroundings, "after the list was built")
    generators.settle()
    return Inheritance(
        config_builder=orders.config_builder,
        configs=configs,
        code=code,
        generators=generators,
        pristine_path=pristine_path,
        environment=environment,
    )


def _set_variables(variables: dict[str, str]) -> dict[str, str | None]:
    """Set those that are not set; returns what they were before, for forks to put back."""
    before = {name: os.environ.get(name) for name in variables}
    for name, value in variables.items():
        os.environ.setdefault(name, value)
    return before


def _for_any_notebook(*, forks_kernels: bool) -> Iterable[Step]:
    """Before the project is searched first: its modules may have the names of what these packages import."""
    from configmill.forkserver.kernels import import_for_kernels, import_for_runners

    if forks_kernels:
        yield "what kernels import", import_for_kernels, None
    yield "what runs notebooks", import_for_runners, None
    take_as_old()


def _imports(orders: ServerOrders, code: ProjectCode, kernel: AsKernel) -> Iterable[Step]:
    """The imports in order, by what they are called in a message; each is to count as code, except the builder's."""
    notebook = orders.notebook_source
    if notebook is not None:
        from configmill.forkserver.kernels import prepare_for_notebook

        folders = (orders.project_dir, _folder(orders))
        yield "what runs notebooks", lambda: prepare_for_notebook(notebook, folders), None
    put_first_on_path(orders.project_dir)
    if notebook is None:
        yield f"the experiment's module {module_of(orders.target)!r}", lambda: _import_target(orders.target, code), None
    code.look()
    if notebook is not None and orders.forks_kernels:
        yield from _imports_for_kernel(orders, notebook, kernel)
    else:
        yield from _preloads(orders)
    yield "the config builder's module", lambda: import_module_of(orders.config_builder), None
    code.pass_over()


def _folder(orders: ServerOrders) -> str:
    """Where the notebook lies."""
    return os.path.dirname(os.path.join(orders.project_dir, orders.target))


def _preloads(orders: ServerOrders) -> Iterable[Step]:
    for name in orders.preload:
        yield f"--preload {name!r}", lambda name=name: importlib.import_module(name), None  # type: ignore[misc]


def _imports_for_kernel(orders: ServerOrders, notebook: str, kernel: AsKernel) -> Iterable[Step]:
    """What the notebook's kernel will need, imported as it would do itself."""
    from contextlib import chdir

    from configmill.forkserver.kernels import import_ahead, leading_imports

    folder = _folder(orders)
    kernel.pretend()
    with chdir(folder):  # matplotlib, for one, looks there for its settings
        yield from _preloads(orders)
        wanted = leading_imports(notebook, orders.project_dir, folder)[: orders.max_leading]
        for number, each in enumerate(wanted):
            what = f"the notebook's module {each.module!r}"
            yield what, lambda each=each: import_ahead(each), number  # type: ignore[misc]
        take_as_old()


def _import_target(target: str, code: ProjectCode) -> None:
    load_target(target)
    code.add_module(module_of(target))


def _carry_out(steps: Iterable[Step], surroundings: Surroundings, watch: Watch, kernel: AsKernel) -> None:
    process = os.getpid()
    for what, step, leading in steps:
        try:
            step()
        except BaseException as error:  # SystemExit included
            _end_copy(process)
            sys.excepthook(type(error), error, error.__traceback__)
            reason = kernel.finding or describe(error)
            raise UnsafeError(watch.finding or f"{what} can't be imported: {reason}", leading) from error
        _end_copy(process)
        if kernel.finding is not None:
            raise UnsafeError(f"{what} can't be imported: {kernel.finding}", leading)
        _check(f"{what} was imported", surroundings, watch, leading)


def _end_copy(process: int) -> None:
    """End this process where it is one that an import forked: there is one server."""
    if os.getpid() != process:
        sys.stdout.flush()
        os._exit(0)


def _check(when: str, surroundings: Surroundings, watch: Watch, leading: int | None = None) -> None:
    if watch.finding is not None:
        raise UnsafeError(watch.finding, leading)
    harm = surroundings.harm_done()
    if harm is not None:
        raise UnsafeError(f"after {when}, {harm}", leading)


def _check_fork(surroundings: Surroundings, when: str, max_leading: int | None = None) -> None:
    harm = send_canary()
    surroundings.forked_here()
    if harm is not None:
        raise UnsafeError(f"{when}, {harm}", max_leading)


def _built(config_builder: str, watch: Watch) -> ConfigList:
    process = os.getpid()
    try:
        return build(config_builder)
    except UsageError as error:
        raise UnsafeError(watch.finding or f"the config builder failed in the fork server: {error}") from error
    finally:
        _end_copy(process)

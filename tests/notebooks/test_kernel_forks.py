"""A fork that is to be a kernel and can't: another kernel starts cold in its place. Kernels that no fork can be."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from configmill.child.notebook.kernel_manager import FastKernelClient, FastKernelManager
from configmill.plan.notebooks import resolve_notebook
from tests.conftest import REPOSITORY, Project
from tests.notebooks.written import executed, write_notebook

CONFIG = "import configmill\nconfig = configmill.get_config_from_env()"
#: Whether the kernel is a fork of the server, which was started with -P.
IS_FORK = "import sys; print('a fork' if sys.flags.safe_path else 'started')"

#: Starts a kernel in a fork that was done something to, and says what came of it.
START = """
    import asyncio, logging, os, signal, sys

    from configmill.child.notebook import provisioner
    from configmill.child.notebook.kernel_fork import KernelFork
    from configmill.child.notebook.kernel_manager import FastKernelManager

    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
    {before}
    fork = KernelFork()
    {after}
    provisioner.READY_SECONDS = {seconds}
    manager = FastKernelManager(transport="ipc")
    manager.kernel_fork = fork
    environment = {{**os.environ, "FILLING": "x" * {filling}}}

    async def answer():
        await manager.start_kernel(env=environment)
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(20)
        print("the fork is the kernel:", manager.provisioner.pid == fork.process.pid)
        print("the fork runs:", fork.process.poll() is None)
        client.stop_channels()
        await manager.shutdown_kernel(now=True)

    asyncio.run(answer())
    print("left:", os.path.exists(f"/proc/{{fork.process.pid}}"))
    """


#: A traced process ends: its tracer keeps it back until its parent waits for it, and says how it ended.
TRACED = """
    import ctypes, os, threading
    from configmill.child.notebook.kernel_fork import ForkedProcess

    PTRACE_SEIZE, PR_SET_PTRACER = 0x4206, 0x59616D61
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PTRACER, ctypes.c_ulong(-1))  # whoever likes
    traced, may_end, may_reap = os.pipe(), os.pipe(), os.pipe()
    traced_pid = os.fork()
    if traced_pid == 0:
        os.close(may_end[1])
        os.close(may_reap[1])
        os.read(may_end[0], 1)
        os._exit(3)
    tracer_pid = os.fork()
    if tracer_pid == 0:
        os.close(may_end[1])
        os.close(may_reap[1])
        if libc.ptrace(PTRACE_SEIZE, traced_pid, None, None):
            os._exit(ctypes.get_errno())
        os.write(traced[1], b"x")
        os.read(may_reap[0], 1)
        os.waitpid(traced_pid, 0)
        os._exit(0)
    os.close(traced[1])
    assert os.read(traced[0], 1), os.waitstatus_to_exitcode(os.waitpid(tracer_pid, 0)[1])
    codes = []
    waiting = threading.Thread(target=lambda: codes.append(ForkedProcess(traced_pid).wait(20)))
    waiting.start()

    def system_call():
        with open(f"/proc/self/task/{waiting.native_id}/syscall") as file:
            return file.read().split()[0]

    while (looking := system_call()) == "running":
        pass
    os.close(may_end[1])
    while waiting.is_alive() and system_call() in (looking, "running"):  # until it waits for more than a look
        pass
    os.close(may_reap[1])
    waiting.join()
    print(*codes)
    """


def start(project: Project, *, before: str = "", after: str = "", seconds: float = 20, filling: int = 0) -> list[str]:
    """What START says."""
    project.write("start.py", START.format(before=before, after=after, seconds=seconds, filling=filling))
    done = project.call([sys.executable, "start.py"], env=project.environment(TMPDIR="/tmp"))
    assert done.code == 0, done
    return done.out.splitlines()


IS_KERNEL = ["the fork is the kernel: True", "the fork runs: True", "left: False"]
IS_REPLACED = ["the fork is the kernel: False", "the fork runs: False", "left: False"]


def test_fork_that_is_ready(project: Project) -> None:
    """It is the kernel."""
    assert start(project, filling=100_000) == IS_KERNEL


@pytest.mark.parametrize(
    ("harm", "filling"),
    [
        ({"after": "os.kill(fork.process.pid, signal.SIGSTOP)"}, 100_000),
        ({"before": "os.register_at_fork(after_in_child=signal.pause)"}, 0),
    ],
)
def test_fork_that_hangs(project: Project, harm: dict[str, str], filling: int) -> None:
    """It is given its time, killed, and replaced; also where it never takes what it is told."""
    said = start(project, **harm, seconds=0.3, filling=filling)
    assert said == ["the forked kernel was not ready within 0.3 s; another one starts cold", *IS_REPLACED]


@pytest.mark.parametrize(
    ("harm", "how"),
    [
        ({"after": "os.kill(fork.process.pid, signal.SIGKILL); os.waitid(os.P_PID, fork.process.pid, os.WEXITED | "
                   "os.WNOWAIT)"}, "SIGKILL"),
        ({"after": "os.kill(fork.process.pid, signal.SIGSTOP); signal.signal(signal.SIGALRM, lambda *_: os.kill("
                   "fork.process.pid, signal.SIGKILL)); signal.setitimer(signal.ITIMER_REAL, 0.3)"}, "SIGKILL"),
        ({"before": "os.register_at_fork(after_in_child=lambda: os._exit(7))"}, "exit code 7"),
        ({"before": "sys.modules['ipykernel.kernelapp'] = None"}, "exit code 1"),
    ],
)  # fmt: skip
def test_fork_that_dies(project: Project, harm: dict[str, str], how: str) -> None:
    """It is replaced at once, whether it died before it was asked or after."""
    said = start(project, **harm)
    assert said[-4:] == [f"the forked kernel ended before it was ready ({how}); another one starts cold", *IS_REPLACED]


def test_end_of_a_fork_that_is_traced(project: Project) -> None:
    """It is waited for although it can be reaped only when the tracer (strace, gdb) has been told."""
    project.write("start.py", TRACED)
    done = project.call([sys.executable, "start.py"])
    assert (done.code, done.out) == (0, "3\n"), done


def test_no_fork_where_a_kernel_can_not_be_imported(project: Project) -> None:
    """The runner goes on without one: the kernel that it starts then says what is wrong."""
    project.write(
        "start.py",
        """
        import gc, sys
        sys.modules["ipykernel"] = None
        from configmill.child.notebook.kernel_fork import fork_kernel
        print(fork_kernel(), gc.isenabled())
        """,
    )
    done = project.call([sys.executable, "start.py"])
    assert (done.code, done.out) == (0, "None True\n"), done


def test_attempt_goes_on_with_a_cold_kernel(user: Project) -> None:
    """The notebook succeeds in the same attempt, and the log says what happened."""
    user.write(
        "forks.py",
        """
        import os, signal
        generation = 0

        def after_fork():
            global generation
            generation += 1
            if generation == 3:  # the server's fork is the minder, whose fork is the runner, whose fork is the kernel
                os.kill(os.getpid(), signal.SIGKILL)

        os.register_at_fork(after_in_child=after_fork)
        """,
    )
    write_notebook(user, CONFIG, IS_FORK)
    done = user.run_notebook("--preload", "forks", "--json")
    assert (done.code, done.summary["succeeded"]) == (0, 1), done
    assert executed(user, 0).printed(2) == "started\n"
    said = "the forked kernel ended before it was ready (SIGKILL); another one starts cold"
    assert user.log(0).count(said) == 1
    assert {path.name for path in (user.result_dir(0) / "attempts").iterdir()} == {"1.json", "1.log"}


@pytest.fixture
def install(user: Project) -> Callable[..., dict[str, str]]:
    """Installs a kernel's specification under the name `mine`, and gives the environment in which it is found."""

    def installed(argv: list[str], **fields: Any) -> dict[str, str]:
        spec = {"argv": argv, "display_name": "Mine", "language": "python", **fields}
        user.write("jupyter/kernels/mine/kernel.json", json.dumps(spec))
        return user.environment(JUPYTER_PATH=str(user.root / "jupyter"))

    return installed


def usual(program: str = sys.executable) -> list[str]:
    """The command line that ipykernel installs."""
    return [program, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


def run_in_mine(user: Project, environment: dict[str, str], *options: str) -> str:
    """Run two configs in the kernel `mine`; returns what the command printed."""
    write_notebook(user, CONFIG, IS_FORK, "import os; print(config.x, os.environ.get('OF_THE_KERNEL'))")
    command = user.notebook_command("--kernel_name", "mine", *options, builder="builder.build(2)")
    done = user.call(command, env=environment)
    assert done.code == 0, done
    return done.out


def test_kernel_of_another_program(user: Project, install: Callable[..., dict[str, str]]) -> None:
    """Its runner is forked; the kernel starts cold, which is said once and is no reason to refuse a warm start."""
    program = user.write("python elsewhere", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    program.chmod(0o755)
    said = run_in_mine(user, install(usual(str(program))), "--start_method", "warm")
    assert said.count(f"the kernel 'mine' starts cold, since it runs another program: {program}") == 1
    for index in range(2):
        assert executed(user, index).printed(2) == "started\n"
        assert executed(user, index).printed(3) == f"{index} None\n"
        assert user.json(index, "attempts/1.json")["start_method"] == "warm"


def test_kernel_with_variables_of_its_own(user: Project, install: Callable[..., dict[str, str]]) -> None:
    """A fork would have imported without them; the kernel has them, as before."""
    said = run_in_mine(user, install(usual(), env={"OF_THE_KERNEL": "set"}))
    assert said.count("the kernel 'mine' starts cold, since it sets variables of its own: OF_THE_KERNEL") == 1
    assert executed(user, 1).printed(2) == "started\n"
    assert executed(user, 1).printed(3) == "1 set\n"


@pytest.mark.parametrize(
    ("argv", "fields", "reason"),
    [
        (usual(), {}, None),
        (usual("python"), {}, None),
        (usual("python3"), {}, None),
        ([sys.executable, "-Xfrozen_modules=off", *usual()[1:]], {}, None),
        (usual("/bin/sh"), {}, "since it runs another program: /bin/sh"),
        ([sys.executable, "-X", "dev", *usual()[1:]], {}, "since it is started in its own way: "),
        ([sys.executable, "-m", "mine", "{connection_file}"], {}, "since it is started in its own way: "),
        (usual(), {"env": {"A": "1", "B": "2"}}, "since it sets variables of its own: A, B"),
        (usual(), {"metadata": {"kernel_provisioner": {"provisioner_name": "local-provisioner"}}},
         "since it has a provisioner of its own"),
    ],
)  # fmt: skip
def test_which_kernels_can_be_forks(
    user: Project,
    install: Callable[..., dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    fields: dict[str, Any],
    reason: str | None,
) -> None:
    """Those that ipykernel installs, under whatever name; a fork would not have what other specifications say."""
    monkeypatch.setenv("JUPYTER_PATH", install(argv, **fields)["JUPYTER_PATH"])
    write_notebook(user, CONFIG)
    cold = resolve_notebook("nb.ipynb", str(user.root), kernel_name="mine").cold_kernel
    assert cold is None if reason is None else str(cold).startswith(f"the kernel 'mine' starts cold, {reason}")


def test_arguments_of_the_specification_arrive(user: Project, install: Callable[..., dict[str, str]]) -> None:
    """A fork is told what comes after the launcher's name, options of ipykernel's included."""
    environment = install([*usual(), "--IPythonKernel.implementation=mine", "--IPKernelApp.exec_lines=told = 7"])
    write_notebook(user, CONFIG, IS_FORK, "print(told)")
    done = user.call(user.notebook_command("--kernel_name", "mine"), env=environment)
    assert done.code == 0, done
    assert (executed(user, 0).printed(2), executed(user, 0).printed(3)) == ("a fork\n", "7\n")


def test_entry_points_are_registered() -> None:
    """papermill finds the engine and jupyter_client the provisioner, in whatever project."""
    engines = {each.name: each.value for each in entry_points(group="papermill.engine")}
    assert engines["configmill"] == "configmill.child.notebook.engine:FastEngine"
    provisioners = {each.name: each.value for each in entry_points(group="jupyter_client.kernel_provisioners")}
    assert provisioners["configmill-fork"] == "configmill.child.notebook.provisioner:ForkProvisioner"


def test_papermill_with_and_without_the_engine(user: Project) -> None:
    """`papermill --engine configmill` gives what papermill gives; without the option papermill is as it was."""
    write_notebook(
        user,
        {"source": "x = 1", "metadata": {"tags": ["parameters"]}},
        "print('x is', x)",
        "import sys; print([name for name in sys.modules if name.startswith('configmill')])",
        "1 / 0",
        "print('never')",
    )
    printed = []
    for number, options in enumerate((["--engine", "configmill"], [])):
        command = [sys.executable, "-m", "papermill", *options, "nb.ipynb", f"out{number}.ipynb", "-p", "x", "7"]
        done = user.call(command)
        assert done.code == 1, done
        assert "ZeroDivisionError" in done.err
        kept = json.loads((user.root / f"out{number}.ipynb").read_text())
        printed.append(
            [output["text"] for cell in kept["cells"] for output in cell.get("outputs", ()) if "text" in output]
        )
        assert kept["metadata"]["papermill"]["exception"] is True
    assert printed == [[["x is 7\n"], ["[]\n"]]] * 2


def test_a_leading_import_that_does_harm(user: Project, tmp_path: Path) -> None:
    """It is left to the kernels, which start warm all the same; the log says why. pandas does none."""
    harmful = "import threading, time\nthread = threading.Thread(target=time.sleep, args=(60,), daemon=True)\n"
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "harmful.py").write_text(f"{harmful}thread.start()\n")
    environment = {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{tmp_path / 'installed'}"}
    write_notebook(user, "import pandas\nimport harmful", "assert harmful.thread.is_alive()")
    assert user.call(user.notebook_command("--json"), env=environment).summary["succeeded"] == 1
    assert user.json(0, "attempts/1.json")["start_method"] == "warm"
    assert "after the notebook's module 'harmful' was imported, the Python thread" in user.log(0)
    assert "'pandas'" not in user.log(0)


def test_client_without_fixed_waits() -> None:
    """It is the one that the manager makes; for jupyter_client the name of a client's class alone decides nothing."""
    assert type(FastKernelManager().client()) is FastKernelClient

"""The fork server that begins before the notebook is read: where it is started, and what becomes of it."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from configmill.processes import children_of
from tests.conftest import Project, wait_until
from tests.notebooks.written import PYTHON, executed, write_notebook

#: Says which servers were started ahead, by way of the one place where they are.
COMMAND = """
    import sys

    from configmill.cli import run_notebook
    from configmill.launch.ahead import ServerAhead

    class Told(ServerAhead):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            print("a server began", self._server.pid, flush=True)
            {then}

        def hand_over(self):
            print("it was taken over", flush=True)
            return super().hand_over()

    run_notebook.ServerAhead = Told
    run_notebook.main()
    """
BEGAN, TAKEN = "a server began", "it was taken over"


def command(project: Project, *options: str, then: str = "", **what: str) -> list[str]:
    """run_notebook.py, which says what it does with a server ahead, and does `then` once there is one."""
    project.write("told.py", COMMAND.format(then=then))
    _, _, *arguments = project.notebook_command(*options, **what)  # type: ignore[arg-type]
    return [sys.executable, "told.py", *arguments]


def test_a_new_campaign_begins_with_it(user: Project) -> None:
    """It is the server that the kernels are forked from; the same command again, with nothing to run, starts none."""
    write_notebook(user, "import os\nprint('my server:', int(open(f'/proc/{os.getppid()}/stat').read().split()[3]))")
    first, second = (user.call(command(user)) for _ in range(2))
    assert (first.code, second.code) == (0, 0), (first, second)
    assert user.json(0, "attempts/1.json")["start_method"] == "warm"
    pid = first.out.partition(BEGAN)[2].split()[0]
    assert TAKEN in first.out
    assert BEGAN not in second.out
    assert pid.isdigit()


def test_its_forks_have_what_the_command_sets(user: Project) -> None:
    """What is known only when the request is made reaches them: threads, the search path, whose process each is."""
    write_notebook(
        user,
        "import configmill, os, sys",
        "print(os.environ['OMP_NUM_THREADS'], configmill.get_config_from_env()['x'])",
        "print(b'CONFIGMILL_CONFIG_IDX=1' in open('/proc/self/environ', 'rb').read().split(b'\\0'))",
    )
    environment = {name: value for name, value in user.environment().items() if not name.endswith("_NUM_THREADS")}
    done = user.call(command(user, "--num_threads", "2", builder="builder.build(2)"), env=environment)
    assert done.code == 0, done
    assert TAKEN in done.out
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    assert executed(user, 1).printed(2) == f"{threads} 1\n"
    assert executed(user, 1).printed(3) == "True\n"


@pytest.mark.parametrize("options", [["--dry_run"], ["--start_method", "cold"], ["--kernel_name", "python3"]])
def test_where_none_may_be_needed(user: Project, options: list[str]) -> None:
    """None is started where nothing runs, or nothing warm, or it isn't known what a kernel imports."""
    write_notebook(user, "1")
    done = user.call(command(user, *options))
    assert done.code == 0, done
    assert BEGAN not in done.out


def test_a_notebook_that_is_not_there(user: Project) -> None:
    """A misspelt path costs no server."""
    done = user.call(command(user, notebook="other.ipynb"))
    assert done.code == 2, done
    assert BEGAN not in done.out


@pytest.mark.parametrize("wrong", ["no notebook", "no such builder"])
def test_a_command_that_is_refused(user: Project, wrong: str) -> None:
    """The server has ended by the time that the command has; nothing was created."""
    write_notebook(user, "1")
    if wrong == "no notebook":
        user.write("nb.ipynb", "{}")
    done = user.call(command(user, builder="builder.no_such()" if wrong == "no such builder" else "builder.build()"))
    assert done.code == 2, done
    assert BEGAN in done.out
    assert not Path(f"/proc/{done.out.partition(BEGAN)[2].split()[0]}").exists()
    assert not user.out.exists()


def test_a_kernel_that_no_fork_can_be(user: Project, tmp_path: Path) -> None:
    """It was for Python's kernels: where the notebook wants another one, a server that knows that takes its place."""
    kernel = tmp_path / "jupyter" / "kernels" / "other"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.joinpath("kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "Other", "language": "python", "env": {"MINE": "1"}})
    )
    write_notebook(user, "import os\nprint(os.environ['MINE'])", kernel={**PYTHON, "name": "other"})
    done = user.call(command(user), env=user.environment(JUPYTER_PATH=str(tmp_path / "jupyter")))
    assert done.code == 0, done
    assert TAKEN in done.out
    assert executed(user, 0).printed(1) == "1\n"
    assert user.json(0, "attempts/1.json")["start_method"] == "warm"


def test_it_is_killed_before_it_has_orders(user: Project) -> None:
    """Another one is started in its place, as for any that is killed."""
    write_notebook(user, "1")
    done = user.call(command(user, then="self._server.end()"))
    assert done.code == 0, done
    assert "ended while it was importing (SIGKILL): it is started again" in done.out
    assert user.json(0, "attempts/1.json")["start_method"] == "warm"


def test_the_manager_is_killed_before_it_has_orders(user: Project) -> None:
    """The server waits for nobody."""
    write_notebook(user, "1")
    done = user.call(command(user, then=f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"))
    assert done.code == -signal.SIGKILL, done
    wait_until(lambda: not user.processes())
    assert not children_of(int(done.out.partition(BEGAN)[2].split()[0]))


def test_a_kernel_knows_its_own_modules(user: Project) -> None:
    """The debugger steps over what a kernel imports itself, in a forked one too, and not over what a notebook does."""
    write_notebook(
        user,
        "import numpy\nimport ipykernel.ipkernel, sys",
        "own = get_ipython().kernel._kernel_modules\n"
        "print([any(f'/{name}/' in file for file in own) for name in ('ipykernel', 'zmq', 'numpy')])",
        "print(ipykernel.ipkernel.sys is sys)",
    )
    done = user.call(command(user))
    assert done.code == 0, done
    assert executed(user, 0).printed(2) == "[True, True, False]\n"
    assert executed(user, 0).printed(3) == "True\n"

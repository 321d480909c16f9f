"""However a notebook ends: what it had put out is kept, with the error; no cell is said to have run that didn't."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.conftest import Project, wait_until
from tests.notebooks.written import executed, write_notebook

CONFIG = "import configmill\nconfig = configmill.get_config_from_env()"
HANG = "import time\nprint('about to hang', flush=True)\ntime.sleep(1000)"
DEAF = """
    import signal, sys, time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print('deaf')
    sys.stdout.flush()
    while True:
        time.sleep(1)
    """


def status_of(project: Project, dst: Path | None = None) -> dict:
    """What status.json of the only experiment says, {} while there is none."""
    found = list((dst or project.out).glob("experiments/*/status.json"))
    return json.loads(found[0].read_text()) if found else {}


def wait_for_cell(project: Project, number: int) -> int:
    """Wait until the notebook is in that cell and has printed; returns the pid of its runner."""
    wait_until(lambda: status_of(project).get("cell") == number, seconds=60)
    wait_until(lambda: "about to hang" in project.log(0) or "deaf" in project.log(0), seconds=60)
    return int(status_of(project)["pid"])


def test_failing_cell(user: Project) -> None:
    """The notebook holds the outputs and the traceback; what came after never ran; the failure names cell and line."""
    user.write("helper.py", "def fail(x):\n    raise KeyError(x)\n")
    write_notebook(user, CONFIG, "print('before')\nimport helper\nhelper.fail('gone')", "print('never')")
    done = user.run_notebook("--json")
    assert done.code == 1, done
    failure = done.summary["failures"][0]
    assert failure["failure_class"] == "code_error"
    assert failure["error"] == "KeyError: 'gone'"
    assert failure["where"] == f"{user.root / 'helper.py'}:2 in fail (called from cell 2, line 3)"
    kept = executed(user, 0)
    assert (kept.status, kept.states) == ("failed", ["done", "failed", "not_run"])
    assert kept.printed(2) == "before\n"
    assert kept.errors(2) == ["KeyError"]
    assert kept.cells[2]["metadata"]["papermill"]["status"] == "pending"
    assert "KeyError: 'gone'" in user.log(0)
    assert "\x1b[" not in user.log(0)
    assert user.json(0, "attempts/1.json")["cell_errors"] == [{"cell": 2, "error": "KeyError: 'gone'"}]


def test_place_of_a_failure_in_a_cell(user: Project) -> None:
    """A failure in the notebook's own code is placed by cell, line and function."""
    write_notebook(user, CONFIG, "def broken():\n    return 1 / 0\n", "\nbroken()")
    failure = user.run_notebook("--json").summary["failures"][0]
    assert failure["where"] == "cell 2, line 2 in broken"


def test_place_of_a_syntax_error(user: Project) -> None:
    """A cell that isn't Python is placed by cell and line, without the file name that IPython made up."""
    write_notebook(user, CONFIG, "x = 1\ndef f(:\n    pass")
    failure = user.run_notebook("--json").summary["failures"][0]
    assert (failure["error"], failure["where"]) == ("SyntaxError: invalid syntax", "cell 2, line 2")


def test_group_of_exceptions_is_an_error_of_the_cell(user: Project) -> None:
    """IPython prints a group's traceback itself: the cell has an error output all the same."""
    write_notebook(user, CONFIG, "raise ExceptionGroup('many', [ValueError('a')])")
    assert user.run_notebook().code == 1
    assert executed(user, 0).errors(2) == ["ExceptionGroup"]
    assert "many" in executed(user, 0).evalues(2)[0]


@pytest.mark.parametrize(("code", "failure_class"), [
    ("raise MemoryError('too big')", "oom_host"),
    ("open('/no/such/file')", "io"),
    ("raise ConnectionResetError('peer')", "network"),
    ("raise RuntimeError('CUDA out of memory. Tried to allocate')", "oom_gpu"),
    ("import sys; sys.exit(3)", "code_error"),
    ("def f(:", "code_error"),
])  # fmt: skip
def test_class_of_a_failing_cell(user: Project, code: str, failure_class: str) -> None:
    """What a cell raised has the class that the same exception has in a function."""
    write_notebook(user, CONFIG, code)
    summary = user.run_notebook("--json").summary
    assert summary["failures"][0]["failure_class"] == failure_class
    assert summary["exit_code"] == 1


@pytest.mark.parametrize("options", [[], ["--allow_errors"]])
def test_notebook_that_exits(user: Project, options: list[str]) -> None:
    """exit() ends the notebook there, as a failure: what follows must not work on what made it give up."""
    write_notebook(user, CONFIG, "print('enough')\nexit()", "open('still', 'w')")
    done = user.run_notebook("--json", *options)
    assert done.code == 1, done
    failure = done.summary["failures"][0]
    assert (failure["failure_class"], failure["where"]) == ("code_error", "cell 2")
    assert "exit()" in failure["error"]
    assert executed(user, 0).states == ["done", "failed", "not_run"]
    assert not (user.root / "still").exists()


@pytest.mark.parametrize("how", ["os.kill(os.getpid(), 9)", "os._exit(7)"])
def test_killed_kernel(either: Project, how: str) -> None:
    """What the kernel printed up to its death is in the notebook and in the log, and the cell says how it died."""
    write_notebook(either, CONFIG, f"import os\nprint('last words')\n{how}", "print('never')")
    done = either.run_notebook("--json")
    assert done.code == 1, done
    failure = done.summary["failures"][0]
    end = "was ended by SIGKILL" if "kill" in how else "ended with exit code 7"
    assert (failure["failure_class"], failure["where"]) == ("kernel_died", "cell 2")
    assert failure["error"] == f"the kernel {end} in cell 2"
    kept = executed(either, 0)
    assert (kept.status, kept.states) == ("failed", ["done", "failed", "not_run"])
    assert kept.printed(2) == "last words\n"
    assert kept.errors(2) == ["KernelDied"]
    assert "last words" in either.log(0)


def test_crash_in_native_code(either: Project) -> None:
    """The failure names the signal; log and cell say at which line the kernel was when it crashed."""
    write_notebook(either, CONFIG, "import ctypes\nprint('last words')\nctypes.string_at(0)", "print('never')")
    done = either.run_notebook("--json")
    assert done.code == 1, done
    failure = done.summary["failures"][0]
    assert (failure["failure_class"], failure["where"]) == ("kernel_died", "cell 2")
    assert failure["error"] == "the kernel was ended by SIGSEGV in cell 2"
    kept = executed(either, 0)
    assert (kept.status, kept.states) == ("failed", ["done", "failed", "not_run"])
    assert kept.printed(2).startswith("last words\nFatal Python error: Segmentation fault")
    assert "line 3 in <module>" in kept.printed(2)
    assert either.log(0).count("Fatal Python error") == 1


def test_notebook_over_its_timeout(either: Project) -> None:
    """The running cell is interrupted: the notebook shows what it had printed, and the line that it was at."""
    write_notebook(either, CONFIG, HANG, "print('never')")
    done = either.run_notebook("--timeout", "5", "--json")
    failure = done.summary["failures"][0]
    assert failure["failure_class"] == "timeout"
    assert failure["where"] == "cell 2, line 3"
    kept = executed(either, 0)
    assert (kept.status, kept.states) == ("failed", ["done", "failed", "not_run"])
    assert kept.printed(2) == "about to hang\n"
    assert kept.errors(2) == ["KeyboardInterrupt", "Timeout"]
    assert kept.evalues(2)[1] == "it ran longer than its time-out of 5 s"


def test_cell_that_does_not_heed_the_interrupt(user: Project) -> None:
    """It is ended within the grace, and what it had printed is kept all the same."""
    write_notebook(user, CONFIG, DEAF, "print('never')")
    done = user.run_notebook("--timeout", "5", "--grace", "2", "--json")
    assert done.summary["failures"][0]["failure_class"] == "timeout"
    kept = executed(user, 0)
    assert kept.states == ["done", "failed", "not_run"]
    assert kept.printed(2) == "deaf\n"
    assert kept.errors(2) == ["Timeout"]
    assert user.json(0, "attempts/1.json")["seconds"] < 5 + 2 + 3


@pytest.mark.parametrize("code", [HANG, DEAF])
def test_cell_over_its_timeout(user: Project, code: str) -> None:
    """--cell_timeout ends the one cell, whether or not it heeds an interrupt; fractions of a second count."""
    write_notebook(user, CONFIG, code, "print('never')")
    done = user.run_notebook("--cell_timeout", "1.5", "--json")
    failure = done.summary["failures"][0]
    assert failure["failure_class"] == "timeout"
    assert failure["error"] == "it ran longer than --cell_timeout 1.5 s"
    kept = executed(user, 0)
    assert kept.states == ["done", "failed", "not_run"]
    assert kept.errors(2)[-1] == "Timeout"
    assert kept.cells[1]["metadata"]["configmill"]["seconds"] >= 1.5


def test_allowed_errors(user: Project) -> None:
    """--allow_errors runs to the end: status and summary say `succeeded with errors` and name the cells; it is done."""
    write_notebook(user, CONFIG, "1 / 0", "configmill.log_metrics(y=1)", "raise ValueError('second')", "print('end')")
    done = user.run_notebook("--allow_errors")
    assert done.code == 0, done
    named = "cell 2: ZeroDivisionError: division by zero; cell 4: ValueError: second"
    assert f"result_0 succeeded with errors: {named}" in done.out
    assert "1 succeeded (1 with errors)" in done.out
    assert user.json(0, "status.json")["status"] == "succeeded with errors"
    assert user.json(0, "result.json") == {"y": 1}
    kept = executed(user, 0)
    assert (kept.status, kept.states) == ("succeeded with errors", ["done", "failed", "done", "failed", "done"])
    assert ",succeeded with errors," in (user.out / "results.csv").read_text()
    assert user.run_notebook("--allow_errors", "--json").summary["skipped"] == 1


def test_dead_kernel_is_no_allowed_error(user: Project) -> None:
    """Without a kernel there is no going on."""
    write_notebook(user, CONFIG, "import os; os._exit(1)", "print('never')")
    done = user.run_notebook("--allow_errors", "--json")
    assert done.summary["failures"][0]["failure_class"] == "kernel_died"


def test_ctrl_c(either: Project) -> None:
    """What runs is interrupted and kept as such, and the same command runs it again from the start."""
    write_notebook(
        either,
        CONFIG,
        "import pathlib\nfirst = not pathlib.Path('seen').exists()\npathlib.Path('seen').touch()",
        "if first:\n    import time\n    print('about to hang'); time.sleep(1000)",
    )
    manager = either.start_notebook()
    wait_for_cell(either, 3)
    manager.send_signal(signal.SIGINT)
    assert manager.wait(30) == 130
    kept = executed(either, 0)
    assert (kept.status, kept.states) == ("interrupted", ["done", "done", "failed"])
    assert kept.errors(3) == ["KeyboardInterrupt", "Cancelled"]
    assert either.run_notebook().code == 0
    assert executed(either, 0).states == ["done"] * 3
    assert executed(either, 0, "attempts/1/nb.ipynb").status == "interrupted"


def test_killed_manager(either: Project) -> None:
    """No kernel is left 5 s later, and the notebook says that it was interrupted."""
    write_notebook(either, CONFIG, HANG, "print('never')")
    manager = either.start_notebook()
    wait_for_cell(either, 2)
    manager.kill()
    manager.wait()
    wait_until(lambda: not either.processes(), seconds=5)
    kept = executed(either, 0)
    assert (kept.status, kept.states) == ("interrupted", ["done", "failed", "not_run"])
    assert kept.printed(2) == "about to hang\n"


def test_killed_runner(either: Project) -> None:
    """The minder finishes what the runner had saved, and ends its kernel."""
    write_notebook(either, CONFIG, DEAF, "print('never')")
    manager = either.start_notebook()
    os.kill(wait_for_cell(either, 2), signal.SIGKILL)
    assert manager.wait(30) == 1
    kept = executed(either, 0)
    assert (kept.status, kept.states) == ("failed", ["done", "failed", "not_run"])
    assert kept.errors(2) == ["Killed"]
    assert either.json(0, "attempts/1.json")["failure_class"] == "killed"


@pytest.mark.parametrize("command", ["report", "run"])
def test_manager_and_minder_killed_together(user: Project, command: str) -> None:
    """`configmill report`, or the next command, puts in order what nobody was left to finish."""
    write_notebook(
        user, CONFIG, "import pathlib\nfirst = not pathlib.Path('seen').exists()\npathlib.Path('seen').touch()",
        "if first:\n    import time; print('about to hang'); time.sleep(1000)",
    )  # fmt: skip
    manager = user.start_notebook("--publish_notebook")
    runner = wait_for_cell(user, 3)
    minder = int(Path(f"/proc/{runner}/stat").read_text().rpartition(")")[2].split()[1])
    manager.send_signal(signal.SIGSTOP)  # so that it can't take note of the minder's end
    os.kill(minder, signal.SIGKILL)
    manager.kill()
    manager.wait()
    wait_until(lambda: not user.processes(), seconds=10)
    assert executed(user, 0).status == "running"
    if command == "report":
        done = user.configmill("report", str(user.out))
        assert done.code == 0, done
        kept = executed(user, 0)
        assert (user.result_dir(0) / "nb.html").exists()
        assert (user.out / "report" / "index.html").exists()
    else:
        assert user.run_notebook().code == 0
        kept = executed(user, 0, "attempts/1/nb.ipynb")
    assert (kept.status, kept.states) == ("interrupted", ["done", "done", "failed"])
    assert kept.errors(3) == ["Lost"]
    assert user.json(0, "attempts/1.json")["status"] == "interrupted"


def test_notebook_is_saved_while_a_cell_runs(user: Project) -> None:
    """What a long cell prints is in the saved notebook before the cell ends."""
    write_notebook(
        user,
        CONFIG,
        "import os, time\nprint('about to hang')\nwhile not os.path.exists('gate'): print('tick'), time.sleep(0.05)",
    )
    manager = user.start_notebook()
    wait_for_cell(user, 2)
    wait_until(lambda: "tick" in executed(user, 0).printed(2), seconds=20)
    assert executed(user, 0).states == ["done", "running"]
    (user.root / "gate").touch()
    assert manager.wait(60) == 0
    assert executed(user, 0).states == ["done", "done"]

"""A notebook over configs: what it is given, and what is kept of it."""

from __future__ import annotations

import gzip
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.notebooks.written import PYTHON, executed, write_notebook

TINY_KERNEL = """
    from ipykernel.kernelapp import IPKernelApp
    from ipykernel.kernelbase import Kernel

    class Tiny(Kernel):
        implementation, implementation_version, banner = "tiny", "1", "tiny"
        language_info = {"name": "tiny", "mimetype": "text/plain", "file_extension": ".txt"}

        def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False):
            if not silent:
                self.send_response(self.iopub_socket, "stream", {"name": "stdout", "text": f"you said {code}"})
            return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}

    IPKernelApp.launch_instance(kernel_class=Tiny)
    """
CONFIG = "import configmill\nconfig = configmill.get_config_from_env()"


def test_notebook_gets_its_config_and_leaves_outputs_result_and_log(user: Project) -> None:
    """Each config's notebook is kept with its outputs; what it logged is its result; the log has what it printed."""
    write_notebook(
        user,
        {"cell_type": "markdown", "source": "# A title"},
        CONFIG,
        "import sys\nprint('x is', config.x)\nprint('an outcry', file=sys.stderr)",
        "import subprocess; subprocess.run(['sh', '-c', 'echo from a child; echo and its complaint >&2'])",
        "configmill.log_metrics(step=0, loss=1.0)\nconfigmill.log_metrics(step=1, loss=0.5, y=config.x ** 2)",
    )
    done = user.run_notebook("--num_threads", "2", "--json", builder="builder.build(3)")
    assert done.code == 0, done
    assert done.summary["succeeded"] == 3
    for index in range(3):
        kept = executed(user, index)
        assert kept.status == "succeeded"
        assert kept.states == ["done"] * 4
        assert kept.printed(2) == f"x is {index}\nan outcry\n"
        assert user.json(index, "result.json") == {"loss": 0.5, "y": index**2}
        log = user.log(index)
        for line in (f"x is {index}", "an outcry", "from a child", "and its complaint"):
            assert log.count(f"{line}\n") == 1, (line, log)
    assert (user.out / "results.csv").read_text().splitlines()[0] == "index,digest,status,attempts,seconds,x,loss,y"
    assert user.run_notebook("--json", builder="builder.build(3)").summary["skipped"] == 3


def test_source_notebook_is_left_as_it_was(user: Project) -> None:
    """Running never writes to the user's notebook, nor beside it."""
    path = write_notebook(user, CONFIG, "print(config.x)", name="books/my book.ipynb")
    before = path.read_bytes()
    done = user.run_notebook(notebook="books/my book.ipynb")
    assert done.code == 0, done
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["my book.ipynb"]
    assert executed(user, 0, "my book.ipynb").printed(2) == "0\n"


def test_surroundings_of_a_kernel(either: Project) -> None:
    """It works in the notebook's folder, imports the project before it asks for anything, and has absolute paths."""
    either.write("helper.py", "ANSWER = 42")
    write_notebook(
        either,
        "import helper, os, json, ipykernel",
        CONFIG,
        """
        meta = config.meta
        open(os.path.join(meta.experiment_dir, "seen.json"), "w").write(json.dumps({
            "answer": helper.ANSWER, "cwd": os.getcwd(), "dst_dir": meta.dst_dir, "project_dir": meta.project_dir,
            "idx": meta.idx, "attempt": meta.attempt, "checkpoint_dir": meta.checkpoint_dir,
            "transport": ipykernel.get_connection_info(unpack=True)["transport"],
        }))
        """,
        name="books/nb.ipynb",
    )
    done = either.run_notebook(notebook="books/nb.ipynb")
    assert done.code == 0, done
    seen = either.json(0, "seen.json")
    experiment = os.path.realpath(either.result_dir(0))
    assert seen == {
        "answer": 42, "cwd": str(either.root / "books"), "dst_dir": str(either.out), "project_dir": str(either.root),
        "idx": 0, "attempt": 1, "checkpoint_dir": os.path.join(experiment, "checkpoints"), "transport": "ipc",
    }  # fmt: skip


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_twelve_kernels_at_a_time(user: Project, short_folder: Path) -> None:
    """Twelve notebooks that start at once all find their own kernel, and leave nothing in the temporary folder."""
    write_notebook(user, CONFIG, "print('I am', config.x)")
    argv = user.notebook_command("--num_threads", "12", "--json", builder="builder.build(12)")
    done = user.call(argv, env=user.environment(TMPDIR=str(short_folder)))
    assert done.code == 0, done
    assert [executed(user, index).printed(2) for index in range(12)] == [f"I am {index}\n" for index in range(12)]
    assert list(short_folder.iterdir()) == []


def test_edit_during_a_campaign_does_not_leak_in(user: Project) -> None:
    """All experiments of a command run the notebook as it was when the command began."""
    write_notebook(
        user,
        CONFIG,
        """
        import os, pathlib
        notebook = pathlib.Path("nb.ipynb")
        print(config.x, "old")
        notebook.write_text(notebook.read_text().replace('"old"', '"new"'))
        """,
    )
    done = user.run_notebook(builder="builder.build(2)")
    assert done.code == 0, done
    assert [executed(user, index).printed(2) for index in range(2)] == ["0 old\n", "1 old\n"]
    assert "new" in (user.root / "nb.ipynb").read_text()


def test_checkpoint_survives_an_attempt(user: Project) -> None:
    """A notebook that is tried again takes up its checkpoint; what the first attempt left is kept in its place."""
    write_notebook(
        user,
        CONFIG,
        """
        state = configmill.load_checkpoint()
        print("state", state)
        if state is None:
            configmill.save_checkpoint({"step": 7})
            raise RuntimeError("the first attempt")
        """,
    )
    done = user.run_notebook("--num_retries", "1", "--retry_backoff", "0")
    assert done.code == 0, done
    assert user.json(0, "attempts/2.json")["resumed_from"] == 1
    assert executed(user, 0).printed(2).endswith("state {'step': 7}\n")
    assert executed(user, 0, "attempts/1/nb.ipynb").printed(2) == "state None\n"
    assert executed(user, 0, "attempts/1/nb.ipynb").states == ["done", "failed"]


def test_cells_that_are_not_run(user: Project) -> None:
    """Markdown, raw and empty cells and those tagged to be skipped don't count; an expected exception is none."""
    write_notebook(
        user,
        {"cell_type": "raw", "source": "raw"},
        CONFIG,
        "",
        {"source": "raise SystemError('skipped')", "metadata": {"tags": ["skip-execution"]}},
        {"source": "raise ValueError('expected')", "metadata": {"tags": ["raises-exception"]}},
        "print('end')",
    )
    done = user.run_notebook()
    assert done.code == 0, done
    kept = executed(user, 0)
    assert kept.states == ["done", "done", "done"]
    assert kept.errors(2) == ["ValueError"]
    assert kept.printed(3) == "end\n"


def test_sockets_of_the_killed_go_with_the_next(user: Project, short_folder: Path) -> None:
    """What a minder that was killed left in the temporary folder is removed by a later one; what is in use stays."""
    write_notebook(
        user,
        "import ipykernel, os, pathlib, signal, time\nprint(ipykernel.get_connection_info(unpack=True)['ip'])",
        "if not pathlib.Path('seen').exists():\n"
        "    pathlib.Path('seen').touch()\n"
        "    runner = int(pathlib.Path('/proc/self/stat').read_text().rpartition(')')[2].split()[1])\n"
        "    minder = int(pathlib.Path(f'/proc/{runner}/stat').read_text().rpartition(')')[2].split()[1])\n"
        "    os.kill(minder, signal.SIGKILL); time.sleep(1000)",
    )
    environment = user.environment(TMPDIR=str(short_folder))
    (short_folder / "configmill-of-mine").mkdir()
    done = user.call(user.notebook_command(), env=environment)
    assert done.code == 0, done  # the lost attempt is repeated
    assert user.json(0, "attempts/1.json")["failure_class"] == "lost"
    assert executed(user, 0).printed(1).startswith(str(short_folder))
    assert [path.name for path in short_folder.iterdir()] == ["configmill-of-mine"]


def test_what_cells_leave_running_holds_nothing_up(either: Project) -> None:
    """A subprocess or a pool that a notebook leaves behind is ended with it; what it registered with atexit runs."""
    write_notebook(
        either,
        "import atexit, multiprocessing, subprocess",
        "left = subprocess.Popen(['sleep', '1000'])",
        "pool = multiprocessing.get_context('spawn').Pool(1)\nprint(pool.map(abs, [-7]))",
        "atexit.register(lambda: print('the last thing'))",
    )
    done = either.run_notebook()
    assert done.code == 0, done
    assert "is killed" not in either.log(0)
    assert either.log(0).endswith("the last thing\n")


def test_end_of_a_notebook_is_that_of_any_python(either: Project) -> None:
    """Files that are left open are written to their ends, temporary folders go, finalizers run."""
    write_notebook(
        either,
        """
        import gzip, tempfile, weakref
        history = open("history.csv", "w")
        history.write("1,2,3")
        packed = gzip.open("packed.gz", "wt")
        packed.write("packed")
        folder = tempfile.TemporaryDirectory(dir=".", prefix="mine-")
        class Thing: pass
        thing = Thing()
        weakref.finalize(thing, print, "finalized")
        """,
    )
    assert either.run_notebook().code == 0
    assert (either.root / "history.csv").read_text() == "1,2,3"
    with gzip.open(either.root / "packed.gz", "rt") as packed:
        assert packed.read() == "packed"
    assert list(either.root.glob("mine-*")) == []
    assert either.log(0).count("finalized\n") == 1


def test_many_quick_cells(user: Project) -> None:
    """Saving doesn't take the longer the more cells have run: the last state is there all the same."""
    write_notebook(user, *[f"print({number})" for number in range(300)])
    assert user.run_notebook().code == 0
    kept = executed(user, 0)
    assert kept.states == ["done"] * 300
    assert [kept.printed(number) for number in (1, 150, 300)] == ["0\n", "149\n", "299\n"]


def test_without_a_python_on_the_path(user: Project) -> None:
    """A virtual environment need not be activated: the kernel `python3` is this very Python."""
    write_notebook(user, CONFIG)
    done = user.call(user.notebook_command(), env=user.environment(PATH=str(user.root)))
    assert done.code == 0, done


def test_widgets_are_kept(user: Project) -> None:
    """What an Output widget shows is in the notebook's metadata, as after any other run of it."""
    write_notebook(
        user,
        """
        from ipykernel.comm import Comm
        shown = {"_model_name": "OutputModel", "_model_module": "@jupyter-widgets/output",
                 "_model_module_version": "1.0.0", "outputs": []}
        comm = Comm(target_name="jupyter.widget", data={"state": shown}, metadata={"version": "2.0.0"})
        comm.send({"method": "update", "state": {"layout": "kept"}})
        """,
    )
    assert user.run_notebook().code == 0
    widgets = executed(user, 0).content["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert [widget["state"]["layout"] for widget in widgets.values()] == ["kept"]


def test_text_that_utf8_lacks(user: Project) -> None:
    """Half a surrogate pair in what a cell prints or raises reaches notebook and record."""
    write_notebook(user, "print('half \\ud800 a pair')", "raise ValueError('half \\ud800 a pair')")
    failure = user.run_notebook("--json").summary["failures"][0]
    assert failure["error"] == "ValueError: half \ud800 a pair"
    assert executed(user, 0).errors(2) == ["ValueError"]
    assert executed(user, 0).printed(1).startswith("half ")


def test_kernel_of_another_language(user: Project) -> None:
    """A kernel that knows nothing of Configmill runs; what it prints is in the log, too."""
    kernel = user.root / "jupyter" / "kernels" / "tiny" / "kernel.json"
    user.write("jupyter/tiny_kernel.py", TINY_KERNEL)
    argv = [sys.executable, str(user.root / "jupyter" / "tiny_kernel.py"), "-f", "{connection_file}"]
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": argv, "display_name": "Tiny", "language": "tiny"}))
    write_notebook(user, "hello", kernel={"name": "tiny", "display_name": "Tiny"})
    done = user.call(user.notebook_command(), env=user.environment(JUPYTER_PATH=str(user.root / "jupyter")))
    assert done.code == 0, done
    assert executed(user, 0).printed(1) == "you said hello"
    assert "you said hello" in user.log(0)


def test_kernel_that_does_not_start(user: Project) -> None:
    """The failure quotes what the kernel said last; a forked kernel has long imported what stands in the way."""
    user.write("books/types.py", "raise SystemError('a module in the way')")
    write_notebook(user, "1", name="books/nb.ipynb")
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Mine", "language": "python", "env": {"OF_THE_KERNEL": "set"}}
    user.write("jupyter/kernels/mine/kernel.json", json.dumps(spec))
    command = user.notebook_command("--json", "--kernel_name", "mine", notebook="books/nb.ipynb")
    done = user.call(command, env=user.environment(JUPYTER_PATH=str(user.root / "jupyter")))
    failure = done.summary["failures"][0]
    assert failure["failure_class"] == "kernel_died"
    assert "a module in the way" in failure["error"]


def test_project_whose_files_bear_the_names_of_modules(user: Project) -> None:
    """A user's own email.py or uuid.py is no concern of Configmill's."""
    for name in ("email", "uuid", "notebook", "nbformat", "queue", "attr"):
        user.write(f"{name}.py", "raise SystemError('not for Configmill')")
    write_notebook(user, CONFIG, "print(config.x)")
    done = user.run_notebook("--publish_notebook", "--json")
    assert done.code == 0, done
    assert (done.summary["succeeded"], done.summary["warnings"]) == (1, [])


def test_notebook_with_the_longest_name(user: Project) -> None:
    """A name may be as long as a file's can be."""
    name = "n" * 249 + ".ipynb"
    write_notebook(user, CONFIG, name=name)
    done = user.run_notebook("--publish_notebook", "--json", notebook=name)
    assert (done.code, done.summary["warnings"]) == (0, []), done
    assert executed(user, 0, name).states == ["done"]


def test_unread_keys_are_told(user: Project) -> None:
    """The summary names the keys that no notebook read; all, where none asked for its config."""
    write_notebook(user, CONFIG, "config.x")
    assert user.run_notebook("--json").summary["unread_keys"] == ["name"]
    write_notebook(user, "1 + 1", name="other.ipynb")
    summary = user.run_notebook("--json", notebook="other.ipynb", dst=user.root / "other").summary
    assert summary["unread_keys"] == ["name", "x"]


def test_drifting_builder_is_refused_in_the_kernel(user: Project) -> None:
    """A notebook never works with another config than the recorded one."""
    user.write("builder.py", "import os\ndef build(): return [{'x': 0, 'pid': os.getpid()}]")
    write_notebook(user, CONFIG, "print('ran')")
    done = user.run_notebook("--json")
    assert done.code == 1, done
    assert done.summary["failures"][0]["failure_class"] == "config_drift"
    assert "'pid'" in done.summary["failures"][0]["error"]
    assert executed(user, 0).states == ["failed", "not_run"]


def test_python_api_runs_notebooks(user: Project) -> None:
    """`configmill.run` takes a notebook's path, configs as objects, and the notebook's options."""
    write_notebook(user, CONFIG, "configmill.log_metrics(y=config.x)", "raise ValueError('late')")
    user.write(
        "script.py",
        """
        import configmill

        if __name__ == "__main__":
            summary = configmill.run([{"x": 3}], "nb.ipynb", "out dir", allow_errors=True, publish_notebook=True)
            print(summary.succeeded, summary.exit_code, [errors.error for errors in summary.succeeded_with_errors])
            print(configmill.load_results("out dir")["y"].tolist())
        """,
    )
    done = user.call([sys.executable, "script.py"])
    assert done.code == 0, done
    assert done.out.splitlines() == ["1 0 ['cell 3: ValueError: late']", "[3]"]
    assert (user.result_dir(0) / "nb.html").exists()


def test_python_api_tells_notebooks_from_functions(user: Project) -> None:
    """A pathlib.Path is a notebook's path too; what is about notebooks is refused for a function."""
    write_notebook(user, CONFIG)
    user.write("experiment.py", "def run(config):\n    return {}\n")
    user.write(
        "script.py",
        """
        import pathlib, configmill

        if __name__ == "__main__":
            print(configmill.run("builder.build()", pathlib.Path("nb.ipynb"), "out dir").succeeded)
            try:
                configmill.run("builder.build()", "experiment.run", "other", allow_errors=True)
            except configmill.UsageError as error:
                print(error)
        """,
    )
    done = user.call([sys.executable, "script.py"])
    assert done.code == 0, done
    succeeded, refused = done.out.splitlines()
    assert succeeded == "1"
    assert "allow_errors" in refused
    assert not (user.root / "other").exists()


def bad_notebooks(user: Project) -> dict[str, tuple[list[str], str]]:
    """Options that can't be used, and a part of what is said of each."""
    write_notebook(user, "1")
    write_notebook(user, "1", name="strange.ipynb", kernel={**PYTHON, "name": "no-such"})
    user.write("torn.ipynb", '{"cells": [')
    user.write("list.ipynb", "[1, 2]")
    user.write("cells.ipynb", '{"cells": [{"cell_type": "dance"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    user.write("text.txt", "hello")
    user.write("bare.ipynb", '{"cells": [], "metadata": {}}')
    (user.root / "folder.ipynb").mkdir()
    os.mkfifo(user.root / "pipe.ipynb")
    return {
        "missing": (["--notebook", "nc.ipynb"], '"nb.ipynb"'),
        "directory": (["--notebook", "folder.ipynb"], "directory"),
        "not a notebook": (["--notebook", "text.txt"], "'text.txt'"),
        "torn": (["--notebook", "torn.ipynb"], "'torn.ipynb'"),
        "a list": (["--notebook", "list.ipynb"], "'list.ipynb'"),
        "a strange cell": (["--notebook", "cells.ipynb"], "'cells.ipynb'"),
        "its kernel is unknown": (["--notebook", "strange.ipynb"], "'no-such'"),
        "unknown kernel": (["--kernel_name", "pyhton3"], '"python3"'),
        "no version": (["--notebook", "bare.ipynb"], "'bare.ipynb'"),
        "a pipe": (["--notebook", "pipe.ipynb"], "'pipe.ipynb'"),
        "cell_timeout": (["--cell_timeout", "0"], "--cell_timeout"),
        "hide_input": (["--hide_input"], "--publish_notebook"),
    }


@pytest.mark.parametrize("kind", [
    "missing", "directory", "not a notebook", "torn", "a list", "a strange cell", "its kernel is unknown",
    "unknown kernel", "no version", "a pipe", "cell_timeout", "hide_input",
])  # fmt: skip
def test_bad_input_creates_nothing(user: Project, kind: str) -> None:
    """What can't be run is refused with exit code 2, in two sentences, before anything is created."""
    options, named = bad_notebooks(user)[kind]
    done = user.run_notebook(*options)
    assert done.code == 2, done
    assert named in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert "Traceback" not in done.err
    assert not user.out.exists()


def test_notebook_given_to_run_experiment(user: Project) -> None:
    """run_experiment.py says which command a notebook is for."""
    done = user.run(experiment="nb.ipynb")
    assert done.code == 2
    assert "run_notebook.py" in done.err


def test_socket_paths_fit_wherever_the_temporary_folder_is(user: Project) -> None:
    """A socket's path may have 107 bytes: a long TMPDIR is not used for sockets."""
    long = Path(user.root, "x" * 100)
    long.mkdir()
    write_notebook(user, "import ipykernel\nprint(ipykernel.get_connection_info(unpack=True)['ip'])")
    done = user.call(user.notebook_command(), env=user.environment(TMPDIR=str(long)))
    assert done.code == 0, done
    assert len(executed(user, 0).printed(1)) < 107

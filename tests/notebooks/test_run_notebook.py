"""A notebook over configs: what it is given, and what is kept of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.notebooks.written import PYTHON, executed, write_notebook

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


def test_surroundings_of_a_kernel(user: Project) -> None:
    """It works in the notebook's folder, imports the project before it asks for anything, and has absolute paths."""
    user.write("helper.py", "ANSWER = 42")
    write_notebook(
        user,
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
    done = user.run_notebook(notebook="books/nb.ipynb")
    assert done.code == 0, done
    seen = user.json(0, "seen.json")
    experiment = os.path.realpath(user.result_dir(0))
    assert seen == {
        "answer": 42, "cwd": str(user.root / "books"), "dst_dir": str(user.out), "project_dir": str(user.root),
        "idx": 0, "attempt": 1, "checkpoint_dir": os.path.join(experiment, "checkpoints"), "transport": "ipc",
    }  # fmt: skip


def test_twelve_kernels_at_a_time(user: Project) -> None:
    """Twelve notebooks that start at once all find their own kernel, and leave nothing in the temporary folder."""
    sockets = user.root / "t"
    sockets.mkdir()
    write_notebook(user, CONFIG, "print('I am', config.x)")
    argv = user.notebook_command("--num_threads", "12", "--json", builder="builder.build(12)")
    done = user.call(argv, env=user.environment(TMPDIR=str(sockets)))
    assert done.code == 0, done
    assert [executed(user, index).printed(2) for index in range(12)] == [f"I am {index}\n" for index in range(12)]
    assert list(sockets.iterdir()) == []


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


def bad_notebooks(user: Project) -> dict[str, tuple[list[str], str]]:
    """Options that can't be used, and a part of what is said of each."""
    write_notebook(user, "1")
    write_notebook(user, "1", name="strange.ipynb", kernel={**PYTHON, "name": "no-such"})
    user.write("torn.ipynb", '{"cells": [')
    user.write("list.ipynb", "[1, 2]")
    user.write("cells.ipynb", '{"cells": [{"cell_type": "dance"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    user.write("text.txt", "hello")
    (user.root / "folder.ipynb").mkdir()
    return {
        "missing": (["--notebook", "nc.ipynb"], '"nb.ipynb"'),
        "directory": (["--notebook", "folder.ipynb"], "directory"),
        "not a notebook": (["--notebook", "text.txt"], "'text.txt'"),
        "torn": (["--notebook", "torn.ipynb"], "'torn.ipynb'"),
        "a list": (["--notebook", "list.ipynb"], "'list.ipynb'"),
        "a strange cell": (["--notebook", "cells.ipynb"], "'cells.ipynb'"),
        "its kernel is unknown": (["--notebook", "strange.ipynb"], "'no-such'"),
        "unknown kernel": (["--kernel_name", "pyhton3"], '"python3"'),
        "cell_timeout": (["--cell_timeout", "0"], "--cell_timeout"),
        "hide_input": (["--hide_input"], "--publish_notebook"),
    }


@pytest.mark.parametrize("kind", [
    "missing", "directory", "not a notebook", "torn", "a list", "a strange cell", "its kernel is unknown",
    "unknown kernel", "cell_timeout", "hide_input",
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

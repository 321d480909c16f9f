"""A forked kernel is like one that was started: the same cells, run warm and cold, in all that a user can see."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from tests.conftest import Project, project_within
from tests.notebooks.everyday_cells import CELLS, LATE
from tests.notebooks.written import Executed, write_notebook

#: In the last a kernel is started that ipykernel's own specification describes, but for a provisioner that can't fork.
METHODS = ("warm", "cold", "started")
FORKED = ("warm", "cold")
#: What a forked kernel has otherwise, and is meant to: what can't be undone in a process that goes on from another.
MEANT = {
    "imported": "modules that only a warm runner needs are imported too; nothing looks for a program with `runpy`",
    "safe path": "its forebear was started with -P; that the notebook's folder is searched all the same is in `path`",
    "stdin": "empty at once in both, from /dev/null here and from a pipe there",
    "program": "its forebear's command line",
    "draws": "no two kernels draw the same",
}


class Both:
    """The same notebook for two configs, run in every way side by side."""

    def __init__(self, project: Project) -> None:
        self.project = project
        commands = {method: self._start(method) for method in METHODS}
        self.said = {method: command.communicate(timeout=100)[0] for method, command in commands.items()}
        assert not any(command.returncode for command in commands.values()), self.said

    def _start(self, method: str) -> subprocess.Popen[str]:
        command = self.project.notebook_command(
            "--start_method", "warm" if method == "warm" else "cold", "--allow_errors", "--num_threads", "2",
            notebook="books/nb.ipynb", builder="builder.build(2)", dst=self.dst(method),
        )  # fmt: skip
        path = os.environ.get("JUPYTER_PATH", "")
        folders = [str(self.project.root / "jupyter"), path] if method == "started" else [path]
        return subprocess.Popen(
            command, cwd=self.project.root, env=self.project.environment(JUPYTER_PATH=os.pathsep.join(folders)),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def dst(self, method: str) -> Path:
        """Where one of them went; of the same length, so that nothing is broken into lines otherwise."""
        return self.project.root / f"out {method[:4]}"

    def json(self, method: str, name: str, index: int = 0) -> Any:
        """A JSON file of an experiment."""
        return json.loads(self.text(method, name, index))

    def text(self, method: str, name: str, index: int = 0) -> str:
        """A file of an experiment, without what no two runs have in common."""
        text = (self.project.result_dir(index, self.dst(method)) / name).read_text()
        return without_accidents(text).replace(f"out {method[:4]}", "out")

    def outputs(self, method: str) -> list[Any]:
        """What each cell put out, with the streams' pieces put together, but for lines that may be late."""
        kept = Executed(self.project.result_dir(0, self.dst(method)) / "nb.ipynb")
        return [[_comparable(output, method) for output in _joined(cell["outputs"])] for cell in kept.cells]


def without_accidents(text: str) -> str:
    """The text without times, process ids and addresses."""
    for pattern, name in (
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]\d{3}Z?", "TIME"),
        (r"ipykernel_\d+", "ipykernel_PID"),
        (r"configmill-[\w-]+/", "SOCKETS/"),
        (r"0x[0-9a-f]{6,}", "ADDRESS"),
    ):
        text = re.sub(pattern, name, text)
    return text


def _joined(outputs: list[Any]) -> list[Any]:
    """Where a stream is cut into messages is a matter of time, and so is which of two streams comes first."""
    streams: dict[str, str] = {}
    others = []
    for output in outputs:
        if output["output_type"] == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + "".join(output["text"])
        else:
            others.append(output)
    punctual = {name: re.sub(f".*{LATE}\n", "", text) for name, text in streams.items()}
    return [*sorted((name, text) for name, text in punctual.items() if text), *others]


def _comparable(output: Any, method: str) -> Any:
    return json.loads(without_accidents(json.dumps(output)).replace(f"out {method[:4]}", "out"))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """The everyday cells, run in every way."""
    with project_within(tmp_path_factory.mktemp("matrix")) as project:
        project.write(
            "builder.py",
            """
            import configmill

            def build(n):
                return configmill.grid({"x": 0, "unread": 1, "double": lambda x: 2 * x}, {"x": list(range(n))})
            """,
        )
        project.write("in_the_project.py", "NAME = 'in the project'")
        project.write("books/beside_the_notebook.py", "NAME = 'beside the notebook'")
        project.write("books/matplotlibrc", "lines.linewidth: 7.5")
        spec = KernelSpecManager().get_kernel_spec("python3").to_dict()
        spec["metadata"]["kernel_provisioner"] = {"provisioner_name": "local-provisioner"}
        project.write("jupyter/kernels/python3/kernel.json", json.dumps(spec))
        write_notebook(project, *CELLS, name="books/nb.ipynb")
        yield Both(project)


def test_kernels_were_forked_that_should(both: Both) -> None:
    """There is nothing to compare where one fell back to a cold start."""
    for index in range(2):
        for method in METHODS:
            start_method = "warm" if method == "warm" else "cold"
            assert both.json(method, "attempts/1.json", index)["start_method"] == start_method
            assert "starts cold" not in both.text(method, "attempts/1.log", index)
            assert both.json(method, "facts.json", index)["safe path"] == (method in FORKED)
    assert "start cold" not in both.said["warm"]


@pytest.mark.parametrize("method", FORKED)
def test_outputs(both: Both, method: str) -> None:
    """Text, plots, tables, HTML, errors with their tracebacks, magics, history: all cells put out the same."""
    forked, started = both.outputs(method), both.outputs("started")
    assert len(forked) == len(started) == len(CELLS)
    differing = {source: (a, b) for source, a, b in zip(CELLS, forked, started, strict=True) if a != b}
    assert not differing


def test_outputs_are_those_that_were_meant(both: Both) -> None:
    """What both put out is what the cells are about: plots as images, errors by their names, captured descriptors."""
    outputs = dict(zip(CELLS, both.outputs("warm"), strict=True))

    def kinds(beginning: str) -> set[str]:
        (found,) = (each for source, each in outputs.items() if source.startswith(beginning))
        return {kind for output in found if isinstance(output, dict) for kind in output.get("data", ())}

    for beginning in ("plt.plot", "figure, axes", "plt.hist", "%matplotlib inline"):
        assert "image/png" in kinds(beginning), beginning
    assert "text/html" in kinds("import pandas")
    assert "application/vnd.plotly.v1+json" in kinds("import plotly")
    assert "a warning" in outputs[CELLS[3]][0][1]
    assert "some information" in outputs[CELLS[3]][0][1]
    errors = {
        output["ename"]
        for found in outputs.values()
        for output in found
        if isinstance(output, dict) and "ename" in output
    }
    assert errors >= {"StdinNotImplementedError", "ZeroDivisionError", "SystemExit", "KeyboardInterrupt", "SyntaxError"}


@pytest.mark.parametrize("method", FORKED)
def test_surroundings(both: Both, method: str) -> None:
    """A kernel's process has the same environment, path, arguments, signals, limits, threads and logging."""
    forked, started = both.json(method, "facts.json"), both.json("started", "facts.json")
    for facts in (forked, started):
        del facts["environment"]["JPY_PARENT_PID"]  # see "knows its parent"
        del facts["environment"]["JUPYTER_PATH"]
    differing = {name for name, value in forked.items() if value != started[name]}
    assert differing == set(MEANT), {name: (forked[name], started[name]) for name in differing ^ set(MEANT)}


@pytest.mark.parametrize("method", FORKED)
def test_nobody_above_shares_a_descriptor_with_a_kernel(both: Both, method: str) -> None:
    """A forked kernel has no pipe or socket of its runner's, its minder's or the server's: only the log."""
    shared = both.json(method, "facts.json")["shared descriptors"]
    assert [Path(path).name for path in shared] == ["1.log"]


def test_logs(both: Both) -> None:
    """The log has every line once: of cells, of `logging`, of descriptors, of errors, wherever it came from."""
    logs = {method: both.text(method, "attempts/1.log").splitlines() for method in METHODS}
    # A process of a few hundred modules takes its time to end, and on a busy machine more than it is given.
    warm, *others = (sorted(line for line in logs[method] if "has not ended" not in line) for method in METHODS)
    assert others == [warm, warm]
    late = ("one", "two", "a subprocess", "a shell", "the first stream", "not caught")
    for line in ("a warning", "some information", "from a thread", *(f"{each}, {LATE}" for each in late)):
        assert sum(each.endswith(line) for each in warm) == 1, line


def test_records(both: Both) -> None:
    """Status, errors, the code with its hash, unread keys, metrics and checkpoints are the same."""
    same = ("status", "error", "where", "failure_class", "cell_errors", "code", "code_hash", "unread_keys", "exit_code")
    for name in same:
        warm, *others = (both.json(method, "attempts/1.json")[name] for method in METHODS)
        assert others == [warm, warm], name
    record = both.json("warm", "attempts/1.json")
    assert record["status"] == "succeeded with errors"
    assert set(record["code"]) >= {"books/nb.ipynb", "in_the_project.py", "books/beside_the_notebook.py"}
    assert "unread" in record["unread_keys"]
    for method in METHODS:
        assert both.json(method, "result.json") == {"loss": 0.5}
        assert list((both.project.result_dir(0, both.dst(method)) / "checkpoints").iterdir())


def test_random_generators(both: Both) -> None:
    """No two kernels draw the same numbers, unless they seed; then all ways of starting do."""
    draws = [both.json(method, "facts.json", index)["draws"] for method in METHODS for index in range(2)]
    for one in zip(*draws, strict=True):
        assert len(set(one)) == len(draws)

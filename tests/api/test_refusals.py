"""What configmill.run can't carry to another process it refuses, by name, before anything is created."""

from __future__ import annotations

import json
import sys

import pytest

from tests.api.scripts import run_script, told
from tests.conftest import Project

REFUSED = """
import functools, threading

def outer():
    def local(config):
        return {}
    return local

class Trainer:
    def fit(self, config):
        return {}

    def __call__(self, config):
        return {}

@functools.wraps(train)
def in_disguise(config):
    return {"y": "another"}

class Opaque:
    pass

if __name__ == "__main__":
    def below_the_guard(config):
        return {}

    CONFIGS[1]["model"] = {"width": 3}
    errors = {}
    for case in CASES:
        what = {"configs": "CONFIGS", "experiment": "train", "options": "dict()", **case}
        try:
            values = {name: eval(text) for name, text in what.items()}
            configmill.run(values["configs"], values["experiment"], "out", **values["options"])
        except UsageError as error:
            errors[json.dumps(case)] = str(error)
    tell(errors=errors, created=os.path.exists("out"))
"""

FUNCTIONS = [
    ("lambda config: {}", "lambda"),
    ("outer()", "local"),
    ("functools.partial(train)", "partial"),
    ("Trainer()", "Trainer"),
    ("3", "3"),
]
#: Found under their name is something else, or nothing.
IMPOSTORS = [("Trainer().fit", "fit"), ("in_disguise", "train"), ("below_the_guard", "below_the_guard")]
VALUES = [
    ('[{"x": 1}, {"x": 2, "f": lambda x: x}]', '"f"'),
    ('[{"x": 1, "model": {"act": outer()}}]', '"model.act"'),
    ('[{"x": 1, "lock": threading.Lock()}]', '"lock"'),
    ('[{"x": 1, "o": Opaque()}]', '"o"'),
    ('[{"x": 1, "deep": [1, {"a": Opaque()}]}]', '"deep'),
]
OPTIONS = [
    ("dict(index=1, indices=[0])", "indices"),
    ("dict(index=7)", "7"),
    ("dict(num_threads=0)", "num_threads"),
    ("dict(timeout=-1)", "timeout"),
    ("dict(num_retries=-2)", "num_retries"),
    ("dict(log_level='LOUD')", "LOUD"),
    ("dict(num_gpus=1.5)", "1.5"),
    ("dict(num_gpus=1, gpus='none')", "'none'"),
    ("dict(gpus=0)", "gpus"),
    ("dict(gpu_busy_memory_mb=-1)", "gpu_busy_memory_mb"),
    ("dict(policy='')", "policy"),
    ("dict(max_failures=0)", "max_failures"),
    ("dict(max_failures=True)", "max_failures"),
    ("dict(overrides={'model.witdh': 3}, index=1)", "model.witdh"),
]
LISTS = [
    ("[]", "empty"),
    ("[1, 2]", "1"),
    ("[{'x': 1}, {'x': 1}]", "0 and 1"),
    ("[{'a.b': 1}]", "a.b"),
    ("7", "7"),
]


def cases_of(part: str, listed: list[tuple[str, str]]) -> list[dict[str, str]]:
    """One case for each text, as that part of a call."""
    return [{part: text} for text, _ in listed]


def refusals(project: Project, cases: list[dict[str, str]]) -> dict[str, str]:
    """The messages of the refusals, by case as JSON; all in one process, and none may have created anything."""
    result = told(run_script(project, f"CASES = {cases!r}\n" + REFUSED))
    assert result["created"] is False
    return dict(result["errors"])


@pytest.fixture(scope="module")
def refused(shared_project: Project) -> dict[str, str]:
    """The messages of all refusals, by case."""
    cases = cases_of("experiment", FUNCTIONS) + cases_of("configs", VALUES + LISTS) + cases_of("options", OPTIONS)
    return refusals(shared_project, cases)


def message(refused: dict[str, str], part: str, text: str) -> str:
    """The message of one refusal; fails where there was none."""
    found = refused.get(json.dumps({part: text}))
    assert found is not None, f"it was not refused: {text}"
    return found


@pytest.mark.parametrize(("experiment", "named"), FUNCTIONS)
def test_a_function_without_a_name_is_refused(refused: dict[str, str], experiment: str, named: str) -> None:
    """A lambda, a local function, a partial or an object can't be found by another process: refused by name."""
    assert named in message(refused, "experiment", experiment)


@pytest.mark.parametrize(("experiment", "named"), IMPOSTORS)
def test_a_function_whose_name_leads_elsewhere_is_refused(project: Project, experiment: str, named: str) -> None:
    """A bound method, a function that bears another's name, or one that only the main process defines is refused."""
    case = {"experiment": experiment}
    assert named in message(refusals(project, [case]), "experiment", experiment)


@pytest.mark.parametrize(("configs", "key"), VALUES)
def test_a_value_that_json_cant_carry_is_refused(refused: dict[str, str], configs: str, key: str) -> None:
    """A value that can't be rebuilt in another process is refused; the message names its key."""
    assert key in message(refused, "configs", configs).replace("'", '"')


def test_the_refusal_names_the_index(refused: dict[str, str]) -> None:
    """Of many configs the message names the one, by its index."""
    assert "Config 1" in message(refused, "configs", VALUES[0][0])


@pytest.mark.parametrize(("options", "named"), OPTIONS)
def test_wrong_options_are_refused(refused: dict[str, str], options: str, named: str) -> None:
    """An option that can't be used is refused by name."""
    assert named in message(refused, "options", options)


@pytest.mark.parametrize(("configs", "named"), LISTS)
def test_lists_that_are_none_are_refused(refused: dict[str, str], configs: str, named: str) -> None:
    """An empty list, things that are no configs, duplicates and keys with dots are refused."""
    assert named in message(refused, "configs", configs)


def test_a_main_without_a_file_is_refused(project: Project) -> None:
    """A function of `python -c` can't be found by another process: refused by name."""
    program = """
import configmill, os
def train(config): return {}
try:
    configmill.run([{"x": 1}], train, "out")
except configmill.UsageError as error:
    print(error, os.path.exists("out"))
"""
    done = project.call([sys.executable, "-c", program])
    assert "'train'" in done.out
    assert "__main__" in done.out
    assert done.out.endswith("False\n"), done


def test_values_of_a_main_without_a_file_are_refused(project: Project) -> None:
    """A function of `python -c` as a config's value is refused by its key."""
    project.write("experiment.py", "def run(config):\n    return {}\n")
    program = """
import configmill, os
def act(x): return x
try:
    configmill.run([{"x": 1, "act": act}], "experiment.run", "out")
except configmill.UsageError as error:
    print(error, os.path.exists("out"))
"""
    done = project.call([sys.executable, "-c", program])
    assert "act" in done.out
    assert done.out.endswith("False\n"), done


def test_run_inside_an_experiment_is_refused(project: Project) -> None:
    """An experiment that starts a campaign fails with a message that says why."""
    body = """
    def nests(config):
        configmill.run([{"x": 1}], train, "inner")

    if __name__ == "__main__":
        failure, = configmill.run([{"x": 1}], nests, "out").failures
        tell(error=failure.error, created=os.path.exists("inner"))
    """
    result = told(run_script(project, body))
    assert "inside an experiment" in result["error"]
    assert result["created"] is False


def test_a_command_inside_an_experiment_is_refused(project: Project) -> None:
    """run_experiment.py in a subprocess of an experiment is a usage error too."""
    project.write("builder.py", "def build():\n    return [{'x': 1}]\n")
    project.write(
        "experiment.py",
        f"""
        import subprocess
        def run(config):
            done = subprocess.run({project.command(dst=project.root / "inner")!r}, capture_output=True, text=True)
            return {{"code": done.returncode, "err": done.stderr}}
        """,
    )
    assert project.run().code == 0
    result = project.json(0, "result.json")
    assert result["code"] == 2
    assert "inside an experiment" in result["err"]
    assert not (project.root / "inner").exists()


def test_a_script_without_a_guard_says_what_lacks(project: Project) -> None:
    """A script whose run() isn't under `if __name__ == "__main__"` fails with a message that names the guard."""
    body = """
    summary = configmill.run([{"x": 1}], train, "out")
    tell(error=summary.failures[0].error)
    """
    assert '__name__ == "__main__"' in told(run_script(project, body))["error"]
    assert len(list((project.root / "out" / "experiments").iterdir())) == 1

"""The public names: what importing them costs, and what they do outside of a run."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest

import configmill
from tests.conftest import REPOSITORY, Project

HEAVY = {
    "joblib", "numpy", "pandas", "psutil", "rich", "sqlalchemy", "papermill", "nbconvert", "plotly", "pynvml", "torch",
    "asyncio", "logging", "subprocess", "multiprocessing", "dataclasses", "inspect", "typing", "argparse", "sqlite3",
}  # fmt: skip


def modules_after(program: str) -> set[str]:
    """The names in sys.modules after a program in a fresh interpreter, the interpreter's own left out."""
    tell = "\nimport sys; print('\\n'.join(sys.modules))"
    command = [sys.executable, "-S", "-c"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    bare = subprocess.run([*command, tell], capture_output=True, text=True, env=environment, check=True)
    full = subprocess.run([*command, program + tell], capture_output=True, text=True, env=environment, check=True)
    return set(full.stdout.split()) - set(bare.stdout.split())


def test_importing_configmill_imports_nothing_heavy() -> None:
    """`import configmill` brings along itself and next to nothing else."""
    modules = modules_after("import configmill")
    assert not modules & HEAVY
    assert len(modules) <= 3, modules


def test_what_an_experiment_uses_is_light() -> None:
    """The names that an experiment or a builder uses pull in no third-party package."""
    uses = "configmill.grid({'x': 0}, {'x': [1, 2]})[1].x; configmill.load_checkpoint(); configmill.log_metrics"
    modules = modules_after(f"import configmill; {uses}; configmill.get_config_from_env()")
    third_party = HEAVY - {"logging", "typing", "dataclasses", "inspect", "subprocess"}
    assert not modules & third_party


def test_every_public_name_is_there() -> None:
    """Each public name is an attribute of the package, in __all__ and in dir()."""
    names = {
        "run", "load_results", "get_config_from_env", "log_metrics", "Config", "ConfigList", "grid", "save_checkpoint",
        "load_checkpoint",
    }  # fmt: skip
    assert names <= set(configmill.__all__)
    assert set(configmill.__all__) <= set(dir(configmill))
    for name in configmill.__all__:
        assert getattr(configmill, name) is not None


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    """Another name is an AttributeError, as of any module, so that hasattr and pickle work."""
    assert not hasattr(configmill, "rum")
    assert importlib.import_module("configmill.errors") is sys.modules["configmill.errors"]


def test_by_hand_there_is_no_config() -> None:
    """get_config_from_env() is None where nobody started the process for an experiment."""
    assert not [name for name in os.environ if name.startswith("CONFIGMILL_") and not name.endswith("LEASE_DIR")]
    assert configmill.get_config_from_env() is None


VARIABLES = {
    "CONFIGMILL_CONFIG_BUILDER": "builder.build()",
    "CONFIGMILL_CONFIG_IDX": "0",
    "CONFIGMILL_DST_DIR": "/tmp/none",
    "CONFIGMILL_TARGET": "experiment:run",
    "CONFIGMILL_CONFIG_DIGEST": "0123456789abcdef",
    "CONFIGMILL_OVERRIDES": "{}",
    "CONFIGMILL_ATTEMPT": "1",
    "CONFIGMILL_PROJECT_DIR": "/tmp",
    "CONFIGMILL_GPUS": "",
}


@pytest.mark.parametrize("missing", sorted(VARIABLES))
def test_half_an_environment_is_refused(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Where one of the nine variables lacks, get_config_from_env() raises and names it."""
    for name, value in VARIABLES.items():
        if name != missing:
            monkeypatch.setenv(name, value)
    with pytest.raises(configmill.ConfigmillError, match=missing):
        configmill.get_config_from_env()


@pytest.mark.parametrize("name", ["CONFIGMILL_CONFIG_IDX", "CONFIGMILL_ATTEMPT"])
def test_a_number_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An index or attempt that is no number is refused by the variable's name."""
    for variable, value in VARIABLES.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv(name, "seven")
    with pytest.raises(configmill.ConfigmillError, match=f"{name}.*seven"):
        configmill.get_config_from_env()


FROM_ENV = """
import configmill, json, sys
config = configmill.get_config_from_env()
print(json.dumps({"x": config.x, "idx": config.meta.idx, "first": sys.path[0], "meta": config.meta.experiment_dir}))
try:
    config["x"] = 3
except configmill.ConfigmillError:
    print("read-only")
"""


def test_a_process_with_the_environment_gets_its_config(squares: Project) -> None:
    """With the nine variables, as in a kernel elsewhere, the config comes back read-only, the project on sys.path."""
    assert squares.run().code == 0
    digest = os.path.basename(os.readlink(squares.result_dir(2)))
    variables = {
        **VARIABLES, "CONFIGMILL_CONFIG_IDX": "2", "CONFIGMILL_DST_DIR": str(squares.out),
        "CONFIGMILL_CONFIG_DIGEST": digest, "CONFIGMILL_PROJECT_DIR": str(squares.root),
    }  # fmt: skip
    environment = squares.environment(**variables)
    done = subprocess.run(
        [sys.executable, "-c", FROM_ENV], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    first, second = done.stdout.splitlines()
    assert json.loads(first) == {
        "x": 2, "idx": 2, "first": str(squares.root), "meta": str(squares.out / "experiments" / digest),
    }  # fmt: skip
    assert second == "read-only"


def test_another_target_is_drift(squares: Project) -> None:
    """A digest that isn't the one of this config raises ConfigDriftError."""
    assert squares.run().code == 0
    variables = {
        **VARIABLES, "CONFIGMILL_DST_DIR": str(squares.out), "CONFIGMILL_PROJECT_DIR": str(squares.root),
        "CONFIGMILL_CONFIG_DIGEST": os.path.basename(os.readlink(squares.result_dir(1))),
    }  # fmt: skip
    done = squares.call([sys.executable, "-c", FROM_ENV], env=squares.environment(**variables))
    assert "ConfigDriftError" in done.err
    assert "'x'" in done.err

"""What an experiment finds around it: the protocol's variables, its directories, its process."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

from tests.conftest import Project

EXPERIMENT = """
    import os, signal, sys

    import configmill

    def run(config):
        again = configmill.get_config_from_env()
        return {
            "environment": {k: v for k, v in os.environ.items() if k.startswith("CONFIGMILL_") and "TEST" not in k},
            "cwd": os.getcwd(),
            "path": sys.path,
            "argv": sys.argv,
            "meta": {name: getattr(config.meta, name) for name in type(config.meta).__slots__},
            "lags": config.lags,
            "again": again == config,
            "group": [os.getpid(), os.getpgid(0), os.getsid(0)],
            "minders_group": [os.getppid(), os.getpgid(os.getppid()), os.getsid(os.getppid())],
            "descriptors": [os.readlink(f"/proc/self/fd/{d}") for d in sorted(os.listdir("/proc/self/fd"), key=int)
                            if os.path.exists(f"/proc/self/fd/{d}")],
            "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
            "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            "sigchld": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
            "executable": sys.executable,
            "umask": os.umask(0o22),
        }
    """
BUILDER = """
    import configmill

    def build(name="it's"):
        return [{"x": x, "name": name, "lags": []} for x in (0, 1)]
    """
CALL = """builder.build(name='a "b" $c')"""


@pytest.fixture(scope="module")
def ran(shared_project: Project) -> Project:
    """Index 1 has run, as the second attempt, with an override."""
    shared_project.write("builder.py", BUILDER)
    shared_project.write("experiment.py", "def run(config):\n    raise ValueError\n")
    options = ("--index", "1", "--set", "lags=[1, 2.5]")
    assert shared_project.run(*options, builder=CALL).code == 1
    shared_project.write("experiment.py", EXPERIMENT)
    done = shared_project.run(*options, builder=CALL)
    assert done.code == 0, done
    return shared_project


@pytest.fixture(scope="module")
def found(ran: Project) -> dict[str, Any]:
    """What the experiment found."""
    result: dict[str, Any] = ran.json(1, "result.json")
    return result


def test_all_nine_variables_are_set(found: dict[str, Any], ran: Project) -> None:
    """The environment has the nine variables of the protocol, each with what it means, and no other."""
    digest = os.path.basename(os.readlink(ran.result_dir(1)))
    environment = dict(found["environment"])
    overrides = json.loads(environment.pop("CONFIGMILL_OVERRIDES"))
    assert overrides == {"lags": [1, 2.5]}
    del environment["CONFIGMILL_LEASE_DIR"]  # the tests' own
    assert environment == {
        "CONFIGMILL_CONFIG_BUILDER": CALL,
        "CONFIGMILL_CONFIG_IDX": "1",
        "CONFIGMILL_DST_DIR": str(ran.out),
        "CONFIGMILL_TARGET": "experiment:run",
        "CONFIGMILL_CONFIG_DIGEST": digest,
        "CONFIGMILL_ATTEMPT": "2",
        "CONFIGMILL_PROJECT_DIR": str(ran.root),
        "CONFIGMILL_GPUS": "",
    }


def test_config_meta_says_the_same(found: dict[str, Any], ran: Project) -> None:
    """config.meta holds idx, digest, attempt, the directories, the builder string and the devices."""
    directory = ran.result_dir(1).resolve()
    assert found["meta"] == {
        "idx": 1,
        "digest": directory.name,
        "attempt": 2,
        "dst_dir": str(ran.out),
        "experiment_dir": str(directory),
        "checkpoint_dir": str(directory / "checkpoints"),
        "project_dir": str(ran.root),
        "config_builder": CALL,
        "gpus": [],
        "strict": False,
    }
    assert (directory / "checkpoints").is_dir()


def test_the_override_is_applied(found: dict[str, Any]) -> None:
    """The experiment sees the value of --set, not the builder's."""
    assert found["lags"] == [1, 2.5]


def test_the_config_can_be_had_again(found: dict[str, Any]) -> None:
    """get_config_from_env() inside of an experiment gives the config that its function was handed."""
    assert found["again"] is True


def test_the_working_directory_is_the_managers(found: dict[str, Any], ran: Project) -> None:
    """An experiment works where the manager was started."""
    assert found["cwd"] == str(ran.root)


def test_the_project_comes_first_on_the_path(found: dict[str, Any], ran: Project) -> None:
    """sys.path begins with the project's directory, and has no relative entry."""
    assert found["path"][0] == str(ran.root)
    assert all(os.path.isabs(entry) for entry in found["path"])


def test_the_interpreter_is_the_managers(found: dict[str, Any]) -> None:
    """An experiment runs in the manager's own Python."""
    assert found["executable"] == sys.executable


def test_an_experiment_leads_a_session_of_its_own(found: dict[str, Any]) -> None:
    """Experiment and minder are leaders of two sessions: signals to a group or a terminal reach one alone."""
    assert len(set(found["group"])) == 1
    assert len(set(found["minders_group"])) == 1
    assert found["group"] != found["minders_group"]


def test_no_descriptor_of_ours_leaks_into_an_experiment(found: dict[str, Any]) -> None:
    """Open are stdin, the log twice, and one pipe to report on: neither the lock nor the lifeline."""
    log = str(found["meta"]["experiment_dir"]) + "/attempts/2.log"
    opened = [path for path in found["descriptors"] if not path.endswith("/fd")]
    assert opened[:3] == ["/dev/null", log, log]
    assert [path.split(":")[0] for path in opened[3:]] == ["pipe"]


def test_signals_are_as_a_script_finds_them(found: dict[str, Any]) -> None:
    """No signal is blocked; SIGINT and SIGCHLD are as Python sets them."""
    assert (found["blocked"], found["sigint"], found["sigchld"]) == ([], True, True)


def test_a_small_experiment_pays_for_nothing(project: Project) -> None:
    """A cold start imports neither third-party packages nor the expensive part of the standard library."""
    project.write("builder.py", BUILDER)
    project.write("experiment.py", "import sys\n\ndef run(config):\n    return {'modules': sorted(sys.modules)}\n")
    assert project.run("--start_method", "cold", "--index", "0").code == 0
    dear = {"numpy", "pandas", "joblib", "rich", "psutil", "sqlalchemy", "logging", "typing", "dataclasses", "argparse"}
    dear |= {
        "subprocess",
        "asyncio",
        "multiprocessing",
        "inspect",
        "importlib.metadata",
        "tempfile",
        "threading",
        "ctypes",
    }
    assert not dear & set(project.json(0, "result.json")["modules"])


def test_blocked_signals_of_the_manager_do_not_pass_on(project: Project) -> None:
    """A manager that was started with signals blocked or ignored (nohup, a service) gives experiments a clean set."""
    project.write("builder.py", "def build():\n    return [{'x': 1}]\n")
    project.write(
        "experiment.py",
        """
        import signal
        def run(config):
            return {"blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
                    "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
                    "sigchld": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL}
        """,
    )
    project.write(
        "start.py",
        """
        import os, signal, sys
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD])
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        os.execv(sys.argv[1], sys.argv[1:])
        """,
    )
    done = project.call([sys.executable, "start.py", *project.command()])
    assert done.code == 0, done
    assert project.json(0, "result.json") == {"blocked": [], "sigint": True, "sigchld": True}

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

import pytest

from tests.conftest import Done, Project, wait_until

BUILDER = """
    import configmill

    def build(n=3, lazily=lambda x: x, **resources):
        base = {"x": 0, "f": lazily, **({"resources": resources} if resources else {})}
        return configmill.grid(base, {"x": list(range(n))})
    """
EXPERIMENT = """
    import os

    asked_in = os.getpid()

    def estimate_gpu_requirements(config):
        with open("asked", "a") as file:
            print(config.x, os.getpid(), repr(os.environ.get("CUDA_VISIBLE_DEVICES")), file=file)
        return {"num_gpus": config.x, "gpu_memory_gb": 2, "expected_seconds": 10 * config.f(config.x) or None}

    def run(config):
        return {"y": config.x}
    """
#: Makes a plan as every command does, and prints what each experiment asks for, or how it was refused.
PLANNING = """
    import json, os, sys
    sys.path.insert(0, os.getcwd())
    from configmill.config.config_list import as_config_list
    from configmill.errors import UsageError
    from configmill.plan.plan import make_plan
    from configmill.protocol.request import RunRequest

    given = json.loads(sys.argv[1])
    configs = given.pop("configs", None)
    request = {"config_builder": "builder.build()", "target": "experiment:run", "dst_dir": os.path.abspath("out dir")}
    try:
        request = RunRequest(**{**request, "project_dir": os.getcwd(), **given})
        plan = make_plan(request, None if configs is None else as_config_list(configs))
        told = {"resources": [asked.to_json() for asked in plan.resources]}
    except UsageError as error:
        told = {"refused": str(error), "traceback": error.user_traceback}
    print("\\n" + json.dumps({**told, "imported": "experiment" in sys.modules, "manager": os.getpid()}))
    """


@pytest.fixture
def user(project: Project) -> Project:
    """A project whose experiment's module estimates as many devices as `x`."""
    project.write("builder.py", BUILDER)
    project.write("experiment.py", EXPERIMENT)
    project.write("planning.py", PLANNING)
    return project


def plan_in(project: Project, **request: Any) -> Done:
    """Make a plan in a process of its own."""
    return project.call([sys.executable, "planning.py", json.dumps(request)])


def plan(project: Project, **request: Any) -> dict[str, Any]:
    """What came of a plan."""
    done = plan_in(project, **request)
    assert done.code == 0, done
    told: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    assert not told["imported"], "the manager never imports the experiment's module"
    return told


def asked(project: Project) -> list[list[str]]:
    """Who was asked about which `x`: x, pid, CUDA_VISIBLE_DEVICES; forgotten when it is read."""
    file = project.root / "asked"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return [line.split() for line in lines]


def test_the_module_is_asked_once_for_all(user: Project) -> None:
    """All configs are estimated in one process that sees no device, and each estimate is kept beside its request."""
    told = plan(user)
    lines = asked(user)
    assert [x for x, _, _ in lines] == ["0", "1", "2"]
    assert {devices for _, _, devices in lines} == {"''"}
    assert len({pid for _, pid, _ in lines}) == 1
    assert str(told["manager"]) not in {pid for _, pid, _ in lines}
    assert [each["num_gpus"] for each in told["resources"]] == [0, 1, 2]
    assert told["resources"][2] == {
        "num_gpus": 2, "gpu_memory_bytes": 2 * 10**9, "expected_seconds": 20,
        "origins": dict.fromkeys(["num_gpus", "gpu_memory_gb", "expected_seconds"], "estimator"),
        "estimate": {"num_gpus": 2, "gpu_memory_gb": 2, "expected_seconds": 20},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "num_gpus"),
    [
        ({"num_gpus": 1}, 1),
        ({"num_gpus": 0}, 0),
        ({"gpus": "none"}, 0),
        ({"gpus": "inherit"}, 0),
        ({"config_builder": "builder.build(num_gpus=4)"}, 4),
    ],
)
def test_nobody_is_asked_where_somebody_has_said(user: Project, request_: dict[str, Any], num_gpus: float) -> None:
    """Where the config or the command says how many, or no device is handed out, no process is started."""
    told = plan(user, **request_)
    assert [each["num_gpus"] for each in told["resources"]] == [num_gpus] * 3
    assert asked(user) == []


def test_only_what_may_run_is_asked_about(user: Project) -> None:
    """Of the list only what is selected and not done yet is estimated; with nothing left, no process is started."""
    assert user.run("--index", "1", "--num_gpus", "0").code == 0
    told = plan(user)
    assert [x for x, _, _ in asked(user)] == ["0", "2"]
    assert [each["num_gpus"] for each in told["resources"]] == [0, 0, 2]
    assert user.run("--num_gpus", "0").code == 0
    plan(user)
    assert asked(user) == []
    plan(user, incremental=False)
    assert [x for x, _, _ in asked(user)] == ["0", "1", "2"]


def test_configs_given_as_objects(user: Project) -> None:
    """Configs that no builder makes are estimated as well, with the overrides of the command."""
    user.write("experiment.py", EXPERIMENT.replace("config.f(config.x)", "config.x"))
    told = plan(user, configs=[{"x": 3}, {"x": 5, "resources": {"num_gpus": 1}}, {"x": 4}])
    assert [each["num_gpus"] for each in told["resources"]] == [3, 1, 4]
    assert [x for x, _, _ in asked(user)] == ["3", "4"]
    told = plan(user, configs=[{"x": 3, "z": 1}], overrides={"x": 7})
    assert [each["num_gpus"] for each in told["resources"]] == [7]


def test_a_script_as_the_target(user: Project) -> None:
    """The hook of a script is found, and its `__main__` part doesn't run."""
    user.write("script.py", EXPERIMENT + '\n    if __name__ == "__main__":\n        raise SystemExit("it ran")\n')
    told = plan(user, target="script.py:run")
    assert [each["num_gpus"] for each in told["resources"]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("source", "is_asked"),
    [
        ("from other import estimate_gpu_requirements", True),
        ("if True:\n    from other import estimate_gpu_requirements", True),
        ("from other import own as estimate_gpu_requirements", True),
        ("import other", False),
        ("from other import *", False),
        ("def outer():\n    def estimate_gpu_requirements(config):\n        pass", False),
        ("class Model:\n    def estimate_gpu_requirements(self):\n        pass", False),
        ("# estimate_gpu_requirements", False),
        ("NAMES = ['estimate_gpu_requirements']", False),
    ],
)
def test_which_modules_have_the_hook(user: Project, source: str, is_asked: bool) -> None:
    """A process is started only where the module's own source binds the name at its top level."""
    user.write("other.py", EXPERIMENT + "\n    own = estimate_gpu_requirements\n")
    user.write("experiment.py", f"{source}\n\n\ndef run(config):\n    return {{}}\n")
    plan(user)
    assert bool(asked(user)) == is_asked


HOOK = "def estimate_gpu_requirements(config):\n    {}\n\ndef run(config):\n    return {{}}\n"


@pytest.mark.parametrize(
    ("body", "says", "frame"),
    [
        ("return deeper(1)\n\ndef deeper(x):\n    return x // 0", "for config 0 failed: ZeroDivisionError", "deeper"),
        ("raise SystemExit(3)", "failed: SystemExit: 3", "estimate_gpu_requirements"),
        ("config.x = 3", "read-only", "estimate_gpu_requirements"),
        ("return config.colour", 'no key "colour"', "estimate_gpu_requirements"),
        ("return 3", "it returned 3, which is no mapping", None),
        ("return {'num_gpus': object()}", "which JSON can't hold", None),
        ("return {'num_gpus': 1.5}", "num_gpus is 1.5, which is neither whole nor below 1", None),
        ("return {'num_gpus': float('nan')}", "num_gpus is nan, which is no number", None),
        ("return {'gpu_memory': 1}", 'Did you mean "gpu_memory_gb"?', None),
        ("import os; print('so long'); os._exit(7)", "exit code 7 before it answered; the last it said was 'so", None),
        ("import os; os.kill(os.getpid(), 9)", "by SIGKILL before it answered", None),
        ("import os; os.killpg(0, 9)", "by SIGKILL before it answered", None),
    ],
)  # fmt: skip
def test_estimators_that_fail(user: Project, body: str, says: str, frame: str | None) -> None:
    """What a hook raises, returns wrongly, or dies of is a usage error, with the last frame in user code."""
    user.write("experiment.py", HOOK.format(body))
    told = plan(user)
    assert says in told["refused"]
    if frame is not None:
        assert f"in {frame}." in told["refused"]
        assert "experiment.py" in told["traceback"]
        assert "configmill/child/estimate.py" not in told["traceback"]


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("import a_package_that_is_not_there\n", "No module named 'a_package_that_is_not_there', at "),
        ("raise OSError('the data is gone')\n", "OSError: the data is gone, at "),
        ("import configmill\nconfigmill.run([{'x': 1}], 'experiment.run', 'inner')\n", "inside an experiment"),
    ],
)
def test_a_module_that_can_not_be_imported(user: Project, module: str, says: str) -> None:
    """An import that fails, or would start a campaign, is a usage error that names the line."""
    user.write("experiment.py", module + HOOK.format("return {}"))
    told = plan(user)
    assert says in told["refused"]
    assert "experiment.py:" in told["refused"]
    assert not (user.root / "inner").exists()


@pytest.mark.parametrize("body", ["return None", "return {}", "return {'num_gpus': None}"])
def test_an_estimator_that_does_not_know(user: Project, body: str) -> None:
    """A hook may leave it open: the experiment then gets no device."""
    user.write("experiment.py", HOOK.format(body))
    assert [each["num_gpus"] for each in plan(user)["resources"]] == [0, 0, 0]


DAEMON = """
    import os, subprocess, sys, time

    def estimate_gpu_requirements(config):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        with open("pids", "w") as file:
            file.write("written")
        {then}

    def run(config):
        return {{}}
    """


def test_nothing_is_left_of_an_estimate(user: Project) -> None:
    """What a hook leaves running, in a session of its own too, is ended when it has answered."""
    user.write("experiment.py", DAEMON.format(then="return {'num_gpus': 1}"))
    assert [each["num_gpus"] for each in plan(user)["resources"]] == [1, 1, 1]
    assert user.processes() == []


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_manager_that_dies_while_it_asks(user: Project, signum: int) -> None:
    """Whatever ends the manager while a hook hangs, no process is left, and nothing was created."""
    user.write("experiment.py", DAEMON.format(then="time.sleep(600)"))
    manager = user.start()
    wait_until((user.root / "pids").exists)
    os.kill(manager.pid, signum)
    manager.communicate(timeout=20)
    wait_until(lambda: not user.processes())
    assert not user.out.exists()


HANGING = """
    from configmill.plan import estimates
    estimates.MAX_SECONDS = 1.0
    exec(open("planning.py").read())
    """


def test_a_hook_that_hangs(user: Project) -> None:
    """A hook that doesn't answer is ended, with all that it started, and refused."""
    user.write("experiment.py", DAEMON.format(then="time.sleep(600)"))
    user.write("hanging.py", HANGING)
    began = time.monotonic()
    done = user.call([sys.executable, "hanging.py", "{}"])
    assert "did not answer within 1 s" in json.loads(done.out.splitlines()[-1])["refused"]
    assert time.monotonic() - began < 30
    assert user.processes() == []


def test_a_dry_run_writes_nothing(user: Project) -> None:
    """Asking leaves no trace of its own: in a dry run not even byte code."""
    user.write("experiment.py", HOOK.format("return {'num_gpus': 0}"))
    done = user.run("--dry_run")
    assert done.code == 0, done
    assert sorted(path.name for path in user.root.iterdir()) == ["builder.py", "experiment.py", "planning.py"]

"""`--measure_energy` from the command to the record: the meter's process, and what is left of it."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from configmill.errors import UsageError
from configmill.processes import command_line_of, descendants
from configmill.protocol.request import EnergyRequest
from tests.conftest import REPOSITORY, Project, wait_until

METER = "configmill.measure.energy.process"
GPU = "GPU-11111111"
WATTS = 250
#: What `import pynvml` finds: a GPU that draws 250 W, whatever anybody does.
PYNVML = f"""
    import time
    from tests.gpus.fake_pynvml import FakePynvml, Gpu

    class Burning(Gpu):
        @property
        def energy(self):
            return round(time.monotonic() * {WATTS} * 1000)

        @energy.setter
        def energy(self, value):
            pass

    _host = FakePynvml(Burning("{GPU}"))

    def __getattr__(name):
        return getattr(_host, name)
    """
EXPERIMENT = """
    import json, os, time

    def run(config):
        if config.get("wait_for"):
            open(config.wait_for + ".started", "w").close()
            while not os.path.exists(config.wait_for):
                time.sleep(0.01)
        if config.get("own_meter"):
            import configmill

            meter = configmill.EnergyMeter.from_environment()
            meter.start()
            return {"own": meter.stop().to_json()}
        if config.get("fails"):
            raise ValueError("bad")
        until = time.monotonic() + config.seconds
        while time.monotonic() < until:
            pass
        return {"energy": 5} if config.get("has_energy") else {"y": 1}
    """
BUILDER = """
    def build(*configs):
        return [{"seconds": 0.2, **config} for config in configs]
    """


BOTH = ("warm", "cold")


@pytest.fixture
def gpu_project(project: Project, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A host with one GPU that is always busy; started cold, unless a test says otherwise."""
    project.start_method = getattr(request, "param", "cold")
    return _with_gpu(project, monkeypatch)


def _with_gpu(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    project.write("experiment.py", EXPERIMENT)
    project.write("builder.py", BUILDER)
    shims = project.root.parent / "shims"
    shims.mkdir()
    project.write(str(shims / "pynvml.py"), PYNVML)
    environment = project.environment
    monkeypatch.setattr(
        project, "environment", lambda **more: environment(PYTHONPATH=f"{shims}{os.pathsep}{REPOSITORY}", **more)
    )
    return project


def builder(*configs: dict[str, Any]) -> str:
    """The builder string of these configs."""
    return f"builder.build({', '.join(map(repr, configs))})"


def record(project: Project, index: int = 0) -> dict[str, Any]:
    """The record of an experiment's first attempt."""
    found: dict[str, Any] = project.json(index, "attempts/1.json")
    return found


def meters(project: Project) -> list[int]:
    """The processes that read a meter."""
    return [pid for pid in project.processes() if any(METER in part for part in command_line_of(pid))]


@pytest.mark.parametrize("gpu_project", BOTH, indirect=True)
def test_the_whole_way(gpu_project: Project) -> None:
    """A GPU's joules are power times time: in the record with method and factor, in the result, in results.csv.

    A share of a device has none, with the reason; what a function calls `energy` stays its own; a failure has its
    energy in the record as well.
    """
    one = {"resources": {"num_gpus": 1}}
    configs = [
        {**one, "x": 0, "seconds": 0.5},
        {"x": 1, "resources": {"num_gpus": 0.5}},
        {**one, "x": 2, "has_energy": True},
        {**one, "x": 3, "fails": True},
    ]
    done = gpu_project.run("--measure_energy", "--carbon_g_per_kwh", "100", "--pue", "1.5", builder=builder(*configs))
    assert done.code == 1, done
    found = record(gpu_project)
    energy, seconds = found["energy"], found["energy"]["seconds"]
    assert (energy["method"], energy["scope"], energy["contended"]) == ("nvml_counter", "gpu", True)
    assert energy["gross_joules"] == pytest.approx(WATTS * seconds, rel=0.01)
    assert energy["devices"] == {GPU: energy["gross_joules"]}
    assert 0.5 <= seconds < found["seconds"] + 0.5
    assert energy["gco2e"] == pytest.approx(energy["gross_joules"] / 3.6e6 * 1.5 * 100)
    assert energy["g_per_kwh_source"] == "given by the user" and energy["uncertainty"] > 0.05
    assert energy["net_joules"] is None and "exclusive_host" in energy["reason"]
    result = gpu_project.json(0, "result.json")
    assert result["y"] == 1 and result["energy"]["gross_joules"] == energy["gross_joules"]
    shared = record(gpu_project, 1)["energy"]
    assert (shared["method"], shared["gross_joules"]) == ("none", None) and "shared" in shared["reason"]
    assert gpu_project.json(2, "result.json") == {"energy": 5} and record(gpu_project, 2)["energy"]["gross_joules"] > 0
    assert record(gpu_project, 3)["status"] == "failed" and record(gpu_project, 3)["energy"]["gross_joules"] > 0
    with open(gpu_project.out / "results.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert float(lines[0]["energy.gross_joules"]) == energy["gross_joules"]
    assert lines[0]["energy.method"] == "nvml_counter" and lines[1]["energy.gross_joules"] == ""


def test_alone_on_the_host(gpu_project: Project) -> None:
    """With the host to itself an experiment is not contended, and its idle power is measured before it starts.

    The meter's own time is not the experiment's.
    """
    done = gpu_project.run("--measure_energy", builder=builder({"resources": {"num_gpus": 1, "exclusive_host": True}}))
    assert done.code == 0, done
    found = record(gpu_project)
    assert found["energy"]["contended"] is False and found["energy"]["reason"] is None
    assert found["energy"]["idle_watts"] == pytest.approx(WATTS, rel=0.01)
    assert abs(found["energy"]["net_joules"]) < 0.02 * found["energy"]["gross_joules"]
    assert found["seconds"] < 1.5, "2 s of idle power are not in it"


@pytest.mark.parametrize("gpu_project", ["warm"], indirect=True)
def test_an_experiments_own_meter(gpu_project: Project) -> None:
    """It finds its device and what the command said, also where the whole isn't measured; that is then null."""
    done = gpu_project.run("--country", "DEU", builder=builder({"own_meter": True, "resources": {"num_gpus": 1}}))
    assert done.code == 0, done
    own = gpu_project.json(0, "result.json")["own"]
    assert own["method"] == "nvml_counter" and list(own["devices"]) == [GPU]
    assert own["g_per_kwh_source"].startswith("Germany") and own["contended"] is True
    assert record(gpu_project)["energy"] is None and "energy" not in gpu_project.json(0, "result.json")


def test_without_a_gpu_it_is_codecarbons(project: Project) -> None:
    """Where nothing can be read the real codecarbon estimates, and the command says so before it begins."""
    project.write("experiment.py", EXPERIMENT)
    project.write("builder.py", BUILDER)
    environment = project.environment(CONFIGMILL_POWERCAP_DIR="/nowhere")
    done = project.run("--measure_energy", "--gpus", "none", builder=builder({}), env=environment)
    assert done.code == 0, done
    assert "estimated by codecarbon, not measured: /nowhere shows no package" in done.out
    energy = record(project)["energy"]
    assert energy["method"] == "modelled" and energy["gross_joules"] > 0 and energy["assumptions"]["ram_watts"] > 0
    assert "codecarbon" not in project.log(0), "its log is not the experiment's"


def test_meters_of_gpus_without_a_gpu(project: Project) -> None:
    """Asked for by name it reads nothing here, and the command says so before it begins."""
    project.write("experiment.py", EXPERIMENT)
    project.write("builder.py", BUILDER)
    done = project.run("--measure_energy", "--energy_backend", "nvml", "--gpus", "none", builder=builder({}))
    assert done.code == 0, done
    assert "will not be known: nvml reads the meters of GPUs alone" in done.out
    assert record(project)["energy"]["gross_joules"] is None


def test_in_the_foreground(project: Project) -> None:
    """The stub measures as the manager does, also where it launches ranks; an attempt without the flag has nothing."""
    project.write("experiment.py", EXPERIMENT)
    project.write("builder.py", BUILDER)

    def stub(index: int, *options: str) -> Any:
        done = project.script(
            "run_experiment_stub.py", "--experiment_builder", "experiment.run", "--dst_dir", str(project.out),
            "--config_builder", builder({}, {"num_processes": 2, "resources": {"launcher": "accelerate"}}),
            "--config_idx", str(index), *options,
        )  # fmt: skip
        assert done.code == 0, done
        *_, last = sorted((project.result_dir(index) / "attempts").glob("*.json"))
        return json.loads(last.read_text())["energy"]

    asked = ("--measure_energy", "--energy_backend", "codecarbon", "--country", "FRA")
    for index in (0, 1):
        energy = stub(index, *asked)
        assert energy["method"] == "modelled" and energy["seconds"] > 0.2 and energy["contended"] is True
        assert project.json(index, "result.json")["energy"]["gross_joules"] == pytest.approx(energy["gross_joules"])
    assert stub(0) is None
    assert not meters(project)


def test_without_the_flag_there_is_nothing(gpu_project: Project) -> None:
    """No meter, no variable, no key in the result; the record says null."""
    code = "import os\n\ndef run(config):\n    return {'given': os.environ.get('CONFIGMILL_ENERGY')}\n"
    gpu_project.write("experiment.py", code)
    assert gpu_project.run(builder=builder({})).code == 0
    assert gpu_project.json(0, "result.json") == {"given": None} and record(gpu_project)["energy"] is None


@pytest.fixture
def waiting(gpu_project: Project) -> Iterator[tuple[Project, Any, int]]:
    """A command whose experiment waits for a file, and the pid of its meter."""
    file = str(gpu_project.root / "go")
    config = {"wait_for": file, "resources": {"num_gpus": 1}}
    command = gpu_project.start("--measure_energy", builder=builder(config))
    wait_until(lambda: os.path.exists(f"{file}.started"))
    (meter,) = meters(gpu_project)
    yield gpu_project, command, meter
    command.kill()
    command.wait()
    command.stdout.close()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("gpu_project", BOTH, indirect=True)
def test_a_minder_that_is_killed(waiting: tuple[Project, Any, int]) -> None:
    """SIGKILL of the minder leaves no meter process; the attempt is lost like any other, and the next one measured."""
    project, command, meter = waiting
    os.kill(_parent(meter), signal.SIGKILL)
    wait_until(lambda: (project.result_dir(0) / "attempts" / "1.json").exists())
    assert record(project)["failure_class"] == "lost" and record(project)["energy"] is None
    assert meter not in meters(project)
    (project.root / "go").touch()
    assert command.wait(60) == 0
    assert project.json(0, "attempts/2.json")["energy"]["method"] == "nvml_counter" and not project.processes()


@pytest.mark.parametrize("gpu_project", BOTH, indirect=True)
def test_a_manager_that_is_killed(waiting: tuple[Project, Any, int]) -> None:
    """SIGKILL of the manager ends experiment and meter; the record tells of it."""
    project, command, _ = waiting
    command.kill()
    wait_until(lambda: not project.processes(), 10)
    assert record(project)["status"] == "interrupted"


def test_a_meter_that_is_killed(waiting: tuple[Project, Any, int]) -> None:
    """The experiment goes on and succeeds; its energy is null with the reason."""
    project, command, meter = waiting
    os.kill(meter, signal.SIGKILL)
    (project.root / "go").touch()
    assert command.wait(60) == 0
    energy = record(project)["energy"]
    assert (energy["method"], energy["gross_joules"]) == ("none", None)
    assert energy["reason"] == "the process that reads the meter ended before the experiment"
    assert project.json(0, "result.json")["energy"]["gross_joules"] is None


def test_a_meter_is_no_part_of_the_experiment(waiting: tuple[Project, Any, int]) -> None:
    """It is the minder's child in a session of its own, not below the experiment, which has none of its pipes."""
    project, command, meter = waiting
    experiment = json.loads((project.result_dir(0) / "status.json").read_text())["pid"]
    assert meter not in descendants(experiment) and _parent(meter) == _parent(experiment)
    assert os.getsid(meter) == meter
    pipes = [{os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()} for pid in (meter, experiment)]
    assert not {name for name in pipes[0] & pipes[1] if name.startswith("pipe:")}
    (project.root / "go").touch()
    assert command.wait(60) == 0


def test_a_command_that_is_ended(waiting: tuple[Project, Any, int]) -> None:
    """Ctrl-C ends all of it; what was used until then is in the record."""
    project, command, _ = waiting
    command.send_signal(signal.SIGINT)
    assert command.wait(60) == 130
    found = record(project)
    assert found["status"] == "interrupted" and found["energy"]["gross_joules"] > 0


def test_what_the_command_refuses(project: Project) -> None:
    """What can't be had on this host is told before anything is created, in a sentence that says what to do."""
    project.write("experiment.py", EXPERIMENT)
    project.write("builder.py", BUILDER)
    environment = project.environment(CONFIGMILL_POWERCAP_DIR="/nowhere")
    for options, message in (
        (("--country", "Frnace"), "--country 'Frnace' is no country's code of three letters"),
        (("--energy_backend", "rapl"), "--energy_backend 'rapl' can't be used: /nowhere shows no package of a CPU"),
        (("--pue", "x"), "--pue 'x' is no number."),
    ):
        done = project.run("--measure_energy", *options, builder=builder({}), env=environment)
        assert done.code == 2 and message in done.err, done
    assert not project.out.exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"country": "FRA", "g_per_kwh": 5.0}, "both say what a kWh emits. Give one of them."),
        ({"g_per_kwh": -1.0}, "--carbon_g_per_kwh -1.0 can't be used. Give a number of grams from 0."),
        ({"pue": 0.5}, "--pue 0.5 can't be used. Give a number from 1"),
        ({"pue": float("inf")}, "--pue inf can't be used."),
        ({"country": " "}, "--country ' ' can't be used."),
        ({"backend": "nvidia"}, "--energy_backend 'nvidia' can't be used. Give one of auto, nvml, rapl"),
    ],
)
def test_values_out_of_range(given: dict[str, Any], message: str) -> None:
    """The command and `configmill.run` refuse them alike."""
    nothing: dict[str, Any] = {"measure": False, "backend": "auto", "g_per_kwh": None, "country": None, "pue": None}
    assert EnergyRequest.of(**nothing) is None
    with pytest.raises(UsageError, match=re.escape(message)):
        EnergyRequest.of(**{**nothing, **given})

"""Whole commands on virtual devices: who gets one, who waits, and that no two ever have the same."""

from __future__ import annotations

import json
import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import Project, wait_until

#: Takes an O_EXCL file for each of its devices while it runs: two that have the same device at once fail.
EXCLUSIVE = """
    import os, time

    def run(config):
        ids = config.meta.gpus
        for id in ids:
            os.close(os.open(os.path.join(config.notes, id), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.close(os.open(os.path.join(config.notes, f"began-{config.x}"), os.O_CREAT | os.O_WRONLY))
        while config.hold and not os.path.exists(os.path.join(config.notes, "go")):
            time.sleep(0.005)
        time.sleep(config.seconds)
        for id in ids:
            os.unlink(os.path.join(config.notes, id))
        seen = {name: os.environ.get(name) for name in ("CONFIGMILL_GPUS", "CUDA_VISIBLE_DEVICES")}
        return {"gpus": list(ids), "variable": seen["CONFIGMILL_GPUS"], "cuda": seen["CUDA_VISIBLE_DEVICES"]}
    """
BUILDER = """
    import configmill

    def build(notes, n=4, seconds=0.02, hold=False, first=0, **resources):
        base = {"notes": notes, "seconds": seconds, "hold": hold, "x": 0, "resources": resources}
        return configmill.grid(base, {"x": list(range(first, first + n))})
    """


@pytest.fixture(params=("warm", "cold"))
def gpu_project(project: Project, request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project whose experiments take a file for each of their devices, once for each start method."""
    project.write("experiment.py", EXCLUSIVE)
    project.write("builder.py", BUILDER)
    (tmp_path / "notes").mkdir()
    project.start_method = request.param
    return project


def build(project: Project, **arguments: object) -> str:
    """The builder's call."""
    named = {"notes": str(project.root.parent / "notes"), **arguments}
    return f"builder.build({', '.join(f'{name}={value!r}' for name, value in named.items())})"


def results(project: Project, n: int, dst: Path | None = None) -> list[dict[str, object]]:
    """The result of each of the first `n`."""
    return [project.json(index, "result.json", dst) for index in range(n)]


def test_one_owner_at_a_time(gpu_project: Project) -> None:
    """Eight experiments of one device, four at a time on two devices: all succeed, no two on one device at once."""
    done = gpu_project.run("--gpus", "virtual:2", "--num_threads", "4", builder=build(gpu_project, n=8, num_gpus=1))
    assert done.code == 0, done
    given = [result["gpus"] for result in results(gpu_project, 8)]
    assert all(len(ids) == 1 for ids in given)  # type: ignore[arg-type]
    assert {ids[0] for ids in given} == {"virtual:0", "virtual:1"}  # type: ignore[index]


def test_what_the_experiment_and_its_record_see(gpu_project: Project) -> None:
    """The ids are in config.meta, the variable and the record; of a virtual device CUDA shows nothing."""
    done = gpu_project.run("--gpus", "virtual:4", builder=build(gpu_project, n=1, num_gpus=2, priority=1))
    assert done.code == 0, done
    result, record = gpu_project.json(0, "result.json"), gpu_project.json(0, "attempts/1.json")
    assert result["gpus"] == result["variable"].split(",") == record["gpus"]
    assert len(result["gpus"]) == 2 and result["cuda"] == ""
    assert record["resources"]["num_gpus"] == record["resources"]["effective"] == 2


def test_without_asking_none_is_seen(gpu_project: Project) -> None:
    """An experiment that asks for no device sees none; with --gpus inherit the environment stays as it is."""
    env = gpu_project.environment(CUDA_VISIBLE_DEVICES="3")
    assert gpu_project.run(builder=build(gpu_project, n=1), env=env).code == 0
    assert gpu_project.json(0, "result.json")["cuda"] == ""
    done = gpu_project.run("--gpus", "inherit", "--no_incremental", builder=build(gpu_project, n=1), env=env)
    assert done.code == 0, done
    assert gpu_project.json(0, "result.json")["cuda"] == "3"


def test_a_range_takes_what_is_free(gpu_project: Project) -> None:
    """{min, max} is fixed from what is free, and the record says what it came to."""
    asks = build(gpu_project, n=1, num_gpus={"min": 1, "max": 8})
    assert gpu_project.run("--gpus", "virtual:3", builder=asks).code == 0
    record = gpu_project.json(0, "attempts/1.json")
    assert len(record["gpus"]) == record["resources"]["effective"] == 3
    assert record["resources"]["num_gpus"] == {"min": 1, "max": 8}


def test_shares_run_beside_one_another(gpu_project: Project) -> None:
    """Two halves share the one device at the same time, and a third waits for one of them."""
    gpu_project.write("experiment.py", EXCLUSIVE.replace("for id in ids:", "for id in ():"))
    notes = gpu_project.root.parent / "notes"
    asks = build(gpu_project, n=3, num_gpus=0.5, hold=True)
    manager = gpu_project.start("--gpus", "virtual:1", "--num_threads", "3", builder=asks)
    wait_until(lambda: len(list(notes.glob("began-*"))) == 2)
    (notes / "go").touch()
    assert manager.wait(60) == 0
    assert {tuple(result["gpus"]) for result in results(gpu_project, 3)} == {("virtual:0",)}  # type: ignore[arg-type]


def test_never_to_be_met(gpu_project: Project) -> None:
    """More devices than there are is a usage error that says both numbers, before anything is created."""
    done = gpu_project.run("--gpus", "virtual:2", builder=build(gpu_project, n=2, num_gpus=3))
    assert done.code == 2, done
    assert "3 GPUs" in done.err and "2 (virtual:0, virtual:1)" in done.err
    assert not gpu_project.out.exists()


def test_wide_and_without(gpu_project: Project) -> None:
    """An experiment without a device runs while all devices are taken."""
    gpu_project.write(
        "builder.py",
        """
        def build(notes):
            base = {"notes": notes, "seconds": 0.0}
            return [
                {**base, "x": 0, "hold": True, "resources": {"num_gpus": 2}},
                {**base, "x": 1, "hold": True, "resources": {"num_gpus": 1}},
                {**base, "x": 2, "hold": False, "resources": {"num_gpus": 0}},
            ]
        """,
    )
    notes = gpu_project.root.parent / "notes"
    manager = gpu_project.start("--gpus", "virtual:2", "--num_threads", "3", builder=f"builder.build({str(notes)!r})")
    wait_until(lambda: (gpu_project.out / "result_2" / "success.txt").exists())
    assert not (notes / "began-1").exists()
    (notes / "go").touch()
    assert manager.wait(60) == 0


def test_three_managers_race(gpu_project: Project) -> None:
    """Three managers with twelve experiments each on the same four devices never share one, and all get their turn."""
    managers = []
    for number in range(3):
        asks = build(gpu_project, n=12, num_gpus=1 + number, first=100 * number, seconds=0.01)
        dst = gpu_project.root / f"out {number}"
        managers.append(gpu_project.start("--gpus", "virtual:4", "--num_threads", "4", builder=asks, dst=dst))
    for manager in managers:
        said, _ = manager.communicate(timeout=100)
        assert manager.returncode == 0, said


def test_a_killed_manager_frees_its_devices(gpu_project: Project) -> None:
    """After a SIGKILL of the manager another command gets the device, at the latest when the minder has ended."""
    notes = gpu_project.root.parent / "notes"
    manager = gpu_project.start("--gpus", "virtual:1", builder=build(gpu_project, n=1, num_gpus=1, hold=True))
    wait_until(lambda: (notes / "began-0").exists())
    manager.send_signal(signal.SIGKILL)
    manager.communicate()
    (notes / "virtual:0").unlink()
    (notes / "go").touch()
    other = build(gpu_project, n=1, num_gpus=1, first=7)
    done = gpu_project.run("--gpus", "virtual:1", builder=other, dst=gpu_project.root / "other")
    assert done.code == 0, done


def test_alone_on_the_host(gpu_project: Project) -> None:
    """An experiment that wants the host for itself runs beside no other, of another manager either."""
    notes = gpu_project.root.parent / "notes"
    holds = gpu_project.start(builder=build(gpu_project, n=1, hold=True))
    wait_until(lambda: (notes / "began-0").exists())
    asks = build(gpu_project, n=1, first=1, exclusive_host=True)
    measurer = gpu_project.start(builder=asks, dst=gpu_project.root / "measured")
    wait_until(lambda: list(gpu_project.lease_dir.glob("ticket-*")))
    assert not (notes / "began-1").exists()
    (notes / "go").touch()
    assert holds.wait(60) == 0 and measurer.wait(60) == 0
    assert (notes / "began-1").exists()


def test_max_failures_stops_what_fails_alike(gpu_project: Project) -> None:
    """After two failures of one kind nothing new starts: the rest is not started, and the exit code is 1."""
    gpu_project.write("experiment.py", "def run(config):\n    raise ValueError('always')\n")
    done = gpu_project.run("--max_failures", "2", "--json", builder=build(gpu_project, n=6))
    assert done.code == 1, done
    assert (done.summary["failed"], done.summary["not_started"]) == (2, 4)
    assert "--max_failures" in done.err


def test_a_broken_device_does_not_eat_the_queue(gpu_project: Project) -> None:
    """What fails at once on one device waits, while the others are busy for longer than the whole queue would last."""
    gpu_project.write(
        "experiment.py",
        """
        import os, time

        def run(config):
            if config.meta.gpus == ("virtual:1",):
                open(os.path.join(config.notes, f"broken-{config.x}"), "w").close()
                raise RuntimeError("broken device")
            while sum(name.startswith("broken") for name in os.listdir(config.notes)) < 3:
                time.sleep(0.005)
            time.sleep(1.0)  # a broken device would fail all that is left in that time
            return {}
        """,
    )
    done = gpu_project.run(
        "--gpus", "virtual:3", "--num_threads", "3", "--json", builder=build(gpu_project, n=20, num_gpus=1)
    )
    assert done.code == 1, done
    assert (done.summary["failed"], done.summary["succeeded"]) == (3, 17)
    assert "virtual:1 is used no more" in done.err


def test_a_device_that_fails_everything_is_cut_out(gpu_project: Project) -> None:
    """Where all that runs on one device fails quickly and all on the other succeeds, the first is used no more."""
    gpu_project.write(
        "experiment.py",
        """
        import os, time

        def note(config, name):
            open(os.path.join(config.notes, f"{name}-{config.x}-{config.meta.attempt}"), "w").close()

        def noted(config, name):
            return sum(each.startswith(name) for each in os.listdir(config.notes))

        def run(config):
            if config.meta.gpus == ("virtual:0",):
                while not noted(config, "fine"):
                    time.sleep(0.005)
                note(config, "broken")
                raise RuntimeError("broken device")
            while noted(config, "fine") and noted(config, "broken") < 3:
                time.sleep(0.005)
            note(config, "fine")
            return {}
        """,
    )
    done = gpu_project.run(
        "--gpus", "virtual:2", "--num_threads", "2", "--num_retries", "9", "--retry_backoff", "0.01", "--json",
        builder=build(gpu_project, n=12, num_gpus=1),
    )  # fmt: skip
    assert done.code == 0, done
    records = [json.loads(path.read_text()) for path in gpu_project.out.glob("experiments/*/attempts/*.json")]
    assert sum(record["status"] == "failed" for record in records) == 3
    assert "virtual:0 is used no more" in done.err


#: Notes an overlap where a device's file is there already and whoever made it lives: files outlive who is killed.
MORTAL = """
    import os, time

    def run(config):
        for id in config.meta.gpus:
            path = os.path.join(config.notes, id)
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                with open(path) as file:
                    maker = file.read()
                if maker and os.path.exists(f"/proc/{maker}/exe"):
                    open(os.path.join(config.notes, f"overlap-{maker}-{os.getpid()}"), "w").close()
                os.unlink(path)
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.write(descriptor, str(os.getpid()).encode())
            os.close(descriptor)
        open(os.path.join(config.notes, f"began-{os.getpid()}"), "w").close()
        time.sleep(config.seconds)
        for id in config.meta.gpus:
            os.unlink(os.path.join(config.notes, id))
        return {}
    """
#: Half of what a nightly run or a release does by setting CONFIGMILL_KILL_ROUNDS=500: both start methods run so many.
KILL_ROUNDS = int(os.environ.get("CONFIGMILL_KILL_ROUNDS", "25"))


@pytest.mark.timeout(60 + 10 * KILL_ROUNDS)
def test_random_kills(gpu_project: Project) -> None:
    """Kill manager, server, minder or experiment, whenever: no device is shared or leaked, nothing is lost."""
    gpu_project.write("experiment.py", MORTAL)
    notes = gpu_project.root.parent / "notes"
    numbers = random.Random(gpu_project.start_method)
    asks = build(gpu_project, n=6, num_gpus=1, seconds=0.05)
    options = ("--gpus", "virtual:2", "--num_threads", "3")
    for _ in range(KILL_ROUNDS):
        before = len(list(notes.glob("began-*")))
        manager = gpu_project.start(*options, "--no_incremental", builder=asks)
        wanted = before + numbers.randint(1, 4)
        wait_until(lambda wanted=wanted: len(list(notes.glob("began-*"))) >= wanted)
        with suppress(ProcessLookupError, IndexError):
            os.kill(numbers.choice(sorted(gpu_project.processes())), signal.SIGKILL)
        manager.communicate(timeout=60)
        wait_until(lambda: not gpu_project.processes())
        assert not list(notes.glob("overlap-*"))
    done = gpu_project.run(*options, "--no_incremental", builder=asks)
    assert done.code == 0, done
    assert all((gpu_project.out / f"result_{index}" / "success.txt").exists() for index in range(6))
    shown = json.loads(gpu_project.configmill("gpus", "--gpus", "virtual:2", "--json").out)
    assert [device["state"] for device in shown["devices"]] == ["free", "free"]


def test_a_lease_directory_that_cannot_be_used(gpu_project: Project) -> None:
    """Where devices are asked for, it is a usage error that names the directory; without, nobody minds."""
    gpu_project.lease_dir.write_text("a file")
    done = gpu_project.run("--gpus", "virtual:1", builder=build(gpu_project, n=1, num_gpus=1))
    assert done.code == 2 and str(gpu_project.lease_dir) in done.err, done
    assert not gpu_project.out.exists()
    assert gpu_project.run(builder=build(gpu_project, n=1)).code == 0


def test_a_wide_one_gets_its_turn_over_two_managers(project: Project, tmp_path: Path) -> None:
    """Beside another manager's unbroken stream of narrow ones, one that wants all devices starts before that ends."""
    project.write("experiment.py", EXCLUSIVE)
    project.write("builder.py", BUILDER)
    (tmp_path / "notes").mkdir()
    stream = project.start(
        "--gpus", "virtual:2", "--num_threads", "2", builder=build(project, n=120, num_gpus=1, seconds=0.3)
    )
    wait_until(lambda: (tmp_path / "notes" / "began-0").exists())
    wide = build(project, n=1, first=1000, num_gpus=2)
    done = project.run("--gpus", "virtual:2", builder=wide, dst=project.root / "wide")
    assert done.code == 0, done
    assert (done.out + done.err).count("result_0 waits: virtual:") == 1
    assert stream.poll() is None
    assert stream.wait(60) == 0

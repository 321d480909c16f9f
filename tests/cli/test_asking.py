"""What is asked for: refused before anything exists where it makes no sense, or can never be had here."""

from __future__ import annotations

import pytest

from tests.cli.listing import listing
from tests.cli.test_bad_input import refused
from tests.conftest import Project
from tests.notebooks.written import write_notebook

BUILDER = """
    import configmill

    def build(n=2, **resources):
        base = {"x": 0, "batch_size": 8, **({"resources": resources} if resources else {})}
        return configmill.grid(base, {"x": list(range(n))})
    """
EXPERIMENT = """
    def run(config):
        return {"y": config.x}
    """
HOOK = """
    def estimate_gpu_requirements(config):
        return {"num_gpus": 1 // config.x, "memory_gb": 1e9}
    """


@pytest.fixture
def user(project: Project) -> Project:
    """A project whose builder takes resources."""
    project.write("builder.py", BUILDER)
    project.write("experiment.py", EXPERIMENT)
    return project


def refuses(project: Project, quoted: str, advice: str, *options: str, resources: str = "") -> None:
    """Assert that run_experiment.py is refused, as a mistake of the user's and with nothing created."""
    before = listing(project.root.parent)
    done = project.run(*options, stdin="", builder=f"builder.build({resources})")
    refused(project, done, before, quoted, advice)


@pytest.mark.parametrize(
    ("options", "quoted", "advice"),
    [
        (["--num_gpus", "many"], "'many'", "--num_gpus 2.5"),
        (["--num_gpus", "1.5"], "1.5", "a fraction below 1"),
        (["--num_gpus", "-1"], "-1", "from 0"),
        (["--num_gpus", "nan"], "nan", "from 0"),
        (["--num_gpus", "inf"], "inf", "from 0"),
        (["--gpus", ""], "--gpus ''", "virtual:4"),
        (["--gpus", "nonsense"], "'nonsense'", "virtual:N"),
        (["--gpus", "virtual:-1"], "'virtual:-1'", "from 1"),
        (["--gpu_busy_memory_mb", "-1"], "-1", "from 0"),
        (["--gpu_busy_memory_mb", "some"], "'some'", "Give one"),
        (["--policy", ""], "--policy ''", "module:Class"),
        (["--policy", "fifi"], "'fifi'", "Did you mean 'fifo'?"),
        (["--policy", "builder:build"], "'builder:build'", "Name a class"),
        (["--max_failures", "0"], "0", "1 or more"),
        (["--max_failures", "few"], "'few'", "Give one from 0"),
        (["--num_gpus", "1", "--gpus", "none"], "--gpus 'none'", "Leave one out"),
        (["--num-gpus=0.5", "--gpus=inherit"], "--gpus 'inherit'", "Leave one out"),
    ],
)
def test_options_that_make_no_sense(user: Project, options: list[str], quoted: str, advice: str) -> None:
    """Numbers that are none, empty names, and flags that contradict each other."""
    refuses(user, quoted, advice, *options)


@pytest.mark.parametrize(
    ("resources", "quoted", "advice"),
    [
        ("num_gpus=1.5", "resources.num_gpus is 1.5", "a fraction below 1"),
        ("num_gpus={'min': 2, 'max': 1}", "{'min': 2, 'max': 1}", "no less than min"),
        ("num_gpu=1", "'num_gpu'", 'Did you mean "num_gpus"?'),
        ("exclusive_host='yes'", "'yes'", "Give one of them"),
        ("launcher='acelerate'", "resources.launcher", "accelerate"),
        ("on_oom={'batchsize': 'halve'}", "'batchsize'", 'Did you mean "batch_size"?'),
        ("memory_gb=1000000", "1e+06 GB", "Ask for less"),
        ("num_cpus=1000000", "1e+06 cores", "Ask for fewer"),
    ],
)
def test_resources_that_make_no_sense(user: Project, resources: str, quoted: str, advice: str) -> None:
    """What a config asks for wrongly, or more of than the host will ever have, is refused with the config's index."""
    refuses(user, quoted, advice, resources=resources)


@pytest.mark.parametrize("gpus", ["none", "inherit"])
def test_a_config_that_asks_where_nothing_is_handed_out(user: Project, gpus: str) -> None:
    """A config's own wish for devices contradicts --gpus none and inherit as the command's does."""
    refuses(user, f"with --gpus '{gpus}' none is handed out", "Ask for 0", "--gpus", gpus, resources="num_gpus=1")


@pytest.mark.parametrize(
    ("options", "resources", "quoted", "advice"),
    [
        (
            ["--num_gpus", "3"],
            "",
            "--num_gpus asks for 3 GPUs, and there are 2 (virtual:0, virtual:1)",
            "Ask for fewer",
        ),
        ([], "num_gpus={'min': 3, 'max': 8}", "Config 0: resources.num_gpus asks for 3 to 8 GPUs", "Ask for fewer"),
    ],
)
def test_more_devices_than_there_are(
    user: Project, options: list[str], resources: str, quoted: str, advice: str
) -> None:
    """What no device can ever meet is refused, whoever asks for it, saying what there is."""
    refuses(user, quoted, advice, "--gpus", "virtual:2", *options, resources=resources)


@pytest.mark.parametrize("dry", [[], ["--dry_run"]])
def test_a_device_where_there_is_none(user: Project, dry: list[str]) -> None:
    """Where no device is visible, one that is asked for is refused, in a dry run too; the environment is the bound."""
    before = listing(user.root.parent)
    done = user.run("--num_gpus", "0.5", *dry, env=user.environment(CUDA_VISIBLE_DEVICES=""))
    refused(user, done, before, "--num_gpus asks for 0.5 of a GPU, and there is none", "Ask for 0")


def test_an_estimate_that_fails(user: Project) -> None:
    """A hook that raises is refused with its last frame; with --log_level DEBUG its traceback is shown as well."""
    user.write("experiment.py", HOOK + EXPERIMENT)
    refuses(user, "for config 0 failed: ZeroDivisionError", "give --num_gpus")
    done = user.run("--log_level", "DEBUG")
    assert done.code == 2
    assert "in estimate_gpu_requirements\n" in done.err


def test_an_estimate_that_can_never_be_met(user: Project) -> None:
    """More than there is, is refused where an estimator asks for it too; --num_gpus does without the estimator."""
    user.write("experiment.py", HOOK.replace("1 // config.x", "0") + EXPERIMENT)
    refuses(user, "estimate_gpu_requirements asks, for config 0, for 1e+09 GB", "Ask for less")
    assert user.run("--num_gpus", "0").code == 0


def test_what_is_done_asks_for_nothing(user: Project) -> None:
    """A result that was made on a larger machine is skipped on a smaller one; only what would run is checked."""
    assert user.run("--json", builder="builder.build(memory_gb=0.5)").summary["succeeded"] == 2
    again = user.run("--json", builder="builder.build(memory_gb=1000000)")
    assert (again.code, again.summary["skipped"]) == (0, 2)
    assert user.run("--no_incremental", builder="builder.build(memory_gb=1000000)").code == 2


@pytest.mark.parametrize("start_method", ["warm", "cold"])
def test_one_that_asks_for_none(user: Project, start_method: str) -> None:
    """0 is a number of devices, as a config's and as the command's."""
    done = user.run("--num_gpus", "0", "--start_method", start_method, builder="builder.build(num_gpus=0)")
    assert done.code == 0, done


def test_notebooks_take_the_same_options(user: Project) -> None:
    """run_notebook.py checks them as run_experiment.py does."""
    write_notebook(user, "1 + 1")
    before = listing(user.root.parent)
    done = user.run_notebook("--num_gpus", "1", "--gpus", "none")
    refused(user, done, before, "--gpus 'none'", "Leave one out")


def test_the_stub_checks_configs_only(user: Project) -> None:
    """In the foreground a wrong request is refused as well, and one that can't be met here can be debugged."""
    stub = ("--experiment_builder", "experiment.run", "--config_idx", "0", "--dst_dir", str(user.out))
    wrong = user.script("run_experiment_stub.py", *stub, "--config_builder", "builder.build(num_gpus=1.5)")
    assert wrong.code == 2
    assert not user.out.exists()
    large = user.script("run_experiment_stub.py", *stub, "--config_builder", "builder.build(memory_gb=1000000)")
    assert large.code == 0, large

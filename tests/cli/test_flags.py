"""Flags in both spellings, and help that a newcomer understands."""

from __future__ import annotations

import json
import sys

import pytest

from tests.cli.listing import listing
from tests.conftest import Project

#: Every option that there is.
OPTIONS = (
    "--experiment_builder", "--config_builder", "--dst_dir", "--set", "--index", "--indices", "--start_from_index",
    "--incremental", "--no_incremental", "--rerun_on_code_change", "--num_threads", "--num_retries", "--retry_backoff",
    "--timeout", "--abort_on_error", "--skip_on_error", "--grace", "--start_method", "--num_gpus", "--gpus",
    "--gpu_busy_memory_mb", "--policy", "--max_failures", "--clean_dst_dir", "--no_confirm", "--dry_run", "--log_level",
    "--json",
)  # fmt: skip
#: Options that don't exist before their capability does.
NOT_YET = ("--ledger_url",)


def request_of(project: Project) -> dict:
    """What the last command recorded as its request, without the command as typed."""
    last = max(project.out.glob("runs/*.json"))
    request = json.loads(last.read_text())["request"]
    del request["command"]
    return request


def test_underscores_and_hyphens_mean_the_same(squares: Project) -> None:
    """Each option that takes a value or is a switch makes the same request with `_` as with `-`."""
    options = [
        "--start_from_index", "1", "--no_incremental", "--rerun_on_code_change", "--num_threads", "2",
        "--num_retries", "1", "--retry_backoff", "0.5", "--timeout", "50", "--abort_on_error", "--grace", "1.5",
        "--start_method", "cold", "--num_gpus", "0", "--gpus", "none", "--gpu_busy_memory_mb", "250.5",
        "--policy", "fifo", "--max_failures", "3",
        "--clean_dst_dir", "--no_confirm", "--log_level", "WARNING", "--set", "name=with-hyphen_and_underscore",
    ]  # fmt: skip
    argv = squares.command(*options)
    assert squares.call(argv).code == 0
    with_underscores = request_of(squares)
    hyphened = [text.replace("_", "-") if text.startswith("--") else text for text in argv]
    assert hyphened != argv
    assert squares.call(hyphened).code == 0
    assert request_of(squares) == with_underscores
    assert with_underscores["num_retries"] == 1
    devices = {"num_gpus": 0, "gpus": "none", "gpu_busy_memory_mb": 250.5, "policy": "fifo", "max_failures": 3}
    assert devices.items() <= with_underscores.items()
    assert with_underscores["clean_dst_dir"] is True


def test_flags_with_an_equals_sign(squares: Project) -> None:
    """`--flag=value` works in both spellings, and a value keeps its own hyphens and underscores."""
    done = squares.run("--num-threads=2", "--set=name=a-b_c", "--start-from-index=3", "--log_level=ERROR")
    assert done.code == 0, done
    request = request_of(squares)
    assert (request["num_threads"], request["log_level"]) == (2, "ERROR")
    assert squares.json(3, "config.json")["name"] == "a-b_c"


def test_stub_takes_both_spellings(squares: Project) -> None:
    """The stub's flags too come in both spellings."""
    for flag in ("--experiment{}builder", "--config{}builder", "--config{}idx", "--dst{}dir"):
        assert flag.format("_") in squares.script("run_experiment_stub.py", "-h").out
    done = squares.script(
        "run_experiment_stub.py",
        "--experiment-builder", "experiment.run", "--config-builder", "builder.build()", "--config-idx", "2",
        "--dst-dir", str(squares.out), "--set", "name=by-hand",
    )  # fmt: skip
    assert done.code == 0, done
    assert squares.json(2, "config.json") == {"x": 2, "name": "by-hand"}


@pytest.mark.parametrize("start_method", ["warm", "cold", None])
def test_strict_reaches_the_experiment(squares: Project, start_method: str | None) -> None:
    """`config.meta.strict` says what the command says, under the manager and the stub; it is no part of an identity."""
    squares.write("experiment.py", "def run(config):\n    return {'strict': config.meta.strict}\n")
    digests = set()
    for options in ((), ("--strict",)):
        if start_method is not None:
            done = squares.run("--index", "2", "--no_incremental", "--start_method", start_method, *options)
        else:
            done = squares.script(
                "run_experiment_stub.py", "--experiment_builder", "experiment.run", "--config_builder",
                "builder.build()", "--config_idx", "2", "--dst_dir", str(squares.out), *options,
            )  # fmt: skip
        assert done.code == 0, done
        assert squares.json(2, "result.json") == {"strict": bool(options)}
        digests.add(squares.result_dir(2).resolve().name)
    assert len(digests) == 1


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_the_manager(project: Project, flag: str) -> None:
    """Help exits 0, shows every option and an example, explains the exit codes, promises nothing that isn't there."""
    before = listing(project.root.parent)
    done = project.script("run_experiment.py", flag)
    assert (done.code, done.err) == (0, "")
    for option in OPTIONS:
        assert f"{option} " in done.out or f"{option}\n" in done.out, option
    for option in NOT_YET:
        assert option not in done.out
    assert "run_experiment.py --experiment_builder experiments." in done.out, "an example to start from"
    for code in ("0", "1", "2", "3", "130"):
        assert f"\n  {code} " in done.out, "the exit codes are explained"
    assert "None" not in done.out and "(default: 1)" in done.out
    assert listing(project.root.parent) == before


def test_help_explains_each_option(project: Project) -> None:
    """No option of any command is listed without a word on what it does."""
    for command in (["run_experiment.py"], ["run_experiment_stub.py"], ["-m", "configmill"]):
        text = _help(project, command)
        _, _, listed = text.partition("options:")
        entries = listed.split("\n  -")[1:]
        assert entries
        for entry in entries:
            words = entry.replace("\n", " ").split("  ", 1)
            assert len(words) == 2 and len(words[1].split()) >= 2, f"not explained: {entry}"


def _help(project: Project, command: list[str]) -> str:
    done = project.script(command[0], "-h") if command[0] != "-m" else project.configmill("-h")
    assert done.code == 0, done
    return done.out


def test_help_of_the_stub(project: Project) -> None:
    """It says that it is for debugging, shows an example, and that --config_idx picks the config."""
    done = project.script("run_experiment_stub.py", "-h")
    assert (done.code, done.err) == (0, "")
    for text in ("pdb", "foreground", "--config_idx", "--experiment_builder", "--set", "run_experiment_stub.py --exp"):
        assert text in done.out


def test_help_of_the_umbrella_command(project: Project) -> None:
    """It names its subcommands, each with an example, and only those that are there."""
    done = project.configmill("-h")
    assert (done.code, done.err) == (0, "")
    for what in ("results", "status", "failures", "report", "compare", "explain", "gpus", "simulate"):
        assert f"configmill {what} " in done.out
    assert "reindex" not in done.out


def test_umbrella_without_anything_says_how_it_is_used(project: Project) -> None:
    """`configmill` alone, or with an unknown subcommand, exits 2 and points to the help."""
    for arguments in ([], ["resluts", "out"]):
        done = project.configmill(*arguments)
        assert done.code == 2
        assert "-h" in done.err and "Traceback" not in done.err
        assert done.out == ""


def test_commands_do_not_need_the_script_folder(squares: Project) -> None:
    """`python -m configmill` and the scripts work from the project's folder, with a relative dst_dir."""
    argv = [sys.executable, *squares.command("--index", "1")[1:]]
    argv[argv.index("--dst_dir") + 1] = "relative out/deep"
    assert squares.call(argv).code == 0
    assert json.loads((squares.root / "relative out/deep/result_1/result.json").read_text()) == {"y": 1}
    assert squares.configmill("status", "relative out/deep").code == 0

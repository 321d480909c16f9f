"""Point 5: exit 2, a sentence that quotes the value, one that says what to do, no traceback, nothing created."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.cli.listing import listing
from tests.conftest import Done, Project

BUILDER = """
    import configmill

    CONSTANT = 3

    class Unstable:
        pass

    class BrokenDigest:
        def __configmill_digest__(self):
            raise ValueError("no digest today")

    def build(n=4):
        base = {"x": 0, "name": "square", "model": {"learning_rate": 0.1}}
        return configmill.grid(base, {"x": list(range(n))})

    def raises():
        return _deep_inside()

    def _deep_inside():
        raise RuntimeError("the sky is falling")

    def exits():
        raise SystemExit(0)

    def generates():
        yield {"x": 1}
        yield {"x": 1 // 0}

    def lazily():
        return configmill.ConfigList.lazy(3, lambda index: configmill.Config({"x": 1 // (index - 1)}))

    def empty():
        return []

    def nothing():
        return None

    def numbers():
        return [{"x": 1}, 2]

    def twice():
        return [{"x": 1}, {"x": 2}, {"x": 3}, {"x": 2}]

    def unstable():
        return [{"x": 1}, {"x": 2, "model": {"sampler": Unstable()}}]

    def broken_digest():
        return [{"x": 1, "sampler": BrokenDigest()}]

    def resources(asked):
        return [{"x": 1, "resources": asked}]
    """
EXPERIMENT = """
    CONSTANT = 3

    def run(config):
        return {"y": config.x ** 2}
    """


@pytest.fixture
def user(project: Project) -> Project:
    """A project with good and bad builders, modules that can't be imported, and files that are in the way."""
    project.write("builder.py", BUILDER)
    project.write("experiment.py", EXPERIMENT)
    project.write("package/__init__.py", "")
    project.write("package/module.py", EXPERIMENT)
    project.write("raising_import.py", "def load():\n    raise OSError('the data is gone')\n\nload()\n")
    project.write("missing_import.py", "import a_package_that_is_not_there\n\ndef build():\n    return []\n")
    project.write("bad_syntax.py", "def build(:\n    return []\n")
    project.write("a file", "a user's own")
    project.write("foreign/keep.txt", "a user's own")
    project.write("other tool/campaign.json", '{"campaign": "spring sale"}')
    project.write("half a mark/campaign.json", '{"configmill": ')
    (project.root / "mark dir/campaign.json").mkdir(parents=True)
    project.write("odd mark/campaign.json", '{"configmill": "one", "target": "experiment:run"}')
    return project


def refused(project: Project, done: Done, before: dict, quoted: str, advice: str) -> None:
    """Assert that a command did what point 5 asks."""
    assert done.code == 2, done
    assert done.out == ""
    assert "Traceback" not in done.err
    message = done.err.rstrip("\n")
    assert "\n" not in message, done
    sentences = re.split(r"[.?!]\s+(?=[A-Z(])", message)
    assert 2 <= len(sentences) <= 3, sentences
    assert quoted in message, done
    assert advice in message, done
    assert listing(project.root.parent) == before


def refuses(project: Project, quoted: str, advice: str, *options: str, **what: str | Path) -> None:
    """Run run_experiment.py, and assert that it is refused."""
    before = listing(project.root.parent)
    refused(project, project.run(*options, stdin="", **what), before, quoted, advice)


@pytest.mark.parametrize(
    ("experiment", "quoted", "advice"),
    [
        ("experiment.rnu", "'experiment.rnu'", 'Did you mean "run"?'),
        ("experimnt.run", "'experimnt.run'", "Give module.function"),
        ("package.modul.run", "'package.modul.run'", 'Did you mean "package.module"?'),
        ("package.module", "'package.module'", "Give module.function"),
        ("bad_syntax.build", "'bad_syntax.build'", "Mend it"),
        ("experiment", '"experiment"', "package.module.run"),
        ("a 'quoted' name", "\"a 'quoted' name\"", "package.module.run"),
        ("", "''", "package.module.run"),
        ("experiment.run()", '"experiment.run()"', "Drop the parentheses: experiment.run"),
    ],
)
def test_experiment_that_is_none(user: Project, experiment: str, quoted: str, advice: str) -> None:
    """An unknown function or module, what is no name, and a call where a name belongs (with the right spelling)."""
    refuses(user, quoted, advice, experiment=experiment)


@pytest.mark.parametrize(
    ("builder", "quoted", "advice"),
    [
        ("builder.biuld()", '"builder.biuld()"', 'Did you mean "build"?'),
        ("bulider.build()", '"bulider.build()"', 'Did you mean "builder"?'),
        ("package.modul.build()", '"package.modul.build()"', 'Did you mean "package.module"?'),
        ("builder.CONSTANT()", '"builder.CONSTANT()"', "Name a function"),
        ("builder.build(", '"builder.build("', "package.module.build("),
        ("", "''", "package.module.build("),
        ("build()", '"build()"', "my_module.build()"),
        ("builder.build", '"builder.build"', "builder.build()"),
    ],
)
def test_builder_that_is_none(user: Project, builder: str, quoted: str, advice: str) -> None:
    """An unknown builder, a malformed string, and a name where a call belongs (with the right spelling)."""
    refuses(user, quoted, advice, builder=builder)


@pytest.mark.parametrize(
    ("builder", "error", "frame"),
    [
        ("builder.raises()", "RuntimeError: the sky is falling", r"builder\.py:\d+ in _deep_inside"),
        ("builder.exits()", "SystemExit", r"builder\.py:\d+ in exits"),
        ("builder.generates()", "ZeroDivisionError", r"builder\.py:\d+ in generates"),
        ("builder.lazily()", "ZeroDivisionError", r"builder\.py:\d+ in <lambda>"),
        ("raising_import.build()", "OSError: the data is gone", r"raising_import\.py:2 in load"),
        ("missing_import.build()", "No module named 'a_package_that_is_not_there'", r"missing_import\.py:1"),
        ("bad_syntax.build()", "SyntaxError", r"bad_syntax\.py:1"),
    ],
)
def test_builder_that_raises(user: Project, builder: str, error: str, frame: str) -> None:
    """What a builder, or the import of its module, raises is shown with the last frame in user code."""
    before = listing(user.root.parent)
    done = user.run(builder=builder)
    refused(user, done, before, builder, "Correct it there")
    assert error in done.err
    assert re.search(frame, done.err), done


@pytest.mark.parametrize("level", [["--log_level", "DEBUG"], ["--log_level=DEBUG"], ["--log-level", "debug"]])
def test_traceback_on_request(user: Project, level: list[str]) -> None:
    """With --log_level DEBUG, however it is spelt, the user's own traceback comes before the two sentences."""
    before = listing(user.root.parent)
    done = user.run(*level, builder="builder.raises()")
    assert done.code == 2
    assert "Traceback (most recent call last)" in done.err
    assert "in raises" in done.err
    assert "configmill/config/builder.py" not in done.err, "our own frames are of no use to the user"
    assert 'The config builder "builder.raises()" raised RuntimeError' in done.err.splitlines()[-1]
    assert listing(user.root.parent) == before


def test_debug_as_a_value_asks_for_no_traceback(user: Project) -> None:
    """Only --log_level DEBUG asks for the traceback: another value that reads so doesn't."""
    refuses(user, "builder.raises()", "Correct it there", builder="builder.raises()", dst=Path("debug"))


@pytest.mark.parametrize(
    ("builder", "quoted", "advice"),
    [
        ("builder.empty()", '"builder.empty()"', "at least one config"),
        ("builder.numbers()", "entry 1 is 2", "Make every entry a mapping"),
        ("builder.twice()", "1 and 3", "remove one"),
        ("builder.unstable()", '"model.sampler"', "__configmill_digest__"),
        ("builder.broken_digest()", '"sampler"', "__configmill_digest__"),
        ("builder.resources(3)", "resources is 3", "Write resources="),
        ("builder.resources({'timeout': -5})", "-5", "above 0"),
        ("builder.resources({'timout': 5})", "'timout'", "timeout"),
    ],
)
def test_list_that_is_none(user: Project, builder: str, quoted: str, advice: str) -> None:
    """An empty list, what is no list of configs, duplicates (both indices), no stable digest, senseless resources."""
    refuses(user, quoted, advice, builder=builder)


@pytest.mark.parametrize(
    ("options", "quoted", "advice"),
    [
        (["--set", "model.lerning_rate=1"], '"model.lerning_rate"', 'Did you mean "model.learning_rate"?'),
        (["--set", "learning_rate=1"], '"learning_rate"', 'Did you mean "model.learning_rate"?'),
        (["--set", "x"], "'x'", "a.b=3"),
        (["--set", "name=a", "--set", "name=b"], '"name"', "Set it once"),
        (["--set", "x=1"], "0 and 1", "after --set"),
        (["--index", "4"], "--index 4", "from 0 to 3"),
        (["--indices", "0,7"], "--indices 0,7", "from 0 to 3"),
        (["--indices", "0,a"], "'a'", "0,3,5-9"),
        (["--indices", "3-1"], "'3-1'", "1-3"),
        (["--start_from_index", "4"], "--start_from_index 4", "from 0 to 3"),
        (["--num_threads", "0"], "'0'", "Give 1 or more"),
        (["--num_threads", "many"], "'many'", "Give 1 or more"),
        (["--num_retries", "1.5"], "'1.5'", "from 0"),
        (["--timeout", "0"], "--timeout", "above 0"),
        (["--grace", "-3"], "-3", "from 0"),
        (["--log_level", "loud"], "'loud'", "DEBUG, INFO"),
        (["--start_method", "lukewarm"], "'lukewarm'", "-h"),
        (["--num-thread", "2"], "'--num-thread'", "--num"),
        (["--no-such-flag"], "'--no-such-flag'", "-h"),
        (["stray"], "'stray'", "-h"),
        (["--dst_dir", ""], "''", "Give a directory"),
    ],
)
def test_options_that_make_no_sense(user: Project, options: list[str], quoted: str, advice: str) -> None:
    """Unknown keys of --set (with the nearest), indices out of range, bad numbers, unknown flags (with the nearest)."""
    refuses(user, quoted, advice, *options)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["--incremental"], ["--no_incremental"]),
        (["--abort_on_error"], ["--skip-on-error"]),
        (["--index", "1"], ["--indices", "1"]),
        (["--indices", "1"], ["--start_from_index", "1"]),
    ],
)
def test_flags_that_contradict(user: Project, first: list[str], second: list[str]) -> None:
    """Contradicting flags are named, both of them."""
    spelt = second[0].replace("-", "_").replace("__", "--", 1)
    refuses(user, f"{first[0]} and {spelt}", "Give one of them", *first, *second)


def test_huge_range_of_indices(user: Project) -> None:
    """A range beyond the list is refused for its end, and isn't written out in memory before."""
    before = listing(user.root.parent)
    program = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    done = user.call([sys.executable, "-c", program, *user.command("--indices", "0-999999999999")])
    refused(user, done, before, "0-999999999999", "from 0 to 3")


def test_required_flag_left_out(user: Project) -> None:
    """A required flag that is left out is named."""
    before = listing(user.root.parent)
    argv = user.command()
    at = argv.index("--dst_dir")
    refused(user, user.call([*argv[:at], *argv[at + 2 :]]), before, "--dst_dir", "-h")


@pytest.mark.parametrize(
    ("dst", "quoted", "advice"),
    [
        ("a file", "a file", "Give a directory"),
        ("a file/deep/out", "a file/deep/out", "Give another"),
        ("/proc/x", "/proc/x", "Give another"),
        ("new/parent/" + "n" * 300, "n" * 300, "Give another"),
        ("foreign", "foreign", "new or empty"),
        (".", "neither empty nor Configmill's", "new or empty"),
        ("other tool", "other tool", "Give another"),
        ("half a mark", "half a mark", "Give another"),
        ("odd mark", "odd mark", "Give another"),
        ("mark dir", "mark dir", "Give another"),
    ],
    ids=lambda value: value[:12],
)
def test_dst_dir_that_cannot_be_used(user: Project, dst: str, quoted: str, advice: str) -> None:
    """A file in the way, a place that can't be written to, a directory that isn't Configmill's: left as they are."""
    refuses(user, quoted, advice, dst=Path(dst))


@pytest.mark.parametrize("dst", ["foreign", "half a mark"])
def test_cleaning_spares_what_is_not_ours(user: Project, dst: str) -> None:
    """--clean_dst_dir never touches a directory that isn't Configmill's, whatever else is given."""
    refuses(user, dst, "touched", "--clean_dst_dir", "--no_confirm", dst=Path(dst))


def without_privileges(argv: list[str]) -> list[str]:
    """The command without root's right to write everywhere, which containers often give."""
    program = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if libc.prctl(24, capability, 0, 0, 0) and os.geteuid() == 0:  # PR_CAPBSET_DROP
        sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
"""
    return [sys.executable, "-c", program, *argv]


@pytest.mark.parametrize("dst", ["locked", "locked/out"])
def test_dst_dir_without_permission(user: Project, dst: str) -> None:
    """A directory, or a parent, that the user may not write to is refused."""
    locked = user.root / "locked"
    locked.mkdir(mode=0o555)
    before = listing(user.root.parent)
    done = user.call(without_privileges(user.command(dst=Path(dst))))
    if done.code == 77:
        pytest.skip("root here can't give up its right to write everywhere")
    refused(user, done, before, dst, "Give")


def test_dst_dir_of_another_target(user: Project) -> None:
    """A dst_dir belongs to one target; the refusal names both."""
    assert user.run("--index", "0").code == 0
    before = listing(user.root.parent)
    done = user.run(experiment="package.module.run")
    refused(user, done, before, "'experiment:run'", "--clean_dst_dir")
    assert "'package.module:run'" in done.err


def test_dst_dir_of_a_newer_format(user: Project) -> None:
    """A campaign that a later version wrote is left alone."""
    user.out.mkdir()
    (user.out / "campaign.json").write_text(json.dumps({"configmill": 999, "target": "experiment:run"}))
    refuses(user, "999", "Use that version")


@pytest.mark.parametrize(
    ("change", "quoted", "advice"),
    [
        ({"--config_idx": "4"}, "--config_idx 4", "from 0 to 3"),
        ({"--config_builder": "builder.build"}, '"builder.build"', "builder.build()"),
        ({"--config_builder": "builder.raises()"}, "builder.raises()", "Correct it there"),
        ({"--config_builder": "builder.lazily()"}, "builder.lazily()", "Correct it there"),
        ({"--dst_dir": "foreign"}, "foreign", "new or empty"),
        ({"--set": "nme=1"}, '"nme"', 'Did you mean "name"?'),
        ({"--config-index": "1"}, "'--config-index'", "--config_idx"),
    ],
)
def test_stub_refuses_alike(user: Project, change: dict[str, str], quoted: str, advice: str) -> None:
    """The foreground stub takes the same care of bad input."""
    given = {
        "--experiment_builder": "experiment.run",
        "--config_builder": "builder.build()",
        "--config_idx": "1",
        "--dst_dir": str(user.out),
        **change,
    }
    before = listing(user.root.parent)
    done = user.script("run_experiment_stub.py", *[text for pair in given.items() for text in pair])
    refused(user, done, before, quoted, advice)


def test_usage_error_leaves_a_campaign_as_it_is(user: Project) -> None:
    """A command that is refused changes nothing in a campaign that is there, time stamps included."""
    assert user.run("--index", "0").code == 0
    before = listing(user.out, times=True)
    assert user.run(builder="builder.twice()").code == 2
    assert user.run("--index", "99").code == 2
    assert listing(user.out, times=True) == before

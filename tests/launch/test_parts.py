"""The parts that decide: whose failure it is, what ranks find in their environment, what a config may ask for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.child.ranks.environment import THREAD_VARIABLES, launch_of, ranks_environment
from configmill.child.ranks.lines import PrefixedLines
from configmill.child.ranks.verdict import End, decide
from configmill.config import Config
from configmill.config.identity import identity_digest
from configmill.errors import UsageError
from configmill.plan import launchers
from configmill.plan.launchers import check_launchers
from configmill.plan.meetable import check_meetable
from configmill.plan.resources import from_mapping
from configmill.processes import num_cores
from configmill.protocol import status
from configmill.protocol.report import Report
from configmill.protocol.resources import ResourceRequest

LOST_ANOTHER = "RuntimeError: [pair.cc:553] Connection closed by peer [127.0.0.1]:17814"


def failed(message: str, failure_class: str = status.CODE_ERROR, at: float = 0.0) -> End:
    """A rank that failed."""
    return End(Report(status.FAILED, failure_class=failure_class, message=message), at, is_reported=True)


INTERRUPTED = End(Report(status.INTERRUPTED, message="Terminated"), 0.0, is_reported=True)
SUCCEEDED = End(Report(status.SUCCEEDED), 0.0, is_reported=True)


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ([failed("first", at=1), failed("second", at=2)], "rank 0: first"),
        ([failed("second", at=2), failed("first", at=1)], "rank 1: first"),
        ([failed("early", at=1), failed("memory", status.OOM_GPU, at=9)], "rank 1: memory"),
        ([failed("host", status.OOM_HOST, at=9), failed("early", at=1)], "rank 0: host"),
        ([failed("host", status.OOM_HOST, at=1), failed("memory", status.OOM_GPU, at=9)], "rank 1: memory"),
        ([failed(LOST_ANOTHER, at=1), failed("late", at=9)], "rank 1: late"),
        ([failed(LOST_ANOTHER, at=1), failed("DistBackendError: NCCL error", at=2)], f"rank 0: {LOST_ANOTHER}"),
        ([INTERRUPTED, failed(LOST_ANOTHER, at=9)], f"rank 1: {LOST_ANOTHER}"),
        ([SUCCEEDED, failed("late", at=9)], "rank 1: late"),
        ([SUCCEEDED, INTERRUPTED], "rank 1: Terminated"),
    ],
)
def test_whose_failure_it_is(ends: list[End], says: str) -> None:
    """Device memory before the host's, those before all else, the earliest of causes, consequences last."""
    reports = [End(Report(**vars(end.report)), end.at, is_reported=True) for end in ends]
    assert decide(dict(enumerate(reports))).message == says


def test_what_success_comes_to() -> None:
    """Of all ranks: a key that one has read was read, memory adds up, the code of all counts."""
    first = Report(status.SUCCEEDED, unread_keys=["a", "b", "num_processes"], peak_rss_bytes=3, code={"x.py": "1"})
    second = Report(status.SUCCEEDED, unread_keys=["b", "num_processes"], peak_rss_bytes=4, code={"y.py": "2"})
    report = decide({0: End(first, 0.0), 1: End(second, 0.0)})
    assert (report.unread_keys, report.peak_rss_bytes, report.code) == (["b"], 7, {"x.py": "1", "y.py": "2"})


def test_nothing_of_another_launch_reaches_the_ranks() -> None:
    """What a launch sets is left out, what only looks like it stays."""
    kept = {"LOCAL_DATA": "d", "MASTER_KEY": "k", "RANKING": "r", "OMP_NUM_THREADS": "3"}
    launch = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_PORT": "9", "TORCHELASTIC_RUN_ID": "x"}
    assert ranks_environment({**kept, **launch}, 2, None) == kept
    assert launch_of(launch) == (1, 2)
    assert launch_of(kept) == (0, 1)


@pytest.mark.parametrize(
    ("environ", "native_threads", "each"),
    [
        ({}, None, max(1, num_cores() // 2)),
        ({}, 6, 3),
        ({"OMP_NUM_THREADS": "6", "MKL_NUM_THREADS": "6"}, 6, 3),
        ({"OMP_NUM_THREADS": "1"}, 1, 1),
    ],
)
def test_threads_are_shared_among_ranks(environ: dict[str, str], native_threads: int | None, each: int) -> None:
    """What the experiment may start, or else the cores, is divided among its ranks; each has one at least."""
    assert ranks_environment(environ, 2, native_threads) == dict.fromkeys(THREAD_VARIABLES, str(each))


@given(st.lists(st.text("ab\n", max_size=6)))
def test_every_line_has_its_rank(written: list[str]) -> None:
    """However the text is cut into writes, each line begins with the prefix, and nothing is lost or added."""
    read_fd, write_fd = os.pipe()
    stream = PrefixedLines(write_fd, "[rank 7] ")
    for text in written:
        assert stream.write(text.encode()) == len(text)
    os.close(write_fd)
    with open(read_fd) as file:
        lines = file.read().splitlines(keepends=True)
    assert all(line.startswith("[rank 7] ") for line in lines)
    assert "".join(line.removeprefix("[rank 7] ") for line in lines) == "".join(written)


def request(num_processes: Any = None, **resources: Any) -> ResourceRequest:
    """What config 4 asks for."""
    config = Config({"num_processes": num_processes, "resources": {"launcher": "accelerate", **resources}})
    return from_mapping(config["resources"], 4, config)


@pytest.mark.parametrize(
    ("given", "num_gpus", "number"), [(3, 0, 3), (None, 2, 2), (None, 0, 1), (2.0, 0, 2), (None, 0.5, 1)]
)
def test_how_many_processes(given: Any, num_gpus: float, number: int) -> None:
    """What the config says, else one for each whole device, else one; without a launcher none is launched."""
    assert request(given).processes_on(num_gpus) == number
    assert from_mapping({"num_gpus": 2}, 4, Config({"num_processes": 5})).processes_on(2) is None


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", True, float("nan")])
def test_no_number_of_processes(number: Any) -> None:
    """What is no whole number from 1 is refused with the config's index and the key."""
    with pytest.raises(UsageError, match=r"Config 4: num_processes is .* Give a whole number from 1"):
        request(number)


def test_more_processes_than_devices() -> None:
    """What can be known before the start is refused then; without devices the ranks run on the CPU, however many."""
    check_meetable({4: request(8)}, ())
    for asked in (request(2, num_gpus=1), request(3, num_gpus={"min": 2, "max": 4}), request(2, num_gpus=0.5)):
        with pytest.raises(UsageError, match=r"Config 4: num_processes is .* more than the devices"):
            check_meetable({4: asked}, None)


def test_what_cannot_be_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook, and a host without accelerate, are refused in a sentence that says what to do."""
    with pytest.raises(UsageError, match=r"Config 4: .* is a notebook, whose kernel is one process. Leave it out"):
        check_launchers("notebooks/nb.ipynb", {4: request(2)})
    monkeypatch.setattr(launchers, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs accelerate and torch, .* pip install 'configmill\[llm\]'"):
        check_launchers("experiment:run", {4: request(2)})
    check_launchers("experiment:run", {4: from_mapping({"timeout": 3}, 4)})


def test_how_it_is_launched_identifies_nothing(tmp_path: Path) -> None:
    """The identity leaves out launcher and gpu_list: where it runs is not what it computes."""
    plain, launched = Config({"x": 1}), Config({"x": 1, "resources": {"launcher": "accelerate", "gpu_list": [0, 1]}})
    assert identity_digest("experiment:run", plain) == identity_digest("experiment:run", launched)

"""Each way to fail has its class, and none of them passes for a success."""

from __future__ import annotations

import json
import signal

import pytest

from tests.conftest import Project
from tests.processes.cases import Cases, run_cases

EXPERIMENTS = """
    import os, signal, sys, time

    def raises(config):
        raise ValueError("no such lag: 7\\nand a second line")

    def raises_deep(config):
        return _deeper(3)

    def _deeper(depth):
        if depth:
            return _deeper(depth - 1)
        raise KeyError("depth")

    def misses_a_module(config):
        import no_such_module_anywhere

    def asserts(config):
        assert config.case == "another", "the case is another"

    def raises_what_has_no_text(config):
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError("no text")
        raise Mute

    def refuses_its_config(config):
        import configmill

        class SettingsError(configmill.ConfigRefusedError):
            pass

        raise SettingsError("lags is -1. Give 1 or more.")

    def memory_error(config):
        bytearray(1 << 62)

    def torch_out_of_memory(config):
        raise type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})("CUDA out of memory. Tried 2 GiB")

    def old_torch_out_of_memory(config):
        raise type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch.cuda"})("no memory")

    def below_torch_out_of_memory(config):
        base = type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})
        raise type("LayerOutOfMemory", (base,), {})("layer 3")

    def plain_cuda_out_of_memory(config):
        raise RuntimeError("CUDA error: out of memory")

    def other_runtime_error(config):
        raise RuntimeError("CUDA error: device-side assert triggered")

    def connection_error(config):
        raise ConnectionResetError("peer reset")

    def connection_refused(config):
        import socket
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            socket.create_connection(unused.getsockname())

    def url_error(config):
        import socket, urllib.request
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            urllib.request.urlopen("http://127.0.0.1:%d/" % unused.getsockname()[1])

    def http_error(config):
        import urllib.error
        raise urllib.error.HTTPError("http://example.org", 503, "unavailable", {}, None)

    def times_out(config):
        raise TimeoutError("the server said nothing")

    def ssl_error(config):
        import ssl
        raise ssl.SSLError("bad certificate")

    def file_not_found(config):
        open("/no/such/file")

    def os_error(config):
        raise OSError(28, "No space left on device")

    def permission_error(config):
        raise PermissionError("not yours")

    def kills_itself(config):
        print("a last line")
        os.kill(os.getpid(), signal.SIGKILL)

    def segfaults(config):
        import ctypes
        ctypes.string_at(0)

    def aborts(config):
        os.abort()

    def dies_of_a_nameless_signal(config):
        os.kill(os.getpid(), signal.SIGRTMIN + 3)
        time.sleep(1000)

    def raises_a_lone_surrogate(config):
        raise ValueError("half a pair: \\ud800")

    def names_an_undecodable_file(config):
        open(os.fsdecode(b"/no/such/\\xff"))

    def closes_stderr_and_raises(config):
        sys.stderr.close()
        raise MemoryError

    def terminates_itself(config):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1000)

    def kills_its_group(config):
        os.killpg(0, signal.SIGKILL)

    def interrupts_itself(config):
        raise KeyboardInterrupt

    def exits_with_0(config):
        sys.exit(0)

    def exits_with_nothing(config):
        sys.exit()

    def exits_with_text(config):
        sys.exit("no data for Mars")

    def exits_hard_with_0(config):
        os._exit(0)

    def exits_hard_with_3(config):
        os._exit(3)

    def exits_in_a_thread(config):
        import threading
        threading.Thread(target=sys.exit).start()
        return {"y": 1}

    def child_of_a_fork_returns_too(config):
        child = os.fork()
        if child == 0:
            return {"who": "child"}
        os.waitpid(child, 0)
        return {"who": "parent"}

    def child_of_a_fork_exits(config):
        child = os.fork()
        if child == 0:
            sys.exit(0)
        os.waitpid(child, 0)
        return {"who": "parent"}

    def child_of_a_fork_raises(config):
        child = os.fork()
        if child == 0:
            raise ValueError("in the child")
        os.waitpid(child, 0)
        return {"who": "parent"}

    def returns(config):
        return {"y": 1}
    """


@pytest.fixture(scope="module")
def cases(shared_project: Project) -> Cases:
    """One command that ran all of EXPERIMENTS."""
    return run_cases(shared_project, EXPERIMENTS)


def outcome(cases: Cases, case: str) -> tuple[str, str]:
    """Status and failure class of the case's last attempt."""
    record = cases.record(case)
    return record["status"], record["failure_class"]


def test_a_config_that_its_experiment_refuses(cases: Cases) -> None:
    """An exception that derives from ConfigRefusedError is config_refused, with its own name and text."""
    assert outcome(cases, "refuses_its_config") == ("failed", "config_refused")
    assert cases.record("refuses_its_config")["error"] == "SettingsError: lags is -1. Give 1 or more."


@pytest.mark.parametrize("case", ["raises", "raises_deep", "misses_a_module", "asserts", "raises_what_has_no_text"])
def test_an_exception_is_a_code_error(cases: Cases, case: str) -> None:
    """An exception of user code that means nothing else is code_error."""
    assert outcome(cases, case) == ("failed", "code_error")


def test_the_record_has_the_message_in_one_line(cases: Cases) -> None:
    """The error is the exception's class and the first line of its message."""
    assert cases.record("raises")["error"] == "ValueError: no such lag: 7"


@pytest.mark.parametrize(
    ("case", "failure_class", "part"),
    [("raises_a_lone_surrogate", "code_error", "half a pair"), ("names_an_undecodable_file", "io", "/no/such/")],
)
def test_any_text_can_be_recorded(cases: Cases, case: str, failure_class: str, part: str) -> None:
    """A message that UTF-8 can't encode is recorded like any other, and the record is JSON for every program."""
    assert outcome(cases, case) == ("failed", failure_class)
    raw = (cases.dir(case) / "attempts" / "1.json").read_bytes()
    assert part in json.loads(raw.decode("utf-8"))["error"]


def test_an_experiment_without_stderr_is_told_by_its_exception(cases: Cases) -> None:
    """An experiment that closed sys.stderr and then raises has the class of what it raised."""
    assert outcome(cases, "closes_stderr_and_raises") == ("failed", "oom_host")


def test_the_record_names_the_last_frame_in_user_code(cases: Cases) -> None:
    """`where` is file, line and function of the innermost frame in the user's code."""
    where = cases.record("raises_deep")["where"]
    line = 1 + (cases.project.root / "experiment.py").read_text().splitlines().index('    raise KeyError("depth")')
    assert "experiment.py" in where
    assert str(line) in where
    assert "_deeper" in where


def test_the_log_has_the_traceback(cases: Cases) -> None:
    """The traceback, with the whole message, is in the attempt's log, and shows no frame of Configmill's."""
    log = cases.log("raises")
    assert "Traceback (most recent call last)" in log
    assert "ValueError: no such lag: 7\nand a second line" in log
    assert "configmill/" not in log


def test_memory_error_is_oom_host(cases: Cases) -> None:
    """MemoryError means that the host is out of memory."""
    assert outcome(cases, "memory_error") == ("failed", "oom_host")


@pytest.mark.parametrize(
    "case",
    ["torch_out_of_memory", "old_torch_out_of_memory", "below_torch_out_of_memory", "plain_cuda_out_of_memory"],
)
def test_device_memory_is_oom_gpu(cases: Cases, case: str) -> None:
    """torch's OutOfMemoryError in both its homes, what derives from it, and CUDA's own words for it are oom_gpu."""
    assert outcome(cases, case) == ("failed", "oom_gpu")


def test_other_cuda_errors_are_not_oom(cases: Cases) -> None:
    """A RuntimeError of CUDA's that isn't about memory is a code_error."""
    assert outcome(cases, "other_runtime_error") == ("failed", "code_error")


@pytest.mark.parametrize(
    "case", ["connection_error", "connection_refused", "url_error", "http_error", "times_out", "ssl_error"]
)
def test_a_failed_connection_is_network(cases: Cases, case: str) -> None:
    """Connections that fail or time out are network, though their classes derive from OSError."""
    assert outcome(cases, case) == ("failed", "network")


@pytest.mark.parametrize("case", ["file_not_found", "os_error", "permission_error"])
def test_a_failed_file_is_io(cases: Cases, case: str) -> None:
    """OSError that isn't about a connection is io."""
    assert outcome(cases, case) == ("failed", "io")


@pytest.mark.parametrize(
    ("case", "signum"),
    [
        ("kills_itself", signal.SIGKILL),
        ("segfaults", signal.SIGSEGV),
        ("aborts", signal.SIGABRT),
        ("kills_its_group", signal.SIGKILL),
        ("dies_of_a_nameless_signal", signal.SIGRTMIN + 3),
    ],
)
def test_death_by_a_signal_is_killed(cases: Cases, case: str, signum: int) -> None:
    """An experiment that a signal ended is killed, and the record has the signal and no exit code."""
    record = cases.record(case)
    assert outcome(cases, case) == ("failed", "killed")
    assert (record["signal"], record["exit_code"]) == (signum, None)
    assert (signum.name if isinstance(signum, signal.Signals) else str(signum)) in record["error"]


def test_sigterm_from_elsewhere_is_killed(cases: Cases) -> None:
    """A SIGTERM that nobody of Configmill's sent makes the experiment failed and killed, not interrupted."""
    assert outcome(cases, "terminates_itself") == ("failed", "killed")
    assert "SIGTERM" in cases.record("terminates_itself")["error"]


@pytest.mark.parametrize("case", ["segfaults", "aborts"])
def test_a_native_crash_leaves_its_python_traceback(cases: Cases, case: str) -> None:
    """faulthandler's trace of a crash in native code is in the log, and names the user's function."""
    log = cases.log(case)
    assert "Fatal Python error" in log
    assert f"in {case}" in log


def test_a_keyboard_interrupt_of_the_experiments_own_is_told_as_such(cases: Cases) -> None:
    """KeyboardInterrupt that user code raises is a failure, and nobody claims that a SIGTERM was sent."""
    assert cases.record("interrupts_itself")["status"] == "failed"
    assert "SIGTERM" not in cases.record("interrupts_itself")["error"]
    assert "KeyboardInterrupt" in cases.record("interrupts_itself")["error"]


@pytest.mark.parametrize(
    "case", ["exits_with_0", "exits_with_nothing", "exits_with_text", "exits_hard_with_0", "exits_hard_with_3"]
)
def test_leaving_before_returning_is_no_success(cases: Cases, case: str) -> None:
    """sys.exit and os._exit inside of an experiment are code_error, whatever the code: it has not returned."""
    assert outcome(cases, case) == ("failed", "code_error")
    assert not (cases.dir(case) / "success.txt").exists()
    assert not (cases.dir(case) / "result.json").exists()


def test_a_thread_that_exits_is_its_own_affair(cases: Cases) -> None:
    """sys.exit in a thread ends the thread; the experiment returns and succeeds."""
    assert cases.record("exits_in_a_thread")["status"] == "succeeded"


@pytest.mark.parametrize("case", ["child_of_a_fork_returns_too", "child_of_a_fork_exits", "child_of_a_fork_raises"])
def test_only_the_experiments_own_process_reports(cases: Cases, case: str) -> None:
    """What a process that the experiment forked returns, raises or exits with is neither its result nor its end."""
    assert cases.record(case)["status"] == "succeeded", cases.record(case)
    assert len(cases.attempts(case)) == 1
    assert cases.result(case) == {"who": "parent"}


def test_the_summary_names_each_failure(cases: Cases) -> None:
    """For each failure the summary has class, message, last frame in user code and the log to open."""
    failures = {failure["index"]: failure for failure in cases.done.summary["failures"]}
    for case in ("raises", "file_not_found", "segfaults", "exits_with_0"):
        failure, record = failures[cases.index(case)], cases.record(case)
        assert failure["failure_class"] == record["failure_class"]
        assert (failure["error"], failure["where"]) == (record["error"], record["where"])
        with open(failure["log"]) as log:
            assert log.read() == cases.log(case)


def test_failures_make_exit_code_1(cases: Cases) -> None:
    """Where some experiments failed the command's exit code is 1, and the others ran all the same."""
    assert cases.done.code == 1
    assert cases.result("returns") == {"y": 1}


def test_a_failure_leaves_no_marker(cases: Cases) -> None:
    """No experiment but the successful ones has a success.txt, which would have it skipped."""
    for case in ("raises", "kills_itself", "memory_error", "url_error"):
        assert not (cases.dir(case) / "success.txt").exists()
    assert (cases.dir("returns") / "success.txt").read_text().strip() == "1"

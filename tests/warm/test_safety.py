"""Where a fork is not safe, `auto` starts cold and says why in one line, and `warm` refuses and creates nothing."""

from __future__ import annotations

import sys

import pytest

from tests.conftest import Done, Project

#: What the experiment's module does as it is imported, and what is to be said of it.
BREACHES = {
    "CUDA initialised": ("import torch", "CUDA is initialised"),
    "a thread": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), name='poll', daemon=True).start()",
        "the Python thread 'poll' is alive",
    ),
    "a thread below threading": (
        "import _thread, time\n_thread.start_new_thread(time.sleep, (1000,))",
        "a Python thread is alive",
    ),
    "an OpenMP pool": (
        "import ctypes\nctypes.CDLL('libgomp.so.1').GOMP_parallel(ctypes.CDLL(None).free, None, 4, 0)",
        "thread(s) of a native library are alive",
    ),
    "a fork": ("import os\nif os.fork() == 0:\n    os._exit(0)\nos.wait()", "the process forked"),
    "a fork that goes on": ("import os\nos.fork()", "the process forked"),
    "a worker": (
        "import multiprocessing, time\n"
        "multiprocessing.get_context('fork').Process(target=time.sleep, args=(1000,), daemon=True).start()",
        "the process forked",
    ),
    "a subprocess": (
        "import subprocess\nleft = subprocess.Popen(['sleep', '1000'])",
        "it has started a process (sleep 1000), which still runs",
    ),
    "a daemon": (
        "import os\nos.system('setsid sleep 1000 >/dev/null 2>&1 & sleep 0.05')",
        "it has started a process (sleep 1000), which still runs",
    ),
    "a variable of an attempt": (
        "import os\nos.environ.get('CUDA_VISIBLE_DEVICES')",
        "looks at CUDA_VISIBLE_DEVICES",
    ),
    "the config": ("import configmill\nx = configmill.get_config_from_env()['x']", "looks at CONFIGMILL_"),
    "a copy of the environment": ("import os\nkept = dict(os.environ)", "copies the environment"),
    "a file": ("log = open('history.csv', 'a')", "history.csv' is open, and all forks would share it"),
    "a socket": ("import socket\nends = socket.socketpair()", "is open, and all forks would share it"),
    "a database": ("import sqlite3\ndatabase = sqlite3.connect('my.db')", "my.db' is open"),
    "a signal handler": (
        "import signal\nsignal.signal(signal.SIGUSR2, lambda number, frame: None)",
        "a handler for SIGUSR2 is set",
    ),
    "a handler of native code": (
        "import faulthandler, signal\nfaulthandler.register(signal.SIGUSR1)",
        "SIGUSR1 is handled by native code",
    ),
    "a signal that is blocked": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])",
        "SIGUSR2 is blocked",
    ),
    "a timer": ("import signal\nsignal.alarm(1000)", "a timer is set"),
    "a lock of processes": ("import multiprocessing\nlock = multiprocessing.Lock()", "all forks would share"),
    "shared memory": ("import mmap\nshared = mmap.mmap(-1, 8)", "all forks would share"),
    "a temporary directory": (
        "import tempfile\nscratch = tempfile.TemporaryDirectory()",
        "which each fork would remove at its end",
    ),
    "a folder for all": ("import tempfile\nscratch = tempfile.mkdtemp(dir='.')", "which all forks would share"),
    "a removal at exit": (
        "import atexit, os\nopen('mine.pid', 'w').close()\natexit.register(lambda: os.remove('mine.pid'))",
        "something is to be removed at the end of each fork",
    ),
}
#: Those that a builder, which runs in the manager as well, may do without harm to that.
OF_BUILDERS = [
    ("module", "a thread"), ("module", "a variable of an attempt"), ("module", "a file"), ("function", "a fork"),
    ("function", "an OpenMP pool"), ("function", "a copy of the environment"), ("function", "a signal handler"),
]  # fmt: skip
BUILDER = "def build():\n    return [{'x': 1}, {'x': 2}]\n"
EXPERIMENT = "\n\ndef run(config):\n    return {'x': config['x']}\n"
TORCH = """
    class cuda:
        @staticmethod
        def is_initialized():
            return True
    """


def refused_and_cold(project: Project, reason: str, *options: str) -> None:
    """Check what both start methods make of the project, whose experiments can't be forked for `reason`."""
    refused = project.run("--start_method", "warm", *options)
    assert refused.code == 2, refused
    assert reason in refused.err
    assert "'warm' can't be used" in refused.err
    assert "Traceback" not in refused.err
    assert not project.out.exists()
    assert_cold(project, project.run("--num_threads", "2", *options), reason)


def assert_cold(project: Project, done: Done, reason: str) -> None:
    """Check that `auto` said why in one line, that all experiments succeeded, and that their records say cold."""
    assert done.code == 0, done
    said = [line for line in (done.out + done.err).splitlines() if "start cold" in line]
    assert len(said) == 1, done
    assert reason in said[0]
    for index in range(2):
        assert project.json(index, "attempts/1.json")["start_method"] == "cold"
        assert project.json(index, "result.json") == {"x": index + 1}


@pytest.mark.parametrize("breach", BREACHES)
def test_what_a_module_does_at_import(project: Project, breach: str) -> None:
    """Each thing that a fork would lack, share or get wrong is seen, named, and started cold; nothing of it is left."""
    text, reason = BREACHES[breach]
    project.write("torch.py", TORCH)
    project.write("builder.py", BUILDER)
    (project.root / "experiment.py").write_text(text + EXPERIMENT)
    refused_and_cold(project, reason)


@pytest.mark.parametrize(("place", "breach"), OF_BUILDERS)
def test_what_a_builder_does(project: Project, place: str, breach: str) -> None:
    """What the builder's module does at import, and what its function does, is seen as well."""
    text, reason = BREACHES[breach]
    lines = text.split("\n")
    held = "".join(f"    {line}\n" for line in ["global log, kept", *lines]) if place == "function" else ""
    above = "" if place == "function" else "\n".join(lines) + "\n"
    (project.root / "builder.py").write_text(f"{above}def build():\n{held}    return [{{'x': 1}}, {{'x': 2}}]\n")
    (project.root / "experiment.py").write_text(EXPERIMENT)
    refused_and_cold(project, reason)


PRELOADS = {
    "raises": ("raise ValueError('no such device')", "--preload 'mine' can't be imported: ValueError: no such device"),
    "exits": ("import sys\nsys.exit('not here')", "--preload 'mine' can't be imported: SystemExit: not here"),
    "crashes": ("import ctypes\nctypes.string_at(0)", "the fork server ended while it was importing (SIGSEGV)"),
    "ends": ("import os\nos._exit(7)", "the fork server ended while it was importing (exit code 7)"),
    "asks": ("import configmill\nconfigmill.get_config_from_env().x", "mine.py:2 looks at CONFIGMILL_"),
}


@pytest.mark.parametrize("how", PRELOADS)
def test_a_preload_that_fails(project: Project, how: str) -> None:
    """A module of --preload that can't be imported, or takes the server along, is named; no experiment needs it."""
    text, reason = PRELOADS[how]
    project.write("mine.py", text)
    project.write("builder.py", BUILDER)
    (project.root / "experiment.py").write_text(EXPERIMENT)
    refused_and_cold(project, reason, "--preload", "mine")


def test_a_preload_that_is_not_there(project: Project) -> None:
    """A module that isn't there is named."""
    project.write("builder.py", BUILDER)
    (project.root / "experiment.py").write_text(EXPERIMENT)
    refused_and_cold(
        project, "--preload 'no_such_module_anywhere' can't be imported", "--preload", "no_such_module_anywhere"
    )


def test_a_module_that_fails_says_so_in_each_log(project: Project) -> None:
    """Where the experiment's own module can't be imported, each experiment fails of that, as it does cold."""
    project.write("builder.py", BUILDER)
    project.write("experiment.py", "raise ValueError('not today')\n" + EXPERIMENT)
    done = project.run("--json")
    assert (done.code, done.summary["failed"]) == (1, 2)
    assert done.summary["failures"][0]["error"] == "ValueError: not today"
    assert "ValueError: not today" in project.log(0)


INNOCENT = """
    import faulthandler, logging, multiprocessing, os, queue, sqlite3, subprocess, sys, threading

    import matplotlib.pyplot, numpy, pandas, scipy.linalg, statsmodels.api, tqdm

    faulthandler.enable()
    home = os.environ.get("HOME")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    commit = subprocess.run(["sh", "-c", "echo c0ffee"], capture_output=True, text=True).stdout
    os.system("true")
    with open(__file__) as file:
        source = file.read()
    nowhere = open(os.devnull, "w")
    lock, waiting = threading.Lock(), queue.Queue()
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    memory = sqlite3.connect(":memory:")
    log = logging.getLogger(__name__)
    numpy.linalg.inv(numpy.eye(300) * 2)  # OpenBLAS ends its pool before a fork, and makes another in it

    def run(config):
        total = float((numpy.ones((300, 300)) @ numpy.ones((300, 300))).sum())
        return {"x": config.x, "commit": commit, "total": total, "devices": os.environ["CUDA_VISIBLE_DEVICES"]}
    """


def test_innocent_modules_start_warm(project: Project) -> None:
    """Usual packages and usual things to do at import are no obstacle, nor is a variable that shows devices."""
    project.write("builder.py", "import pandas\n" + BUILDER)
    project.write("experiment.py", INNOCENT)
    done = project.run(
        "--start_method", "warm", "--preload", "json,scipy.optimize", env=project.environment(CUDA_VISIBLE_DEVICES="1")
    )
    assert done.code == 0, done
    for index in range(2):
        assert project.json(index, "attempts/1.json")["start_method"] == "warm"
        assert project.json(index, "result.json") == {
            "x": index + 1,
            "commit": "c0ffee\n",
            "total": 300.0**3,
            "devices": "",
        }


def test_a_manager_with_odd_signals_starts_warm(project: Project) -> None:
    """Signals that are blocked or ignored where the manager starts (nohup, a service) are no obstacle."""
    project.write("builder.py", BUILDER)
    project.write("experiment.py", "import subprocess\nassert subprocess.call('true') == 0\n" + EXPERIMENT)
    project.write(
        "start.py",
        """
        import os, signal, sys
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        os.execv(sys.argv[1], sys.argv[1:])
        """,
    )
    done = project.call([sys.executable, "start.py", *project.command("--start_method", "warm")])
    assert done.code == 0, done
    assert project.json(0, "attempts/1.json")["start_method"] == "warm"


def test_preloads_do_not_count_as_the_experiments_code(project: Project) -> None:
    """A module of the project that only --preload imports is no part of the code of a result, however it started."""
    project.write("builder.py", BUILDER)
    project.write("used.py", "VALUE = 1\n")
    project.write("unused.py", "VALUE = 1\n")
    project.write("experiment.py", "import used\n" + EXPERIMENT)
    found = []
    for method in ("warm", "cold"):
        dst = project.root / method
        preload = ("--preload", "unused") if method == "warm" else ()
        assert project.run("--start_method", method, *preload, dst=dst).code == 0
        found.append(project.json(0, "attempts/1.json", dst)["code"])
    assert found[0] == found[1]
    assert set(found[0]) == {"experiment.py", "used.py"}


def test_a_json_of_ones_own(project: Project) -> None:
    """A module that breaks `json` for itself breaks nothing of Configmill's, which writes its records without it."""
    project.write("builder.py", BUILDER)
    project.write("experiment.py", "import json\njson.dumps = lambda *given, **named: 'broken'" + EXPERIMENT)
    done = project.run()
    assert done.code == 0, done
    assert project.json(0, "attempts/1.json")["start_method"] == "warm"


def test_a_pool_that_keeps_itself_up(project: Project) -> None:
    """A multiprocessing.Pool made at import, which replaces every worker that ends, means cold starts and no hang."""
    project.write("builder.py", BUILDER)
    project.write(
        "experiment.py",
        """
        import multiprocessing

        POOL = multiprocessing.Pool(2)

        def run(config):
            return {"sum": sum(POOL.map(abs, range(4)))}
        """,
    )
    done = project.run()
    assert done.code == 0, done
    assert "experiments start cold" in done.out and project.json(0, "attempts/1.json")["start_method"] == "cold"

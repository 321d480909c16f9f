"""The fork server killed, stopped or stuck at any moment: what runs goes on, the rest starts, and nothing is left."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Project, project_within, wait_until
from tests.warm.campaigns import Campaign, begin, is_gone, server_of

#: How a server is lost, the limit in seconds for its answer, and what is said of it.
LOSSES = {
    "killed": (signal.SIGKILL, 10.0, "the fork server ended (SIGKILL)"),
    "stopped": (signal.SIGSTOP, 0.5, "the fork server did not answer for 0.5 s"),
}


def lose(campaign: Campaign, signum: int) -> int:
    """Send the server `signum`; returns its pid."""
    pid = campaign.server()
    os.kill(pid, signum)
    return pid


@pytest.mark.parametrize("how", LOSSES)
def test_lost_once(project: Project, how: str) -> None:
    """What runs goes on as the same process, what waits is started by a new server, and one line says so."""
    signum, seconds, said = LOSSES[how]
    campaign = begin(project, n=4, seconds=seconds)
    campaign.wait_for(2)
    running = campaign.started()
    first = lose(campaign, signum)
    campaign.let_go(0)
    campaign.wait_for(3)
    assert campaign.server() != first
    assert not is_gone(running[1][0][0])
    campaign.let_go()
    done = campaign.end()
    assert done.code == 0, done
    assert done.out.count("the fork server ") == 1
    assert f"{said}: it is started again" in done.out
    assert campaign.methods(4) == ["warm"] * 4
    for index in (0, 1):
        assert campaign.started()[index] == running[index]
        assert project.json(index, "result.json")["pid"] == running[index][0][0]


@pytest.mark.parametrize("how", LOSSES)
def test_lost_twice(project: Project, how: str) -> None:
    """The second time one line says that what is left starts cold, and so it does."""
    signum, seconds, said = LOSSES[how]
    campaign = begin(project, n=6, seconds=seconds)
    campaign.wait_for(2)
    first = lose(campaign, signum)
    campaign.let_go(0, 1)
    campaign.wait_for(4)
    assert lose(campaign, signum) != first
    campaign.let_go(2, 3)
    campaign.wait_for(6)
    assert server_of(campaign.process.pid) is None
    campaign.let_go()
    done = campaign.end()
    assert done.code == 0, done
    assert [line for line in done.out.splitlines() if "fork server" in line] == [
        f"note: {said}: it is started again",
        f"note: {said} again: what is left starts cold",
    ]
    assert campaign.methods(6) == ["warm"] * 4 + ["cold"] * 2


#: A module whose import waits, in the server alone, for what never comes; `{how}` is where it waits.
SLOW = """
    import ctypes, os, subprocess, sys

    if "configmill.forkserver.server" in sys.modules:
        left = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        os.system("setsid sleep 1000 >/dev/null 2>&1 &")
        open("importing", "w").close()
        {how}

    def run(config):
        return {{}}
    """
WAITS = {"in Python": "__import__('time').sleep(1000)", "in native code": "ctypes.CDLL(None).sleep(1000)"}


def begin_slow(project: Project, how: str, *options: str) -> Campaign:
    """Start a command whose server is stuck in an import, with processes that the import has started."""
    project.write("experiment.py", SLOW.format(how=WAITS[how]))
    campaign = begin(project, *options, n=2)
    wait_until((project.root / "importing").exists)
    return campaign


def lose_twice_importing(campaign: Campaign) -> None:
    """Kill the server in its imports, and the one that is started in its place in its own."""
    first = lose(campaign, signal.SIGKILL)
    wait_until(lambda: server_of(campaign.process.pid) not in (None, first))
    (campaign.project.root / "importing").unlink()
    wait_until((campaign.project.root / "importing").exists)
    lose(campaign, signal.SIGKILL)


def test_killed_while_it_imports(project: Project) -> None:
    """It is started again once; then all start cold, a line says why, and what the imports had started is ended."""
    campaign = begin_slow(project, "in Python")
    lose_twice_importing(campaign)
    done = campaign.end()
    assert done.code == 0, done
    assert done.out.count("ended while it was importing (SIGKILL): it is started again") == 1
    assert done.out.count("can't be forks: the fork server ended while it was importing (SIGKILL)") == 1
    assert campaign.methods(2) == ["cold"] * 2


def test_warm_alone_is_refused_where_it_is_killed(project: Project) -> None:
    """Where nothing but warm will do, the command ends with 2 and has created nothing."""
    campaign = begin_slow(project, "in Python", "--start_method", "warm")
    lose_twice_importing(campaign)
    done = campaign.end()
    assert done.code == 2, done
    assert "ended while it was importing (SIGKILL)" in done.out
    assert not project.out.exists()


@pytest.mark.parametrize("how", WAITS)
def test_ctrl_c_while_it_imports(project: Project, how: str) -> None:
    """The command ends at once with 130, nothing is recorded as failed, and the import and its processes are ended."""
    campaign = begin_slow(project, how)
    campaign.process.send_signal(signal.SIGINT)
    done = campaign.end(5)
    assert done.code == 130, done
    assert "0 failed" in done.out
    assert "2 not started" in done.out
    assert "start cold" not in done.out
    assert not list(project.out.glob("experiments/*/attempts/*"))
    assert (project.out / "failed_experiments.csv").read_text().count("\n") == 1


def test_ctrl_c_while_it_hangs(project: Project) -> None:
    """A server that is asked for a fork and doesn't answer doesn't hold up a Ctrl-C either."""
    campaign = begin(project, n=3, seconds=600)
    campaign.wait_for(2)
    server = lose(campaign, signal.SIGSTOP)
    campaign.let_go(0)
    wait_until(lambda: (project.result_dir(2) / "attempts" / "1.log").exists())
    campaign.process.send_signal(signal.SIGINT)
    done = campaign.end(8)
    assert done.code == 130, done
    assert is_gone(server)
    assert campaign.attempts(1)[0]["status"] == "interrupted"
    assert [record["status"] for record in campaign.attempts(2)] in ([], ["interrupted"])


@pytest.mark.parametrize("how", WAITS)
def test_the_manager_is_killed_while_it_imports(project: Project, how: str) -> None:
    """The server dies with its manager, wherever it is stuck; what the import had started, the next command ends."""
    campaign = begin_slow(project, how)
    server = campaign.server()
    os.kill(campaign.process.pid, signal.SIGKILL)
    campaign.end(5)
    wait_until(lambda: is_gone(server), seconds=5)
    project.write("experiment.py", "def run(config):\n    return {}\n")
    assert begin(project, n=2).end().code == 0
    assert not project.processes()


def test_the_manager_is_killed_while_experiments_run(project: Project) -> None:
    """Server, minders and experiments are gone within 5 s, and what ran is recorded as interrupted."""
    campaign = begin(project, "--grace", "1", n=4)
    campaign.wait_for(2)
    os.kill(campaign.process.pid, signal.SIGKILL)
    campaign.end(5)
    wait_until(lambda: not project.processes(), seconds=5)
    assert [campaign.attempts(index)[0]["status"] for index in (0, 1)] == ["interrupted"] * 2


def test_manager_and_server_are_killed_together(project: Project) -> None:
    """Minders outlive both for as long as they need to end their experiments."""
    campaign = begin(project, "--grace", "1", n=2)
    campaign.wait_for(2)
    server = campaign.server()
    os.kill(campaign.process.pid, signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    os.kill(campaign.process.pid, signal.SIGKILL)
    campaign.end(5)
    wait_until(lambda: not project.processes(), seconds=5)
    assert [campaign.attempts(index)[0]["status"] for index in (0, 1)] == ["interrupted"] * 2


DAEMON = """
    import os, signal, time

    def run(config):
        if os.path.exists(f"started {config.x}"):
            return {}
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            with open(f"daemon {config.x}", "w") as file:
                file.write(str(os.getpid()))
            time.sleep(1000)
        while not os.path.exists(f"daemon {config.x}"):
            time.sleep(0.005)
        with open(f"started {config.x}", "w") as file:
            file.write(f"{os.getpid()} {os.getppid()}\\n")
        time.sleep(1000)
    """


@pytest.mark.parametrize("server_too", [False, True])
def test_a_killed_minder(project: Project, server_too: bool) -> None:
    """Its experiment and daemon are ended, the attempt is lost, and its end named; it runs again."""
    project.write("experiment.py", DAEMON)
    campaign = begin(project, n=1)
    campaign.wait_for(1)
    ((experiment, minder),) = campaign.started()[0]
    if server_too:
        lose(campaign, signal.SIGKILL)
    os.kill(minder, signal.SIGKILL)
    done = campaign.end()
    assert done.code == 0, done
    assert is_gone(experiment)
    assert is_gone(int((project.root / "daemon 0").read_text() or 0))
    lost, again = campaign.attempts(0)
    assert (lost["failure_class"], again["status"]) == ("lost", "succeeded")
    assert lost["error"] == "the process that minded it ended before its time (SIGKILL)"


def test_the_server_holds_nothing(project: Project) -> None:
    """It has no descriptor of the dst_dir, its lock included, nor of a device; minders have the lock."""
    campaign = begin(project, n=2)
    campaign.wait_for(2)
    ((_, minder),) = campaign.started()[0]
    of_server, of_minder = _open_files(campaign.server()), _open_files(minder)
    campaign.let_go()
    assert campaign.end().code == 0
    assert [path for path in of_server if path.startswith((str(project.root), "/dev/"))] == ["/dev/null"]
    assert str(project.out / ".lock") in of_minder


def _open_files(pid: int) -> list[str]:
    folder = Path(f"/proc/{pid}/fd")
    return [os.readlink(entry) for entry in folder.iterdir()]


def test_the_builder_runs_twice(project: Project) -> None:
    """Once in the manager and once in the server, whatever the number of configs."""
    campaign = begin(project, n=12)
    campaign.let_go()
    assert campaign.end().code == 0
    assert campaign.methods(12) == ["warm"] * 12
    assert (project.root / "built.txt").read_text().count("built") == 2


def test_what_imports_print_is_in_each_log(project: Project) -> None:
    """Also after the server was replaced, once in each."""
    project.write("experiment.py", "print('imported')\n")
    with (project.root / "experiment.py").open("a") as file:
        file.write("import os, time\ndef run(config):\n    open(f'started {config.x}', 'w').write('1 1')\n")
        file.write("    while not os.path.exists('go'):\n        time.sleep(0.005)\n")
    campaign = begin(project, n=3)
    campaign.wait_for(2)
    lose(campaign, signal.SIGKILL)
    campaign.let_go()
    assert campaign.end().code == 0
    assert [project.log(index) for index in range(3)] == ["imported\n"] * 3


QUICK = """
    import os, time

    def run(config):
        with open(f"started {config.x}", "a") as file:
            file.write(f"{os.getpid()} {os.getppid()}\\n")
        time.sleep(0.03)
        return {"pid": os.getpid()}
    """


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    blows=st.lists(
        st.tuples(st.floats(0.0, 0.35), st.sampled_from([signal.SIGKILL, signal.SIGSTOP])), min_size=1, max_size=3
    )
)
def test_struck_at_any_moment(tmp_path_factory: pytest.TempPathFactory, blows: list[tuple[float, int]]) -> None:
    """However often and whenever the server is killed or stopped, each experiment runs once, and succeeds."""
    with project_within(tmp_path_factory.mktemp("struck")) as project:
        project.write("experiment.py", QUICK)
        campaign = begin(project, n=10, seconds=0.5, ready_seconds=3)
        for pause, signum in blows:
            # The moment is what is random here; nothing waits for it.
            time.sleep(pause)
            server = server_of(campaign.process.pid)
            if server is not None:
                os.kill(server, signum)
        done = campaign.end()
        assert done.code == 0, done
        assert {len(starts) for starts in campaign.started().values()} == {1}
        campaign.methods(10)
        assert not project.processes()

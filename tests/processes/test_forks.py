"""What an experiment forks is ended by SIGTERM, as any process is."""

from __future__ import annotations

from tests.conftest import Project


def test_a_fork_can_be_terminated_from_its_first_moment(project: Project) -> None:
    """A SIGTERM to a process that the experiment has just forked is never lost: a pool's terminate() relies on it."""
    project.write("builder.py", "def build():\n    return [{'x': 1}]\n")
    project.write(
        "experiment.py",
        """
        import os, signal, time

        def run(config):
            ends = []
            for _ in range(300):
                child = os.fork()
                if child == 0:
                    time.sleep(1000)
                    os._exit(0)
                os.kill(child, signal.SIGTERM)
                deadline = time.monotonic() + 5
                while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"fork {len(ends)} outlives its SIGTERM")
                    time.sleep(0.0005)
                ends.append(os.waitstatus_to_exitcode(ended[1]))
            return {"ends": sorted(set(ends))}
        """,
    )
    done = project.run()
    assert done.code == 0, done
    assert project.json(0, "result.json") == {"ends": [-15]}

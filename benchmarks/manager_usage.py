"""Run `run_experiment.py`'s command in this process, and write down what this process alone has used.

    python -m benchmarks.manager_usage USAGE.json --experiment_builder ...

The rusage that a parent gets of a child (`os.wait4`) adds that of all processes that the child has waited for, and its
peak memory is the largest of them. Here the manager reads its own: `RUSAGE_SELF` is the CPU time of its threads, and
`VmHWM` the peak of its memory, both without any child. (The `ru_maxrss` of `RUSAGE_SELF` would not do: it is inherited
through exec from whoever started the process.) What the kernel adds while the process ends is left out.
"""

import json
import resource
import sys
from pathlib import Path


def read_usage() -> dict[str, float]:
    """Return this process's CPU seconds, and its peak memory in bytes."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_rss_bytes": peak * 1024}


def main() -> None:
    """Do as the command does, its imports included."""
    path = Path(sys.argv.pop(1))
    from configmill.cli.exits import exit_code_of
    from configmill.cli.run_experiment import command
    from configmill.processes import exit_now

    code = exit_code_of(command)
    path.write_text(json.dumps(read_usage()))
    exit_now(code)


if __name__ == "__main__":
    main()

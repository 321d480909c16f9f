"""What the figures were taken on: the machine, Python, and the versions of all that was compared.

describe_machine()["cores"]  ->  "2"
"""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

#: What is measured and what the work imports.
DISTRIBUTIONS = (
    *("configmill", "hydra-core", "hydra-joblib-launcher", "joblib", "ray", "snakemake", "submitit"),
    *("papermill", "nbclient", "nbconvert", "jupyter_client", "ipykernel", "matplotlib"),
    *("torch", "transformers", "pandas"),
)
PROGRAMS = ("xargs", "parallel")


def describe_machine() -> dict[str, str]:
    """Return what to know of the machine, as lines of text by their names."""
    versions = [f"{name} {_version(name)}" for name in DISTRIBUTIONS]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "cores": f"{len(os.sched_getaffinity(0))} of {_processor()}",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "load average before": describe_load(),
        "Python": platform.python_version(),
        "packages": ", ".join(versions),
        "programs": ", ".join(_first_line(program) for program in PROGRAMS),
    }


def describe_load() -> str:
    """Return the load averages of 1, 5 and 15 minutes: what else ran makes ratios noisy."""
    return ", ".join(f"{load:.1f}" for load in os.getloadavg())


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "**missing**"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _first_line(program: str) -> str:
    if shutil.which(program) is None:
        return f"{program} **missing**"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return said.splitlines()[0] if said else program

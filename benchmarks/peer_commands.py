"""The commands of what people use instead of Configmill, for the same work, two at a time.

    xargs_scripts("heavy")(10, Path("/tmp/dst"))  ->  ["xargs", "-P2", ...]

Each function takes the kind of work and returns the command as a function of the number of items and of the directory
that they go to. What runs is in `peers/`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

Command = Callable[[int, Path], list[str]]

PEERS_DIR = Path(__file__).parent / "peers"
EXPERIMENT = (sys.executable, str(PEERS_DIR / "experiment.py"))


def xargs_scripts(work: str) -> Command:
    """A script for each line of the input."""
    return lambda count, dst_dir: ["xargs", "-P2", "-I{}", *EXPERIMENT, "{}", str(dst_dir), work]


def gnu_parallel(work: str) -> Command:
    """The same, with a log of the jobs and what each printed."""
    return lambda count, dst_dir: [
        *("parallel", "--will-cite", "-j2", "--joblog", f"{dst_dir}/joblog", "--results", f"{dst_dir}/printed"),
        *(*EXPERIMENT, "{}", str(dst_dir), work),
    ]


def python_script(script: str, work: str) -> Command:
    """A script of `peers/` that is told the number of items, the directory and the kind of work."""
    return lambda count, dst_dir: [sys.executable, str(PEERS_DIR / script), str(count), str(dst_dir), work]


def hydra_joblib(work: str) -> Command:
    """A sweep over the index with Hydra's joblib launcher."""
    return lambda count, dst_dir: [
        *(sys.executable, str(PEERS_DIR / "hydra_joblib.py"), "--multirun"),
        *(f"index=range(0,{count})", f"work={work}", f"hydra.sweep.dir={_hydra_quoted(dst_dir)}"),
    ]


def snakemake(work: str, *options: str) -> Command:
    """A rule for all results, and one for each."""
    return lambda count, dst_dir: [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(PEERS_DIR / "Snakefile"), "--directory", str(dst_dir)),
        *("-j2", "--quiet", "all", *options),
        *("--config", f"count={count}", f"work={work}", f"python={sys.executable}", f"script={EXPERIMENT[1]}"),
    ]


def papermill_command(notebook: Path) -> Command:
    """The papermill command for each line of the input."""
    return lambda count, dst_dir: [
        *("xargs", "-P2", "-I{}", sys.executable, "-m", "papermill", "--no-progress-bar"),
        *("-p", "index", "{}", str(notebook), f"{dst_dir}/{{}}.ipynb"),
    ]


def nbconvert_execute(notebook: Path, form: str) -> Command:
    """What `jupyter nbconvert --execute` runs, for each line of the input; `form` is notebook or html."""
    return lambda count, dst_dir: [
        *("xargs", "-P2", "-I{}", sys.executable, "-m", "nbconvert", "--execute", "--to", form),
        *("--output-dir", str(dst_dir), "--output", "{}", str(notebook)),
    ]


def papermill_loky(notebook: Path) -> Command:
    """papermill's function in joblib's worker processes."""
    return lambda count, dst_dir: [
        *(sys.executable, str(PEERS_DIR / "papermill_loky.py"), str(count), str(dst_dir), str(notebook)),
    ]


def _hydra_quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

"""The process of `accelerate launch`: every flag given, and how it ended left where the experiment's process looks.

    start_python("configmill.child.ranks.launcher", str(os.getpid()), env=...)

It dies with the process that started it, and the ranks die with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from configmill.child.failures import describe
from configmill.child.python import python_command
from configmill.child.ranks.environment import LAUNCHED, RANKS_DIR
from configmill.child.ranks.folder import RanksFolder
from configmill.files import read_json, write_atomic, write_json
from configmill.processes import die_with_parent

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: How often (s) it looks for ranks that have ended.
_MONITOR_INTERVAL = 0.1


def main() -> None:
    """Launch as the environment and the argument, the pid of the process above, say."""
    die_with_parent(int(sys.argv[1]))
    os.environ[LAUNCHED] = str(os.getpid())
    folder = RanksFolder(os.environ[RANKS_DIR])
    num_processes: int = read_json(folder.orders)["num_processes"]
    import torch  # a second, and only here

    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        os.environ["ACCELERATE_USE_CPU"] = "true"
    # The user's default_config.yaml would fill in whatever isn't given here.
    write_atomic(folder.accelerate, json.dumps(_accelerate_config(num_processes, on_cpu), indent=1) + "\n")
    command = python_command("configmill.child.ranks.rank")
    end = launch([*_flags(num_processes, folder), *command])
    write_json(folder.launcher, end)
    os._exit(1 if end else 0)


def launch(arguments: Sequence[str]) -> dict[str, Any]:
    """Carry out `accelerate launch` with these arguments to its end; what went wrong, {} where nothing did.

    `exit_codes` are those of ranks that failed, by rank (minus the signal), `error` what kept it from launching them,
    and `address_in_use` says that another process has taken the port that was found free a moment before.
    """
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    sys.argv = ["accelerate launch", *arguments]
    try:
        launch_command(launch_command_parser().parse_args(list(arguments)))
    except ChildFailedError as error:
        return {"exit_codes": {str(rank): failure.exitcode for rank, failure in error.failures.items()}}
    except subprocess.CalledProcessError as error:  # of a single process
        return {"exit_codes": {"0": error.returncode}}
    except Exception as error:
        return {"error": describe(error), "address_in_use": "EADDRINUSE" in str(error)}
    return {}


def _flags(num_processes: int, folder: RanksFolder) -> list[str]:
    given = [
        *("--config_file", folder.accelerate),
        *("--log_dir", folder.elastic),  # torch's own would stay in the folder for temporary files
        *("--num_processes", str(num_processes)),
        *("--num_machines", "1"),
        *("--machine_rank", "0"),
        *("--main_process_ip", "127.0.0.1"),
        *("--main_process_port", "0"),  # any that is free
        *("--rdzv_backend", "static"),
        *("--mixed_precision", "no"),
        *("--dynamo_backend", "no"),
        *("--gpu_ids", "all"),  # all that CUDA shows
        *("--max_restarts", "0"),
        *("--monitor_interval", str(_MONITOR_INTERVAL)),
        *("--num_cpu_threads_per_process", os.environ.get("OMP_NUM_THREADS", "1")),
        "--no_python",
    ]
    # One process is no multi-GPU launch to accelerate, which then starts it without torch's.
    return given if num_processes == 1 else ["--multi_gpu", *given]


def _accelerate_config(num_processes: int, on_cpu: bool) -> dict[str, Any]:
    return {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "NO" if num_processes == 1 else "MULTI_GPU",
        "debug": False,
        "num_processes": num_processes,
        "num_machines": 1,
        "machine_rank": 0,
        "main_process_port": 0,
        "mixed_precision": "no",
        "gpu_ids": "all",
        "use_cpu": on_cpu,
    }

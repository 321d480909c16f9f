"""The options that say which devices experiments get, and in which order they run.

add_devices(parser)
RunRequest(..., **device_fields(parser.parse(arguments)))
"""

from __future__ import annotations

import argparse
from typing import Any

from configmill.cli.parser import Parser, number, whole_number
from configmill.protocol.request import ALL_GPUS, DEFAULT_POLICY


def add_devices(parser: Parser) -> None:
    """The options, as a group of their own."""
    group = parser.add_argument_group("which devices, and in which order")
    group.add_argument(
        "--num_gpus", metavar="N",
        help="devices for each experiment that doesn't say itself (resources.num_gpus): a whole number, or a fraction "
        "to share one (default: what its module's estimate_gpu_requirements says, else 0)",
    )  # fmt: skip
    group.add_argument(
        "--gpus", metavar="WHICH", default=ALL_GPUS,
        help="those that may be used: auto (all that are visible, the default), none, inherit (hand none out, and "
        "leave the environment alone), 0,1, GPU-<uuid>,..., or virtual:N for N pretend ones",
    )  # fmt: skip
    group.add_argument(
        "--gpu_busy_memory_mb", metavar="MB",
        help="leave a device alone on which processes of others use more memory than this",
    )  # fmt: skip
    group.add_argument(
        "--policy", metavar="NAME", default=DEFAULT_POLICY,
        help="what runs first: area (the largest expected seconds times devices, the default), fifo, easy, or a class "
        "of your own, as module:Class",
    )  # fmt: skip
    group.add_argument(
        "--max_failures", metavar="K",
        help="after K experiments that fail alike, start no more of their family (default: never)",
    )  # fmt: skip


def device_fields(given: argparse.Namespace) -> dict[str, Any]:
    """The fields of a RunRequest that these options make. Raises UsageError."""
    busy, most = given.gpu_busy_memory_mb, given.max_failures
    return {
        "num_gpus": None if given.num_gpus is None else _count(number("--num_gpus", given.num_gpus)),
        "gpus": given.gpus,
        "gpu_busy_memory_mb": None if busy is None else number("--gpu_busy_memory_mb", busy),
        "policy": given.policy,
        "max_failures": None if most is None else whole_number("--max_failures", most),
    }


def _count(given: float) -> float:
    """Whole where it is: the record then reads as the command did."""
    return int(given) if given.is_integer() else given

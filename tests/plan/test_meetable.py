from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.errors import UsageError
from configmill.plan.meetable import check_meetable
from configmill.plan.resources import from_mapping, with_command, with_estimate
from configmill.protocol.resources import NOTHING_ASKED, ResourceRequest


@dataclass(frozen=True)
class Device:
    id: str
    total_memory: int


SMALL, LARGE, PRETEND = Device("GPU-small", 24 * 10**9), Device("GPU-large", 80 * 10**9), Device("virtual:0", 0)


def asks(**resources: Any) -> ResourceRequest:
    """What config 5 asks for."""
    return from_mapping(resources, 5)


def refusal(request: ResourceRequest, devices: Any, **host: Any) -> str:
    """The message with which it is refused."""
    with pytest.raises(UsageError) as raised:
        check_meetable({5: request}, devices, **host)
    return str(raised.value)


@pytest.mark.parametrize(
    ("request_", "devices"),
    [
        (asks(num_gpus=2), [SMALL, LARGE]),
        (asks(num_gpus=0.5), [SMALL]),
        (asks(num_gpus={"min": 2, "max": 100}), [SMALL, LARGE]),
        (asks(num_gpus=1, gpu_memory_gb=80), [SMALL, LARGE]),
        (asks(num_gpus=2, gpu_memory_gb=500), [PRETEND, PRETEND]),
        (asks(num_gpus=0, gpu_memory_gb=500), [SMALL]),
        (asks(gpu_memory_gb=500), []),
        (asks(num_gpus=100), None),
        (asks(memory_gb=8, num_cpus=4), []),
        (NOTHING_ASKED, []),
    ],
)
def test_what_can_be_met(request_: ResourceRequest, devices: Any) -> None:
    """As many as there are, of the memory that they have; unknown memory, and unknown devices, refuse nothing."""
    check_meetable({5: request_}, devices, memory_limit=8 * 10**9, num_cpus=4)


@pytest.mark.parametrize(
    ("request_", "devices", "says"),
    [
        (
            asks(num_gpus=3),
            [SMALL, LARGE],
            "Config 5: resources.num_gpus asks for 3 GPUs, and there are 2 (GPU-small, ",
        ),
        (asks(num_gpus={"min": 2, "max": 3}), [SMALL], "asks for 2 to 3 GPUs, and there is 1 (GPU-small)"),
        (asks(num_gpus=0.5), [], "asks for 0.5 of a GPU, and there is none: the driver is gone. Ask for 0"),
        (asks(num_gpus=2, gpu_memory_gb=40), [SMALL, LARGE], "40 GB on each of 2 GPUs, and 1 of the 2 there have"),
        (asks(num_gpus=1, gpu_memory_gb=81), [SMALL, LARGE], "(the largest has 80 GB)"),
        (with_command(NOTHING_ASKED, 9), [SMALL] * 8, "--num_gpus asks for 9 GPUs, and there are 8 (GPU-small, "),
        (
            with_estimate(NOTHING_ASKED, {"num_gpus": 9}, 5),
            [SMALL] * 8,
            "estimate_gpu_requirements asks, for config 5, for 9 GPUs",
        ),
    ],
)
def test_devices_that_are_not_there(request_: ResourceRequest, devices: Any, says: str) -> None:
    """The refusal says who asked for what, and what there is."""
    assert says in refusal(request_, devices, why_no_devices="the driver is gone")


def test_what_the_host_lacks() -> None:
    """Memory and cores of the host are refused as devices are."""
    assert "memory_gb asks for 8.5 GB of memory, and this host allows 8 GB" in refusal(
        asks(memory_gb=8.5), None, memory_limit=8 * 10**9
    )
    assert "num_cpus asks for 2.5 cores, and this host allows 2." in refusal(asks(num_cpus=2.5), None, num_cpus=2.0)
    check_meetable({5: asks(memory_gb=8.5, num_cpus=99)}, None)  # unknown


@given(
    memories=st.lists(st.integers(0, 100), max_size=6),
    wanted=st.integers(1, 100),
    least=st.integers(0, 6),
    more=st.integers(0, 3),
)
def test_refused_exactly_where_no_choice_of_devices_would_do(
    memories: list[int], wanted: int, least: int, more: int
) -> None:
    """A request passes exactly where so many of the devices have the memory, or don't say."""
    devices = [Device(f"GPU-{number}", memory * 10**9) for number, memory in enumerate(memories)]
    count: Any = {"min": least, "max": least + more} if least else 0
    request = asks(num_gpus=count, gpu_memory_gb=wanted)
    fits = sum(memory == 0 or memory >= wanted for memory in memories) >= least
    try:
        check_meetable({5: request}, devices)
    except UsageError:
        assert not fits
    else:
        assert fits

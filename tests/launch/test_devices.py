"""Which devices an experiment may be given: `gpu_list`, memory where devices differ, and what an estimator is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from configmill.errors import UsageError
from configmill.gpus.device_pool import DevicePool
from configmill.gpus.devices import Device
from configmill.gpus.lease_dir import LeaseDir
from configmill.plan.meetable import check_meetable
from configmill.plan.resources import from_mapping
from configmill.schedule.demand import Capacity, Demand
from configmill.schedule.job import Job
from configmill.schedule.queue import Queue, Wait
from configmill.schedule.retry import RetryPolicy
from tests.conftest import Project

SMALL, LARGE, LARGER = (
    Device(f"GPU-{name}", index, "NVIDIA", total * 10**9)
    for index, (name, total) in enumerate((("aa24", 24), ("ab80", 80), ("bb80", 80)))
)
UNLIKE = (SMALL, LARGE, LARGER)
#: Stands before the real pynvml: a host of two unlike GPUs, the smaller one first.
FAKE = """
    from tests.gpus.fake_pynvml import MIB, FakePynvml, Gpu

    _fake = FakePynvml(Gpu("GPU-small", total=24_000 * MIB), Gpu("GPU-large", total=80_000 * MIB))

    def __getattr__(name):
        return getattr(_fake, name)
    """
BUILDER = """
    def build(*asked):
        return [{"k": k, "resources": {"num_gpus": 1, **each}} for k, each in enumerate(asked)]
    """
EXPERIMENT = """
    import os, time

    def run(config):
        time.sleep(0.3)
        return {"gpus": os.environ["CONFIGMILL_GPUS"]}
    """


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[DevicePool]:
    """Three devices of which the first is small."""
    made = DevicePool(UNLIKE, LeaseDir(str(tmp_path / "leases")))
    yield made
    made.close()


def test_only_those_that_will_do(pool: DevicePool) -> None:
    """A take gets nothing but what it names, all or none, while what others may have stays free."""
    first = pool.try_take(1, among=frozenset({LARGE.id}))
    assert first is not None and first.ids == [LARGE.id]
    assert pool.try_take(1, among=frozenset({LARGE.id})) is None
    assert not pool.can_take(1, frozenset({LARGE.id}))
    assert pool.can_take(1, frozenset({LARGE.id, LARGER.id}))
    assert pool.try_take(2, among=frozenset({LARGE.id, LARGER.id})) is None
    assert pool.free_count(frozenset({LARGE.id, LARGER.id})) == 1
    half = pool.try_take(0.5, among=frozenset({LARGER.id}))
    assert half is not None and half.ids == [LARGER.id]
    other = pool.try_take(0.5, among=frozenset({SMALL.id}))
    assert other is not None and other.ids == [SMALL.id], "the shared device has room, and won't do"
    assert pool.can_take(0.5, frozenset({LARGER.id})) and not pool.can_take(0.6, frozenset({LARGER.id}))
    with pytest.raises(UsageError, match="2 devices are asked for, and there are 1"):
        pool.try_take(2, among=frozenset({SMALL.id}))


def test_a_ticket_names_only_those(pool: DevicePool) -> None:
    """A manager that waits too long has others leave alone what it may have, and nothing else."""
    with_ticket = pool.place_ticket(1, among=frozenset({LARGE.id}))
    assert with_ticket.wish.devices == {LARGE.id}
    with_ticket.withdraw()


def test_what_waits_for_a_device_holds_up_nobody_who_cannot_have_it() -> None:
    """The first in line waits for its device and keeps its place; the one behind it starts on the other."""
    first, second = frozenset({"a"}), frozenset({"b"})
    jobs = [Job(index, demand=Demand(1, among=among)) for index, among in enumerate((first, first, second, second))]
    queue = Queue(jobs, RetryPolicy(), capacity=Capacity(devices=2, ids=first | second))
    free = {"a", "b"}

    def take() -> int | None:
        taken = queue.take(0.0, len(free), lambda demand: bool((demand.among or set()) & free))
        if isinstance(taken, Wait):
            assert not taken.over
            return None
        free.difference_update(taken.occupies.among or ())
        return taken.index

    assert [take(), take(), take()] == [0, 2, None]
    free.add("b")
    queue.finish(jobs[2], None, 1.0)
    assert [take(), take()] == [3, None]
    free.add("a")
    queue.finish(jobs[0], None, 2.0)
    assert take() == 1


def test_devices_that_left_make_it_unmeetable() -> None:
    """When the only devices that will do are gone, the job waits for nothing any more."""
    job = Job(0, demand=Demand(1, among=frozenset({"a"})))
    queue = Queue([job], RetryPolicy(), capacity=Capacity(devices=2, ids=frozenset({"a", "b"})))
    queue.take(0.0, 0, lambda demand: False)
    queue.set_capacity(Capacity(devices=1, ids=frozenset({"b"})), 1.0)
    assert queue.unmeetable == [job]


def test_what_can_be_met_on_devices_that_differ() -> None:
    """Only those that are named and large enough count; a name that means none or several is refused."""

    def refusal(**asked: object) -> str:
        with pytest.raises(UsageError) as raised:
            check_meetable({5: from_mapping(asked, 5)}, UNLIKE)
        return str(raised.value)

    check_meetable({5: from_mapping({"num_gpus": 2, "gpu_memory_gb": 80, "gpu_list": ["GPU-ab", 2]}, 5)}, UNLIKE)
    assert "3 GPUs, and there are 2 (GPU-aa24, GPU-ab80)" in refusal(num_gpus=3, gpu_list=[0, 1])
    assert "1 of the 2 there have as much" in refusal(num_gpus=2, gpu_memory_gb=80, gpu_list=[0, 1])
    assert "has 3, which names none of the devices" in refusal(num_gpus=1, gpu_list=[0, 3])
    assert "has 'GPU-a', which names more than one device: 0 (GPU-aa24), 1 (GPU-ab80)" in refusal(
        num_gpus=1, gpu_list=["GPU-a"]
    )


def test_a_campaign_on_devices_that_differ(project: Project) -> None:
    """Each experiment gets a device that will do, and those that may have either don't wait for the busy one."""
    project.write("pynvml.py", FAKE)
    project.write("builder.py", BUILDER)
    project.write("experiment.py", EXPERIMENT)
    asked = [{"gpu_memory_gb": 40}, {"gpu_memory_gb": 40}, {"gpu_list": [0]}, {"gpu_list": ["GPU-sm"]}, {}]
    done = project.run("--num_threads", "3", "--json", builder=f"builder.build(*{asked!r})")
    assert done.code == 0, done
    given = [project.json(index, "result.json")["gpus"] for index in range(4)]
    assert given == ["GPU-large", "GPU-large", "GPU-small", "GPU-small"]
    assert done.summary["parallelism"]["speed_up"] > 1.2
    refused = project.run(builder="builder.build({'gpu_list': [2]})", dst=project.root / "other")
    assert refused.code == 2
    assert "resources.gpu_list has 2, which names none of the devices that there are: 0 (GPU-small)" in refused.err


def test_an_estimator_is_told_of_the_devices(project: Project) -> None:
    """A hook with a second parameter gets those that its config may have, memory in bytes; one without, nothing."""
    project.write("pynvml.py", FAKE)
    project.write("builder.py", "def build():\n    return [{'k': 0}, {'k': 1, 'resources': {'gpu_list': [1]}}]\n")
    estimator = """
        def run(config):
            return {"gpus": list(config.meta.gpus)}

        def estimate_gpu_requirements(config, devices):
            assert all(set(device) == {"id", "index", "name", "total_memory"} for device in devices)
            largest = max(device["total_memory"] for device in devices)
            return {"num_gpus": 1, "gpu_memory_gb": largest / 1e9, "expected_seconds": len(devices)}
        """
    project.write("experiment.py", estimator)
    done = project.run("--num_threads", "2")
    assert done.code == 0, done
    assert project.json(0, "result.json") == {"gpus": ["GPU-large"]}
    estimates = [project.json(index, "attempts/1.json")["resources"]["estimate"] for index in (0, 1)]
    assert [estimate["expected_seconds"] for estimate in estimates] == [2, 1]
    project.write("experiment.py", estimator.replace("(config, devices)", "(config, least=1)").replace(
        "devices", "[{'id': '', 'index': 0, 'name': '', 'total_memory': 1}]"
    ))  # fmt: skip
    assert project.run(dst=project.root / "other").code == 0

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.protocol import status
from configmill.schedule.counter import AGEING_SECONDS
from configmill.schedule.demand import Capacity, Demand
from configmill.schedule.policies import POLICIES, Area, Policy, make_policy
from configmill.schedule.queue import Job, Queue, Wait
from configmill.schedule.retry import RetryPolicy
from configmill.schedule.simulator import SimulatedJob
from tests.schedule.trace import HOST, Moment, Trace, play, policies, traces


def taken(queue: Queue, now: float, free_devices: int | None = None) -> list[int]:
    """The indices of all that can start now."""
    indices = []
    while isinstance(job := queue.take(now, free_devices), Job):
        indices.append(job.index)
        free_devices = None if free_devices is None else free_devices - job.demand.devices
    return indices


def use(trace: Trace, moment: Moment) -> tuple[float, float, float]:
    """Devices, memory and cores of what runs, shares of devices summed as they are."""
    running = [trace.jobs[index] for index in moment.running]
    return (
        sum(job.num_gpus for job in running),
        sum(job.memory_bytes for job in running),
        sum(job.num_cpus for job in running),
    )


@given(traces(), policies)
def test_nothing_is_given_twice(jobs: list[SimulatedJob], policy: Policy) -> None:
    """At no moment do jobs occupy more than there is, and a job that wants the host alone has it alone."""
    trace = play(jobs, HOST, policy)
    for moment in trace.moments:
        devices, memory, cpus = use(trace, moment)
        assert devices <= HOST.devices + 1e-9
        assert memory <= HOST.memory_bytes
        assert cpus <= HOST.num_cpus
        assert len(moment.running) == 1 or not any(jobs[index].exclusive_host for index in moment.running)


@given(st.lists(st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.6, 0.9]), max_size=30), st.integers(1, 4))
def test_shares_of_a_device_are_of_one_device(shares: list[float], devices: int) -> None:
    """Jobs that share devices can be put onto them, fullest first, so that none is asked for more than it is."""
    queue = Queue(
        [Job(i, demand=Demand(share)) for i, share in enumerate(shares)], RetryPolicy(), None, Capacity(devices)
    )
    left: list[float] = []
    for index in taken(queue, 0.0):
        fitting = [at for at, room in enumerate(left) if shares[index] <= room + 1e-9]
        if not fitting:
            left.append(1.0)
            fitting = [len(left) - 1]
        left[min(fitting, key=lambda at: left[at])] -= shares[index]
    assert len(left) <= devices
    assert len(left) == devices or queue.num_waiting == 0


@given(traces(), policies)
def test_every_job_runs(jobs: list[SimulatedJob], policy: Policy) -> None:
    """Whatever comes and however wrong it is predicted: in the end every job has run, none before it came."""
    trace = play(jobs, HOST, policy)
    assert sorted(trace.began) == list(range(len(jobs)))
    assert all(trace.wait(index) >= 0 for index in trace.began)
    assert trace.queue.take(1e9) == Wait(None, over=True)


@given(traces(shares=False))
def test_nothing_is_idle_that_somebody_could_use(jobs: list[SimulatedJob]) -> None:
    """Where no job's turn keeps room for it, nothing that waits would find room."""
    trace = play(jobs, HOST, Area())
    for moment in trace.moments:
        if moment.held:
            continue
        devices, memory, cpus = use(trace, moment)
        for index in moment.waiting:
            job = jobs[index]
            fits = (
                job.num_gpus <= HOST.devices - devices
                and job.memory_bytes <= HOST.memory_bytes - memory
                and job.num_cpus <= HOST.num_cpus - cpus
                and not (job.exclusive_host and moment.running)
                and not any(jobs[other].exclusive_host for other in moment.running)
            )
            assert not fits, (moment, job)


@given(traces(host=False, exclusive=False), policies)
def test_jobs_without_a_device_wait_for_none(jobs: list[SimulatedJob], policy: Policy) -> None:
    """Where the host has enough of everything, a job that needs no device begins the moment that it comes."""
    trace = play(jobs, HOST, policy)
    assert all(trace.wait(index) == 0 for index, job in enumerate(jobs) if job.num_gpus == 0)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_jobs_without_a_device_dont_wait_for_one_that_has_its_turn(name: str) -> None:
    """Room is kept for a wide job against narrow ones that would run on past its start, not against those without."""
    jobs = [SimulatedJob(60.0, 1, arrival=number * 7.5, expected_seconds=60.0) for number in range(100)]
    jobs.append(SimulatedJob(60.0, 8, arrival=90.0, expected_seconds=60.0))
    held = [moment.now for moment in play(jobs, HOST, make_policy(name)).moments if moment.held == [100]]
    late = SimulatedJob(500.0, 0, arrival=held[0] + 0.5, expected_seconds=500.0, num_cpus=1)
    trace = play([*jobs, late], HOST, make_policy(name))
    assert any(moment.held == [100] for moment in trace.moments if moment.now == late.arrival)
    assert trace.wait(101) == 0


@given(traces(exclusive=False), policies)
def test_jobs_without_a_device_wait_for_the_host_alone(jobs: list[SimulatedJob], policy: Policy) -> None:
    """One that fits waits only where one whose turn has come lacks memory or cores, and lacks no device."""
    trace = play(jobs, HOST, policy)
    for moment in trace.moments:
        devices, memory, cpus = use(trace, moment)
        lacking_no_device = any(jobs[index].num_gpus <= HOST.devices - devices for index in moment.held)
        shares = any(0 < jobs[index].num_gpus < 1 for index in moment.held + moment.running)
        for index in moment.waiting:
            job = jobs[index]
            fits = job.memory_bytes <= HOST.memory_bytes - memory and job.num_cpus <= HOST.num_cpus - cpus
            assert job.num_gpus or not fits or lacking_no_device or shares


@given(traces(), policies)
def test_the_same_jobs_are_played_alike(jobs: list[SimulatedJob], policy: Policy) -> None:
    """Nothing but the jobs decides."""
    assert play(jobs, HOST, policy).began == play(jobs, HOST, type(policy)()).began


@given(traces(), policies, st.lists(st.booleans(), max_size=20).map(lambda drawn: tuple(drawn)))
def test_a_job_that_is_given_back_keeps_its_place(
    jobs: list[SimulatedJob], policy: Policy, refusals: tuple[bool, ...]
) -> None:
    """Where other managers were quicker for a moment, all goes on as if they had never been there."""
    assert play(jobs, HOST, policy, refusals=refusals).began == play(jobs, HOST, type(policy)()).began


def test_a_job_that_is_given_back_keeps_the_time_that_it_waited() -> None:
    """Its being queued is counted from when it was ready, not from the refusal."""
    queue = Queue([Job(0, demand=Demand(1), ready_at=5.0)], RetryPolicy(), None, Capacity(1))
    job = queue.take(6.0)
    assert isinstance(job, Job)
    queue.give_back(job, 9.0)
    assert (job.ready_at, queue.num_running, queue.num_waiting) == (5.0, 0, 1)
    assert queue.take(10.0) is job


def test_largest_area_first() -> None:
    """Seconds times devices decide, not either of them."""
    jobs = [Job(0, demand=Demand(1), expected_seconds=50.0), Job(1, demand=Demand(4), expected_seconds=15.0)]
    jobs += [Job(2, demand=Demand(2), expected_seconds=20.0), Job(3, demand=Demand(0.5), expected_seconds=150.0)]
    queue = Queue(jobs, RetryPolicy(), None, Capacity(8))
    assert taken(queue, 0.0) == [3, 1, 0, 2]


def test_without_a_prediction_the_mean_of_the_others_stands_in() -> None:
    """An unknown job stands between those known to be longer and those known to be shorter than the mean."""
    expected = [10.0, 90.0, None]
    jobs = [Job(i, demand=Demand(1), expected_seconds=seconds) for i, seconds in enumerate(expected)]
    assert taken(Queue(jobs, RetryPolicy(), None, Capacity(8)), 0.0) == [1, 2, 0]


def test_where_nothing_is_known_the_widest_goes_first() -> None:
    """Without any prediction what occupies most goes first, and equals go in the order of the list."""
    jobs = [Job(i, demand=Demand(width)) for i, width in enumerate([1, 2, 1, 4])]
    assert taken(Queue(jobs, RetryPolicy(), None, Capacity(8)), 0.0) == [3, 1, 0, 2]


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 0.5, 3.0]), st.integers(1, 50)), min_size=1, max_size=12))
def test_a_higher_priority_goes_first(drawn: list[tuple[float, int]]) -> None:
    """Of jobs that come together the higher priority goes first, whatever their areas."""
    jobs = [Job(i, priority, demand=Demand(1), expected_seconds=s) for i, (priority, s) in enumerate(drawn)]
    order = taken(Queue(jobs, RetryPolicy(), None, Capacity(len(jobs))), 0.0)
    assert all(drawn[one][0] >= drawn[other][0] for one, other in pairwise(order))


def test_waiting_makes_up_for_priority() -> None:
    """A job that came a few hours earlier goes before one whose priority is a little higher."""
    early = Job(0, priority=0.0, demand=Demand(1), expected_seconds=60.0)
    late = Job(1, priority=2.0, demand=Demand(1), expected_seconds=60.0)
    later = Job(2, priority=2.0, demand=Demand(1), expected_seconds=60.0)
    blocker = Job(3, priority=9.0, demand=Demand(1))
    queue = Queue([early, blocker], RetryPolicy(), NeverInTurn(), Capacity(1))
    assert taken(queue, 0.0) == [3]
    late.ready_at, later.ready_at = AGEING_SECONDS, 3 * AGEING_SECONDS
    for job in (late, later):
        queue.add([job])
        queue.take(job.ready_at)
    order = []
    running = blocker
    while running is not None:
        queue.finish(running, None, 4 * AGEING_SECONDS)
        following = queue.take(4 * AGEING_SECONDS)
        running = following if isinstance(following, Job) else None
        order += [] if running is None else [running.index]
    assert order == [1, 0, 2]


class NeverInTurn(Area):
    """Order alone, without the bound."""

    def overtaking(self, ticket: object, waiting_area: float) -> float:
        """As much as may be."""
        return float("inf")


def test_a_retry_goes_before_what_stood_behind_it() -> None:
    """A job that was lost starts again before smaller ones that have waited all along, though it failed just now."""
    jobs = [Job(i, demand=Demand(1), expected_seconds=s) for i, s in enumerate([30.0, 20.0, 10.0])]
    queue = Queue(jobs, RetryPolicy(num_retries=1, backoff=1.0), None, Capacity(1))
    assert taken(queue, 0.0) == [0]
    assert queue.finish(jobs[0], status.LOST, 5.0) == 0.0
    assert taken(queue, 5.0) == [0]
    assert queue.finish(jobs[0], status.IO, 6.0) == 1.0
    assert taken(queue, 6.0) == [1]
    queue.finish(jobs[1], None, 26.0)
    assert taken(queue, 26.0) == [0]


def test_out_of_a_devices_memory_means_alone_the_next_time() -> None:
    """A share of a device becomes a whole one; what had whole devices keeps their number."""
    jobs = [Job(0, demand=Demand(0.5)), Job(1, demand=Demand(0.5)), Job(2, demand=Demand(2))]
    queue = Queue(jobs, RetryPolicy(num_retries=2, backoff=0.0), None, Capacity(3))
    assert sorted(taken(queue, 0.0)) == [0, 1, 2]
    queue.finish(jobs[0], status.OOM_GPU, 1.0)
    queue.finish(jobs[2], status.OOM_GPU, 1.0)
    assert taken(queue, 1.0) == [2], "beside job 1 there is no whole device for job 0"
    queue.finish(jobs[1], None, 2.0)
    assert taken(queue, 2.0) == [0]
    assert jobs[0].alone and jobs[0].occupies == Demand(1) and jobs[2].occupies == Demand(2)
    queue.finish(jobs[0], status.CODE_ERROR, 3.0)
    queue.take(3.0)
    assert jobs[0].alone, "what needed a device to itself once needs it from then on"


def test_what_takes_a_whole_device_now_is_as_large_as_that() -> None:
    """A job that must be alone stands by the area that it occupies from now on, not by that of its share."""
    jobs = [
        Job(0, 9.0, demand=Demand(0.25), expected_seconds=40.0),
        Job(1, 9.0, demand=Demand(1), expected_seconds=20.0),
    ]
    queue = Queue(jobs, RetryPolicy(num_retries=1, backoff=0.0), None, Capacity(1))
    assert taken(queue, 0.0) == [1]
    queue.give_back(jobs[1], 0.0)
    assert taken(queue, 0.0, free_devices=0) == []
    queue.add([])
    assert taken(queue, 0.0) == [1]
    queue.finish(jobs[1], None, 20.0)
    assert taken(queue, 20.0) == [0]
    queue.finish(jobs[0], status.OOM_GPU, 21.0)
    late = Job(2, 9.0, demand=Demand(1), expected_seconds=20.0)
    queue.add([late])
    assert taken(queue, 21.0) == [0], "40 s of a whole device, no longer of a quarter"


def test_what_is_free_is_for_the_caller_to_say() -> None:
    """Devices that others hold are not given, however few the queue itself uses."""
    jobs = [Job(0, demand=Demand(4), expected_seconds=9.0), Job(1, demand=Demand(1), expected_seconds=9.0)]
    queue = Queue(jobs, RetryPolicy(), None, Capacity(8))
    assert taken(queue, 0.0, free_devices=0) == []
    assert taken(queue, 1.0, free_devices=3) == [1]
    assert taken(queue, 2.0, free_devices=4) == [0]


def test_devices_join_and_leave() -> None:
    """What asks for more than is left waits, is named, holds up nothing, and runs when the devices are back."""
    jobs = [Job(0, demand=Demand(8), expected_seconds=99.0), Job(1, demand=Demand(2), expected_seconds=9.0)]
    queue = Queue(jobs, RetryPolicy(), None, Capacity(4))
    assert taken(queue, 0.0) == [1]
    assert [job.index for job in queue.unmeetable] == [0]
    queue.finish(jobs[1], None, 9.0)
    assert queue.take(9.0) == Wait(None, over=False)
    queue.set_capacity(Capacity(8), 10.0)
    assert queue.unmeetable == []
    assert taken(queue, 10.0) == [0]
    queue.set_capacity(Capacity(2), 11.0)
    queue.add([Job(2, demand=Demand(1)), Job(3, demand=Demand(4))])
    assert taken(queue, 12.0) == [], "job 0 still occupies more than there is now"
    queue.finish(jobs[0], None, 13.0)
    assert taken(queue, 13.0) == [2]
    assert [job.index for job in queue.stop()] == [3]

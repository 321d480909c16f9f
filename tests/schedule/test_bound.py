from __future__ import annotations

import pytest
from hypothesis import given

from configmill.schedule.demand import Capacity
from configmill.schedule.policies import OVERTAKING_BY_QUEUE, OVERTAKING_BY_TIME, Area, Policy
from configmill.schedule.queue import Job, Queue
from configmill.schedule.retry import RetryPolicy
from configmill.schedule.simulator import SimulatedJob, simulate
from configmill.schedule.ticket import Ticket
from configmill.schedule.turns import MAX_FACTOR
from tests.schedule.trace import HOST, Trace, play, traces


def tickets(trace: Trace) -> list[Ticket]:
    """The ticket of each job."""
    found = [trace.queue.ticket(Job(index)) for index in range(len(trace.jobs))]
    assert None not in found
    return [ticket for ticket in found if ticket is not None]


def bound(trace: Trace, index: int) -> float:
    """The longest that a job may wait, as docs/scheduling.md says."""
    of = tickets(trace)
    longest = max(job.seconds for job in trace.jobs)
    longest_expected = max(ticket.seconds for ticket in of)
    wrong = max(
        [1.0] + [job.seconds / ticket.seconds for job, ticket in zip(trace.jobs, of, strict=True) if ticket.seconds]
    )
    never = any(ticket.seconds == 0 < job.seconds for job, ticket in zip(trace.jobs, of, strict=True))
    if any(job.expected_seconds is not None for job in trace.jobs):
        wrong = MAX_FACTOR if never else min(wrong, MAX_FACTOR)
    mine = of[index]
    to_turn = 2 * longest + wrong * (mine.turn - mine.came_at)
    moment = next((m for m in trace.moments if m.reading >= mine.turn and m.now >= mine.arrival), None)
    before = [] if moment is None else [i for i in moment.waiting if of[i].turn_order < mine.turn_order]
    return to_turn + (len(before) + 1) * (longest_expected + 2 * longest)


@given(traces())
def test_no_job_waits_longer_than_the_bound(jobs: list[SimulatedJob]) -> None:
    """Whatever comes, of whatever size and priority, predicted rightly, wrongly or not at all."""
    trace = play(jobs, HOST, Area())
    for index, job in enumerate(jobs):
        if HOST.share(job.demand) > 0:
            assert trace.wait(index) <= bound(trace, index) + 1e-6


class Generous(Area):
    """Room for a job is never kept."""

    def overtaking(self, ticket: Ticket, waiting_area: float) -> float:
        """As much as may be."""
        return float("inf")


class Strict(Area):
    """Room is kept as soon as a job finds none."""

    def overtaking(self, ticket: Ticket, waiting_area: float) -> float:
        """Nothing may."""
        return -waiting_area


@given(traces())
def test_the_bound_holds_for_turns_that_come_at_once(jobs: list[SimulatedJob]) -> None:
    """Where every job is in turn from the start, room is kept all the time: the second half of the bound alone."""
    trace = play(jobs, HOST, Strict())
    for index, job in enumerate(jobs):
        if HOST.share(job.demand) > 0:
            assert trace.wait(index) <= bound(trace, index) + 1e-6


def stream(*, load: float, span: float, seconds: float = 60.0) -> list[SimulatedJob]:
    """One-device jobs that come one by one, and ask for this part of eight devices."""
    step = seconds / 8 / load
    return [
        SimulatedJob(seconds, 1, arrival=number * step, expected_seconds=seconds) for number in range(int(span / step))
    ]


@pytest.mark.parametrize("load", [1.0, 1.2, 2.0])
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0], ids=["predicted double", "predicted right", "predicted half"])
def test_a_wide_job_gets_through_a_stream_of_narrow_ones(load: float, factor: float) -> None:
    """One-device jobs saturate eight devices; one that wants all eight still starts within the stated time."""
    narrow = stream(load=load, span=6000.0)
    narrow = [SimulatedJob(job.seconds, 1, job.arrival, job.seconds / factor) for job in narrow]
    wide = SimulatedJob(60.0, 8, arrival=600.0, expected_seconds=60.0 / factor)
    jobs = [*narrow, wide]
    trace = play(jobs, Capacity(8), Area())
    assert trace.wait(len(narrow)) <= bound(trace, len(narrow))
    waiting = sum(job.arrival <= 600.0 < trace.began[index] for index, job in enumerate(narrow)) + 8
    by_hand = (1 + OVERTAKING_BY_QUEUE) * waiting * 60.0 / 8 + OVERTAKING_BY_TIME * 60.0
    assert trace.wait(len(narrow)) <= by_hand + 3 * 60.0 * max(1.0, 1 / factor)
    assert simulate(jobs, 8, Generous()).waits[-1] > 5000.0, "without the bound it waits for the stream's end"


def test_jobs_that_are_said_to_take_no_time_starve_nobody() -> None:
    """A stream of jobs predicted to take nothing at all, which take a minute each, doesn't keep a wide one out."""
    narrow = [SimulatedJob(60.0, 1, job.arrival, expected_seconds=0.0) for job in stream(load=1.0, span=9000.0)]
    jobs = [*narrow, SimulatedJob(60.0, 8, arrival=600.0, expected_seconds=60.0)]
    trace = play(jobs, Capacity(8), Area())
    assert trace.wait(len(narrow)) <= bound(trace, len(narrow))
    assert trace.wait(len(narrow)) < 3000.0


def test_a_low_priority_is_not_starved() -> None:
    """Jobs of a high priority that never cease don't keep one of a low priority out for ever."""
    jobs = [
        SimulatedJob(60.0, 1, arrival=job.arrival, expected_seconds=60.0, priority=5.0)
        for job in stream(load=1.5, span=6000.0)
    ]
    jobs.append(SimulatedJob(60.0, 2, arrival=600.0, expected_seconds=60.0, priority=-5.0))
    assert play(jobs, Capacity(8), Area()).wait(len(jobs) - 1) < 1500.0


@pytest.mark.parametrize("width", [0, 1])
def test_a_job_that_wants_the_host_alone_gets_it(width: int) -> None:
    """Streams with and without devices leave a job that must run alone its turn, and nothing runs beside it."""
    gpu = stream(load=1.0, span=3000.0)
    cpu = [SimulatedJob(60.0, 0, job.arrival, 60.0, num_cpus=1) for job in gpu]
    alone = SimulatedJob(60.0, width, 300.0, 60.0, exclusive_host=True)
    jobs = [*gpu, *cpu, alone]
    trace = play(jobs, Capacity(8, num_cpus=8), Area())
    last = len(jobs) - 1
    assert trace.wait(last) <= bound(trace, last)
    assert trace.wait(last) < 1000.0
    begin, end = trace.began[last], trace.began[last] + 60.0
    assert not [i for i in range(last) if trace.began[i] < end and trace.began[i] + jobs[i].seconds > begin]


def test_a_job_that_needs_much_memory_gets_it() -> None:
    """Small jobs without a device, which never cease, can't keep a job with a device out of the host's memory."""
    small = [SimulatedJob(60.0, 0, job.arrival, 60.0, memory_bytes=1) for job in stream(load=1.2, span=3000.0)]
    large = SimulatedJob(60.0, 1, 300.0, 60.0, memory_bytes=8)
    trace = play([*small, large], Capacity(8, memory_bytes=8), Area())
    assert trace.wait(len(small)) <= bound(trace, len(small))
    assert trace.wait(len(small)) < 1000.0


def test_devices_that_others_hold_bring_a_turn_nearer() -> None:
    """A job that waits for devices that other managers hold has its turn after the time that it may be overtaken."""
    queue = Queue([], RetryPolicy(), Area(), Capacity(8))
    job = Job(0, ready_at=0.0, expected_seconds=60.0, demand=SimulatedJob(60.0, 4).demand)
    queue.add([job])
    queue.take(0.0, free_devices=2)
    ticket = queue.ticket(job)
    assert ticket is not None and queue.held == []
    queue.take(ticket.turn - 1.0, free_devices=2)
    assert queue.held == []
    queue.take(ticket.turn, free_devices=2)
    assert queue.held == [job]
    policy: Policy = Area()
    assert ticket.turn == ticket.area + policy.overtaking(ticket, ticket.area)

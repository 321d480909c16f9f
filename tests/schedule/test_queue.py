from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from configmill.protocol import status
from configmill.schedule.queue import Job, Queue, Wait
from configmill.schedule.retry import MAX_LOST, RetryPolicy
from tests.schedule.simulation import Attempt, History, simulate

ENDS = [
    None, status.CODE_ERROR, status.TIMEOUT, status.IO, status.LOST, status.CONFIG_DRIFT, status.CONFIG_REFUSED,
    status.CANCELLED,
]  # fmt: skip
NEVER_RETRIED = (None, status.CONFIG_DRIFT, status.CONFIG_REFUSED, status.CANCELLED)

#: Seconds are multiples of 1/8, so that sums are exact and moments coincide often.
seconds = st.integers(0, 40).map(lambda eighths: eighths / 8)
attempts = st.builds(Attempt, failure_class=st.sampled_from(ENDS), seconds=seconds)
policies = st.builds(RetryPolicy, num_retries=st.integers(0, 4), backoff=st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0]))


#: Jobs in any order, a policy, a number of workers, and what the attempts of each job will do.
Campaign = tuple[list[Job], RetryPolicy, int, dict[int, list[Attempt]]]


@st.composite
def campaigns(draw: st.DrawFn) -> Campaign:
    """Draw a campaign."""
    indices = draw(st.lists(st.integers(0, 100), min_size=1, max_size=8, unique=True))
    jobs = [Job(index, priority=draw(st.sampled_from([-1.0, 0.0, 0.0, 2.5]))) for index in indices]
    foreseen = {index: draw(st.lists(attempts, max_size=6)) for index in indices}
    return jobs, draw(policies), draw(st.integers(1, 4)), foreseen


def run(campaign: Campaign) -> History:
    """Simulate the campaign to its end."""
    jobs, policy, width, foreseen = campaign
    return simulate(jobs, policy, width=width, attempts=foreseen)


def expected_ends(policy: RetryPolicy, foreseen: list[Attempt]) -> list[str | None]:
    """How the attempts of one job end, first to last, told without a queue."""
    ends: list[str | None] = []
    retries = 0
    for end in [*(attempt.failure_class for attempt in foreseen), None]:
        ends.append(end)
        if end in NEVER_RETRIED:
            break
        if end == status.LOST:
            if ends.count(status.LOST) >= MAX_LOST:
                break
        else:
            if retries == policy.num_retries:
                break
            retries += 1
    return ends


@given(campaigns())
def test_each_job_comes_to_its_end_once(campaign: Campaign) -> None:
    """Every job runs until it succeeded or may not be tried again, and not once more."""
    jobs, policy, _, foreseen = campaign
    history = run(campaign)
    for job in jobs:
        ran = history.of(job.index)
        assert [attempt.failure_class for attempt in ran] == expected_ends(policy, foreseen[job.index])
        assert [attempt.delay is None for attempt in ran] == [False] * (len(ran) - 1) + [True]


@given(campaigns())
def test_no_job_runs_twice_at_the_same_time(campaign: Campaign) -> None:
    """An attempt begins when the one before it is over, never earlier."""
    history = run(campaign)
    for job in campaign[0]:
        ran = history.of(job.index)
        assert all(one.ended <= next_one.began for one, next_one in pairwise(ran))


def ready_times(history: History, jobs: list[Job]) -> dict[int, list[tuple[float, float]]]:
    """By index: the spans in which the job could have begun, from ready to begun."""
    spans = {}
    for job in jobs:
        ready, spans[job.index] = 0.0, []
        for ran in history.of(job.index):
            spans[job.index].append((ready, ran.began))
            ready = ran.ended + (ran.delay or 0.0)
    return spans


@given(campaigns())
def test_the_first_of_the_ready_goes_first(campaign: Campaign) -> None:
    """What begins has the highest priority, and among equals the lowest index, of all that were ready: retries too."""
    jobs = campaign[0]
    history = run(campaign)
    place = {job.index: (-job.priority, job.index) for job in jobs}
    spans = ready_times(history, jobs)
    order = {job.index: 0 for job in jobs}
    for now, taken in history.takes:
        if isinstance(taken, Wait):
            continue
        order[taken.index] += 1
        others = [
            index
            for index, of_job in spans.items()
            if index != taken.index and any(ready <= now < began for ready, began in of_job)
        ]
        assert all(place[taken.index] < place[other] for other in others)


@given(campaigns())
def test_a_worker_is_idle_only_where_nothing_is_ready(campaign: Campaign) -> None:
    """A back-off holds up nothing else: whoever is told to wait could not have been given anything."""
    jobs = campaign[0]
    history = run(campaign)
    spans = [span for of_job in ready_times(history, jobs).values() for span in of_job]
    for now, taken in history.takes:
        if isinstance(taken, Wait):
            assert not [span for span in spans if span[0] <= now < span[1]]


@given(campaigns())
def test_a_wait_lasts_until_the_next_backoff_is_over(campaign: Campaign) -> None:
    """The seconds of a Wait lead to the very moment at which the first back-off ends."""
    history = run(campaign)
    for now, taken in history.takes:
        if isinstance(taken, Wait) and taken.seconds is not None:
            known = [ran.ended + ran.delay for ran in history.ran if ran.delay is not None and ran.ended <= now]
            assert now + taken.seconds == min(end for end in known if end > now)


@given(campaigns())
def test_a_retry_waits_its_backoff(campaign: Campaign) -> None:
    """Before the k-th retry that counts lie backoff**k seconds at least; a lost attempt is repeated at once."""
    policy = campaign[1]
    history = run(campaign)
    for job in campaign[0]:
        ran, k = history.of(job.index), 0
        for one, next_one in pairwise(ran):
            k += one.failure_class != status.LOST
            wanted = 0.0 if one.failure_class == status.LOST else policy.backoff**k
            assert one.delay == wanted
            assert next_one.began >= one.ended + wanted


@given(campaigns())
def test_with_a_worker_for_each_a_retry_begins_on_time(campaign: Campaign) -> None:
    """Where workers abound, a retry begins at the very end of its back-off."""
    jobs, policy, _, foreseen = campaign
    history = simulate(jobs, policy, width=len(jobs), attempts=foreseen)
    for job in jobs:
        ran = history.of(job.index)
        assert [one.began for one in ran] == [0.0, *(one.ended + (one.delay or 0.0) for one in ran[:-1])]


@given(campaigns())
def test_being_lost_uses_up_no_retry(campaign: Campaign) -> None:
    """With the lost attempts taken out, the history of a job's failures is the one it would have had without them."""
    jobs, policy, width, foreseen = campaign
    with_lost = run(campaign)
    without = {i: [a for a in of_job if a.failure_class != status.LOST] for i, of_job in foreseen.items()}
    fresh = [Job(job.index, job.priority) for job in jobs]
    without_lost = simulate(fresh, policy, width=width, attempts=without)
    for job in jobs:
        real = [ran.failure_class for ran in with_lost.of(job.index) if ran.failure_class != status.LOST]
        assert real == [ran.failure_class for ran in without_lost.of(job.index)]


def test_a_job_that_is_always_lost_comes_to_an_end() -> None:
    """An experiment that kills whoever minds it is tried MAX_LOST times, not for ever."""
    foreseen = {0: [Attempt(status.LOST)] * 1000}
    history = simulate([Job(0)], RetryPolicy(num_retries=1000), width=1, attempts=foreseen)
    assert len(history.ran) == MAX_LOST


@given(campaigns(), st.integers(0, 12))
def test_stop_returns_what_waited_and_starts_nothing_more(campaign: Campaign, steps: int) -> None:
    """At whatever moment: stop() hands back, by index, all that neither runs nor is over; nothing starts after it."""
    jobs, policy, width, foreseen = campaign
    queue = Queue(jobs, policy)
    left = {index: list(of_job) for index, of_job in foreseen.items()}
    running: list[Job] = []
    over: set[int] = set()
    now = 0.0

    def finish(job: Job) -> float | None:
        end = left[job.index].pop(0).failure_class if left[job.index] else None
        return queue.finish(job, end, now)

    for _ in range(steps):
        taken = queue.take(now) if len(running) < width else Wait(None, over=False)
        if isinstance(taken, Job):
            running.append(taken)
        elif running:
            job = running.pop(0)
            if finish(job) is None:
                over.add(job.index)
        now += 0.5
    waited = queue.stop()
    expected = {job.index for job in jobs} - {job.index for job in running} - over
    assert [job.index for job in waited] == sorted(expected)
    assert queue.num_waiting == 0
    while running:
        assert queue.take(now + 1e9) == Wait(None, over=False)
        assert finish(running.pop()) is None
    assert queue.take(now + 1e9) == Wait(None, over=True)
    assert queue.stop() == []


@given(campaigns())
def test_it_is_over_when_the_last_attempt_is(campaign: Campaign) -> None:
    """Workers go home when the last attempt has ended: not before, and without waiting for more."""
    history = run(campaign)
    assert history.over_at == max(ran.ended for ran in history.ran)


def test_the_counts_follow_the_jobs() -> None:
    """num_waiting counts ready jobs and back-offs, num_running what was taken and has not finished."""
    queue = Queue([Job(0), Job(1)], RetryPolicy(num_retries=1, backoff=8.0))
    assert (queue.num_waiting, queue.num_running) == (2, 0)
    job = queue.take(0.0)
    assert isinstance(job, Job)
    assert (queue.num_waiting, queue.num_running) == (1, 1)
    assert queue.finish(job, status.IO, 1.0) == 8.0
    assert (queue.num_waiting, queue.num_running) == (2, 0)


def test_being_queued_counts_from_readiness() -> None:
    """A retry is queued from the end of its back-off, not from the failure: ready_at says so."""
    queue = Queue([Job(0)], RetryPolicy(num_retries=1, backoff=3.0))
    job = queue.take(0.0)
    assert isinstance(job, Job)
    queue.finish(job, status.IO, 10.0)
    assert job.ready_at == 13.0

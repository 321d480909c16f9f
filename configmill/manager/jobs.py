"""The jobs of a command: what each experiment needs, how urgent it is, and how long it is thought to take.

queue = make_queue(request, plan, indices, devices, History(campaign.dir), now=time.monotonic())
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from configmill.manager.devices import Devices
from configmill.plan.plan import Plan
from configmill.protocol.request import RunRequest
from configmill.schedule.job import Job
from configmill.schedule.policies import make_policy
from configmill.schedule.prediction import predict_seconds
from configmill.schedule.queue import Queue
from configmill.schedule.retry import RetryPolicy
from configmill.store.history import History

#: Of what took less, as many as there are threads never fill a host.
_WORTH_COUNTING = 1 << 28


def make_queue(
    request: RunRequest,
    plan: Plan,
    indices: Iterable[int],
    devices: Devices,
    history: History,
    *,
    now: float,
    say: Callable[[str], None],
) -> Queue:
    """The queue of the experiments at `indices`, all of which are ready `now`; `say`: the policy fails later on.

    Raises UsageError for a policy that fails at once.
    """
    jobs = [_job(plan, index, devices, history, now) for index in indices]
    retry = RetryPolicy(request.num_retries, request.retry_backoff)
    largest = max((job.demand.memory_bytes for job in jobs), default=0)
    return Queue(jobs, retry, make_policy(request.policy, say=say), devices.capacity(largest))


def _job(plan: Plan, index: int, devices: Devices, history: History, now: float) -> Job:
    asked = plan.resources[index]
    # Without a device to compete for, the order of the list is what a user expects.
    predicted = None
    if asked.num_gpus.least or asked.expected_seconds is not None:
        predicted = predict_seconds(
            of_config=history.of_config(plan.digests[index]), of_target=history.of_target, hint=asked.expected_seconds
        )
    memory = asked.memory_bytes
    if memory is None:
        memory = history.memory_of_config(plan.digests[index])
        memory = (history.memory_of_target or 0) if memory is None else memory
        memory = 0 if memory < _WORTH_COUNTING else memory
    demand = replace(devices.demand(asked), memory_bytes=memory)
    return Job(index, priority=asked.priority, ready_at=now, demand=demand, expected_seconds=predicted)

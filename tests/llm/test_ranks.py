"""Several ranks, which are real processes over gloo, against one."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from typing import Any

import pytest

import configmill
from experiments.llm_inference import load_results
from experiments.llm_inference.distributed import Ranks, generate_unique_id, setup_distributed, teardown
from experiments.llm_inference.settings import Settings
from tests.llm.tiny import config_of

RUN = "experiments.llm_inference.run_experiment"
LAUNCHED = {"launcher": "accelerate"}


def _configs(models: dict[str, str]) -> list[dict[str, Any]]:
    """One rank; two; two that share the model, its weights in the host's memory."""
    measurement = {"min_seconds": 0.0, "min_iterations": 3, "idle_seconds": 0.1}
    base = config_of(models["llama"], models["prompts"], save_outputs=True, measurement=measurement)
    fsdp = {"sharding_strategy": "full_shard", "fsdp_config": {"cpu_offload": True}}
    return [
        base,
        base | {"num_processes": 2, "resources": LAUNCHED},
        base | {"num_processes": 2, "resources": LAUNCHED, "sharding_config": fsdp},
    ]


@pytest.fixture(scope="module")
def campaign(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The results of the three configs."""
    folder = tmp_path_factory.mktemp("ranks")
    patch = pytest.MonkeyPatch()
    patch.setenv("CONFIGMILL_LEASE_DIR", str(folder / "leases"))
    patch.setenv("OMP_NUM_THREADS", "1")
    with patch.context():
        summary = configmill.run(_configs(models), RUN, folder / "campaign")
    patch.undo()
    logs = "".join(path.read_text() for path in (folder / "campaign").glob("experiments/*/attempts/*.log"))
    assert summary.exit_code == 0, logs
    found = [load_results(folder / "campaign" / f"result_{index}") for index in range(3)]
    return [next(iter(of_one.values())) for of_one in found]


def test_ranks_share_the_prompts_and_the_text_is_the_same(campaign: list[dict[str, Any]]) -> None:
    """Two ranks, also those that share the model, come to the tokens of one, each prompt once, in the same order."""
    alone, apart, sharded = (results["token_output"] for results in campaign)
    assert [output["prompt"] for output in apart] == list(range(7))
    assert apart == alone
    assert sharded == alone


def test_counts_and_flops_add_up_over_ranks(campaign: list[dict[str, Any]]) -> None:
    """Per iteration, requests, tokens in and out, and FLOPs are those of one rank; each request is timed once."""
    counted = []
    for results in campaign:
        metrics = results["inference_metrics"]
        iterations = metrics["num_iterations"]
        assert iterations >= 3
        names = ("num_requests", "input_tokens", "output_tokens")
        counts = [metrics[name] / iterations for name in names]
        counted.append([*counts, results["compute_metrics"]["flops"] / iterations, metrics["latencies"]["e2e_s"]["n"]])
    assert counted[1] == counted[0]
    assert counted[2] == counted[0]
    metrics = campaign[1]["inference_metrics"]
    assert metrics["num_ranks"] == 2
    assert metrics["per_process_output_tokens"] == metrics["output_tokens"] / 2


def test_energy_is_read_once_for_the_host(campaign: list[dict[str, Any]]) -> None:
    """Two ranks are two files, neither with joules of its own, and one reading of the host over the window."""
    results = campaign[1]
    local, whole = results["local_energy_results"], results["global_energy_results"]
    assert list(local) == ["0", "1"]
    assert all(reading["gross_joules"] is None and reading["reason"] for reading in local.values())
    reading = whole["reading"]
    assert reading["gross_joules"] == whole["energy_gross_j"]
    if reading["gross_joules"] is not None:  # once: not the sum of two readings of the same host
        assert sum(reading["devices"].values()) == pytest.approx(reading["gross_joules"])
        assert whole["per_process_energy_j"] == pytest.approx(reading["gross_joules"] / 2)


def test_each_rank_has_its_part_of_a_sharded_model(campaign: list[dict[str, Any]]) -> None:
    """Without sharding each rank has all parameters; under fsdp they have about half of them each, and all together."""
    whole, shared = (results["model_architecture"]["placement_by_rank"] for results in campaign[1:])
    number = campaign[0]["model_architecture"]["num_parameters"]
    assert [sum(rank["parameters"].values()) for rank in whole.values()] == [number, number]
    parts = [sum(rank["parameters"].values()) for rank in shared.values()]
    assert sum(parts) == number
    assert max(parts) < 0.6 * number


def _one_of_two(rank: int, port: int, result: Any, may_leave: Any) -> None:
    """A rank that tells the id of all, then dies without a word (the second) or leaves in order (the first)."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
    }
    accelerator = setup_distributed(Settings.from_config({"model_name": "any", "num_processes": 2}))
    ranks = Ranks(accelerator)
    result.send(generate_unique_id(accelerator))
    assert ranks.gather(rank) == [0, 1]
    assert ranks.any(rank == 1)
    if rank == 1:
        os._exit(1)
    may_leave.wait()
    begun = time.monotonic()
    teardown(ranks, failed=False)
    result.send(time.monotonic() - begun)


def test_ranks_have_one_id_and_nobody_waits_for_a_dead_one() -> None:
    """Both have the same id; when one has died, the other one's teardown doesn't wait out its deadline of 30 s."""
    fork = multiprocessing.get_context("fork")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pipes = [fork.Pipe(duplex=False) for _ in range(2)]
    may_leave = fork.Event()
    processes = [fork.Process(target=_one_of_two, args=(rank, port, pipes[rank][1], may_leave)) for rank in range(2)]
    for process in processes:
        process.start()
    ids = [reading.recv() for reading, _ in pipes]
    assert ids[0] == ids[1]
    processes[1].join()
    may_leave.set()
    assert pipes[0][0].recv() < 10
    processes[0].join()
    assert processes[0].exitcode == 0

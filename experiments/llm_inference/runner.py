"""One experiment from config to files, in steps that can be called one by one.

    with ExperimentRunner(config) as runner:        # whatever happens, it is torn down
        runner.run_setup().run_torch()
        runner.aggregate_results()["inference_metrics"]["output_tokens_per_s"]
        runner.save_configuration_run_results_json()
        runner.save_configuration_run_results_tabular()

Each rank of an experiment runs all steps; the first one writes. By hand, without the manager, results go to
`out/llm_inference_by_hand`, or to the `output_dir` that is given.
"""

import copy
import gc
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from accelerate import Accelerator

from configmill import Config
from experiments.llm_inference import aggregate, distributed, energy, facts, files, tabular
from experiments.llm_inference.arrivals import schedule
from experiments.llm_inference.batching import split_over_ranks
from experiments.llm_inference.distributed import Ranks, generate_unique_id, setup_distributed
from experiments.llm_inference.flops import ModelShape, UnknownShapeError
from experiments.llm_inference.generation import Generator, Work, run_gen_inference, tokenise_prompts, warm_up
from experiments.llm_inference.loading import UnsupportedError, load_model_tokenizer
from experiments.llm_inference.prompts import PromptSet, choose_prompts, load_prompts
from experiments.llm_inference.settings import Backend, Settings
from experiments.llm_inference.sharding import own_parameters, placement
from experiments.llm_inference.sources import resolve_model
from experiments.llm_inference.usage import Usage

log = logging.getLogger(__name__)

BY_HAND = os.path.join("out", "llm_inference_by_hand")
#: Bytes of device memory that libraries may keep for themselves once everything of ours is gone.
_LIBRARIES_SHARE = 64 * 2**20


class ExperimentRunner:
    """Runs the experiment of one config, step by step. Raises SettingsError for one that can't be carried out."""

    def __init__(self, config: Mapping[str, Any], output_dir: str | os.PathLike[str] | None = None) -> None:
        self.config = config
        self.settings = Settings.from_config(config)
        self.accelerator: Accelerator | None = None
        self.experiment_id: str | None = None
        self.model: Any = None
        self.tokenizer: Any = None
        #: Keyed like the eight files; filled by `aggregate_results`.
        self.results: dict[str, Any] = {}
        self._output_dir = output_dir
        self._meta = config.meta if isinstance(config, Config) else Config().meta
        self._ranks: Ranks | None = None
        self._gathered: list[aggregate.RankRun] = []
        self._memory_before = 0
        self._started_at: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self.teardown(failed=kind is not None)

    def run_setup(self) -> Self:
        """Find the other ranks, load the model, and choose this rank's prompts. Nothing has been generated then."""
        self._started_at = _now()
        attempt = self._meta.attempt or 1
        self.accelerator = setup_distributed(self.settings, attempt)
        self._memory_before = _allocated(self.accelerator.device)
        self._ranks = Ranks(self.accelerator)
        self.experiment_id = generate_unique_id(self.accelerator)
        self._refuse_unsupported()
        self._without_effect = self._say_what_has_no_effect()
        self._source = resolve_model(self.settings.model.name)
        self.model, self.tokenizer = load_model_tokenizer(self.settings, self.accelerator)
        self._generator = Generator(
            self.model, self.tokenizer, self.settings, synced=self.settings.sharding.strategy == "fsdp"
        )
        self._prompts = self._chosen_prompts()
        self._work = self._own_work()
        return self

    def run_torch(self) -> Self:
        """Warm up, measure, and put the ranks' figures together."""
        ranks = self._known_ranks()
        num_parameters = sum(parameter.numel() for _, parameter in own_parameters(self.model))
        self._num_warmups = self.settings.warmup_iterations(num_parameters)
        warm_up(self._generator, self._work, self.settings, self._num_warmups, ranks)
        device_ids = energy.devices_of(self._generator.device, self.settings, self._leased())
        tracking = self._energy_tracking(device_ids)
        usage = Usage(self._generator.device, device_ids)
        readings: list[dict[str, Any]] = []
        used: list[dict[str, Any]] = []

        def begin() -> None:
            usage.begin()
            if tracking is not None:
                tracking.begin()

        def end() -> None:
            if tracking is not None:
                readings.append(tracking.end())
            used.append(usage.end())

        passes = run_gen_inference(self._generator, self._work, self.settings, ranks, begin, end)
        mine = aggregate.RankRun(
            machine=facts.machine(self._generator.device),
            device_ids=device_ids,
            passes=passes,
            usage=used[0],
            reading=readings[0] if readings else None,
            placement=placement(self.model),
        )
        self._gathered = ranks.gather(mine)
        self.results = self._results()
        return self

    def aggregate_results(self) -> dict[str, Any]:
        """Return the results of all ranks, keyed like the eight files; empty before `run_torch`."""
        return self.results

    def metrics(self) -> dict[str, Any]:
        """Return the figures that stand in tables, on one level."""
        return aggregate.flat_metrics(self.results)

    def save_configuration_run_results_json(self) -> Path | None:
        """Write the files of `results`; returns their folder, None on all ranks but the first."""
        if not self._known_ranks().is_first:
            return None
        return files.save_results(self.results, self._results_dir() / files.RAW_RESULTS)

    def save_configuration_run_results_tabular(self) -> None:
        """Give the experiment its row of `results/<task_type>_results.csv`; saved again, it is still one row."""
        if self._known_ranks().is_first:
            managed = self._meta.experiment_dir is not None and self._output_dir is None
            tabular.save_row(self.settings, self.metrics(), None if managed else str(self._results_dir()))

    def teardown(self, failed: bool = False) -> None:
        """Free the model and the device's memory, and part from the other ranks. May be called at any time, and again.

        `failed`: this rank is leaving early, so nobody is waited for.
        """
        device = None if self.accelerator is None else self.accelerator.device
        self.model = self.tokenizer = self._generator = None  # type: ignore[assignment]
        self._work = None  # type: ignore[assignment]
        if self.accelerator is not None:
            self.accelerator.free_memory()
        gc.collect()
        if device is not None and device.type == "cuda":
            torch.cuda.empty_cache()
            self._check_memory_is_back(device)
        if self.accelerator is not None:
            distributed.teardown(self._ranks, failed=failed)
        self.accelerator = self._ranks = None

    def _refuse_unsupported(self) -> None:
        if self.settings.sharding.strategy == "fsdp" and self.settings.arrivals.process != "offline":
            raise UnsupportedError(
                "sharding_strategy is fsdp and latency_simulation.simulate is True: ranks that share a model must "
                "generate in step, and can't each wait for requests of their own. Leave out one of both."
            )

    def _say_what_has_no_effect(self) -> list[str]:
        settings, ranks = self.settings, self._known_ranks()
        backend = Backend(ranks.device.type, ranks.world_size)
        sentences = settings.ineffective(backend)
        if ranks.is_first:
            for sentence in sentences:
                log.warning("%s", sentence)
        return sentences

    def _chosen_prompts(self) -> PromptSet:
        settings = self.settings
        return choose_prompts(
            load_prompts(settings.prompts),
            self.tokenizer,
            num_prompts=settings.num_input_prompts,
            max_input_tokens=settings.max_input_tokens,
        )

    def _own_work(self) -> Work:
        settings, ranks = self.settings, self._known_ranks()
        indices = split_over_ranks(len(self._prompts.texts), ranks.world_size, ranks.rank)
        arrivals = schedule(settings.arrivals, len(self._prompts.texts), settings.seed)
        inputs = tokenise_prompts(self.tokenizer, [self._prompts.texts[index] for index in indices])
        return Work(inputs, list(indices), [arrivals[index] for index in indices])

    def _energy_tracking(self, device_ids: list[str]) -> energy.Tracking | None:
        """The meter of this rank's host, on its first rank; the others wait while it reads the idle power."""
        ranks = self._known_ranks()
        hosts = ranks.gather((os.uname().nodename, device_ids))
        tracking = None
        if ranks.is_first_of_host:
            mine = [ids for host, ids in hosts if host == os.uname().nodename]
            tracking = energy.prepare_energy_tracking(
                dict.fromkeys(device for ids in mine for device in ids),
                idle_seconds=self.settings.measurement.idle_seconds,
                exclusive=self._is_exclusive(),
            )
        ranks.meet()
        return tracking

    def _is_exclusive(self) -> bool | None:
        """True where the manager gives this experiment the host alone; None where only it could know."""
        asked = (self.config.get("resources") or {}).get("exclusive_host")
        return True if asked is True and self._meta.attempt is not None else None

    def _leased(self) -> list[str]:
        return [device for device in self._meta.gpus if not device.startswith("virtual:")]

    def _results(self) -> dict[str, Any]:
        settings, runs = self.settings, self._gathered
        shape, why = self._shape()
        compute = aggregate.compute_metrics(settings, runs, shape, why)
        metrics = aggregate.inference_metrics(settings, runs)
        local, whole = aggregate.energy_results(runs, compute["flops"])
        results = {
            "experiment_setup": self._setup(runs),
            "experiment_variables": {
                "requested": settings.requested(),
                "effective": {
                    **facts.effective(self.model, self._generator, settings, len(runs)),
                    "batch_size": metrics["effective_batch_size"],
                    "num_warmup_iterations": self._num_warmups,
                },
                "without_effect": self._without_effect,
            },
            "model_architecture": {
                **facts.model_architecture(self.model),
                **({} if shape is None else {"num_parameters": shape.num_parameters}),  # packed ones are fewer
                "placement_by_rank": {str(rank): run.placement for rank, run in enumerate(runs)},
            },
            "inference_metrics": metrics,
            "compute_metrics": compute,
            "local_energy_results": local,
            "global_energy_results": whole,
        }
        return {**results, **self._outputs(runs)}

    def _setup(self, runs: list[aggregate.RankRun]) -> dict[str, Any]:
        settings, meta = self.settings, self._meta
        return {
            "experiment_id": self.experiment_id,
            **{name: getattr(settings, name) for name in ("task_type", "suite", "config_name", "cycle_id")},
            "model_name": settings.model.name,
            "weights_source": self._source.origin,
            "inference_type": settings.inference_type,
            "backend": settings.backend,
            "started_at": self._started_at,
            "ended_at": _now(),
            "device_name": runs[0].machine["device_name"],
            "world_size": len(runs),
            "ranks": [{**run.machine, "devices": list(run.device_ids)} for run in runs],
            "prompts": self._prompts.facts(),
            "versions": facts.versions(),
            "digest": meta.digest,
            "attempt": meta.attempt,
            "timeout_of_ranks_s": distributed.timeout_of(meta.attempt or 1).total_seconds(),
        }

    def _shape(self) -> tuple[ModelShape | None, str]:
        try:
            # Of a copy: making a model without memory leaves its way of attention in the config.
            return ModelShape.from_config(copy.deepcopy(self.model.config)), ""
        except UnknownShapeError as error:
            return None, str(error)

    def _outputs(self, runs: list[aggregate.RankRun]) -> dict[str, Any]:
        if not self.settings.save_outputs:
            return {}
        outputs = aggregate.outputs_of(runs)
        if not self.settings.decode_token_to_text:
            return {"token_output": outputs}
        texts = self.tokenizer.batch_decode([output["tokens"] for output in outputs], skip_special_tokens=True)
        decoded = [
            {"prompt": output["prompt"], "input": self._prompts.texts[output["prompt"]], "text": text}
            for output, text in zip(outputs, texts, strict=True)
        ]
        return {"token_output": outputs, "text_output": decoded}

    def _results_dir(self) -> Path:
        return Path(self._output_dir or self._meta.experiment_dir or BY_HAND)

    def _known_ranks(self) -> Ranks:
        if self._ranks is None:
            raise RuntimeError("This step needs the set-up. Call run_setup() first, of a new runner after teardown().")
        return self._ranks

    def _check_memory_is_back(self, device: torch.device) -> None:
        left = _allocated(device) - self._memory_before
        if left > _LIBRARIES_SHARE:
            log.warning("%d MiB of %s are still in use that were not before this experiment", left // 2**20, device)


def _allocated(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

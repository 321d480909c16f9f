"""A config of this experiment as checked, typed values, the same for every step of it.

    settings = Settings.from_config({"model_name": "gpt2", "decoder_config": {"decoder_temperature": 0.7}})
    settings.model.precision == "float32" and settings.decoder.generate_arguments()["do_sample"] is False
    settings.ineffective(Backend(device="cpu"))
        ->  ["decoder_config.decoder_temperature has no effect: decoding_mode is 'greedy'."]

It opens no model, file or device: whether this machine can do what is asked is known to those who try.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from configmill import Config
from experiments.llm_inference import effects, keys
from experiments.llm_inference.effects import Backend
from experiments.llm_inference.keys import SettingsError

__all__ = ["Backend", "Settings", "SettingsError"]

#: What `batch_size___fixed_batching: "auto"` begins with; on_oom halves it, down to 1.
AUTO_BATCH_SIZE = 64
#: Iterations of warm-up where the config doesn't say: few, and more for a model above this many parameters.
_WARMUP, _WARMUP_OF_LARGE, _LARGE = 3, 5, 10_000_000_000


@dataclass(frozen=True)
class ModelSettings:
    """Which model, and in which precision ("float32", "float16" or "bfloat16", as torch calls them)."""

    name: str
    is_encoder_decoder: bool | None  # None: as the model's own config says
    precision: str
    use_cache: bool
    gradient_checkpointing: bool


@dataclass(frozen=True)
class BatchingSettings:
    """Fixed batches of `batch_size`, or adaptive ones of at most `max_batch_size` prompts and `max_tokens` tokens."""

    batch_size: int
    auto: bool
    adaptive: bool
    max_tokens: int
    max_batch_size: int


@dataclass(frozen=True)
class DecoderSettings:
    """How the next token is chosen. What `mode` doesn't read is kept as it was given."""

    mode: str  # greedy, temperature, top_k or top_p
    temperature: float | None
    top_k: int | None
    top_p: float | None

    def generate_arguments(self) -> dict[str, Any]:
        """Return what to give `model.generate`; every argument is named, so that no default of the model's own holds.

        Greedy is do_sample=False. Else sampling with the temperature (1 where none is given), from all tokens, from the
        `top_k` likeliest, or from the likeliest that together have the probability `top_p`.
        """
        if self.mode == "greedy":
            return {"do_sample": False, "temperature": None, "top_k": None, "top_p": None}
        return {
            "do_sample": True,
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "top_k": self.top_k if self.mode == "top_k" else 0,
            "top_p": self.top_p if self.mode == "top_p" else 1.0,
        }


@dataclass(frozen=True)
class ArrivalSettings:
    """When requests arrive: all at once unless `simulate`. Seconds; `query_rate` in requests/s."""

    simulate: bool
    delay_min: float
    delay_max: float
    simulate_burst: bool
    burst_interval: float
    burst_size: int
    query_rate: float | None

    @property
    def process(self) -> str:
        """What the arrivals follow: "offline" (all at once), "bursts", "constant", "uniform" or "poisson".

        Bursts where they are asked for; else gaps from delay_min to delay_max, where these are given (constant where
        they are equal); else a Poisson process of query_rate.
        """
        if not self.simulate:
            return "offline"
        if self.simulate_burst:
            return "bursts"
        if self.delay_max == 0:
            return "poisson"
        return "constant" if self.delay_min == self.delay_max else "uniform"


@dataclass(frozen=True)
class ShardingSettings:
    """How a model is laid over devices: "none", "fsdp", or "device_map" (what doesn't fit goes to memory and disk)."""

    strategy: str
    fsdp_strategy: str | None  # full_shard, shard_grad_op or hybrid_shard, under fsdp alone
    cpu_offload: bool
    use_orig_params: bool


@dataclass(frozen=True)
class PromptSettings:
    """Where prompts come from; see `prompts.load_prompts`."""

    source: str
    field: str | None
    split: str | None


@dataclass(frozen=True)
class MeasurementSettings:
    """The window holds at least so many iterations and seconds; idle power is read for `idle_seconds` (0: never)."""

    min_seconds: float
    min_iterations: int
    latency_pass: bool
    idle_seconds: float


@dataclass(frozen=True)
class LatencyBounds:
    """The seconds that a request may take to count for goodput; None where any number will do."""

    ttft_s: float | None
    tpot_s: float | None
    e2e_s: float | None

    @property
    def given(self) -> bool:
        """Whether there is any bound: without one goodput is unknown."""
        return (self.ttft_s, self.tpot_s, self.e2e_s) != (None, None, None)


@dataclass(frozen=True)
class Settings:
    """Everything that a config says, with defaults. The names of configs' keys are in `keys.KEYS`."""

    model: ModelSettings
    batching: BatchingSettings
    decoder: DecoderSettings
    quantization_bits: int | None  # 8, 4, or None: not quantised by us
    arrivals: ArrivalSettings
    sharding: ShardingSettings
    prompts: PromptSettings
    measurement: MeasurementSettings
    latency_bounds: LatencyBounds
    task_type: str
    inference_type: str
    backend: str
    suite: str | None
    config_name: str | None
    cycle_id: int | str | None
    num_processes: int
    gpu_list: tuple[int | str, ...] | None
    num_input_prompts: int
    max_input_tokens: int
    max_output_tokens: int
    fixed_output_length: bool
    num_warmup_iterations: int | None
    seed: int
    strict: bool
    save_outputs: bool
    decode_token_to_text: bool
    given: Mapping[str, Any]  # by dotted name, as the config has it
    values: Mapping[str, Any]  # by dotted name, with defaults

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Settings":
        """Return the settings of a config; its `resources` are the experiment manager's and left aside.

        Raises SettingsError for an unknown key (naming the nearest), a value that can't be used, and values that
        contradict one another.
        """
        values = keys.read(config)
        if isinstance(config, Config) and config.meta.strict:
            values["strict"] = True
        settings = _from_values(values, keys.flat(config))
        _check_together(settings)
        return settings

    def requested(self) -> dict[str, Any]:
        """Return every key with its value, defaults filled in, nested as in a config and fit for JSON."""
        return keys.nested({name: list(v) if isinstance(v, tuple) else v for name, v in self.values.items()})

    def warmup_iterations(self, num_parameters: int) -> int:
        """Return how often to generate before anything is measured, for a model of so many parameters."""
        if self.num_warmup_iterations is not None:
            return self.num_warmup_iterations
        return _WARMUP_OF_LARGE if num_parameters > _LARGE else _WARMUP

    def ineffective(self, backend: Backend) -> list[str]:
        """Return a sentence for each key that was given and changes nothing here, with the reason.

        Raises SettingsError instead where the config is `strict` and there is one.
        """
        sentences = effects.ineffective(self, backend)
        if self.strict and sentences:
            raise SettingsError(f"{' '.join(sentences)} Leave out what has no effect, or strict (--strict).")
        return sentences


def _from_values(values: Mapping[str, Any], given: Mapping[str, Any]) -> Settings:
    batch_size = values["batching_options.batch_size___fixed_batching"]
    sharding = values["sharding_config.sharding_strategy"]
    plain = [name for name in keys.KEYS if "." not in name and name in Settings.__dataclass_fields__]
    return Settings(
        model=ModelSettings(
            name=values["model_name"],
            is_encoder_decoder=values["is_encoder_decoder"],
            precision=values["fp_precision"],
            **_section(values, "model_config."),
        ),
        batching=BatchingSettings(
            batch_size=AUTO_BATCH_SIZE if batch_size == "auto" else batch_size,
            auto=batch_size == "auto",
            adaptive=values["batching_options.adaptive_batching"],
            max_tokens=values["batching_options.adaptive_max_tokens"],
            max_batch_size=values["batching_options.max_batch_size___adaptive_batching"],
        ),
        decoder=DecoderSettings(
            mode=values["decoder_config.decoding_mode"], **_section(values, "decoder_config.decoder_")
        ),
        quantization_bits=_bits(values),
        arrivals=ArrivalSettings(**_section(values, "latency_simulation."), query_rate=values["query_rate"]),
        sharding=ShardingSettings(
            strategy=sharding if sharding in ("none", "device_map") else "fsdp",
            fsdp_strategy=None if sharding in ("none", "device_map") else sharding,
            **_section(values, "sharding_config.fsdp_config."),
        ),
        prompts=PromptSettings(**_section(values, "prompts.")),
        measurement=MeasurementSettings(**_section(values, "measurement.")),
        latency_bounds=LatencyBounds(**_section(values, "latency_bounds.")),
        **{name: values[name] for name in plain},
        given=dict(given),
        values=dict(values),
    )


def _section(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _bits(values: Mapping[str, Any]) -> int | None:
    """What `quantization_config` asks for. Raises SettingsError where it contradicts itself."""
    wanted = [bits for bits in (8, 4) if values[f"quantization_config.load_in_{bits}bit"]]
    if not values["quantization_config.quantization"]:
        return None
    if len(wanted) != 1:
        raise SettingsError(
            f"quantization_config.quantization is True, with {len(wanted)} of load_in_8bit and load_in_4bit. "
            "Set one of them to True."
        )
    return wanted[0]


def _check_together(settings: Settings) -> None:
    """Raise SettingsError where values that are fine one by one make no sense together."""
    decoder, arrivals = settings.decoder, settings.arrivals
    if decoder.mode in ("top_k", "top_p") and not getattr(decoder, decoder.mode):
        raise SettingsError(
            f"decoder_config.decoding_mode is {decoder.mode!r}, and decoder_{decoder.mode} is "
            f"{getattr(decoder, decoder.mode)!r}. Give it a number above 0."
        )
    if decoder.mode != "greedy" and decoder.temperature == 0:
        raise SettingsError(
            f"decoder_config.decoder_temperature is 0 with decoding_mode {decoder.mode!r}. Give a temperature above 0, "
            "or decoding_mode 'greedy'."
        )
    if arrivals.delay_min > arrivals.delay_max:
        raise SettingsError(
            f"latency_simulation.delay_min is {arrivals.delay_min:g}, above delay_max, {arrivals.delay_max:g}. "
            "Swap them."
        )
    if arrivals.process == "bursts" and not (arrivals.burst_size and arrivals.burst_interval):
        raise SettingsError(
            f"latency_simulation.simulate_burst is True, with burst_size {arrivals.burst_size} and burst_interval "
            f"{arrivals.burst_interval:g}. Give both a number above 0."
        )
    if arrivals.process == "poisson" and not arrivals.query_rate:
        raise SettingsError(
            "latency_simulation.simulate is True, and nothing says when requests arrive. Give query_rate (requests/s), "
            "delay_min and delay_max (s), or simulate_burst with its burst_size and burst_interval."
        )

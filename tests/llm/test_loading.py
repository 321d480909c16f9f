from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.llm_inference import sources
from experiments.llm_inference.loading import UnsupportedError, load_model_tokenizer
from experiments.llm_inference.settings import Settings
from experiments.llm_inference.sources import ModelUnavailableError, Package, resolve_model
from tests.llm.tiny import config_of


def _settings(models: dict[str, str], kind: str = "llama", **more: Any) -> Settings:
    return Settings.from_config(config_of(models[kind], models["prompts"], **more))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_weights_have_the_precision_that_the_config_asks_for(models: dict[str, str], precision: str) -> None:
    """Every parameter is loaded in fp_precision."""
    model, _ = load_model_tokenizer(_settings(models, fp_precision=precision))
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, precision)}
    assert not model.training


@pytest.mark.parametrize(("kind", "side"), [("llama", "left"), ("gpt2", "left"), ("t5", "right")])
def test_every_tokenizer_can_pad(models: dict[str, str], kind: str, side: str) -> None:
    """A model that goes on with its input is padded at the left; a tokenizer without such a token pads with its end."""
    model, tokenizer = load_model_tokenizer(_settings(models, kind))
    assert tokenizer.padding_side == side
    assert tokenizer.pad_token_id == (2 if kind == "gpt2" else 0)
    assert model.generation_config.pad_token_id is not None


def test_no_setting_of_generation_that_a_model_brings_along_is_kept(models: dict[str, str], tmp_path: Path) -> None:
    """A temperature or penalty in the model's own files changes nothing; the tokens that end a sequence are kept."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(models["llama"])
    model.generation_config.update(repetition_penalty=3.0, do_sample=True, temperature=0.3, top_k=5)
    model.save_pretrained(tmp_path / "opinionated")
    AutoTokenizer.from_pretrained(models["llama"]).save_pretrained(tmp_path / "opinionated")
    settings = Settings.from_config(config_of(str(tmp_path / "opinionated"), models["prompts"]))
    own = load_model_tokenizer(settings)[0].generation_config
    assert own.repetition_penalty in (None, 1.0)
    assert not own.do_sample
    assert own.eos_token_id == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"is_encoder_decoder": True}, "is_encoder_decoder is True.*decoder-only.*False"),
        ({"max_input_tokens": 250, "max_output_tokens": 10}, "260 positions.*has 256"),
        ({"quantization_config": {"quantization": True, "load_in_8bit": True}}, "8 bits.*no GPU"),
        ({"quantization_config": {"quantization": True, "load_in_4bit": True}}, "4 bits.*no GPU"),
    ],
)
def test_what_model_or_machine_cannot_do_is_a_clear_error(
    models: dict[str, str], more: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It quotes the key, says what is, and what to do; nothing is replaced by something similar."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnsupportedError, match=said):
        load_model_tokenizer(_settings(models, **more))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./no_such_folder", "no config.json"),
        ("nobody-at-all/no-such-model", "no-such-model"),
        ("a name with spaces", "neither a folder nor a name"),
    ],
)
def test_an_unknown_model_is_a_clear_error(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder without a model, a model that can't be fetched, and what can't be a name."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailableError, match=said):
        resolve_model(name)


def test_a_folder_that_lacks_a_part_of_the_weights_is_no_model(models: dict[str, str], tmp_path: Path) -> None:
    """An index that names a file which isn't there is an error that says so, before anything is loaded."""
    (tmp_path / "config.json").write_text((Path(models["llama"]) / "config.json").read_text())
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "x.safetensors"}}')
    with pytest.raises(ModelUnavailableError, match="weights, or a part of them"):
        resolve_model(str(tmp_path))


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that carries a model, whose conversion notes that it ran; returns the cache."""
    monkeypatch.setitem(sources.PACKAGES, "someone/small", Package("pytest", "small.gguf"))
    monkeypatch.setenv(sources.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def _converting(monkeypatch: pytest.MonkeyPatch, convert: Any) -> None:
    from experiments.llm_inference import gguf

    monkeypatch.setattr(gguf, "convert", convert)


def test_of_several_processes_one_converts_a_model(packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four that begin together all have the whole folder, and it was made once."""
    fork = multiprocessing.get_context("fork")
    together = fork.Barrier(4)

    def convert(source: str, file: str, folder: Path) -> None:
        with open(packaged / "log", "a") as log:
            log.write(f"{file}\n")
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")

    def resolve() -> None:
        together.wait()
        found = resolve_model("someone/small")
        os._exit(0 if (Path(found.path) / "config.json").exists() and "small.gguf" in found.origin else 1)

    _converting(monkeypatch, convert)
    processes = [fork.Process(target=resolve) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert (packaged / "log").read_text() == "small.gguf\n"


def test_a_conversion_that_was_killed_is_done_again(packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a model is never taken for one, and the lock of the dead is free."""

    def killed(source: str, file: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{")
        os.kill(os.getpid(), signal.SIGKILL)

    def whole(source: str, file: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")

    _converting(monkeypatch, killed)
    process = multiprocessing.get_context("fork").Process(target=resolve_model, args=("someone/small",))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    _converting(monkeypatch, whole)
    assert (Path(resolve_model("someone/small").path) / "config.json").read_text() == "{}"

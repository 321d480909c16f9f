from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Folders of small models by family, and under "prompts" a file of prompts; torch has one thread meanwhile."""
    import torch

    from tests.llm import tiny

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder: Path = tmp_path_factory.mktemp("models")
    kinds = {"llama": tiny.llama, "gpt2": tiny.gpt2, "t5": tiny.t5}
    yield {name: make(folder / name) for name, make in kinds.items()} | {"prompts": tiny.prompts_file(folder)}
    torch.set_num_threads(threads)

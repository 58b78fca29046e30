from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llama_stack.providers.inference.llama_cpp import LlamaCpp
from tests.providers.embedded.harness import Embedded, opened


@pytest.fixture(scope="session")
async def embedded(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Embedded]:
    """The embedded default model with a small context, in one child for the whole session."""
    directory: Path = tmp_path_factory.mktemp("llama-cpp")
    async with opened(directory, context_length=256, parallel=2) as provider:
        assert isinstance(provider, LlamaCpp)
        yield Embedded(provider, directory)

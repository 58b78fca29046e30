"""Chunking strategies as they are carried out, stored and shown."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from llama_stack.config.vector_stores import VectorStoresConfig
from llama_stack.rag.chunk import ChunkSizes
from llama_stack.rag.contextual import ContextSettings
from llama_stack.rag.strategy import chunking_of, sizes_of
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.vector_io import VectorStoreChunkingStrategy, VectorStoreFileChunking

ASKED: TypeAdapter[Any] = TypeAdapter(VectorStoreChunkingStrategy)
SHOWN: TypeAdapter[Any] = TypeAdapter(VectorStoreFileChunking)
CONFIG = VectorStoresConfig()


def sizes(asked: dict[str, Any] | None, context: int | None, config: VectorStoresConfig = CONFIG) -> ChunkSizes:
    chunking = chunking_of(ASKED.validate_python(asked) if asked else None, context, config)
    SHOWN.validate_python(chunking)
    return sizes_of(chunking)


@pytest.mark.parametrize("asked", [None, {"type": "auto"}])
@pytest.mark.parametrize(
    ("context", "expected"), [(None, (800, 400)), (8192, (800, 400)), (512, (384, 192)), (64, (100, 50))]
)
def test_auto_fits_the_embedding_model(
    asked: dict[str, Any] | None, context: int | None, expected: tuple[int, int]
) -> None:
    assert sizes(asked, context) == ChunkSizes(*expected)


def test_auto_is_what_the_run_config_sets() -> None:
    config = VectorStoresConfig.model_validate({"file_ingestion_params": {"default_chunk_size_tokens": 300}})
    assert sizes(None, 512, config) == ChunkSizes(300, 128)
    assert sizes(None, 256, config) == ChunkSizes(192, 96)


def test_static_is_kept_as_asked() -> None:
    asked = {"type": "static", "static": {"max_chunk_size_tokens": 1000, "chunk_overlap_tokens": 10}}
    assert sizes(asked, 512) == ChunkSizes(1000, 10)


def test_contextual_takes_the_rest_from_the_run_config() -> None:
    config = VectorStoresConfig.model_validate(
        {"contextual_retrieval_params": {"model": {"provider_id": "p", "model_id": "m"}, "default_max_concurrency": 7}}
    )
    chunking = chunking_of(ASKED.validate_python({"type": "contextual"}), 512, config)
    assert sizes_of(chunking) == ChunkSizes(700, 400)
    settings = ContextSettings.of(chunking)
    assert settings is not None
    assert (settings.model, settings.timeout_s, settings.concurrency_max) == ("p/m", 120, 7)
    own = {"model_id": "x", "timeout_seconds": 5, "context_prompt": "{WHOLE_DOCUMENT} {CHUNK_CONTENT}"}
    settings = ContextSettings.of(
        chunking_of(ASKED.validate_python({"type": "contextual", "contextual": own}), 1, config)
    )
    assert settings == ContextSettings("x", "{WHOLE_DOCUMENT} {CHUNK_CONTENT}", 5, 7)


def test_contextual_needs_a_model() -> None:
    with pytest.raises(InvalidRequest, match="contextual_retrieval_params"):
        ContextSettings.of(chunking_of(ASKED.validate_python({"type": "contextual"}), None, CONFIG))
    assert ContextSettings.of(chunking_of(None, None, CONFIG)) is None

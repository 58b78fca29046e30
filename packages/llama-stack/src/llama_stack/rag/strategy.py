"""Chunking strategies: what a request asks for becomes what is carried out, stored with the file and shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llama_stack.config.vector_stores import VectorStoresConfig
from llama_stack.rag.chunk import ChunkSizes
from llama_stack_api.vector_io import (
    VectorStoreChunkingStrategy,
    VectorStoreChunkingStrategyContextual,
    VectorStoreChunkingStrategyStatic,
)

AUTO: Final = ChunkSizes(800, 400)
SIZE_MIN: Final = 100
SIZE_MAX: Final = 4096
"""What the contract allows, with an overlap of half of it. A model with a shorter context embeds a chunk in windows."""
MARGIN: Final = 4
"""A quarter of an embedding model's context stays free: token counts are estimates (`rag.tokens`)."""


def chunking_of(
    strategy: VectorStoreChunkingStrategy | None, context_length: int | None, config: VectorStoresConfig
) -> dict[str, Any]:
    """As JSON, of the type `static` or `contextual`, with every default filled in.

    `auto`, or none: what `file_ingestion_params` sets in the run config, or else 800 tokens with an overlap of 400, and
    never more than the embedding model takes at once. A size that the request names is kept.
    """
    if isinstance(strategy, VectorStoreChunkingStrategyContextual):
        return {"type": "contextual", "contextual": _contextual(strategy, config)}
    if isinstance(strategy, VectorStoreChunkingStrategyStatic):
        asked = strategy.static
        sizes = ChunkSizes(asked.max_chunk_size_tokens, asked.chunk_overlap_tokens)
    else:
        sizes = _fitting(_auto(config), context_length)
    return {
        "type": "static",
        "static": {"max_chunk_size_tokens": sizes.max_tokens, "chunk_overlap_tokens": sizes.overlap},
    }


def sizes_of(chunking: Mapping[str, Any]) -> ChunkSizes:
    """Of what `chunking_of` gave."""
    sizes = chunking[chunking["type"]]
    return ChunkSizes(sizes["max_chunk_size_tokens"], sizes["chunk_overlap_tokens"])


def _auto(config: VectorStoresConfig) -> ChunkSizes:
    if "file_ingestion_params" not in config.model_fields_set:
        return AUTO
    params = config.file_ingestion_params
    size = min(max(SIZE_MIN, params.default_chunk_size_tokens), SIZE_MAX)
    return ChunkSizes(size, min(params.default_chunk_overlap_tokens, size // 2))


def _fitting(sizes: ChunkSizes, context_length: int | None) -> ChunkSizes:
    room = sizes.max_tokens if context_length is None else max(SIZE_MIN, context_length - context_length // MARGIN)
    return sizes if sizes.max_tokens <= room else ChunkSizes(room, min(sizes.overlap, room // 2))


def _contextual(strategy: VectorStoreChunkingStrategyContextual, config: VectorStoresConfig) -> dict[str, Any]:
    asked, params = strategy.contextual, config.contextual_retrieval_params
    return {
        "model_id": asked.model_id or (params.model.identifier if params.model else None),
        "context_prompt": asked.context_prompt,
        "max_chunk_size_tokens": asked.max_chunk_size_tokens,
        "chunk_overlap_tokens": asked.chunk_overlap_tokens,
        "timeout_seconds": asked.timeout_seconds or params.default_timeout_seconds,
        "max_concurrency": asked.max_concurrency or params.default_max_concurrency,
    }

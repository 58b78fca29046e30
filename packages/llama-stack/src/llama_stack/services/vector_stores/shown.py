"""Records as the API shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from llama_stack.storage.sql.knowledge.records import (
    AttachedFile,
    ChunkRecord,
    FileBatch,
    FileCounts,
    PageOf,
    StoreRecord,
)
from llama_stack_api.paging import Page
from llama_stack_api.vector_io import (
    VectorStoreChunkingStrategyContextual,
    VectorStoreChunkingStrategyContextualConfig,
    VectorStoreChunkingStrategyOther,
    VectorStoreChunkingStrategyStatic,
    VectorStoreChunkingStrategyStaticConfig,
    VectorStoreExpirationAfter,
    VectorStoreFileBatchObject,
    VectorStoreFileChunking,
    VectorStoreFileCounts,
    VectorStoreFileLastError,
    VectorStoreFileObject,
    VectorStoreObject,
)

R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)


def shown_store(store: StoreRecord) -> VectorStoreObject:
    optional: dict[str, Any] = {}
    if store.expires_after_days is not None:
        optional["expires_after"] = VectorStoreExpirationAfter(days=store.expires_after_days)
    if store.description is not None:
        optional["description"] = store.description
    return VectorStoreObject(
        id=store.id,
        created_at=int(store.created_at),
        name=store.name or "",
        usage_bytes=store.usage_bytes,
        file_counts=_counts(store.counts),
        status=_store_status(store),
        expires_at=None if store.expires_at is None else int(store.expires_at),
        last_active_at=int(store.last_active_at),
        metadata=store.metadata,
        **optional,
    )


def shown_file(file: AttachedFile) -> VectorStoreFileObject:
    code: Any = file.error_code
    error = VectorStoreFileLastError(code=code, message=file.error_message or "") if code else None
    return VectorStoreFileObject(
        id=file.file,
        created_at=int(file.attached_at),
        vector_store_id=file.store,
        status=file.status,
        last_error=error,
        attributes=file.attributes,
        chunking_strategy=_chunking(file.chunking),
        usage_bytes=file.usage_bytes,
    )


def shown_batch(batch: FileBatch) -> VectorStoreFileBatchObject:
    return VectorStoreFileBatchObject(
        id=batch.id,
        created_at=int(batch.created_at),
        vector_store_id=batch.store,
        status=_batch_status(batch),
        file_counts=_counts(batch.counts),
    )


def place_of(chunk: ChunkRecord) -> dict[str, Any]:
    """Where a chunk stands, as fields of `ChunkMetadata`."""
    place = {
        "chunk_id": chunk.id,
        "document_id": chunk.document,
        "chunk_window": f"{chunk.start}-{chunk.end}",
        "content_token_count": chunk.tokens,
    }
    return place if chunk.page is None else {**place, "page": chunk.page}


def shown_page(page: PageOf[R], shown: Callable[[R], M], listed: type[Page[M]]) -> Page[M]:
    """The ids of an empty page are empty, as the contract has text there."""
    data = [shown(item) for item in page.items]
    ids = [getattr(each, "id", "") for each in data] or [""]
    return listed(data=data, first_id=ids[0], last_id=ids[-1], has_more=page.has_more)


def _chunking(stored: Mapping[str, Any]) -> VectorStoreFileChunking:
    """As it was carried out. The run config may set sizes that a request must not: so nothing is checked here."""
    if stored.get("type") == "static":
        sizes = VectorStoreChunkingStrategyStaticConfig.model_construct(**stored["static"])
        return VectorStoreChunkingStrategyStatic.model_construct(type="static", static=sizes)
    if stored.get("type") == "contextual":
        settings = VectorStoreChunkingStrategyContextualConfig.model_construct(**stored["contextual"])
        return VectorStoreChunkingStrategyContextual.model_construct(type="contextual", contextual=settings)
    return VectorStoreChunkingStrategyOther()


def _counts(counts: FileCounts) -> VectorStoreFileCounts:
    return VectorStoreFileCounts(
        in_progress=counts.in_progress,
        completed=counts.completed,
        failed=counts.failed,
        cancelled=counts.cancelled,
        total=counts.total,
    )


def _store_status(store: StoreRecord) -> Literal["expired", "in_progress", "completed"]:
    if store.state == "expired":
        return "expired"
    return "in_progress" if store.counts.in_progress else "completed"


def _batch_status(batch: FileBatch) -> Literal["in_progress", "completed", "cancelled", "failed"]:
    """A batch has failed if none of its files came through: what went wrong is said of each file."""
    if batch.cancelled:
        return "cancelled"
    if batch.counts.in_progress:
        return "in_progress"
    return "failed" if batch.counts.failed and batch.counts.failed == batch.counts.total else "completed"

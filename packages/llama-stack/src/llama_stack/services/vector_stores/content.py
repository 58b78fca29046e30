"""What a file in a store says: its text, or the chunks that it was cut into."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from llama_stack.rag.vectors import unpacked
from llama_stack.services.vector_stores.access import StoreAccess
from llama_stack.services.vector_stores.shown import place_of
from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.files import AttachedFileTable
from llama_stack.storage.sql.knowledge.records import AttachedFile, ChunkRecord
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.principal import Call
from llama_stack_api.vector_io import ChunkMetadata, VectorStoreContent, VectorStoreFileContentResponse

CHUNKS_MAX: Final = 1000
"""Of one page; with embeddings, `EMBEDDINGS_MAX`."""
EMBEDDINGS_MAX: Final = 200

_PAGE = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")


class FileContent:
    def __init__(self, access: StoreAccess, files: AttachedFileTable, chunks: ChunkTable) -> None:
        self._access = access
        self._files = files
        self._chunks = chunks

    async def content(
        self,
        store_id: str,
        file_id: str,
        call: Call,
        *,
        embeddings: bool = False,
        metadata: bool = False,
        page: str | None = None,
        limit: int | None = None,
    ) -> VectorStoreFileContentResponse:
        """One part with the text, each character of it once; or, with embeddings or metadata, a part for each chunk.

        `page` is the `next_page` of the page before, which has at most `limit` chunks.
        """
        file = await self._files.get(self._access.reader(call.principal, store_id), store_id, file_id)
        after, until = _place(page)
        most = EMBEDDINGS_MAX if embeddings else CHUNKS_MAX
        limit = min(limit or most, most)
        found = await self._chunks.of_document(store_id, file_id, after_ordinal=after, limit=limit + 1)
        chunks = found[:limit]
        if embeddings or metadata:
            data = [_part(chunk, file, embeddings, metadata) for chunk in chunks]
        else:
            data = [VectorStoreContent(text=joined(chunks, until))] if chunks else []
        next_page = None
        if len(found) > limit:
            next_page = f"{chunks[-1].ordinal}.{max(until, *(chunk.end for chunk in chunks))}"
        return VectorStoreFileContentResponse(data=data, has_more=next_page is not None, next_page=next_page)


def joined(chunks: Sequence[ChunkRecord], until: int = 0) -> str:
    """The text that they are slices of, from character `until` on: overlaps once. Between chunks there was white
    space at most, which stands as a line break."""
    parts: list[str] = []
    for chunk in chunks:
        if chunk.start > until > 0:
            parts.append("\n")
        parts.append(chunk.text[max(0, until - chunk.start) :])
        until = max(until, chunk.end)
    return "".join(parts)


def chunk_metadata(chunk: ChunkRecord, source: str | None) -> ChunkMetadata:
    known = {} if source is None else {"source": source}
    return ChunkMetadata(**place_of(chunk), **known)


def _part(chunk: ChunkRecord, file: AttachedFile, embeddings: bool, metadata: bool) -> VectorStoreContent:
    more: dict[str, Any] = {}
    if embeddings:
        more["embedding"] = unpacked(chunk.embedding or b"")
    if metadata:
        more["chunk_metadata"] = chunk_metadata(chunk, file.filename)
        more["metadata"] = {**chunk.attributes, "filename": file.filename, "file_id": file.file}
    return VectorStoreContent(text=chunk.text, **more)


def _place(page: str | None) -> tuple[int | None, int]:
    """The ordinal of the last chunk before the page, and the character up to which the text was given."""
    if page is None:
        return None, 0
    place = _PAGE.fullmatch(page)
    if place is None:
        raise InvalidRequest("page must be the next_page of a page before.", param="page")
    return int(place[1]), int(place[2])

"""Files are attached: all that can be wrong is said before anything is written; then each waits for its ingestion."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from llama_stack.config.vector_stores import VectorStoresConfig
from llama_stack.rag.changes import carry_out
from llama_stack.rag.contextual import ContextSettings
from llama_stack.rag.ports import EmbeddingPort, Indexes
from llama_stack.rag.strategy import chunking_of
from llama_stack.storage.sql.knowledge.changes import StoreChanges
from llama_stack.storage.sql.knowledge.files import AttachedFileTable
from llama_stack.storage.sql.knowledge.records import AttachedFile, NewAttachment, StoreRecord
from llama_stack_api.errors import InvalidRequest, LlamaStackError, NotFound
from llama_stack_api.principal import Call, Principal
from llama_stack_api.vector_io import OpenAIAttachFileRequest, VectorStoreChunkingStrategy

log: Final = logging.getLogger(__name__)


class FileNames(Protocol):
    async def filenames(self, principal: Principal, file_ids: Sequence[str]) -> Mapping[str, str]:
        """Of those that are the principal's and have not expired."""
        ...


class Ingestion(Protocol):
    """`rag.dispatcher.Dispatcher`."""

    def check_room(self) -> None:
        """`Overloaded` if no more files can be taken for now."""
        ...

    async def begin(self, call: Call, store: StoreRecord, files: Sequence[AttachedFile]) -> None:
        """Each of them has a run soon, here or in another process."""
        ...


class Attaching:
    def __init__(
        self,
        files: AttachedFileTable,
        changes: StoreChanges,
        indexes: Indexes,
        names: FileNames,
        embeddings: EmbeddingPort,
        ingestion: Ingestion,
        config: VectorStoresConfig,
    ) -> None:
        self._files = files
        self._changes = changes
        self._indexes = indexes
        self._names = names
        self._embeddings = embeddings
        self._ingestion = ingestion
        self._config = config

    async def prepared(
        self, principal: Principal, wanted: Sequence[OpenAIAttachFileRequest], embedding_model: str, *, param: str
    ) -> list[NewAttachment]:
        """`NotFound` for a file that is not the principal's; `param` says where the ids stand in the request."""
        ids = [each.file_id for each in wanted]
        if len(set(ids)) < len(ids):
            twice = next(file_id for number, file_id in enumerate(ids) if file_id in ids[:number])
            raise InvalidRequest(f"The file {twice[:100]!r} is there twice.", param=param)
        names = await self._names.filenames(principal, ids) if ids else {}
        for file_id in ids:
            if file_id not in names:
                raise NotFound(f"There is no file {file_id[:100]!r}.", param=param)
        return [
            NewAttachment(
                file=each.file_id,
                filename=names[each.file_id],
                attributes=dict(each.attributes or {}),
                chunking=self._chunking(each.chunking_strategy, embedding_model),
            )
            for each in wanted
        ]

    async def attach(
        self, store: StoreRecord, new: Sequence[NewAttachment], call: Call, *, batch: str | None = None
    ) -> Sequence[AttachedFile]:
        """Of a store of the caller's. At once `in_progress`."""
        self._ingestion.check_room()
        attached = await self._files.attach(call.principal, store.id, new, batch=batch)
        await self._ingestion.begin(call, store, [file for file in attached if file.status == "in_progress"])
        return attached

    async def tell(self, store_id: str, document: str) -> None:
        """Tell the provider what has changed. Where it cannot be told now, it is told later: rows are what counts."""
        try:
            await carry_out(await self._changes.pending_of(store_id, document), self._indexes, self._changes)
        except LlamaStackError as error:
            log.warning("a change of %s in %s waits for its provider: %s", document, store_id, error)

    def _chunking(self, strategy: VectorStoreChunkingStrategy | None, embedding_model: str) -> dict[str, Any]:
        context_length = self._embeddings.context_length(embedding_model)
        chunking = chunking_of(strategy, context_length, self._config)
        ContextSettings.of(chunking)  # says now what is missing for it
        return chunking

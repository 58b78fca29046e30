"""Providers are told what happened to the chunks that they index, and told again until they have confirmed it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from llama_stack.rag.ports import Indexes
from llama_stack.storage.sql.knowledge.records import PendingChange
from llama_stack_api.ports.vector_io import Index


class Confirms(Protocol):
    """`storage.sql.knowledge.changes.StoreChanges`."""

    async def confirm(self, store_id: str, version: int) -> None: ...


async def carry_out(changes: Sequence[PendingChange], indexes: Indexes, table: Confirms) -> None:
    """In their order; the first that fails ends it, and the rest stays pending.

    A deletion must not be told after chunks of the same document that came later: whoever adds chunks to a document
    carries out what is pending of it first.
    """
    for change in changes:
        provider = indexes.index_of(change.provider)
        index = Index(change.index_id, change.embedding_dimension)
        if change.attributes is None:
            await provider.delete_document(index, change.document)
        else:
            await provider.set_attributes(index, change.document, change.attributes)
        await table.confirm(change.store, change.version)

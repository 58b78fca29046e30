"""Vector stores of the run config: there from the start, for everybody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from llama_stack.config.resources import VectorStoreEntry
from llama_stack.services.vector_stores.access import OWNER
from llama_stack.services.vector_stores.providers import VectorProviders
from llama_stack.storage.sql.knowledge.records import NewStore, StoreRecord
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound
from llama_stack_api.ports.vector_io import Index

_NOT_IN_AN_INDEX: Final = re.compile(r"[^A-Za-z0-9_]")


async def register_stores(
    entries: Sequence[VectorStoreEntry], stores: VectorStoreTable, providers: VectorProviders
) -> None:
    """Make those that are not there yet. `InvalidRequest` where one is there with another model or another provider:
    its vectors would be worth nothing."""
    for entry in entries:
        provider_id = providers.choose(entry.provider_id)
        store = await _made(entry, provider_id, stores)
        _check(entry, store, provider_id)
        await providers.index_of(provider_id).create_index(Index(store.index_id, store.embedding_dimension))


async def _made(entry: VectorStoreEntry, provider_id: str, stores: VectorStoreTable) -> StoreRecord:
    new = NewStore(
        id=entry.vector_store_id,
        name=entry.vector_store_name or entry.vector_store_id,
        provider=provider_id,
        index_id=_NOT_IN_AN_INDEX.sub("_", entry.provider_vector_store_id or entry.vector_store_id),
        embedding_model=entry.embedding_model,
        embedding_dimension=entry.embedding_dimension,
    )
    try:
        return await stores.get(OWNER, entry.vector_store_id)
    except NotFound:
        pass
    try:
        return await stores.create(OWNER, new)
    except Conflict:  # another process was faster
        return await stores.get(OWNER, entry.vector_store_id)


def _check(entry: VectorStoreEntry, store: StoreRecord, provider_id: str) -> None:
    wanted = (entry.embedding_model, entry.embedding_dimension, provider_id)
    there = (store.embedding_model, store.embedding_dimension, store.provider)
    if wanted != there:
        raise InvalidRequest(
            f"registered_resources.vector_stores[{entry.vector_store_id}] wants (model, dimension, provider) {wanted}, "
            f"and the store that is there has {there}; register it under another id."
        )

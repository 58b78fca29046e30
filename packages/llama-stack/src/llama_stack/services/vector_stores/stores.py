"""Vector stores: created, listed, changed, deleted."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from llama_stack.services.vector_stores.access import StoreAccess
from llama_stack.services.vector_stores.attaching import Attaching
from llama_stack.services.vector_stores.embedding import EmbeddingChoice
from llama_stack.services.vector_stores.providers import VectorProviders
from llama_stack.services.vector_stores.shown import shown_page, shown_store
from llama_stack.storage.sql.knowledge.records import NewStore
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.paging import EitherPageParams, Page
from llama_stack_api.ports.vector_io import Index
from llama_stack_api.principal import Call
from llama_stack_api.vector_io import (
    EMBEDDING_DIMENSION_MAX,
    OpenAIAttachFileRequest,
    OpenAICreateVectorStoreRequestWithExtraBody,
    OpenAIUpdateVectorStoreRequest,
    VectorStoreDeleteResponse,
    VectorStoreListResponse,
    VectorStoreObject,
)


class StoreMetrics(Protocol):
    def store_made(self, provider: str) -> None: ...


class VectorStores:
    """`removed` tells the upkeep that a store is to be taken down."""

    def __init__(
        self,
        access: StoreAccess,
        stores: VectorStoreTable,
        providers: VectorProviders,
        models: EmbeddingChoice,
        attaching: Attaching,
        metrics: StoreMetrics,
        removed: Callable[[], None],
    ) -> None:
        self._access = access
        self._stores = stores
        self._providers = providers
        self._models = models
        self._attaching = attaching
        self._metrics = metrics
        self._removed = removed

    async def create(self, request: OpenAICreateVectorStoreRequestWithExtraBody, call: Call) -> VectorStoreObject:
        """Everything is checked first, the files too; then the index, the row, and the files are made."""
        provider_id = self._providers.choose(request.provider_id or _said(request, "provider_id"))
        model, dimension = await self._models.choose(
            request.embedding_model or _said(request, "embedding_model"),
            request.embedding_dimension or _dimension_said(request),
            call,
        )
        wanted = [
            OpenAIAttachFileRequest(file_id=file_id, chunking_strategy=request.chunking_strategy)
            for file_id in request.file_ids or ()
        ]
        files = await self._attaching.prepared(call.principal, wanted, model, param="file_ids")
        new = NewStore(
            name=request.name,
            description=request.description,
            metadata=request.metadata or {},
            expires_after_days=request.expires_after.days if request.expires_after else None,
            provider=provider_id,
            embedding_model=model,
            embedding_dimension=dimension,
        )
        store = await self._stores.create(call.principal, new)
        try:
            await self._providers.index_of(provider_id).create_index(Index(store.index_id, dimension))
        except BaseException:
            await self._stores.delete(call.principal, store.id)
            raise
        self._metrics.store_made(provider_id)
        if files:
            await self._attaching.attach(store, files, call)
            store = await self._stores.get(call.principal, store.id)
        return shown_store(store)

    async def get(self, store_id: str, call: Call) -> VectorStoreObject:
        return shown_store(await self._stores.get(self._access.reader(call.principal, store_id), store_id))

    async def list(self, call: Call, page: EitherPageParams) -> Page[VectorStoreObject]:
        """The caller's own."""
        found = await self._stores.list(
            call.principal, after=page.after, before=page.before, limit=page.limit, order=page.order
        )
        return shown_page(found, shown_store, VectorStoreListResponse)

    async def update(self, store_id: str, request: OpenAIUpdateVectorStoreRequest, call: Call) -> VectorStoreObject:
        owner = self._access.writer(call.principal, store_id)
        await self._access.live(owner, store_id)
        changes: dict[str, Any] = {}
        if "name" in request.model_fields_set:
            changes["name"] = request.name
        if "metadata" in request.model_fields_set:
            changes["metadata"] = request.metadata or {}
        if "expires_after" in request.model_fields_set:
            changes["expires_after_days"] = request.expires_after.days if request.expires_after else None
        return shown_store(await self._stores.update(owner, store_id, changes=changes))

    async def delete(self, store_id: str, call: Call) -> VectorStoreDeleteResponse:
        """It is gone at once; its index and its rows go in the background."""
        self._access.refuse_registered(store_id)
        await self._stores.delete(call.principal, store_id)
        self._removed()
        return VectorStoreDeleteResponse(id=store_id)


def _said(request: OpenAICreateVectorStoreRequestWithExtraBody, name: str) -> str | None:
    """Clients that cannot send more than OpenAI's parameters say it in the metadata."""
    return (request.metadata or {}).get(name) or None


def _dimension_said(request: OpenAICreateVectorStoreRequestWithExtraBody) -> int | None:
    said = _said(request, "embedding_dimension")
    if said is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,4}", said) or int(said) > EMBEDDING_DIMENSION_MAX:
        raise InvalidRequest(
            f"embedding_dimension must be a whole number from 1 to {EMBEDDING_DIMENSION_MAX}.",
            param="metadata.embedding_dimension",
        )
    return int(said)

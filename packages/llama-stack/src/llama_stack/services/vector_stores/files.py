"""The files of a store, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_stack.services.vector_stores.access import StoreAccess
from llama_stack.services.vector_stores.attaching import Attaching
from llama_stack.services.vector_stores.shown import shown_file, shown_page
from llama_stack.storage.sql.knowledge.files import AttachedFileTable
from llama_stack.storage.sql.knowledge.records import FileStatus
from llama_stack_api.paging import EitherPageParams, Page
from llama_stack_api.principal import Call, Principal
from llama_stack_api.vector_io import (
    OpenAIAttachFileRequest,
    OpenAIUpdateVectorStoreFileRequest,
    VectorStoreFileDeleteResponse,
    VectorStoreFileObject,
    VectorStoreListFilesResponse,
)


class StoreFiles:
    def __init__(self, access: StoreAccess, files: AttachedFileTable, attaching: Attaching) -> None:
        self._access = access
        self._files = files
        self._attaching = attaching

    async def attach(self, store_id: str, request: OpenAIAttachFileRequest, call: Call) -> VectorStoreFileObject:
        owner = self._access.attacher(call.principal, store_id)
        store = await self._access.live(owner, store_id)
        new = await self._attaching.prepared(call.principal, [request], store.embedding_model, param="file_id")
        (file,) = await self._attaching.attach(store, new, call)
        return shown_file(file)

    async def get(self, store_id: str, file_id: str, call: Call) -> VectorStoreFileObject:
        return shown_file(await self._files.get(self._access.reader(call.principal, store_id), store_id, file_id))

    async def list(
        self,
        store_id: str,
        call: Call,
        page: EitherPageParams,
        *,
        batch: str | None = None,
        status: FileStatus | None = None,
    ) -> Page[VectorStoreFileObject]:
        """With `batch`, those of a batch alone."""
        found = await self._files.list(
            self._access.reader(call.principal, store_id),
            store_id,
            batch=batch,
            status=status,
            after=page.after,
            before=page.before,
            limit=page.limit,
            order=page.order,
        )
        return shown_page(found, shown_file, VectorStoreListFilesResponse)

    async def update(
        self, store_id: str, file_id: str, request: OpenAIUpdateVectorStoreFileRequest, call: Call
    ) -> VectorStoreFileObject:
        owner = self._access.writer(call.principal, store_id)
        await self._access.live(owner, store_id)
        attributes: Mapping[str, Any] = request.attributes or {}
        file = await self._files.set_attributes(owner, store_id, file_id, dict(attributes))
        await self._attaching.tell(store_id, file_id)
        return shown_file(file)

    async def detach(self, store_id: str, file_id: str, call: Call) -> VectorStoreFileDeleteResponse:
        """The file stays a file; its chunks are in no search that begins from now on."""
        owner = self._access.writer(call.principal, store_id)
        await self._files.detach(owner, store_id, file_id)
        await self._attaching.tell(store_id, file_id)
        return VectorStoreFileDeleteResponse(id=file_id)


class FileUses:
    """Where files are used: what the files service tells of a file that is deleted."""

    def __init__(self, files: AttachedFileTable, attaching: Attaching) -> None:
        self._files = files
        self._attaching = attaching

    async def forget(self, principal: Principal, file_id: str) -> None:
        """Its chunks are gone from all stores, at once."""
        for store_id in await self._files.detach_everywhere(principal.tenant, file_id):
            await self._attaching.tell(store_id, file_id)

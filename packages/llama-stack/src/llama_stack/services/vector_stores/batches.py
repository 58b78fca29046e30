"""Many files at once. The request is answered when their rows are written; the rest are runs, one a file."""

from __future__ import annotations

from llama_stack.services.vector_stores.access import StoreAccess
from llama_stack.services.vector_stores.attaching import Attaching
from llama_stack.services.vector_stores.files import StoreFiles
from llama_stack.services.vector_stores.shown import shown_batch
from llama_stack.storage.sql.knowledge.batches import FileBatchTable, new_batch_id
from llama_stack.storage.sql.knowledge.records import FileStatus
from llama_stack_api.paging import EitherPageParams, Page
from llama_stack_api.principal import Call
from llama_stack_api.vector_io import (
    OpenAIAttachFileRequest,
    OpenAICreateVectorStoreFileBatchRequestWithExtraBody,
    VectorStoreFileBatchObject,
    VectorStoreFileObject,
)


class FileBatches:
    def __init__(self, access: StoreAccess, batches: FileBatchTable, files: StoreFiles, attaching: Attaching) -> None:
        self._access = access
        self._batches = batches
        self._files = files
        self._attaching = attaching

    async def create(
        self, store_id: str, request: OpenAICreateVectorStoreFileBatchRequestWithExtraBody, call: Call
    ) -> VectorStoreFileBatchObject:
        owner = self._access.attacher(call.principal, store_id)
        store = await self._access.live(owner, store_id)
        param = "file_ids" if request.files is None else "files"
        new = await self._attaching.prepared(call.principal, _wanted(request), store.embedding_model, param=param)
        batch = new_batch_id()
        await self._attaching.attach(store, new, call, batch=batch)
        return shown_batch(await self._batches.get(owner, store_id, batch))

    async def get(self, store_id: str, batch_id: str, call: Call) -> VectorStoreFileBatchObject:
        owner = self._access.reader(call.principal, store_id)
        return shown_batch(await self._batches.get(owner, store_id, batch_id))

    async def list_files(
        self,
        store_id: str,
        batch_id: str,
        call: Call,
        page: EitherPageParams,
        *,
        status: FileStatus | None = None,
    ) -> Page[VectorStoreFileObject]:
        await self.get(store_id, batch_id, call)
        return await self._files.list(store_id, call, page, batch=batch_id, status=status)

    async def cancel(self, store_id: str, batch_id: str, call: Call) -> VectorStoreFileBatchObject:
        """Those in progress are cancelled; what is done stays."""
        owner = self._access.writer(call.principal, store_id)
        return shown_batch(await self._batches.cancel(owner, store_id, batch_id))


def _wanted(request: OpenAICreateVectorStoreFileBatchRequestWithExtraBody) -> list[OpenAIAttachFileRequest]:
    if request.files is not None:
        return request.files
    shared = {"attributes": request.attributes, "chunking_strategy": request.chunking_strategy}
    return [OpenAIAttachFileRequest(file_id=file_id, **shared) for file_id in request.file_ids or ()]

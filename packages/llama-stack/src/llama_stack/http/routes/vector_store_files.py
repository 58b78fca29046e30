"""The files of a vector store, one by one and in batches."""

import time
from enum import Enum
from typing import Annotated, Final, TypeAlias

from fastapi import FastAPI, Query, Response

from llama_stack.http.routes.parts import CallOf, Paged, shown
from llama_stack.http.routes.vector_stores import ONE
from llama_stack.services.vector_stores.batches import FileBatches
from llama_stack.services.vector_stores.content import CHUNKS_MAX, FileContent
from llama_stack.services.vector_stores.files import StoreFiles
from llama_stack_api.vector_io import (
    OpenAIAttachFileRequest,
    OpenAICreateVectorStoreFileBatchRequestWithExtraBody,
    OpenAIUpdateVectorStoreFileRequest,
    VectorStoreFileBatchObject,
    VectorStoreFileContentResponse,
    VectorStoreFileDeleteResponse,
    VectorStoreFileObject,
    VectorStoreFilesListInBatchResponse,
    VectorStoreFileStatus,
    VectorStoreListFilesResponse,
)

FILES = ONE + "/files"
FILE = FILES + "/{file_id}"
BATCHES = ONE + "/file_batches"
BATCH = BATCHES + "/{batch_id}"
TAGS: list[str | Enum] = ["Vector stores"]

POLL_AFTER: Final = "openai-poll-after-ms"
"""OpenAI's SDKs wait for so long before they ask again, where their user does not say how long; else for a second."""
POLL_MS_MIN: Final = 100
POLL_MS_MAX: Final = 2000

ByStatus: TypeAlias = Annotated[
    VectorStoreFileStatus | None, Query(alias="filter", description="Those of this status alone.")
]


def add_vector_store_file_routes(app: FastAPI, files: StoreFiles, content: FileContent, batches: FileBatches) -> None:
    _add_files(app, files, content)
    _add_batches(app, batches)


def _add_files(app: FastAPI, files: StoreFiles, content: FileContent) -> None:
    @app.post(FILES, tags=TAGS, summary="Attach a file, which is then ingested.", response_model=VectorStoreFileObject)
    async def attach_file(vector_store_id: str, body: OpenAIAttachFileRequest, call: CallOf) -> Response:
        return shown(await files.attach(vector_store_id, body, call))

    @app.get(FILES, tags=TAGS, summary="List the files of a vector store.", response_model=VectorStoreListFilesResponse)
    async def list_vector_store_files(
        vector_store_id: str, call: CallOf, page: Paged, status: ByStatus = None
    ) -> Response:
        return shown(await files.list(vector_store_id, call, page, status=status))

    @app.get(FILE, tags=TAGS, summary="Get a file of a vector store.", response_model=VectorStoreFileObject)
    async def get_vector_store_file(vector_store_id: str, file_id: str, call: CallOf) -> Response:
        return _polled(await files.get(vector_store_id, file_id, call))

    @app.post(FILE, tags=TAGS, summary="Change the attributes of a file.", response_model=VectorStoreFileObject)
    async def update_vector_store_file(
        vector_store_id: str, file_id: str, body: OpenAIUpdateVectorStoreFileRequest, call: CallOf
    ) -> Response:
        return shown(await files.update(vector_store_id, file_id, body, call))

    @app.delete(
        FILE,
        tags=TAGS,
        summary="Detach a file. It stays a file; its chunks are gone.",
        response_model=VectorStoreFileDeleteResponse,
    )
    async def detach_file(vector_store_id: str, file_id: str, call: CallOf) -> Response:
        return shown(await files.detach(vector_store_id, file_id, call))

    @app.get(
        FILE + "/content",
        tags=TAGS,
        summary="The text of a file, or its chunks.",
        response_model=VectorStoreFileContentResponse,
    )
    async def get_vector_store_file_content(
        vector_store_id: str,
        file_id: str,
        call: CallOf,
        include_embeddings: Annotated[bool, Query(description="A part for each chunk, with its embedding.")] = False,
        include_metadata: Annotated[bool, Query(description="A part for each chunk, with its place.")] = False,
        page: Annotated[str | None, Query(description="The next_page of the page before.")] = None,
        limit: Annotated[int | None, Query(ge=1, le=CHUNKS_MAX, description="Chunks of a page.")] = None,
    ) -> Response:
        found = await content.content(
            vector_store_id,
            file_id,
            call,
            embeddings=include_embeddings,
            metadata=include_metadata,
            page=page,
            limit=limit,
        )
        return shown(found)


def _add_batches(app: FastAPI, batches: FileBatches) -> None:
    @app.post(BATCHES, tags=TAGS, summary="Attach many files.", response_model=VectorStoreFileBatchObject)
    async def create_file_batch(
        vector_store_id: str, body: OpenAICreateVectorStoreFileBatchRequestWithExtraBody, call: CallOf
    ) -> Response:
        return shown(await batches.create(vector_store_id, body, call))

    @app.get(BATCH, tags=TAGS, summary="Get a file batch.", response_model=VectorStoreFileBatchObject)
    async def get_file_batch(vector_store_id: str, batch_id: str, call: CallOf) -> Response:
        return _polled(await batches.get(vector_store_id, batch_id, call))

    @app.post(
        BATCH + "/cancel",
        tags=TAGS,
        summary="Cancel those files of a batch that are in progress.",
        response_model=VectorStoreFileBatchObject,
    )
    async def cancel_file_batch(vector_store_id: str, batch_id: str, call: CallOf) -> Response:
        return shown(await batches.cancel(vector_store_id, batch_id, call))

    @app.get(
        BATCH + "/files",
        tags=TAGS,
        summary="List the files of a batch.",
        response_model=VectorStoreFilesListInBatchResponse,
    )
    async def list_files_in_batch(
        vector_store_id: str, batch_id: str, call: CallOf, page: Paged, status: ByStatus = None
    ) -> Response:
        return shown(await batches.list_files(vector_store_id, batch_id, call, page, status=status))


def _polled(reply: VectorStoreFileObject | VectorStoreFileBatchObject) -> Response:
    """What is in progress is asked for again after a tenth of the time that it has taken."""
    response = shown(reply)
    if reply.status == "in_progress":
        taken_ms = (time.time() - reply.created_at) * 1000
        response.headers[POLL_AFTER] = str(round(min(max(POLL_MS_MIN, taken_ms / 10), POLL_MS_MAX)))
    return response

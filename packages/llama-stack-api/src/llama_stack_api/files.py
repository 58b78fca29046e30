"""Uploaded files."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from llama_stack_api.base import DEPRECATED, UnixTime, WireModel
from llama_stack_api.paging import Order, Page

EXPIRES_AFTER_MIN_S = 3600
EXPIRES_AFTER_MAX_S = 30 * 24 * 3600
LIST_LIMIT_MAX = 10_000


class OpenAIFilePurpose(StrEnum):
    """The purposes that end in `_output` or `-results` are given to files that the server makes."""

    ASSISTANTS = "assistants"
    ASSISTANTS_OUTPUT = "assistants_output"
    BATCH = "batch"
    BATCH_OUTPUT = "batch_output"
    EVALS = "evals"
    FINE_TUNE = "fine-tune"
    FINE_TUNE_RESULTS = "fine-tune-results"
    USER_DATA = "user_data"
    VISION = "vision"


class ExpiresAfter(WireModel):
    """`seconds` after the creation: an hour to 30 days."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(ge=EXPIRES_AFTER_MIN_S, le=EXPIRES_AFTER_MAX_S)


class OpenAIFileObject(WireModel):
    """`bytes` is the size. `expires_at` is absent where the file is kept until it is deleted."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: UnixTime
    expires_at: UnixTime | None = None
    filename: str
    purpose: OpenAIFilePurpose
    status: Literal["uploaded", "processed", "error"] = Field(default="processed", json_schema_extra=DEPRECATED)
    status_details: str | None = Field(default=None, json_schema_extra=DEPRECATED)


class ListOpenAIFileResponse(Page[OpenAIFileObject]):
    pass


class OpenAIFileDeleteResponse(WireModel):
    id: str
    object: Literal["file"] = "file"
    deleted: bool


class UploadFileRequest(WireModel):
    """What comes beside the file in a form; `expires_after` as `expires_after[anchor]` and `expires_after[seconds]`."""

    purpose: OpenAIFilePurpose
    expires_after: ExpiresAfter | None = None


class ListFilesRequest(WireModel):
    after: str | None = None
    limit: int | None = Field(default=LIST_LIMIT_MAX, ge=1, le=LIST_LIMIT_MAX)
    order: Order | None = "desc"
    purpose: OpenAIFilePurpose | None = None


class RetrieveFileRequest(WireModel):
    file_id: str


class RetrieveFileContentRequest(WireModel):
    file_id: str


class DeleteFileRequest(WireModel):
    file_id: str


@runtime_checkable
class Files(Protocol):
    """The files API as version 0.7 knew it. `file` has `filename` and an async `read()`."""

    async def openai_upload_file(self, request: UploadFileRequest, file: Any) -> OpenAIFileObject: ...

    async def openai_list_files(self, request: ListFilesRequest) -> ListOpenAIFileResponse: ...

    async def openai_retrieve_file(self, request: RetrieveFileRequest) -> OpenAIFileObject: ...

    async def openai_delete_file(self, request: DeleteFileRequest) -> OpenAIFileDeleteResponse: ...

    async def openai_retrieve_file_content(self, request: RetrieveFileContentRequest) -> Any:
        """A reply whose body is the file."""
        ...

"""Files that come in parts: an upload is announced, gets its parts in any order, and becomes a file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from llama_stack_api.base import Integer, UnixTime, WireModel
from llama_stack_api.files import ExpiresAfter, OpenAIFileObject, OpenAIFilePurpose


class CreateUploadRequest(WireModel):
    """`bytes` is the size that the parts will have together."""

    filename: str
    purpose: OpenAIFilePurpose
    bytes: Integer = Field(ge=0)
    mime_type: str
    expires_after: ExpiresAfter | None = None


class Upload(WireModel):
    """`file` is there once the upload is `completed`."""

    id: str
    object: Literal["upload"] = "upload"
    created_at: UnixTime
    expires_at: UnixTime
    filename: str
    purpose: OpenAIFilePurpose
    bytes: int
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: OpenAIFileObject | None = None


class UploadPart(WireModel):
    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: UnixTime
    upload_id: str


class CompleteUploadRequest(WireModel):
    """`part_ids` in the order of the file. `md5`, in hexadecimal, is compared with that of the whole."""

    part_ids: list[str]
    md5: str | None = None

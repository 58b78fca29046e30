import time
import uuid
from pathlib import Path
from typing import Any

from llama_stack_api import (
    DeleteFileRequest,
    OpenAIFileDeleteResponse,
    OpenAIFileObject,
    RetrieveFileContentRequest,
    UploadFileRequest,
)
from llama_stack_api.common.errors import OpenAIFileObjectNotFoundError
from llama_stack_provider_former.config import FilesConfig


class Content:
    def __init__(self, body: bytes) -> None:
        self.body = body


class FormerFiles:
    def __init__(self, config: FilesConfig) -> None:
        self.directory = Path(config.storage_dir)
        self.directory.mkdir(parents=True, exist_ok=True)

    async def openai_upload_file(self, request: UploadFileRequest, file: Any) -> OpenAIFileObject:
        content = await file.read()
        file_id = f"file-{uuid.uuid4().hex}"
        (self.directory / file_id).write_bytes(content)
        return OpenAIFileObject(
            id=file_id, bytes=len(content), created_at=int(time.time()), filename=file.filename, purpose=request.purpose
        )

    async def openai_retrieve_file_content(self, request: RetrieveFileContentRequest) -> Content:
        return Content(self._path(request.file_id).read_bytes())

    async def openai_delete_file(self, request: DeleteFileRequest) -> OpenAIFileDeleteResponse:
        self._path(request.file_id).unlink()
        return OpenAIFileDeleteResponse(id=request.file_id, deleted=True)

    def _path(self, file_id: str) -> Path:
        path = self.directory / file_id
        if not path.is_file():
            raise OpenAIFileObjectNotFoundError(file_id)
        return path


def get_provider_impl(config: FilesConfig, deps: dict[Any, Any]) -> FormerFiles:
    return FormerFiles(config)

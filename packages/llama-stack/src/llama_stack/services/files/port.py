"""Files for those inside the server who work with them: the agent, which takes them whole, and ingestion, which wants
them on the local disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from llama_stack.agent.attachments import FileContent
from llama_stack.config.responses import AttachmentLimits, setting
from llama_stack.services.files.service import FileService, StoredFile
from llama_stack.services.files.spool import Spool
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.ports.file_processors import SourceFile
from llama_stack_api.principal import Call, Principal


class AttachedFiles:
    """`agent.attachments.FilePort`."""

    def __init__(self, files: FileService, limits: AttachmentLimits) -> None:
        self._files = files
        self._bytes_max = max(limits.file_bytes_max, limits.image_bytes_max)

    async def content(self, principal: Principal, file_id: str) -> FileContent:
        file = await self._files.open(file_id, Call(principal=principal))
        if file.size > self._bytes_max:
            raise InvalidRequest(
                f"The file '{file.id}' has {file.size} bytes, too many for the input of a model: the limit is "
                f"{self._bytes_max}; {setting('attachments.file_bytes_max')} raises it.",
                code="invalid_prompt",
                param="input",
            )
        async with aclosing(file.read(0, file.size)) as pieces:
            return FileContent(b"".join([piece async for piece in pieces]), file.filename, file.content_type)


class LocalFiles:
    """`rag.ports.FileContents`."""

    def __init__(self, files: FileService, spool: Spool) -> None:
        self._files = files
        self._spool = spool

    async def open_local(self, principal: Principal, file_id: str) -> AbstractAsyncContextManager[SourceFile]:
        """The file on the local disk, as long as the context is open. `NotFound` if it is not the principal's."""
        return self._copied(await self._files.open(file_id, Call(principal=principal)))

    @asynccontextmanager
    async def _copied(self, file: StoredFile) -> AsyncIterator[SourceFile]:
        async with aclosing(file.read(0, file.size)) as pieces, self._spool.copy(pieces) as path:
            yield SourceFile(path, file.filename, file.content_type)

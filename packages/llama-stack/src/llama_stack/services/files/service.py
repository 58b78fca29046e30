"""Files of their owners: uploaded, listed, read, deleted."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Protocol

from llama_stack.config.files import FilesConfig, setting
from llama_stack.services.files.contents import Contents
from llama_stack.services.files.names import checked_name, media_type
from llama_stack.services.pages import list_json
from llama_stack.storage.sql.blobs import Blob
from llama_stack.storage.sql.files import FileRecord, FileTable
from llama_stack_api.errors import PayloadTooLarge
from llama_stack_api.files import (
    LIST_LIMIT_MAX,
    ExpiresAfter,
    ListFilesRequest,
    OpenAIFileDeleteResponse,
    OpenAIFileObject,
    OpenAIFilePurpose,
)
from llama_stack_api.ports.files import KeptContent
from llama_stack_api.principal import Call, Principal


class FileUses(Protocol):
    """Whoever uses files beyond their deletion."""

    async def forget(self, principal: Principal, file_id: str) -> None:
        """The principal's file is about to be deleted, or was: nothing of it may be found when this returns."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """A file whose content is there, and which nobody can see yet."""

    blob: str
    content: KeptContent
    filename: str
    content_type: str
    purpose: OpenAIFilePurpose


@dataclass(frozen=True, slots=True)
class StoredFile:
    """`sha256`, in hexadecimal, and `size`, in bytes, are those of the content; `read(start, end)` gives its bytes from
    `start` up to, without, `end`."""

    id: str
    filename: str
    content_type: str
    size: int
    sha256: str
    read: Callable[[int, int], AsyncGenerator[bytes, None]]


class FileService:
    """`uses` are told of each deletion before it happens, and again afterwards."""

    def __init__(
        self, files: FileTable, contents: Contents, limits: FilesConfig, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._files = files
        self._contents = contents
        self._clock = clock
        self.limits = limits
        self.uses: list[FileUses] = []

    @asynccontextmanager
    async def draft(
        self, body: AsyncIterator[bytes], call: Call, *, filename: str, content_type: str, purpose: OpenAIFilePurpose
    ) -> AsyncIterator[Draft]:
        """Write the content of a file; `add` makes a file of it within the block. Without that nothing is left."""
        name = checked_name(filename, self.limits, param="file")
        kind = media_type(content_type, name)
        await self._files.check_room(call.principal, 0)
        bounded = within(body, self.limits.bytes_max, self.too_large())
        async with self._contents.written(bounded, call, filename=name, content_type=kind, purpose=purpose) as (
            blob,
            content,
        ):
            yield Draft(blob, content, name, kind, purpose)

    async def add(
        self, draft: Draft, expires_after: ExpiresAfter | None, call: Call, *, file_id: str | None = None
    ) -> OpenAIFileObject:
        """`file_id`: unguessable, for whoever must find the file again; `Conflict` if there is one of that id."""
        expires_after_s = expires_after.seconds if expires_after is not None else None
        file = self.record(draft, call.principal, expires_after_s)
        if file_id is not None:
            file = replace(file, id=file_id)
        await self._files.add(file, draft.content)
        return shown(file)

    async def list_json(self, params: ListFilesRequest, call: Call) -> bytes:
        page = await self._files.list(
            call.principal,
            after=params.after,
            limit=params.limit or LIST_LIMIT_MAX,
            order=params.order or "desc",
            purpose=params.purpose,
        )
        data = [shown(file).model_dump(mode="json", exclude_none=True) for file in page.items]
        return list_json(data, [file.id for file in page.items], more=page.has_more)

    async def get(self, file_id: str, call: Call) -> OpenAIFileObject:
        return shown(await self._files.get(call.principal, file_id))

    async def filenames(self, principal: Principal, file_ids: Sequence[str]) -> dict[str, str]:
        """By id, of those that are there and the principal's."""
        return await self._files.filenames(principal, file_ids)

    async def open(self, file_id: str, call: Call) -> StoredFile:
        """`NotFound` of a file that is not the caller's; whether its content can be had, its reader finds."""
        file, blob = await self._files.content(call.principal, file_id)

        def read(start: int, end: int) -> AsyncGenerator[bytes, None]:
            return self._contents.read(blob, call, start=start, end=end)

        return StoredFile(file.id, file.filename, file.content_type, blob.bytes, blob.sha256 or "", read)

    async def delete(self, file_id: str, call: Call) -> OpenAIFileDeleteResponse:
        await self._files.get(call.principal, file_id)
        await self._contents.erase([await self._forgotten(call.principal, file_id)], call)
        return OpenAIFileDeleteResponse(id=file_id, deleted=True)

    async def remove_expired(self, limit: int, call: Call) -> int:
        """Of anybody; how many there were."""
        files = await self._files.expired(limit)
        dropped = [await self._forgotten(Principal(file.owner, file.tenant), file.id) for file in files]
        await self._contents.erase(dropped, call)
        return len(dropped)

    def record(self, draft: Draft, owner: Principal, expires_after_s: int | None) -> FileRecord:
        """The row of a new file."""
        if expires_after_s is None and draft.purpose == OpenAIFilePurpose.BATCH:
            expires_after_s = self.limits.batch_files_expire_after_s
        now = self._clock()
        return FileRecord(
            id=f"file-{token_hex(16)}",
            tenant=owner.tenant,
            owner=owner.id,
            created_at=now,
            expires_at=None if expires_after_s is None else now + expires_after_s,
            filename=draft.filename,
            purpose=draft.purpose.value,
            content_type=draft.content_type,
            bytes=draft.content.size,
            blob=draft.blob,
        )

    def too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"The file is larger than {self.limits.bytes_max} bytes; {setting('bytes_max')} raises that limit. Larger "
            "files can be sent in parts, by /v1/uploads.",
            param="file",
        )

    async def _forgotten(self, principal: Principal, file_id: str) -> Blob:
        """Told twice: what began to use the file after the first time may have found it still there."""
        await self._forget(principal, file_id)
        dropped = await self._files.delete(principal, file_id)
        await self._forget(principal, file_id)
        return dropped

    async def _forget(self, principal: Principal, file_id: str) -> None:
        for use in self.uses:
            await use.forget(principal, file_id)


def shown(file: FileRecord) -> OpenAIFileObject:
    return OpenAIFileObject(
        id=file.id,
        bytes=file.bytes,
        created_at=int(file.created_at),
        expires_at=None if file.expires_at is None else int(file.expires_at),
        filename=file.filename,
        purpose=OpenAIFilePurpose(file.purpose),
    )


async def within(body: AsyncIterator[bytes], bytes_max: int, too_large: PayloadTooLarge) -> AsyncIterator[bytes]:
    """`body`, or `too_large` as soon as it has more than `bytes_max` bytes."""
    size = 0
    async for piece in body:
        size += len(piece)
        if size > bytes_max:
            raise too_large
        yield piece

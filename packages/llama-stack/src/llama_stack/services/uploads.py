"""Uploads: files that come in parts, in any order and several at a time, and are one file once they are completed."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex

from llama_stack.config.files import FilesConfig, setting
from llama_stack.services.files.contents import Contents
from llama_stack.services.files.names import checked_name, checked_purpose, media_type
from llama_stack.services.files.service import Draft, FileService, within
from llama_stack.storage.sql.blobs import Blob
from llama_stack.storage.sql.files import FileTable
from llama_stack.storage.sql.uploads import COMPLETED, PENDING, PartRecord, UploadRecord, UploadTable
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge
from llama_stack_api.files import OpenAIFileObject, OpenAIFilePurpose
from llama_stack_api.openai.uploads import CompleteUploadRequest, CreateUploadRequest, Upload, UploadPart
from llama_stack_api.ports.files import KeptContent
from llama_stack_api.principal import Call

_MD5 = re.compile(r"[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True)
class NewPart:
    """A part whose content is there, and which the upload does not have yet."""

    part: PartRecord
    content: KeptContent


class UploadService:
    def __init__(
        self,
        uploads: UploadTable,
        table: FileTable,
        files: FileService,
        contents: Contents,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._uploads = uploads
        self._table = table
        self._files = files
        self._contents = contents
        self._clock = clock
        self._completing: set[str] = set()
        self.limits: FilesConfig = files.limits

    async def create(self, request: CreateUploadRequest, call: Call) -> Upload:
        name = checked_name(request.filename, self.limits, param="filename")
        if request.bytes > self.limits.upload_bytes_max:
            raise InvalidRequest(
                f"An upload has at most {self.limits.upload_bytes_max} bytes; {setting('upload_bytes_max')} raises "
                "that limit.",
                param="bytes",
                code="invalid_value",
            )
        purpose = checked_purpose(request.purpose)
        await self._table.check_room(call.principal, request.bytes)
        now = self._clock()
        upload = UploadRecord(
            id=f"upload_{token_hex(16)}",
            tenant=call.principal.tenant,
            owner=call.principal.id,
            created_at=now,
            expires_at=now + self.limits.uploads_expire_after_s,
            filename=name,
            purpose=purpose.value,
            mime_type=media_type(request.mime_type, name),
            bytes=request.bytes,
            file_expires_after_s=request.expires_after.seconds if request.expires_after else None,
        )
        await self._uploads.create(upload)
        return _shown(upload)

    @asynccontextmanager
    async def part(self, upload_id: str, body: AsyncIterator[bytes], call: Call) -> AsyncIterator[NewPart]:
        """Write the content of a part; `add_part` adds it within the block. Without that nothing is left."""
        upload = await self._uploads.get(call.principal, upload_id)
        _check_pending(upload)
        bounded = within(body, self.limits.part_bytes_max, self.part_too_large())
        async with self._contents.written(
            bounded, call, filename=upload.filename, content_type=upload.mime_type, purpose=upload.purpose
        ) as (
            blob,
            content,
        ):
            part = PartRecord(f"part_{token_hex(16)}", upload.id, self._clock(), content.size, blob)
            yield NewPart(part, content)

    async def add_part(self, new: NewPart, call: Call) -> UploadPart:
        part = new.part
        await self._uploads.add_part(call.principal, part, new.content)
        return UploadPart(id=part.id, created_at=int(part.created_at), upload_id=part.upload)

    async def complete(self, upload_id: str, request: CompleteUploadRequest, call: Call) -> Upload:
        """The upload with its file. Again, it is the same; after a crash in the middle it begins anew."""
        upload = await self._uploads.get(call.principal, upload_id)
        if upload.status == COMPLETED:
            return _shown(upload, await self._file_of(upload, call))
        _check_pending(upload)
        parts = _in_order(request.part_ids, await self._uploads.parts(upload.id), upload.bytes)
        if request.md5 is not None and not _MD5.fullmatch(request.md5):
            raise InvalidRequest("An md5 has 32 hexadecimal digits.", param="md5", code="invalid_value")
        if upload.id in self._completing:
            raise Conflict("The upload is being completed by another request.", param="upload_id")
        self._completing.add(upload.id)
        try:
            return await self._assemble(upload, parts, request.md5, call)
        finally:
            self._completing.discard(upload.id)

    async def cancel(self, upload_id: str, call: Call) -> Upload:
        cancelled = await self._uploads.cancel(call.principal, upload_id)
        if cancelled is None:
            upload = await self._uploads.get(call.principal, upload_id)
            _check_pending(upload)
            raise Conflict("The upload changed meanwhile; ask again.", param="upload_id")
        upload, dropped = cancelled
        await self._contents.erase(dropped, call)
        return _shown(upload)

    def part_too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"The part is larger than {self.limits.part_bytes_max} bytes; {setting('part_bytes_max')} raises that "
            "limit.",
            param="data",
        )

    async def _assemble(self, upload: UploadRecord, parts: Sequence[Blob], md5: str | None, call: Call) -> Upload:
        digest = hashlib.md5(usedforsecurity=False)
        purpose = OpenAIFilePurpose(upload.purpose)
        body = self._joined(parts, digest.update if md5 is not None else None, call)
        async with self._contents.written(
            body, call, filename=upload.filename, content_type=upload.mime_type, purpose=purpose, size=upload.bytes
        ) as (
            blob,
            content,
        ):
            if md5 is not None and digest.hexdigest() != md5.lower():
                raise InvalidRequest(
                    f"The parts in this order have the md5 {digest.hexdigest()}, not {md5}.",
                    param="md5",
                    code="checksum_mismatch",
                )
            draft = Draft(blob, content, upload.filename, upload.mime_type, purpose)
            file = self._files.record(draft, call.principal, upload.file_expires_after_s)
            dropped = await self._uploads.complete(call.principal, upload.id, file, content)
            if dropped is None:
                await self._explain(upload, call)
        await self._contents.erase(dropped or (), call)
        done = await self._uploads.get(call.principal, upload.id)
        return _shown(done, await self._file_of(done, call))

    async def _explain(self, upload: UploadRecord, call: Call) -> None:
        """Why it was not completed, as an error."""
        now = await self._uploads.get(call.principal, upload.id)
        _check_pending(now)
        await self._table.check_room(call.principal, 0)
        raise Conflict("The upload took so long to complete that the server gave it up; ask again.")

    async def _joined(
        self, parts: Sequence[Blob], seen: Callable[[bytes], None] | None, call: Call
    ) -> AsyncIterator[bytes]:
        for part in parts:
            async with aclosing(self._contents.read(part, call)) as pieces:
                async for piece in pieces:
                    if seen is not None:
                        await asyncio.to_thread(seen, piece)
                    yield piece

    async def _file_of(self, upload: UploadRecord, call: Call) -> OpenAIFileObject | None:
        """None where it was deleted since."""
        if upload.file is None:
            return None
        try:
            return await self._files.get(upload.file, call)
        except NotFound:
            return None


def _check_pending(upload: UploadRecord) -> None:
    if upload.status != PENDING:
        raise InvalidRequest(
            f"The upload is {upload.status}; only a pending one can be changed.",
            param="upload_id",
            code="invalid_value",
        )


def _in_order(part_ids: Sequence[str], parts: dict[str, Blob], size: int) -> list[Blob]:
    if len(set(part_ids)) < len(part_ids):
        raise InvalidRequest("A part is named twice.", param="part_ids", code="invalid_value")
    if unknown := [part for part in part_ids if part not in parts]:
        raise InvalidRequest(f"The upload has no part {unknown[0][:100]!r}.", param="part_ids", code="invalid_value")
    ordered = [parts[part] for part in part_ids]
    held = sum(part.bytes for part in ordered)
    if held != size:
        raise InvalidRequest(
            f"The parts have {held} bytes together, and the upload was announced with {size}.",
            param="part_ids",
            code="invalid_value",
        )
    return ordered


def _shown(upload: UploadRecord, file: OpenAIFileObject | None = None) -> Upload:
    return Upload.model_validate(
        {
            "id": upload.id,
            "created_at": int(upload.created_at),
            "expires_at": int(upload.expires_at),
            "filename": upload.filename,
            "purpose": upload.purpose,
            "bytes": upload.bytes,
            "status": upload.status,
            "file": file,
        }
    )

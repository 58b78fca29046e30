"""Files: a provider that kept whole files with their names and owners keeps contents alone here."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from typing import Any, Final

from llama_stack.routing.legacy.calls import has
from llama_stack_api.errors import NotFound, PayloadTooLarge, ProviderError
from llama_stack_api.files import DeleteFileRequest, OpenAIFilePurpose, RetrieveFileContentRequest, UploadFileRequest
from llama_stack_api.ports.files import KeptContent, NewContent
from llama_stack_api.principal import Call

Method = Callable[..., Any]
BYTES_MAX: Final = 100 * 1024 * 1024
PIECE_BYTES: Final = 1024 * 1024
_NEEDED = ("openai_upload_file", "openai_retrieve_file_content", "openai_delete_file")
_PURPOSES: Final = frozenset(each.value for each in OpenAIFilePurpose)


def file_methods(impl: Any, without_call: Callable[[Method], Method]) -> Iterator[tuple[str, Method]]:
    if all(has(impl, name) for name in _NEEDED):
        adapter = _Files(impl, without_call)
        yield "write_content", adapter.write_content
        yield "read_content", adapter.read_content
        yield "delete_content", adapter.delete_content


class Upload:
    """A file as version 0.7 handed it to a provider: with the name and the reading of FastAPI's `UploadFile`."""

    def __init__(self, content: bytes, filename: str, content_type: str) -> None:
        self.file = BytesIO(content)
        self.filename = filename
        self.content_type = content_type
        self.size = len(content)

    async def read(self, size: int = -1) -> bytes:
        return self.file.read(size)

    async def seek(self, offset: int) -> None:
        self.file.seek(offset)

    async def close(self) -> None:
        self.file.close()


class _Files:
    """Such a provider takes and gives files as a whole, so they are in memory on the way: `BYTES_MAX` at most."""

    def __init__(self, impl: Any, without_call: Callable[[Method], Method]) -> None:
        self._upload = without_call(impl.openai_upload_file)
        self._content = without_call(impl.openai_retrieve_file_content)
        self._delete = without_call(impl.openai_delete_file)

    async def write_content(self, content: NewContent, body: AsyncIterator[bytes], call: Call) -> KeptContent:
        pieces, size = [], 0
        async for piece in body:
            size += len(piece)
            if size > BYTES_MAX:
                raise PayloadTooLarge(f"This files provider takes files of at most {BYTES_MAX} bytes.")
            pieces.append(piece)
        whole = b"".join(pieces)
        purpose = content.purpose if content.purpose in _PURPOSES else OpenAIFilePurpose.USER_DATA
        # Under its id, not its name: the provider may make a path of it.
        file = Upload(whole, content.id, content.content_type)
        kept = await self._upload(UploadFileRequest(purpose=OpenAIFilePurpose(purpose)), file, call)
        return KeptContent(key=kept.id, size=size, sha256=hashlib.sha256(whole).hexdigest())

    async def read_content(
        self, key: str, call: Call, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        try:
            said = await self._content(RetrieveFileContentRequest(file_id=key), call)
        except (KeyError, FileNotFoundError) as error:
            raise NotFound("The content is not there.") from error
        whole = await _body(said)
        wanted = whole[start : len(whole) if end is None else end]
        for place in range(0, len(wanted), PIECE_BYTES):
            yield wanted[place : place + PIECE_BYTES]

    async def delete_content(self, key: str, call: Call) -> None:
        try:
            await self._delete(DeleteFileRequest(file_id=key), call)
        except (NotFound, KeyError, FileNotFoundError):
            return  # it is gone already


async def _body(said: Any) -> bytes:
    """Of a Starlette response, streamed or not, or the bytes themselves."""
    if isinstance(said, bytes):
        return said
    if isinstance(getattr(said, "body", None), bytes):
        return bytes(said.body)
    if not hasattr(said, "body_iterator"):
        raise ProviderError(f"The provider answered with a {type(said).__name__}, which has no body.")
    pieces = [piece if isinstance(piece, bytes) else str(piece).encode() async for piece in said.body_iterator]
    return b"".join(pieces)

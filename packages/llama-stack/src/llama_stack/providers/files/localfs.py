"""Contents in a directory of this machine, or of a volume that several machines mount."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from llama_stack.providers._shared.content_directory import (
    PIECE_BYTES,
    ContentDirectory,
    ContentReader,
    ContentWriter,
)
from llama_stack.providers._shared.health import health_of
from llama_stack.providers._shared.pieces import pieces_ahead
from llama_stack.providers._shared.threads import Threads
from llama_stack_api.api import Api
from llama_stack_api.errors import LlamaStackError, NotFound, Overloaded, ProviderError
from llama_stack_api.ports.files import KeptContent, NewContent
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthResponse, ProviderContext, provider

P = ParamSpec("P")
R = TypeVar("R")

THREADS_MAX = 8
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalFsConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True)

    storage_dir: Path | None = None
    """The directory of the contents, made when needed. None: one in the server's own state directory. Several servers
    may share it."""
    metadata_store: Any = None
    """No effect, kept for compatibility: what is known of a file is in the server's SQL store."""
    ttl_secs: int = Field(default=365 * 24 * 3600, ge=1)
    """No effect, kept for compatibility: a file expires when its upload's `expires_after` says so, otherwise never."""

    @field_validator("storage_dir", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return value or None


@provider(
    api=Api.files,
    type="inline::localfs",
    description="Files in a directory: written whole or not at all, equal contents of a tenant kept once.",
    config=LocalFsConfig,
    sample={"storage_dir": "${env.FILES_STORAGE_DIR:=}"},
)
class LocalFs:
    def __init__(self, config: LocalFsConfig, context: ProviderContext) -> None:
        self._name = context.provider_id
        self._directory = ContentDirectory((config.storage_dir or context.state_dir / "contents").expanduser())
        self._threads = Threads(f"files-{context.provider_id}", threads_max=THREADS_MAX)

    async def open(self) -> None:
        self._threads.open()
        try:
            await self._threads.run(self._directory.open)
        except BaseException as error:
            await self._threads.close()
            if isinstance(error, OSError):
                raise ProviderError(
                    f"storage_dir '{self._directory.root}' cannot be used: {_words(error)}. Give the server a "
                    "directory that it may write to."
                ) from None
            raise

    async def close(self) -> None:
        await self._threads.close()

    async def health(self) -> HealthResponse:
        return await health_of(self._check_room())

    async def _check_room(self) -> None:
        try:
            space = await self._threads.run_detached(partial(os.statvfs, self._directory.unfinished))
        except OSError as error:
            raise ProviderError(f"storage_dir cannot be used: {_words(error)}") from None
        if not space.f_bavail:
            raise ProviderError("the volume of storage_dir is full")

    async def write_content(self, content: NewContent, body: AsyncIterator[bytes], call: Call) -> KeptContent:
        writer = ContentWriter(self._directory, content.tenant, content.id)
        try:
            await self._tried(writer.open)
            async with aclosing(pieces_ahead(body, PIECE_BYTES)) as pieces:
                async for piece in pieces:
                    await self._tried(writer.write, piece)
            key = await self._tried(writer.publish)
            writer.keep()
        finally:
            await self._tried(writer.close)
        return KeptContent(key=key, size=writer.size, sha256=writer.sha256)

    async def read_content(
        self, key: str, call: Call, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        reader = ContentReader(self._directory.path_of(key))
        try:
            size = await self._tried(reader.open)
            if size is None:
                raise NotFound(f"Provider '{self._name}' does not have the content of this file.")
            end = size if end is None else min(end, size)
            while start < end:
                piece = await self._tried(reader.read, start, min(PIECE_BYTES, end - start))
                if not piece:
                    raise ProviderError(f"Provider '{self._name}': the file became shorter while it was read.")
                start += len(piece)
                yield piece
        finally:
            await self._threads.run(reader.close)

    async def delete_content(self, key: str, call: Call) -> None:
        await self._tried(self._directory.delete, key)

    async def discard_content(self, tenant: str, content_id: str, call: Call) -> None:
        await self._tried(self._directory.discard, tenant, content_id)

    async def _tried(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """In a thread, with what the file system refuses as an error of ours."""
        try:
            return await self._threads.run(function, *args, **kwargs)
        except OSError as error:
            raise self._refused(error) from None

    def _refused(self, error: OSError) -> LlamaStackError:
        if error.errno in _FULL:
            return Overloaded(
                f"The storage of provider '{self._name}' is full ({_words(error)}). Free space on the volume of its "
                "storage_dir, or configure another.",
                code="storage_full",
            )
        return ProviderError(f"Provider '{self._name}' cannot use its storage_dir: {_words(error)}.")


def _words(error: OSError) -> str:
    """Why, without the path."""
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__

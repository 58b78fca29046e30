"""Contents at their providers: written so that a crash at any point leaves nothing that the sweep does not find."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from secrets import token_hex

from llama_stack.storage.sql.blobs import Blob, BlobTable
from llama_stack_api.errors import LlamaStackError, NotFound, NotImplementedByProvider, ProviderError
from llama_stack_api.ports.files import DiscardsUnfinished, KeepsContent, KeptContent, NewContent
from llama_stack_api.principal import Call

SIGN_OF_LIFE_EVERY_S = 30.0
ERASED_AT_ONCE_MAX = 8


class Contents:
    """`providers` are the open ones by id; new contents go to the first, each is read from the one that has it."""

    def __init__(self, providers: Mapping[str, KeepsContent], blobs: BlobTable) -> None:
        self._providers = providers
        self._blobs = blobs

    @asynccontextmanager
    async def written(
        self,
        body: AsyncIterator[bytes],
        call: Call,
        *,
        filename: str,
        content_type: str,
        purpose: str,
        size: int | None = None,
    ) -> AsyncIterator[tuple[str, KeptContent]]:
        """The id of a content and what its provider says of it, once all of `body` is there. It is for the block to
        commit the row that refers to it; where the block or the writing fails, the content goes again."""
        name, provider = self._first()
        blob_id = f"blob-{token_hex(16)}"
        tenant = call.principal.tenant
        content = NewContent(blob_id, tenant, filename, purpose, content_type, size)
        await self._blobs.begin(blob_id, tenant, name)
        key: str | None = None
        try:
            async with aclosing(self._with_signs_of_life(blob_id, body)) as living:
                kept = await provider.write_content(content, living, call)
            key = kept.key
            yield blob_id, kept
        except BaseException:
            with suppress(LlamaStackError):  # then the sweep does it
                await self._give_up(Blob(blob_id, tenant, name, key, 0, None), call)
            raise

    async def read(
        self, blob: Blob, call: Call, *, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to, without, `end`."""
        provider = self._providers.get(blob.provider)
        if provider is None or blob.key is None:
            raise ProviderError(
                f"The content is kept by the files provider '{blob.provider}', which is not open; "
                f"GET /v1/providers/{blob.provider} says why."
            )
        pieces = provider.read_content(blob.key, call, start=start, end=end)
        try:
            async for piece in pieces:
                yield piece
        except NotFound as error:
            raise ProviderError(f"The content of the file is gone: {error.message}") from error
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()

    async def erase(self, blobs: Sequence[Blob], call: Call) -> int:
        """Remove the bytes of dropped contents; how many could be. The others are tried again by the sweep."""
        free = asyncio.Semaphore(ERASED_AT_ONCE_MAX)

        async def one(blob: Blob) -> bool:
            async with free:
                return await self._erase(blob, call)

        return sum(await asyncio.gather(*map(one, blobs)))

    async def _erase(self, blob: Blob, call: Call) -> bool:
        provider = self._providers.get(blob.provider)
        if provider is None:
            return False
        try:
            if blob.key is not None:
                await provider.delete_content(blob.key, call)
            elif isinstance(provider, DiscardsUnfinished):
                await provider.discard_content(blob.tenant, blob.id, call)
            await self._blobs.forget(blob.id)
        except Exception as error:  # noqa: BLE001 - a provider's own code; the sweep tries again
            logging.getLogger(__name__).warning("the content %s could not be removed: %s", blob.id, error)
            return False
        return True

    async def _give_up(self, blob: Blob, call: Call) -> None:
        if await self._blobs.abandon(blob.id, blob.key):
            await self._erase(blob, call)

    async def _with_signs_of_life(self, blob_id: str, body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        due = loop.time() + SIGN_OF_LIFE_EVERY_S
        async for piece in body:
            yield piece
            if loop.time() >= due:
                await self._blobs.touch(blob_id)
                due = loop.time() + SIGN_OF_LIFE_EVERY_S

    def _first(self) -> tuple[str, KeepsContent]:
        for name, provider in self._providers.items():
            return name, provider
        raise NotImplementedByProvider(
            "Files cannot be kept: no provider of files is open. Add one to the run config under providers.files, such "
            "as inline::localfs."
        )

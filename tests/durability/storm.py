"""Many clients who change files and vector stores at the same time, and remember what they were answered."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import openai
from openai import AsyncOpenAI

from tests.durability.corpus import CHUNKING, Corpus

PART = 400_000
PARTS = 3


@dataclass
class Storm:
    """`done` are the changes that the server has confirmed: these must hold whatever happens to it afterwards.

    The stores: `kept` with all files, `twin` with the first of them, `doomed`, which is deleted, and `cancelled`, whose
    batch is.
    """

    corpus: Corpus
    files: dict[str, str] = field(default_factory=dict)
    stores: dict[str, str] = field(default_factory=dict)
    batch: str = ""
    upload: str = ""
    parts: list[str] = field(default_factory=list)
    done: dict[str, str] = field(default_factory=dict)
    """What came of it, by what was done."""

    @property
    def uploaded(self) -> bytes:
        return b"".join(bytes([number]) * PART for number in range(PARTS))

    async def prepare(self, client: AsyncOpenAI) -> None:
        for name, content in self.corpus.contents.items():
            self.files[name] = (await client.files.create(file=(name, content), purpose="assistants")).id
        for name in ("kept", "twin", "doomed", "cancelled"):
            self.stores[name] = (await client.vector_stores.create(name=name)).id
        ready = [self.files[name] for name in ("deleted.txt", "changed.txt", "detached.txt")]
        for name in ("kept", "twin"):
            await client.vector_stores.file_batches.create_and_poll(
                self.stores[name], file_ids=ready, chunking_strategy=CHUNKING, poll_interval_ms=20
            )
        await client.vector_stores.file_batches.create_and_poll(
            self.stores["doomed"], file_ids=[self.files["long.txt"]], chunking_strategy=CHUNKING, poll_interval_ms=20
        )
        await client.vector_stores.search(self.stores["kept"], query="subject")
        made = await client.uploads.create(
            bytes=PART * PARTS, filename="parts.bin", mime_type="application/octet-stream", purpose="user_data"
        )
        self.upload = made.id
        for number in range(PARTS - 1):
            await self._part(client, number)

    async def strike(self, client: AsyncOpenAI) -> None:
        """All changes at once; those that the server does not live to answer are not among `done`."""
        await asyncio.gather(
            self._try("created", self._create, client),
            self._try("completed", self._complete, client),
            self._try("deleted", self._delete, client),
            self._try("doomed", self._delete_store, client),
            self._try("changed", self._change, client),
            self._try("detached", self._detach, client),
            self._try("attached", self._attach, client),
            self._try("cancelled", self._cancel, client),
            self._try("searched", self._search, client),
        )

    async def again(self, client: AsyncOpenAI) -> None:
        """What was not confirmed, as a client would who was cut off."""
        for name, step in (
            ("completed", self._complete),
            ("deleted", self._delete),
            ("doomed", self._delete_store),
            ("changed", self._change),
            ("detached", self._detach),
            ("attached", self._attach),
            ("created", self._create),
        ):
            if name not in self.done:
                try:
                    self.done[name] = await step(client)
                except openai.NotFoundError:
                    assert name in ("deleted", "doomed", "detached"), "it was done, only the answer was lost"
                    self.done[name] = "gone"

    async def _try(self, name: str, step: Callable[[AsyncOpenAI], Awaitable[str]], client: AsyncOpenAI) -> None:
        with suppress(openai.APIConnectionError):
            self.done[name] = await step(client)

    async def _create(self, client: AsyncOpenAI) -> str:
        return (await client.files.create(file=("new.bin", self.uploaded), purpose="user_data")).id

    async def _complete(self, client: AsyncOpenAI) -> str:
        if len(self.parts) < PARTS:
            await self._part(client, PARTS - 1)
        digest = hashlib.md5(self.uploaded, usedforsecurity=False).hexdigest()
        done = await client.uploads.complete(self.upload, part_ids=self.parts, md5=digest)
        assert done.file is not None
        return done.file.id

    async def _part(self, client: AsyncOpenAI, number: int) -> None:
        part = await client.uploads.parts.create(self.upload, data=bytes([number]) * PART)
        self.parts.append(part.id)

    async def _delete(self, client: AsyncOpenAI) -> str:
        return (await client.files.delete(self.files["deleted.txt"])).id

    async def _delete_store(self, client: AsyncOpenAI) -> str:
        return (await client.vector_stores.delete(self.stores["doomed"])).id

    async def _change(self, client: AsyncOpenAI) -> str:
        file = await client.vector_stores.files.update(
            self.files["changed.txt"], vector_store_id=self.stores["kept"], attributes={"state": "new"}
        )
        return file.id

    async def _detach(self, client: AsyncOpenAI) -> str:
        return (
            await client.vector_stores.files.delete(self.files["detached.txt"], vector_store_id=self.stores["kept"])
        ).id

    async def _attach(self, client: AsyncOpenAI) -> str:
        """The same file into two stores at once, and twice into one of them."""
        file = self.files["long.txt"]
        asked = [
            client.vector_stores.files.create(self.stores[name], file_id=file, chunking_strategy=CHUNKING)
            for name in ("kept", "kept", "twin")
        ]
        await asyncio.gather(*asked)
        return file

    async def _cancel(self, client: AsyncOpenAI) -> str:
        """A batch, once it is under way."""
        store = self.stores["cancelled"]
        files = [self.files[name] for name in ("long.txt", "twin.txt", "middle.txt")]
        batch = await client.vector_stores.file_batches.create(store, file_ids=files, chunking_strategy=CHUNKING)
        self.batch = batch.id
        await asyncio.sleep(0.1)
        return (await client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store)).id

    async def _search(self, client: AsyncOpenAI) -> str:
        for _ in range(5):
            await client.vector_stores.search(self.stores["kept"], query="subject", max_num_results=50)
        return self.stores["kept"]

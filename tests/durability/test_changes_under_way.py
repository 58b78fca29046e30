"""Stores and files are changed, detached, deleted and attached anew while they are ingested: each ends as it was asked
for last, and of the others nothing is left, neither in the rows nor in the index."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.durability.client import client_of
from tests.durability.corpus import CHUNKING, Corpus
from tests.durability.shelf import KINDS, Shelf, opened_shelf
from tests.durability.shelf_check import SEEN, check_indexes, check_nothing_is_left_over
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio

SEEDS = int(os.environ.get("DURABILITY_SEEDS", "1"))
TIMEOUT_S = 120.0
LARGER: Any = {"type": "static", "static": {"max_chunk_size_tokens": 400, "chunk_overlap_tokens": 0}}
LARGE = ("long.txt", "twin.txt", "middle.txt")


@pytest.fixture(scope="module", params=KINDS[:3], ids=str)
def shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, embedder: Upstream
) -> Iterator[Shelf]:
    yield from opened_shelf(request, tmp_path_factory.mktemp("shelf"), embedder)


async def new_files(client: AsyncOpenAI, corpus: Corpus) -> dict[str, str]:
    files = {}
    for name in LARGE:
        content = corpus.contents[name]
        files[name] = (await client.files.create(file=(name, content), purpose="assistants")).id
    return files


async def new_store(client: AsyncOpenAI, files: dict[str, str]) -> str:
    """In which they are being ingested."""
    store = await client.vector_stores.create()
    await client.vector_stores.file_batches.create(store.id, file_ids=[*files.values()], chunking_strategy=CHUNKING)
    return store.id


async def settled(client: AsyncOpenAI, store_id: str) -> dict[str, str]:
    """The status of each file, once none is in progress."""
    while True:
        found: dict[str, str] = {file.id: file.status async for file in client.vector_stores.files.list(store_id)}
        if "in_progress" not in found.values():
            return found
        await asyncio.sleep(0.02)


async def _each(requests: Iterable[Awaitable[object]]) -> None:
    """One after the other."""
    for request in requests:
        await request


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_changes_while_files_are_ingested(shelf: Shelf, seed: int) -> None:
    rng = random.Random(seed)
    corpus = Corpus.of(f"under way {seed}{shelf.kind.index[-1]}".replace(" ", ""), shorts=0)
    if not shelf.servers:
        await shelf.start()
    async with asyncio.timeout(TIMEOUT_S), client_of(shelf.url) as client:
        stores = client.vector_stores
        detached, deleted, anew, doomed, changed = [await new_files(client, corpus) for _ in range(5)]
        at = [await new_store(client, files) for files in (detached, deleted, anew, doomed, changed)]

        steps: list[Callable[[], Awaitable[object]]] = [
            lambda: _each(stores.files.delete(file, vector_store_id=at[0]) for file in detached.values()),
            lambda: asyncio.gather(*(client.files.delete(file) for file in deleted.values())),
            lambda: _each(stores.files.create(at[2], file_id=file, chunking_strategy=LARGER) for file in anew.values()),
            lambda: stores.delete(at[3]),
            lambda: _each(
                stores.files.update(file, vector_store_id=at[4], attributes={"number": number})
                for number in range(5)
                for file in changed.values()
            ),
        ]
        rng.shuffle(steps)
        for step in steps:
            await asyncio.sleep(rng.uniform(0, 0.15))
            await step()
        assert await settled(client, at[0]) == {}
        assert await settled(client, at[1]) == {}
        assert await settled(client, at[2]) == dict.fromkeys(anew.values(), "completed")
        with pytest.raises(openai.NotFoundError):
            await stores.retrieve(at[3])
        assert await settled(client, at[4]) == dict.fromkeys(changed.values(), "completed")
        await check_nothing_is_left_over(shelf)
        await check_indexes(shelf)
        await check_chunks(shelf, at[4], changed, corpus)
        await check_attributes(client, at[4], changed, corpus)


async def check_attributes(client: AsyncOpenAI, store_id: str, files: dict[str, str], corpus: Corpus) -> None:
    """Those that were set last are found by."""
    wanted: Any = {"type": "eq", "key": "number", "value": 4}
    for name in files:
        page = await client.vector_stores.search(store_id, query=corpus.chunks(name)[0], filters=wanted)
        assert corpus.chunks(name)[0] in [hit.content[0].text for hit in page.data], name


async def check_chunks(shelf: Shelf, store_id: str, files: dict[str, str], corpus: Corpus) -> None:
    for name, file_id in files.items():
        found = await shelf.rows(
            f"SELECT ordinal, text FROM ls_chunks WHERE store = '{store_id}' AND document = '{file_id}' "
            f"AND {SEEN} ORDER BY ordinal"
        )
        assert found == list(enumerate(corpus.chunks(name)))

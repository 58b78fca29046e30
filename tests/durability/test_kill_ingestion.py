"""A server is killed while it ingests a batch of files, and started again, until all files have ended: nothing is
missing, nothing is there twice, in the rows, in the words, in the index and on disk."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator

import pytest
from openai import AsyncOpenAI

from tests.durability.client import client_of
from tests.durability.corpus import CHUNKING, Corpus
from tests.durability.shelf import KINDS, Shelf, opened_shelf
from tests.durability.shelf_check import check_ingested, check_nothing_is_left_over
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio

SEEDS = int(os.environ.get("DURABILITY_SEEDS", "1"))
KILLS_MAX = 3
"""A run may be begun five times."""
REQUESTS = 30
"""Of embeddings, about as many as an undisturbed ingestion makes; kills are spread over them."""
MOMENT_S = 0.08
TIMEOUT_S = 120.0


@pytest.fixture(scope="module", params=KINDS, ids=str)
def shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, embedder: Upstream
) -> Iterator[Shelf]:
    yield from opened_shelf(request, tmp_path_factory.mktemp("shelf"), embedder)


@pytest.fixture
async def client(shelf: Shelf) -> AsyncIterator[AsyncOpenAI]:
    """Of whichever server lives."""
    if not shelf.servers:
        await shelf.start()
    async with client_of(shelf.url) as client:
        yield client


async def uploaded(client: AsyncOpenAI, corpus: Corpus) -> dict[str, str]:
    files = {}
    for name, content in corpus.contents.items():
        files[name] = (await client.files.create(file=(name, content), purpose="assistants")).id
    return files


async def ended(shelf: Shelf, store_id: str) -> None:
    """Once none of the store's files is in progress."""
    async with client_of(shelf.url) as client:
        while (await client.vector_stores.retrieve(store_id)).file_counts.in_progress:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_server_is_killed_while_it_ingests(
    shelf: Shelf, embedder: Upstream, client: AsyncOpenAI, seed: int
) -> None:
    rng = random.Random(seed)
    corpus = Corpus.of(f"{seed}{shelf.kind.index[-1]}")
    async with asyncio.timeout(TIMEOUT_S):
        files = await uploaded(client, corpus)
        store = await client.vector_stores.create(name=f"seed {seed}")
        asked = len(embedder.requests)
        batch = await client.vector_stores.file_batches.create(
            store.id, file_ids=list(files.values()), chunking_strategy=CHUNKING
        )
        assert batch.file_counts.total == len(files)
        kills = sorted(rng.sample(range(REQUESTS), rng.randint(1, KILLS_MAX)))
        for at in kills:
            await reached(shelf, embedder, asked + at, store.id)
            await asyncio.sleep(rng.uniform(0, MOMENT_S))
            await shelf.restart()
        await ended(shelf, store.id)
    async with client_of(shelf.url) as client:
        await check_ingested(shelf, client, store.id, corpus, files)
        done = await client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id)
        counts = done.file_counts
        assert (done.status, counts.completed, counts.failed) == ("completed", len(corpus.texts), 1)
    await check_nothing_is_left_over(shelf)


async def reached(shelf: Shelf, embedder: Upstream, requests: int, store_id: str) -> None:
    """So many embeddings were asked for, or there is nothing more to ask for."""
    going = f"SELECT count(*) FROM ls_vector_store_files WHERE store = '{store_id}' AND status = 'in_progress'"
    while len(embedder.requests) < requests:
        for _ in range(10):
            await asyncio.sleep(0.002)
        if await shelf.rows(going) == [(0,)]:
            return


async def test_an_undisturbed_ingestion(shelf: Shelf, embedder: Upstream, client: AsyncOpenAI) -> None:
    """What the others are compared with."""
    corpus = Corpus.of(f"calm{shelf.kind.index[-1]}")
    async with asyncio.timeout(TIMEOUT_S):
        files = await uploaded(client, corpus)
        store = await client.vector_stores.create()
        asked = len(embedder.requests)
        await client.vector_stores.file_batches.create(
            store.id, file_ids=list(files.values()), chunking_strategy=CHUNKING
        )
        await ended(shelf, store.id)
    assert REQUESTS * 0.7 < len(embedder.requests) - asked < REQUESTS * 1.3, "kills are spread over all of it"
    await check_ingested(shelf, client, store.id, corpus, files)
    await check_nothing_is_left_over(shelf)

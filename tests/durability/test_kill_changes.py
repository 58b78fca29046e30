"""A server is killed in the middle of uploads, deletions and changes of files and vector stores: what it confirmed
holds, what it did not is there as a whole or not at all, and nothing is left over."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator

import openai
import pytest
from openai import AsyncOpenAI

from tests.durability.client import client_of
from tests.durability.corpus import Corpus
from tests.durability.shelf import KINDS, Kind, Shelf
from tests.durability.shelf_check import check_indexes, check_nothing_is_left_over
from tests.durability.site import in_postgres
from tests.durability.storm import Storm
from tests.support.databases import Postgres
from tests.support.knowledge import embedding_words
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio

SEEDS = int(os.environ.get("DURABILITY_SEEDS", "1"))
STORM_S = 1.2
"""About as long as it takes."""
LATER_S = 7200.0
"""After which the server gives up whoever began something before."""
TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def embedder() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.always(embedding_words, on="/embeddings")
        yield upstream


@pytest.fixture(scope="module", params=KINDS[:3], ids=str)
def shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, embedder: Upstream
) -> Iterator[Shelf]:
    kind: Kind = request.param
    storage = None
    if kind.sql == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        storage = in_postgres(postgres)
    shelf = Shelf(tmp_path_factory.mktemp("shelf"), embedder, kind, storage)
    yield shelf
    shelf.close()


def storm_of(seed: str) -> Storm:
    corpus = Corpus.of(seed, shorts=3)
    names = dict(
        zip(("short0.txt", "short1.txt", "short2.txt"), ("deleted.txt", "changed.txt", "detached.txt"), strict=True)
    )
    return Storm(Corpus({names.get(name, name): text for name, text in corpus.texts.items()}))


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_server_is_killed_in_the_middle_of_changes(shelf: Shelf, seed: int) -> None:
    rng = random.Random(seed)
    storm = storm_of(f"{seed}{shelf.kind.index[-1]}")
    async with asyncio.timeout(TIMEOUT_S):
        if not shelf.servers:
            await shelf.start()
        async with client_of(shelf.url) as client:
            await storm.prepare(client)
            strike = asyncio.create_task(storm.strike(client))
            await asyncio.sleep(rng.uniform(0, STORM_S))
            await shelf.stop(shelf.servers[-1])
            await strike
        if rng.random() < 0.5:
            await shelf.start()
            await check(shelf, storm, later=False)
            await shelf.stop(shelf.servers[-1])
        await shelf.age(LATER_S)
        await shelf.start()
        await check(shelf, storm, later=True)


async def check(shelf: Shelf, storm: Storm, *, later: bool) -> None:
    async with client_of(shelf.url) as client:
        await check_done(client, storm)
        if not later:
            await storm.again(client)
            await check_done(client, storm)
    if later:
        await check_nothing_is_left_over(shelf)
        await check_indexes(shelf)
        await check_attributes(shelf)


async def check_done(client: AsyncOpenAI, storm: Storm) -> None:
    """All that was confirmed."""
    stores, files, done = storm.stores, storm.files, storm.done
    for name in ("created", "completed"):
        if name in done:
            assert (await client.files.content(done[name])).content == storm.uploaded
    if "completed" in done:
        assert (await client.uploads.complete(storm.upload, part_ids=storm.parts)).file is not None
    if "deleted" in done:
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(files["deleted.txt"])
        for name in ("kept", "twin"):
            assert files["deleted.txt"] not in await attached(client, stores[name])
            page = await client.vector_stores.search(stores[name], query=storm.corpus.chunks("deleted.txt")[0])
            assert files["deleted.txt"] not in {hit.file_id for hit in page.data}
    if "doomed" in done:
        with pytest.raises(openai.NotFoundError):
            await client.vector_stores.retrieve(stores["doomed"])
    kept = await attached(client, stores["kept"])
    if "detached" in done:
        assert files["detached.txt"] not in kept
        assert files["detached.txt"] in await attached(client, stores["twin"])
    if "attached" in done:
        for name in ("kept", "twin"):
            assert files["long.txt"] in await attached(client, stores[name])
    if "changed" in done:
        file = await client.vector_stores.files.retrieve(files["changed.txt"], vector_store_id=stores["kept"])
        assert file.attributes == {"state": "new"}
        wanted = {"type": "eq", "key": "state", "value": "new"}
        page = await client.vector_stores.search(stores["kept"], query="subject", max_num_results=50, filters=wanted)
        assert [hit.file_id for hit in page.data] == [files["changed.txt"]] * len(storm.corpus.chunks("changed.txt"))
    if "cancelled" in done:
        batch = await client.vector_stores.file_batches.retrieve(done["cancelled"], vector_store_id=stores["cancelled"])
        assert (batch.status, batch.file_counts.in_progress) == ("cancelled", 0)


async def attached(client: AsyncOpenAI, store_id: str) -> set[str]:
    return {file.id async for file in client.vector_stores.files.list(store_id)}


async def check_attributes(shelf: Shelf) -> None:
    """Chunks have the attributes of their file, whatever was told to the provider when."""
    other = await shelf.rows(
        "SELECT c.id FROM ls_chunks AS c JOIN ls_vector_store_files AS f ON f.store = c.store AND f.file = c.document "
        "WHERE f.attributes <> c.attributes"
    )
    assert other == []

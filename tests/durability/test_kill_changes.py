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
from tests.durability.shelf import KINDS, Shelf, opened_shelf
from tests.durability.shelf_check import check_indexes, check_nothing_is_left_over
from tests.durability.storm import Storm
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio

SEEDS = int(os.environ.get("DURABILITY_SEEDS", "1"))
STORM_S = 1.2
"""About as long as it takes."""
LATER_S = 7200.0
"""After which the server gives up whoever began something before."""
TIMEOUT_S = 120.0


@pytest.fixture(scope="module", params=KINDS[:3], ids=str)
def shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, embedder: Upstream
) -> Iterator[Shelf]:
    yield from opened_shelf(request, tmp_path_factory.mktemp("shelf"), embedder)


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
        await check_nothing_is_left_over(shelf, swept=True)
        await check_indexes(shelf)


async def check_done(client: AsyncOpenAI, storm: Storm) -> None:
    """All that was confirmed."""
    await check_uploads(client, storm)
    checks = {
        "deleted": check_deleted,
        "doomed": check_doomed,
        "detached": check_detached,
        "attached": check_attached,
        "changed": check_changed,
        "cancelled": check_cancelled,
    }
    for name, check_one in checks.items():
        if name in storm.done:
            await check_one(client, storm)


async def check_uploads(client: AsyncOpenAI, storm: Storm) -> None:
    for name in ("created", "completed"):
        if name in storm.done:
            assert (await client.files.content(storm.done[name])).content == storm.uploaded
    if "completed" in storm.done:
        again = await client.uploads.complete(storm.upload, part_ids=storm.parts)
        assert again.file is not None
        assert again.file.id == storm.done["completed"]


async def check_deleted(client: AsyncOpenAI, storm: Storm) -> None:
    file = storm.files["deleted.txt"]
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(file)
    for name in ("kept", "twin"):
        assert file not in await attached(client, storm.stores[name])
        page = await client.vector_stores.search(storm.stores[name], query=storm.corpus.chunks("deleted.txt")[0])
        assert file not in {hit.file_id for hit in page.data}


async def check_doomed(client: AsyncOpenAI, storm: Storm) -> None:
    with pytest.raises(openai.NotFoundError):
        await client.vector_stores.retrieve(storm.stores["doomed"])


async def check_detached(client: AsyncOpenAI, storm: Storm) -> None:
    assert storm.files["detached.txt"] not in await attached(client, storm.stores["kept"])
    assert storm.files["detached.txt"] in await attached(client, storm.stores["twin"])


async def check_attached(client: AsyncOpenAI, storm: Storm) -> None:
    for name in ("kept", "twin"):
        assert storm.files["long.txt"] in await attached(client, storm.stores[name])


async def check_changed(client: AsyncOpenAI, storm: Storm) -> None:
    file_id, store_id = storm.files["changed.txt"], storm.stores["kept"]
    file = await client.vector_stores.files.retrieve(file_id, vector_store_id=store_id)
    assert file.attributes == {"state": "new"}
    page = await client.vector_stores.search(
        store_id,
        query="subject",
        max_num_results=50,
        filters={"type": "eq", "key": "state", "value": "new"},
    )
    assert [hit.file_id for hit in page.data] == [file_id] * len(storm.corpus.chunks("changed.txt"))


async def check_cancelled(client: AsyncOpenAI, storm: Storm) -> None:
    store_id = storm.stores["cancelled"]
    batch = await client.vector_stores.file_batches.retrieve(storm.done["cancelled"], vector_store_id=store_id)
    assert (batch.status, batch.file_counts.in_progress) == ("cancelled", 0)


async def attached(client: AsyncOpenAI, store_id: str) -> set[str]:
    return {file.id async for file in client.vector_stores.files.list(store_id)}

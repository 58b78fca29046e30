"""A server is killed while it carries out a message batch, and started again: each custom_id has one result."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anthropic
import pytest
from anthropic.types.messages import MessageBatch

from tests.durability.batch_site import CONCURRENT_MAX, Model, batch_site, words_of
from tests.durability.site import Site, in_postgres

pytestmark = pytest.mark.anyio

SEEDS = int(os.environ.get("DURABILITY_SEEDS", "1"))
LINES, KILLS = 150, 1 if SEEDS == 1 else 4


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path, model: Model) -> Iterator[Site]:
    storage = in_postgres(request.getfixturevalue("postgres")) if request.param == "postgres" else None
    yield from batch_site(tmp_path, model, storage)


@asynccontextmanager
async def client_of(site: Site) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=site.url, api_key="none", max_retries=2) as client:
        yield client


async def batch_of(site: Site, batch_id: str) -> MessageBatch:
    async with client_of(site) as client:
        return await client.messages.batches.retrieve(batch_id)


@pytest.mark.parametrize("seed", range(min(SEEDS, 20)))
async def test_a_server_is_killed_while_it_carries_out_a_message_batch(site: Site, model: Model, seed: int) -> None:
    rng = random.Random(seed)
    said = words_of(rng, LINES)
    async with asyncio.timeout(120):
        await site.start()
        async with client_of(site) as client:
            batch = await client.messages.batches.create(
                requests=[
                    {
                        "custom_id": custom_id,
                        "params": {
                            "model": "m",
                            "max_tokens": 20,
                            "messages": [{"role": "user", "content": words}],
                        },
                    }
                    for custom_id, words in said.items()
                ]
            )
        for moment in sorted(rng.sample(range(LINES), KILLS)):
            while len(model.asked) < moment and (await batch_of(site, batch.id)).processing_status != "ended":
                await asyncio.sleep(0.01)
            await site.restart()
        while (await batch_of(site, batch.id)).processing_status != "ended":
            await asyncio.sleep(0.1)
        await check(site, batch.id, said)
    again = sum(model.asked.values()) - LINES - sum("busy" in words for words in said.values())
    assert again <= CONCURRENT_MAX * KILLS, model.asked.most_common(20)


async def check(site: Site, batch_id: str, said: dict[str, str]) -> None:
    async with client_of(site) as client:
        found = [result async for result in await client.messages.batches.results(batch_id)]
        counts = (await client.messages.batches.retrieve(batch_id)).request_counts
    assert [result.custom_id for result in found] == list(said), "each once, in the order of the requests"
    failing = {custom_id for custom_id, words in said.items() if "fail" in words}
    assert {result.custom_id for result in found if result.result.type == "errored"} == failing
    for result in found:
        if result.result.type == "succeeded":
            (block,) = result.result.message.content
            assert block.type == "text"
            assert block.text == said[result.custom_id]
    assert (counts.succeeded, counts.errored) == (len(said) - len(failing), len(failing))
    assert (counts.processing, counts.canceled, counts.expired) == (0, 0, 0)

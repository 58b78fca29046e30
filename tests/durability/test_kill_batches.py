"""A server is killed while it carries out a batch, and started again, until the batch has ended: each custom_id is in
one of its files, once, and says what it must."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.batch_site import CONCURRENT_MAX, Model, batch_site, words_of
from tests.durability.client import client_of
from tests.durability.site import Site, in_postgres
from tests.support.batching import chat_line, jsonl, parsed

pytestmark = pytest.mark.anyio

SEEDS = int(os.environ.get("DURABILITY_SEEDS", "1"))
SMALL = (150, 3)
LARGE = (5000, 10)
"""Lines, and how often the server is killed meanwhile."""
MOMENT_S = 0.05
ENDED = ("completed", "failed", "expired", "cancelled")


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path, model: Model) -> Iterator[Site]:
    storage = in_postgres(request.getfixturevalue("postgres")) if request.param == "postgres" else None
    yield from batch_site(tmp_path, model, storage)


async def _carried_out(site: Site, model: Model, rng: random.Random, lines: int, kills: int) -> None:
    said = words_of(rng, lines)
    await site.start()
    async with client_of(site.url) as client:
        content = jsonl([chat_line(custom_id, words) for custom_id, words in said.items()])
        file = await client.files.create(file=("in.jsonl", content), purpose="batch")
        created = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
    # The first before a request is sent, the last about when there is nothing more to send; the others in between.
    moments = [0, *sorted(rng.sample(range(1, lines), kills - 2)), lines]
    for moment in moments:
        while len(model.asked) < moment and not await _ended(site, created.id):
            await asyncio.sleep(0.01)
        await asyncio.sleep(rng.uniform(0, MOMENT_S))
        await site.restart()
    while not await _ended(site, created.id):
        await asyncio.sleep(0.1)
    await _check(site, model, created.id, said)


async def _ended(site: Site, batch_id: str) -> bool:
    async with client_of(site.url) as client:
        return (await client.batches.retrieve(batch_id)).status in ENDED


async def _check(site: Site, model: Model, batch_id: str, said: dict[str, str]) -> None:
    async with client_of(site.url) as client:
        batch = await client.batches.retrieve(batch_id)
        assert batch.status == "completed", batch
        assert batch.output_file_id is not None
        assert batch.error_file_id is not None
        answers = parsed((await client.files.content(batch.output_file_id)).content)
        failures = parsed((await client.files.content(batch.error_file_id)).content)
        outputs = [file.id async for file in client.files.list(purpose="batch_output")]
    assert sorted(outputs) == sorted((batch.output_file_id, batch.error_file_id)), "nothing was written twice"
    ids = [line["custom_id"] for line in answers + failures]
    assert Counter(ids) == Counter(list(said)), "each custom_id once"
    order = {custom_id: number for number, custom_id in enumerate(said)}
    for lines in (answers, failures):
        assert [order[line["custom_id"]] for line in lines] == sorted(order[line["custom_id"]] for line in lines)
    assert {line["custom_id"] for line in failures} == {name for name, words in said.items() if "fail" in words}
    for line in answers:
        assert line["response"]["body"]["choices"][0]["message"]["content"] == said[line["custom_id"]]
    assert batch.request_counts is not None
    assert batch.request_counts.to_dict() == {
        "total": len(said),
        "completed": len(answers),
        "failed": len(failures),
    }
    assert batch.usage is not None
    usages = [line["response"]["body"]["usage"] for line in answers]
    assert batch.usage.total_tokens == sum(usage["total_tokens"] for usage in usages)
    again = sum(model.asked.values()) - len(said) - sum("busy" in words for words in said.values())
    assert again <= CONCURRENT_MAX * (1 + len(site.servers) + LARGE[1]), json.dumps(model.asked.most_common(20))


@pytest.mark.parametrize("seed", range(min(SEEDS, 20)))
async def test_a_server_is_killed_while_it_carries_out_a_batch(site: Site, model: Model, seed: int) -> None:
    async with asyncio.timeout(120):
        await _carried_out(site, model, random.Random(seed), *SMALL)


@pytest.mark.skipif(SEEDS == 1, reason="takes minutes: make test-durability")
async def test_a_server_is_killed_ten_times_in_five_thousand_lines(site: Site, model: Model) -> None:
    async with asyncio.timeout(900):
        await _carried_out(site, model, random.Random(5000), *LARGE)

"""What is left of batches that are over, over every SQL backend."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llama_stack.config.batches import BatchesConfig
from llama_stack.services.batches.openai import shown
from llama_stack.services.batches.sweep import STRANDED_AFTER_S, BatchSweep
from llama_stack.storage.sql.batch_records import NewLine
from llama_stack.storage.sql.batch_removal import BatchRemoval
from llama_stack.storage.sql.database import Database
from llama_stack_api.errors import NotFound
from tests.services.batches.batch_house import BatchHouse, batch_house

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(tmp_path: Path, database: Database) -> AsyncIterator[BatchHouse]:
    async with batch_house(tmp_path, database) as house:
        yield house


async def test_what_is_over_goes_in_its_time(house: BatchHouse) -> None:
    now = time.time()
    removal = BatchRemoval(house.database, clock=lambda: now)
    sweep = BatchSweep(removal, BatchesConfig(retention_s=1000), clock=lambda: now)
    stranded = await house.record([], input_file="f", created_at=now - STRANDED_AFTER_S - 1)
    fresh = await house.record([], input_file="f")
    done = await house.record([], input_file="f")
    await house.table.add_lines(done.id, [NewLine(number, f"{number}", b"{}") for number in range(3)])
    await house.table.begin(done.id, total=3, model=None)
    await house.table.end(done.id, "completed")
    now = time.time()
    while await sweep(2):
        pass

    failed = shown(await house.table.get(house.principal, "openai", stranded.id))
    assert failed.status == "failed"
    assert failed.errors is not None
    assert failed.errors.data is not None
    assert [each.code for each in failed.errors.data] == ["server_error"]
    assert (await house.table.get(house.principal, "openai", fresh.id)).status == "validating"
    archived = await house.table.get(house.principal, "openai", done.id)
    assert archived.archived_at == now
    assert not await house.table.take(done.id, limit=10)

    now += 1001
    while await sweep(2):
        pass
    with pytest.raises(NotFound):
        await house.table.get(house.principal, "openai", done.id)
    assert await house.table.find(done.id) is None

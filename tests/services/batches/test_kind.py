"""Batches as runs, over every SQL backend: how they end, and that they go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from llama_stack.runs.engine import RunEngine
from llama_stack.runs.limits import RunLimits
from llama_stack.security.sealing import KeySealer
from llama_stack.services.batches.lines import LineReply
from llama_stack.storage.sql.batch_records import NewLine
from llama_stack.storage.sql.database import Database
from llama_stack_api.batches import CreateBatchRequest
from llama_stack_api.errors import Overloaded
from llama_stack_api.principal import Call, Principal
from tests.services.batches.batch_house import BatchHouse, batch_house
from tests.support.batching import chat_line, jsonl

pytestmark = pytest.mark.anyio

WORDS = [f"w{number}" for number in range(6)]


@pytest.fixture
async def house(tmp_path: Path, database: Database) -> AsyncIterator[BatchHouse]:
    async with batch_house(tmp_path, database) as house:
        yield house


@asynccontextmanager
async def working(engine: RunEngine) -> AsyncIterator[RunEngine]:
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


def only(house: BatchHouse, *answered: str) -> None:
    """The other words are never answered."""

    async def says(said: str) -> LineReply | None:
        if said not in answered:
            await asyncio.Event().wait()
        return await house.answers.echo(said)

    house.answers.says = says


async def test_lines_are_asked_with_the_rights_and_keys_of_whoever_made_the_batch(house: BatchHouse) -> None:
    async with working(house.engine()) as engine:
        call = Call(principal=house.principal, provider_data={"key": SecretStr("sk-mine")}, request_id="req-1")
        batch = await house.until((await house.start(engine, await house.record(WORDS), call)).id)
    assert batch.status == "completed"
    for asked in house.answers.calls:
        assert asked.principal == house.principal
        assert asked.principal.attributes == {"roles": ("admin",)}
        assert asked.provider_data["key"].get_secret_value() == "sk-mine"
        assert asked.deadline is not None
    assert (batch.succeeded, batch.input_tokens, batch.cached_tokens, batch.output_tokens) == (6, 18, 6, 12)
    assert [line["custom_id"] for line in await house.lines(batch.output_file)] == WORDS


async def test_what_is_not_done_in_time_expires(house: BatchHouse) -> None:
    only(house, "w0", "w3")
    async with working(house.engine()) as engine:
        batch = await house.record(WORDS, expires_at=time.time() + 0.3)
        ended = await house.until((await house.start(engine, batch)).id)
    assert (ended.status, ended.succeeded, ended.expired) == ("expired", 2, 4)
    assert [line["custom_id"] for line in await house.lines(ended.output_file)] == ["w0", "w3"]
    failures = await house.lines(ended.error_file)
    assert [(line["custom_id"], line["response"]) for line in failures] == [(f"w{n}", None) for n in (1, 2, 4, 5)]
    assert {line["error"]["code"] for line in failures} == {"batch_expired"}


async def test_a_batch_that_waited_too_long_asks_nobody(house: BatchHouse) -> None:
    async with working(house.engine()) as engine:
        batch = await house.record(WORDS, expires_at=time.time() - 1)
        ended = await house.until((await house.start(engine, batch)).id)
    assert (ended.status, ended.expired, house.answers.asked) == ("expired", 6, [])


async def test_a_line_that_its_provider_never_had_room_for_expires(house: BatchHouse) -> None:
    async def says(said: str) -> LineReply | None:
        return None if said == "w1" else await house.answers.echo(said)

    house.answers.says = says
    async with working(house.engine()) as engine:
        ended = await house.until((await house.start(engine, await house.record(WORDS))).id)
    assert (ended.status, ended.succeeded, ended.expired) == ("expired", 5, 1)


async def test_a_cancelled_batch_ends_with_what_it_has(house: BatchHouse) -> None:
    only(house, "w1")
    async with working(house.engine()) as engine:
        batch = await house.start(engine, await house.record(WORDS))
        await house.asked(6)
        await house.table.request_cancel(house.principal, "openai", batch.id)
        ended = await house.until(batch.id)
    assert (ended.status, ended.succeeded, ended.canceled) == ("cancelled", 1, 5)


async def test_what_is_answered_soon_after_the_cancelling_counts(house: BatchHouse) -> None:
    cancelled = asyncio.Event()

    async def says(said: str) -> LineReply | None:
        await cancelled.wait()
        return await house.answers.echo(said)

    house.answers.says = says
    async with working(house.engine(requests_concurrent_max=2)) as engine:
        batch = await house.start(engine, await house.record(WORDS))
        await house.asked(2)
        await house.table.request_cancel(house.principal, "openai", batch.id)
        cancelled.set()
        ended = await house.until(batch.id)
    assert (ended.status, ended.succeeded + ended.canceled) == ("cancelled", 6)
    assert ended.succeeded >= 2


async def test_a_batch_that_is_cancelled_before_it_began(house: BatchHouse) -> None:
    engine = house.engine()
    batch = await house.start(engine, await house.record(WORDS))
    await house.table.request_cancel(house.principal, "openai", batch.id)
    async with working(engine):
        ended = await house.until(batch.id)
    assert (ended.status, ended.total, ended.output_file, ended.error_file) == ("cancelled", 0, None, None)


async def test_of_a_batch_that_is_cancelled_while_its_lines_are_added_those_count(house: BatchHouse) -> None:
    engine = house.engine()
    batch = await house.start(engine, await house.record(WORDS))
    await house.table.add_lines(batch.id, [NewLine(0, "w0", b"{}"), NewLine(1, "w1", b"{}")])
    await house.table.request_cancel(house.principal, "openai", batch.id)
    async with working(engine):
        ended = await house.until(batch.id)
    assert (ended.status, ended.total, ended.canceled) == ("cancelled", 2, 2)
    assert house.answers.calls == []


async def test_a_batch_that_cannot_be_started_is_gone_unless_it_has_a_key(house: BatchHouse) -> None:
    call = Call(principal=Principal(house.principal.id, f"tenant of {house.principal.id}"))
    file_id = await house.upload(jsonl([chat_line("w", "w")]), call)
    request = CreateBatchRequest(completion_window="24h", endpoint="/v1/chat/completions", input_file_id=file_id)
    full = house.service(house.engine(limits=RunLimits(queued_per_tenant_max=1)))
    started = await full.create(request, call, idempotency_key=None)
    for key in (None, "k"):
        with pytest.raises(Overloaded):
            await full.create(request, call, idempotency_key=key)
    kept, first = (await house.table.list(call.principal, "openai", limit=10)).items
    assert (kept.idempotency_key, first.id) == ("k", started.id)
    again = await house.service(house.engine()).create(request, call, idempotency_key="k")
    assert again.id == kept.id


async def test_another_process_goes_on_with_what_is_not_settled(house: BatchHouse) -> None:
    only(house, "w0", "w2")
    first = house.engine(requests_concurrent_max=3)
    async with working(first):
        batch = await house.start(first, await house.record(WORDS))
        await house.asked(5)
    house.answers.says, house.answers.asked = house.answers.echo, []
    async with working(house.engine()):
        ended = await house.until(batch.id)
    assert (ended.status, ended.succeeded) == ("completed", 6)
    assert sorted(house.answers.asked) == ["w1", "w3", "w4", "w5"]
    assert [line["custom_id"] for line in await house.lines(ended.output_file)] == WORDS


async def test_files_that_were_written_before_a_crash_are_found_again(house: BatchHouse) -> None:
    engine = house.engine()
    batch = await house.record([], input_file=None)
    await house.table.add_lines(batch.id, [NewLine(0, "a", b'{"messages":[{"content":"a"}]}')])
    await house.table.begin(batch.id, total=1, model="m")
    while await house.table.settle_rest(batch.id, "errored"):
        pass
    await house.table.finalize(batch.id)
    finalizing = await house.table.find(batch.id)
    assert finalizing is not None
    written = await house.outputs.write(finalizing, house.call)
    async with working(engine):
        ended = await house.until((await house.start(engine, batch)).id)
    assert (ended.output_file, ended.error_file) == written
    assert ended.status == "completed"
    (line,) = await house.lines(ended.error_file)
    assert line["error"]["code"] == "batch_failed"


async def test_lost_credentials_are_each_lines_error(house: BatchHouse, tmp_path: Path) -> None:
    call = Call(principal=house.principal, provider_data={"key": SecretStr("sk-mine")})
    engine = house.engine(sealer=KeySealer([], tmp_path / "other-key"))
    async with working(engine):
        ended = await house.until((await house.start(engine, await house.record(WORDS), call)).id)
    assert (ended.status, ended.errored, house.answers.asked) == ("completed", 6, [])
    failures = await house.lines(ended.error_file)
    assert {line["response"]["body"]["error"]["code"] for line in failures} == {"credentials_lost"}


@pytest.mark.parametrize("foreign", [False, True])
async def test_an_input_that_is_gone_or_anothers_fails_the_batch(house: BatchHouse, *, foreign: bool) -> None:
    file_id = "file-gone"
    if foreign:
        file_id = await house.upload(b"{}\n", Call(principal=Principal("bob", "acme")))
    async with working(house.engine()) as engine:
        batch = await house.record([], input_file=file_id)
        ended = await house.until((await house.start(engine, batch)).id)
    assert ended.status == "failed"
    assert ended.errors is not None
    assert '"file_not_found"' in ended.errors


async def test_a_run_that_is_stopped_by_an_operator_loses_no_answer(house: BatchHouse) -> None:
    only(house, "w1")
    async with working(house.engine()) as engine:
        batch = await house.start(engine, await house.record(WORDS))
        await house.asked(6)
        while (now := await house.table.find(batch.id)) is None or now.succeeded < 1:
            await asyncio.sleep(0.005)
        await engine.cancel(house.principal, batch.run)
        ended = await house.until(batch.id)
    assert (ended.status, ended.succeeded, ended.errored) == ("failed", 1, 5)
    assert ended.errors is not None
    assert [line["custom_id"] for line in await house.lines(ended.output_file)] == ["w1"]
    assert {line["error"]["code"] for line in await house.lines(ended.error_file)} == {"batch_failed"}


async def test_a_message_batch_has_its_lines_and_leaves_no_files(house: BatchHouse) -> None:
    async with working(house.engine(results_retention_s=500)) as engine:
        batch = await house.record([], api="anthropic", input_file=None)
        await house.table.add_lines(batch.id, [NewLine(0, "a", b'{"messages":[{"content":"hello"}]}')])
        await house.table.begin(batch.id, total=1, model=None)
        ended = await house.until((await house.start(engine, batch)).id)
    assert (ended.status, ended.output_file, ended.error_file) == ("completed", None, None)
    assert ended.results_expire_at is not None
    assert ended.ended_at is not None
    assert ended.results_expire_at - ended.ended_at == pytest.approx(500)
    (line,) = await house.table.results(batch.id, limit=10)
    assert (line.custom_id, line.outcome, line.body) == ("a", "succeeded", b'{"said": "hello"}')


async def test_no_more_lines_are_under_way_than_may(house: BatchHouse) -> None:
    under_way = peak = 0

    async def says(said: str) -> LineReply | None:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        await asyncio.sleep(0.002)
        under_way -= 1
        return await house.answers.echo(said)

    house.answers.says = says
    async with working(house.engine(requests_concurrent_max=3)) as engine:
        batch = await house.record([f"w{number}" for number in range(50)])
        ended = await house.until((await house.start(engine, batch)).id)
    assert (ended.succeeded, peak) == (50, 3)

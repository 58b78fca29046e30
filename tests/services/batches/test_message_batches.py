"""Message batches over both databases: what comes in, what is shown, whose they are, and their results."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from anthropic.types.messages import MessageBatchIndividualResponse
from pydantic import TypeAdapter

from llama_stack.config.batches import BatchesConfig
from llama_stack.runs.engine import RunEngine
from llama_stack.security.sealing import KeySealer
from llama_stack.services.batches.job import KIND
from llama_stack.services.batches.messages import MessageBatchService
from llama_stack.services.batches.starting import BatchStarter
from llama_stack.services.files.spool import Spool
from llama_stack.storage.sql.batch_records import LineResult
from llama_stack.storage.sql.batch_removal import BatchRemoval
from llama_stack.storage.sql.batches import BatchTable
from llama_stack.storage.sql.database import Database
from llama_stack_api.errors import Conflict, InvalidRequest, LlamaStackError, NotFound, PayloadTooLarge
from llama_stack_api.principal import Call, Principal

pytestmark = pytest.mark.anyio

BASE = "http://here:8321"
ANN, BOB, EVE = (Call(Principal(name, tenant)) for name, tenant in (("ann", "a"), ("bob", "a"), ("ann", "b")))
NOW = 1_800_000_000.25
SHOWN_NOW = "2027-01-15T08:00:00.250000Z"
PARAMS = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
RESULTS = TypeAdapter(MessageBatchIndividualResponse)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class House:
    batches: MessageBatchService
    table: BatchTable
    removal: BatchRemoval
    engine: RunEngine
    clock: Clock
    directory: Path

    async def created(self, *custom_ids: str, call: Call = ANN) -> str:
        return (await self.batches.create(body(*custom_ids), call, BASE)).id

    async def settled(self, batch_id: str, *results: LineResult) -> None:
        """As whoever carries it out does."""
        await self.table.settle(batch_id, results)
        while await self.table.settle_rest(batch_id, "expired"):
            pass
        await self.table.end(batch_id, "completed", results_kept_s=100)

    async def results(self, batch_id: str, call: Call = ANN) -> list[dict[str, Any]]:
        blocks = [block async for block in await self.batches.results(batch_id, call)]
        lines = b"".join(blocks).splitlines()
        return [RESULTS.validate_json(line, strict=False).model_dump(mode="json", exclude_unset=True) for line in lines]


@asynccontextmanager
async def house_over(database: Database, directory: Path, limits: BatchesConfig) -> AsyncIterator[House]:
    """Its runs wait in the queue: nobody claims them here."""
    clock = Clock()
    table = BatchTable(database, clock=clock)
    engine = RunEngine(database, [], claims=False)
    starter = BatchStarter(table, engine, KeySealer([b"k" * 32]), {"anthropic-beta"})
    spool = Spool(directory / "spool")
    batches = MessageBatchService(table, starter, spool, limits, upload_timeout_s=60, clock=clock)
    yield House(batches, table, BatchRemoval(database, clock=clock), engine, clock, directory)


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    limits = BatchesConfig(line_bytes_max=5000, lines_max=600)
    async with house_over(database, tmp_path, limits) as made:
        yield made


async def pieces(data: bytes, size: int = 100) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def body(*custom_ids: str) -> AsyncGenerator[bytes, None]:
    requests = [{"custom_id": custom_id, "params": PARAMS} for custom_id in custom_ids]
    return pieces(json.dumps({"requests": requests}, indent=1).encode())


def message(text: str, indent: int | None = None) -> bytes:
    said = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    return json.dumps(said, indent=indent).encode()


async def test_a_new_batch(house: House) -> None:
    batch = await house.batches.create(body("a", "b", "c"), ANN, BASE)
    assert batch.model_dump(exclude={"id"}) == {
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": {"processing": 3, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
        "created_at": SHOWN_NOW,
        "expires_at": SHOWN_NOW.replace("-15T", "-16T"),
        "ended_at": None,
        "cancel_initiated_at": None,
        "archived_at": None,
        "results_url": None,
    }
    assert batch.id.startswith("msgbatch_")
    assert await house.batches.get(batch.id, ANN, BASE) == batch
    lines = await house.table.take(batch.id, limit=10)
    assert [(line.line, line.custom_id, json.loads(line.request)) for line in lines] == [
        (0, "a", PARAMS),
        (1, "b", PARAMS),
        (2, "c", PARAMS),
    ]
    record = await house.table.get(ANN.principal, "anthropic", batch.id)
    run = await house.engine.journal.get(ANN.principal, record.run)
    assert run.kind == KIND
    assert list((house.directory / "spool").iterdir()) == []


async def test_a_batch_of_several_transactions(house: House) -> None:
    custom_ids = [f"r-{number}" for number in range(600)]
    batch_id = await house.created(*custom_ids)
    assert (await house.batches.get(batch_id, ANN, BASE)).request_counts.processing == 600
    lines = await house.table.take(batch_id, limit=1000)
    assert [line.custom_id for line in lines] == custom_ids
    with pytest.raises(InvalidRequest, match="at most 600"):
        await house.created(*custom_ids, "one-more")


@pytest.mark.parametrize(
    ("sent", "param", "code"),
    [
        (b"", None, "invalid_json"),
        (b'{"requests": [', None, "invalid_json"),
        (b"[]", None, "invalid_type"),
        (b'{"requests": []}', "requests", "invalid_value"),
        (b'{"requests": [{"params": {}}]}', "requests[0].custom_id", "missing_required_parameter"),
        (b'{"requests": [{"custom_id": 1, "params": {}}]}', "requests[0].custom_id", "invalid_type"),
        (b'{"requests": [{"custom_id": "", "params": {}}]}', "requests[0].custom_id", "invalid_value"),
        (b'{"requests": [{"custom_id": "%b", "params": {}}]}' % (b"x" * 65), "requests[0].custom_id", "invalid_value"),
        (b'{"requests": [{"custom_id": "a"}]}', "requests[0].params", "missing_required_parameter"),
        (b'{"requests": [{"custom_id": "a", "params": []}]}', "requests[0].params", "invalid_type"),
        (b'{"requests": [{"custom_id": "a", "params": {x}}]}', "requests[0]", "invalid_json"),
        (
            b'{"requests": [{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}]}',
            "requests[1].custom_id",
            "duplicate_custom_id",
        ),
    ],
)
async def test_what_is_no_batch_leaves_nothing(house: House, sent: bytes, param: str | None, code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await house.batches.create(pieces(sent), ANN, BASE)
    assert (refused.value.param, refused.value.code) == (param, code)
    page = await house.batches.list(ANN, BASE, after_id=None, before_id=None, limit=10)
    assert page.data == []
    assert list((house.directory / "spool").iterdir()) == []


async def test_a_request_that_is_too_large(house: House) -> None:
    sent = b'{"requests": [{"custom_id": "a", "params": {"x": "%b"}}]}' % (b"x" * 6000)
    with pytest.raises(PayloadTooLarge, match=r"requests\[0\]"):
        await house.batches.create(pieces(sent), ANN, BASE)


async def test_results(house: House) -> None:
    batch_id = await house.created("fine", "wrong", "pretty", "late")
    with pytest.raises(NotFound, match="has not ended"):
        await house.batches.results(batch_id, ANN)
    refused = {"type": "error", "error": {"type": "rate_limit_error", "message": "no"}, "request_id": "req_2"}
    await house.settled(
        batch_id,
        LineResult(0, "succeeded", 200, "req_1", message("one\u2028line")),
        LineResult(1, "errored", 429, "req_2", json.dumps(refused).encode()),
        LineResult(2, "succeeded", 200, "req_3", message("two\nlines", indent=2)),
    )
    found = await house.results(batch_id)
    assert [line["custom_id"] for line in found] == ["fine", "wrong", "pretty", "late"]
    assert [line["result"]["type"] for line in found] == ["succeeded", "errored", "succeeded", "expired"]
    assert found[0]["result"]["message"]["content"][0]["text"] == "one\u2028line"
    assert found[1]["result"]["error"] == refused
    assert found[2]["result"]["message"]["content"][0]["text"] == "two\nlines"
    batch = await house.batches.get(batch_id, ANN, BASE)
    assert batch.processing_status == "ended"
    assert batch.ended_at == SHOWN_NOW
    assert batch.results_url == f"{BASE}/v1/messages/batches/{batch_id}/results"
    assert batch.request_counts.model_dump() == {
        "processing": 0,
        "succeeded": 2,
        "errored": 1,
        "canceled": 0,
        "expired": 1,
    }


async def test_counts_are_told_at_the_end(house: House) -> None:
    batch_id = await house.created("a", "b")
    await house.table.settle(batch_id, [LineResult(0, "succeeded", 200, "req_1", message("x"))])
    counts = (await house.batches.get(batch_id, ANN, BASE)).request_counts
    assert (counts.processing, counts.succeeded) == (2, 0)


async def test_a_request_that_a_failed_batch_never_answered(house: House) -> None:
    batch_id = await house.created("a")
    await house.settled(batch_id, LineResult(0, "errored"))
    (line,) = await house.results(batch_id)
    assert line["result"]["error"]["error"]["type"] == "api_error"


async def test_results_of_many_pages(house: House) -> None:
    custom_ids = [f"r{number}" for number in range(250)]
    batch_id = await house.created(*custom_ids)
    await house.settled(batch_id, LineResult(7, "succeeded", 200, "req", message("x")))
    assert [line["custom_id"] for line in await house.results(batch_id)] == custom_ids


async def test_results_go_and_the_batch_stays(house: House) -> None:
    batch_id = await house.created("a")
    await house.settled(batch_id)
    assert len(await house.results(batch_id)) == 1
    house.clock.now += 101
    for removed in (False, True):
        if removed:
            while await house.removal.remove_lines(10):
                pass
        batch = await house.batches.get(batch_id, ANN, BASE)
        assert batch.processing_status == "ended"
        assert batch.archived_at is not None
        assert batch.results_url is None
        with pytest.raises(NotFound, match=r"server\.batches\.results_retention_s"):
            await house.batches.results(batch_id, ANN)


async def test_cancelling(house: House) -> None:
    batch_id = await house.created("a", "b")
    batch = await house.batches.cancel(batch_id, ANN, BASE)
    assert (batch.processing_status, batch.cancel_initiated_at) == ("canceling", SHOWN_NOW)
    await house.table.settle_rest(batch_id, "canceled")
    await house.table.end(batch_id, "cancelled", results_kept_s=100)
    ended = await house.batches.cancel(batch_id, ANN, BASE)
    assert (ended.processing_status, ended.request_counts.canceled) == ("ended", 2)
    assert {line["result"]["type"] for line in await house.results(batch_id)} == {"canceled"}


async def test_deleting(house: House) -> None:
    batch_id = await house.created("a")
    with pytest.raises(Conflict):
        await house.batches.delete(batch_id, ANN)
    await house.settled(batch_id)
    deleted = await house.batches.delete(batch_id, ANN)
    assert deleted.model_dump() == {"id": batch_id, "type": "message_batch_deleted"}
    for gone in (house.batches.get(batch_id, ANN, BASE), house.batches.delete(batch_id, ANN)):
        with pytest.raises(NotFound):
            await gone
    assert (await house.batches.list(ANN, BASE, after_id=None, before_id=None, limit=10)).data == []


async def test_pages(house: House) -> None:
    made = []
    for _ in range(5):
        house.clock.now += 1
        made.append(await house.created("a"))
    newest = made[::-1]

    async def page(limit: int, **where: str | None) -> tuple[list[str], bool]:
        places = {"after_id": None, "before_id": None, **where}
        found = await house.batches.list(ANN, BASE, limit=limit, **places)
        ids = [batch.id for batch in found.data]
        assert (found.first_id, found.last_id) == ((ids[0], ids[-1]) if ids else (None, None))
        return ids, found.has_more

    assert await page(2) == (newest[:2], True)
    assert await page(2, after_id=newest[1]) == (newest[2:4], True)
    assert await page(2, after_id=newest[3]) == (newest[4:], False)
    assert await page(2, after_id=newest[4]) == ([], False)
    assert await page(2, before_id=newest[3]) == (newest[1:3], True)
    assert await page(2, before_id=newest[1]) == (newest[:1], False)
    for wrong in ({"after_id": "msgbatch_none"}, {"before_id": "msgbatch_none"}):
        with pytest.raises(InvalidRequest) as refused:
            await page(2, **wrong)
        assert refused.value.param in wrong
    with pytest.raises(InvalidRequest, match="only one of"):
        await page(2, after_id=newest[0], before_id=newest[1])


@pytest.mark.parametrize("other", [BOB, EVE])
async def test_what_is_another_one_s_does_not_exist(house: House, other: Call) -> None:
    batch_id = await house.created("a")
    await house.settled(batch_id)
    mine = await house.created("a", call=other)

    async def refusal(asked: Any) -> tuple[type[LlamaStackError], str, str | None]:
        with pytest.raises(LlamaStackError) as refused:
            await asked
        return type(refused.value), refused.value.message.replace(batch_id, "<id>"), refused.value.param

    unknown = "msgbatch_" + "0" * 48
    for ask in (
        lambda one: house.batches.get(one, other, BASE),
        lambda one: house.batches.cancel(one, other, BASE),
        lambda one: house.batches.delete(one, other),
        lambda one: house.batches.results(one, other),
        lambda one: house.batches.list(other, BASE, after_id=one, before_id=None, limit=10),
    ):
        theirs = await refusal(ask(batch_id))
        kind, text, param = await refusal(ask(unknown))
        assert theirs == (kind, text.replace(unknown, "<id>"), param)
    page = await house.batches.list(other, BASE, after_id=None, before_id=None, limit=10)
    assert [batch.id for batch in page.data] == [mine]
    assert len(await house.results(batch_id)) == 1


async def test_a_batch_of_openai_s_is_none_of_anthropic_s(house: House) -> None:
    batch_id = await house.created("a")
    with pytest.raises(NotFound):
        await house.table.get(ANN.principal, "openai", batch_id)

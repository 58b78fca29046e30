"""Batches by the unmodified `openai` client: created, watched, cancelled; what is refused, and what their files say."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from llama_stack.security.authentication import new_key
from tests.support.batching import CHAT, MODEL, Batching, batching, chat_line, jsonl
from tests.support.upstream import Answer, Recorded, Wire, error, rate_limited, text

pytestmark = pytest.mark.anyio


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Batching]:
    async with batching(tmp_path) as up:
        yield up


def by_word(request: Recorded) -> Answer:
    """A request that says "fail" fails; the others are answered with what they say."""
    said = request.body["messages"][-1]["content"]
    return error(400, "no") if "fail" in said else text(f"You said: {said}")(request)


async def test_a_batch_from_its_file_to_its_answers(up: Batching) -> None:
    up.upstream.always(by_word, on="/chat/completions")
    content = jsonl([chat_line(f"id-{n}", "fail" if n % 3 == 2 else f"n{n}", max_tokens=n + 1) for n in range(8)])
    created = await up.create(
        content, metadata={"of": "test"}, output_expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert created.id.startswith("batch_")
    assert (created.status, created.endpoint, created.completion_window) == ("validating", CHAT, "24h")
    assert created.expires_at == created.created_at + 24 * 3600
    batch = await up.until(created.id)
    assert (batch.status, batch.metadata, batch.model) == ("completed", {"of": "test"}, MODEL)
    assert batch.request_counts is not None
    assert batch.request_counts.to_dict() == {"total": 8, "completed": 6, "failed": 2}
    times = (batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at)
    assert list(times) == sorted(times)  # type: ignore[type-var]
    assert batch.errors is None
    assert batch.usage is not None
    assert batch.usage.total_tokens == batch.usage.input_tokens + batch.usage.output_tokens > 0

    answers, failures = await up.lines(batch.output_file_id), await up.lines(batch.error_file_id)
    assert [line["custom_id"] for line in answers] == [f"id-{n}" for n in (0, 1, 3, 4, 6, 7)]
    assert [line["custom_id"] for line in failures] == ["id-2", "id-5"]
    assert all(set(line) == {"id", "custom_id", "response", "error"} for line in answers + failures)
    assert len({line["id"] for line in answers + failures}) == 8
    first = answers[0]["response"]
    assert (answers[0]["error"], first["status_code"]) == (None, 200)
    assert first["request_id"].startswith("req_")
    assert first["body"]["choices"][0]["message"]["content"] == "You said: n0"
    assert first["body"]["model"] == f"up/{MODEL}"
    assert (failures[0]["response"]["status_code"], failures[0]["error"]) == (400, None)
    assert failures[0]["response"]["body"]["error"]["message"]

    files = {file.id: file async for file in up.openai.files.list(purpose="batch_output")}
    assert set(files) == {batch.output_file_id, batch.error_file_id}
    for file in files.values():
        assert file.purpose == "batch_output"
        assert file.expires_at == file.created_at + 3600


async def test_requests_are_sent_as_they_were_written(up: Batching) -> None:
    await up.done(jsonl([chat_line("a", "schön", temperature=0.25, some_new_field={"x": [1]})]))
    body = up.upstream.last.body
    assert (body["messages"][0]["content"], body["temperature"], body["some_new_field"]) == ("schön", 0.25, {"x": [1]})


@pytest.mark.parametrize(
    ("endpoint", "body", "path"),
    [
        ("/v1/completions", {"model": MODEL, "prompt": "Once"}, "/completions"),
        ("/v1/embeddings", {"model": "e", "input": ["a", "b"]}, "/embeddings"),
        ("/v1/responses", {"model": MODEL, "input": "Hi"}, "/chat/completions"),
    ],
)
async def test_other_endpoints(up: Batching, endpoint: str, body: dict[str, Any], path: str) -> None:
    lines = [{"custom_id": f"{n}", "method": "POST", "url": endpoint, "body": body} for n in range(3)]
    batch = await up.done(jsonl(lines), endpoint)
    answers = await up.lines(batch.output_file_id)
    assert [line["custom_id"] for line in answers] == ["0", "1", "2"], await up.lines(batch.error_file_id)
    assert {line["response"]["status_code"] for line in answers} == {200}
    assert all(request.path.endswith(path) for request in up.upstream.requests)


async def test_moderations(up: Batching) -> None:
    url, texts = "/v1/moderations", ["Mail to jane@example.com.", ["Nothing.", "Pay 4111 1111 1111 1111."]]
    lines = [
        {"custom_id": f"id-{n}", "method": "POST", "url": url, "body": {"model": "pii", "input": said}}
        for n, said in enumerate(texts)
    ]
    batch = await up.done(jsonl(lines), url)
    assert (batch.status, batch.error_file_id) == ("completed", None)
    answers = [line["response"]["body"] for line in await up.lines(batch.output_file_id)]
    assert [[result["flagged"] for result in answer["results"]] for answer in answers] == [[True], [False, True]]


async def test_a_line_that_the_api_refuses_is_in_the_error_file(up: Batching) -> None:
    wrong: dict[str, Any] = {"custom_id": "b", "method": "POST", "url": CHAT, "body": {"model": MODEL}}
    batch = await up.done(jsonl([chat_line("a"), wrong, chat_line("c", stream=True), chat_line("d", model=MODEL)]))
    assert batch.request_counts is not None
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 2)
    failures = await up.lines(batch.error_file_id)
    assert [(line["custom_id"], line["response"]["status_code"]) for line in failures] == [("b", 400), ("c", 400)]
    assert failures[0]["response"]["body"]["error"]["param"] == "messages"
    assert failures[1]["response"]["body"]["error"]["param"] == "stream"


async def test_what_a_provider_is_too_busy_for_is_tried_again(up: Batching) -> None:
    up.upstream.reply(*[rate_limited("0")] * 4, on="/chat/completions")
    batch = await up.done(jsonl([chat_line(f"{n}") for n in range(6)]))
    assert [line["custom_id"] for line in await up.lines(batch.output_file_id)] == [f"{n}" for n in range(6)]
    assert batch.error_file_id is None


async def test_every_problem_of_a_file_is_named(up: Batching) -> None:
    good = chat_line("a")
    content = b"\n".join(
        [
            json.dumps(good).encode(),
            b'{"custom_id": "b"',
            json.dumps({**good, "custom_id": None}).encode(),
            json.dumps(good).encode(),
            json.dumps({**good, "custom_id": "c", "method": "GET"}).encode(),
            b"",
            json.dumps({**good, "custom_id": "d", "url": "/v1/embeddings"}).encode(),
            json.dumps({**good, "custom_id": "e", "body": []}).encode(),
            json.dumps({**good, "custom_id": "f", "body": {"messages": []}}).encode(),
            json.dumps(chat_line("g", model="other")).encode(),
        ]
    )
    batch = await up.done(content)
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("failed", None, None)
    assert batch.failed_at is not None
    assert batch.in_progress_at is None
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert [(each.line, each.code, each.param) for each in batch.errors.data] == [
        (2, "invalid_json_line", None),
        (3, "missing_required_parameter", "custom_id"),
        (4, "duplicate_custom_id", "custom_id"),
        (5, "invalid_method", "method"),
        (7, "mismatched_endpoint", "url"),
        (8, "invalid_type", "body"),
        (9, "missing_required_parameter", "body.model"),
        (10, "mismatched_model", "body.model"),
    ]
    assert not up.upstream.requests


async def test_a_file_without_requests_fails(up: Batching) -> None:
    batch = await up.done(b"\n\n")
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert [each.code for each in batch.errors.data] == ["empty_file"]


async def test_limits_of_a_file(tmp_path: Path) -> None:
    limits = {"lines_max": 3, "bytes_max": 300_000, "line_bytes_max": 1000}
    async with batching(tmp_path, server={"batches": limits}) as up:
        codes = []
        for content in (
            jsonl([chat_line(f"{n}") for n in range(4)]),
            b" " * 300_001,
            jsonl([chat_line("a", "x" * 70_000), chat_line("b")]),
        ):
            batch = await up.done(content)
            assert batch.errors is not None
            assert batch.errors.data is not None
            codes.append([(each.code, each.line) for each in batch.errors.data])
        assert codes == [[("too_many_tasks", None)], [("file_too_large", None)], [("request_too_large", 1)]]


async def test_what_cannot_be_created(up: Batching) -> None:
    file_id = await up.upload(jsonl([chat_line("a")]))
    other = await up.upload(b"text", purpose="assistants")
    for changed, param in (
        ({"input_file_id": "file-none"}, "input_file_id"),
        ({"input_file_id": other}, "input_file_id"),
        ({"endpoint": "/v1/files"}, "endpoint"),
        ({"endpoint": "/v1/messages"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after.seconds"),
    ):
        asked: Any = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h", **changed}
        with pytest.raises(openai.BadRequestError) as refused:
            await up.openai.batches.create(**asked)
        assert refused.value.param == param
    assert [batch async for batch in up.openai.batches.list()] == []
    with pytest.raises(openai.NotFoundError):
        await up.openai.batches.retrieve("batch_none")
    with pytest.raises(openai.NotFoundError):
        await up.openai.batches.cancel("batch_none")


async def test_one_key_is_one_batch(up: Batching) -> None:
    file_id = await up.upload(jsonl([chat_line("a")]))
    asked: Any = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    header = {"Idempotency-Key": "k1"}
    first = await up.openai.batches.create(**asked, extra_headers=header)
    await up.until(first.id)
    await up.openai.files.delete(file_id)
    again = await up.openai.batches.create(**asked, extra_headers=header)
    by_body = await up.openai.batches.create(**asked, extra_body={"idempotency_key": "k1"})
    assert (again.id, again.status, by_body.id) == (first.id, "completed", first.id)
    assert len(up.upstream.requests) == 1
    with pytest.raises(openai.ConflictError):
        await up.openai.batches.create(**asked, metadata={"other": "one"}, extra_headers=header)


async def test_lists_go_by_pages(up: Batching) -> None:
    ids = [(await up.done(jsonl([chat_line("a")]))).id for _ in range(3)][::-1]
    assert [batch.id async for batch in up.openai.batches.list(limit=1)] == ids
    page = await up.openai.batches.list(limit=2, after=ids[0])
    assert ([batch.id for batch in page.data], page.has_more) == (ids[1:], False)
    with pytest.raises(openai.BadRequestError):
        await up.openai.batches.list(after="batch_none")


async def test_a_cancelled_batch_keeps_what_is_done(tmp_path: Path) -> None:
    async with batching(tmp_path, server={"batches": {"requests_concurrent_max": 2, "cancel_grace_s": 0.1}}) as up:
        up.upstream.reply(text("one"), text("two"), on="/chat/completions")
        up.upstream.always(text("late", wire=Wire(stall_head=True)), on="/chat/completions")
        created = await up.create(jsonl([chat_line(f"{n}") for n in range(6)]))
        await up.upstream.wait_requests(4)
        cancelling = await up.openai.batches.cancel(created.id)
        assert (cancelling.status, cancelling.cancelling_at is not None) == ("cancelling", True)
        batch = await up.until(created.id)
        assert batch.status == "cancelled"
        assert batch.cancelled_at is not None
        assert batch.request_counts is not None
        assert batch.request_counts.to_dict() == {"total": 6, "completed": 2, "failed": 4}
        assert [line["custom_id"] for line in await up.lines(batch.output_file_id)] == ["0", "1"]
        failures = await up.lines(batch.error_file_id)
        assert [(line["custom_id"], line["response"], line["error"]["code"]) for line in failures] == [
            (f"{n}", None, "batch_cancelled") for n in range(2, 6)
        ]
        assert (await up.openai.batches.cancel(created.id)).status == "cancelled"


async def test_what_has_ended_cannot_be_cancelled(up: Batching) -> None:
    batch = await up.done(jsonl([chat_line("a")]))
    with pytest.raises(openai.ConflictError):
        await up.openai.batches.cancel(batch.id)


async def test_keys_of_the_request_are_its_lines(up: Batching) -> None:
    """They are sealed with the run, and used for each line."""
    data = {"X-LlamaStack-Provider-Data": json.dumps({"vllm_api_token": "sk-mine"})}
    await up.done(jsonl([chat_line("a"), chat_line("b")]), extra_headers=data)
    assert [request.headers.get("authorization") for request in up.upstream.requests] == ["Bearer sk-mine"] * 2


async def test_what_is_anothers_does_not_exist(tmp_path: Path) -> None:
    keys = {who: new_key() for who in ("ann", "bob")}
    held = [{"id": who, "tenant": "acme", "hash": key.hash} for who, key in keys.items()]
    async with batching(tmp_path, server={"auth": {"provider_config": {"type": "api_keys", "keys": held}}}) as up:
        ann, bob = (replace(up, openai=up.openai.with_options(api_key=keys[who].key)) for who in ("ann", "bob"))
        batch = await ann.done(jsonl([chat_line("a")]))
        for ask in (bob.openai.batches.retrieve, bob.openai.batches.cancel):
            with pytest.raises(openai.NotFoundError):
                await ask(batch.id)
        assert [each async for each in bob.openai.batches.list()] == []
        with pytest.raises(openai.NotFoundError):
            await bob.lines(batch.output_file_id)
        with pytest.raises(openai.BadRequestError) as refused:
            await bob.openai.batches.create(input_file_id=batch.input_file_id, endpoint=CHAT, completion_window="24h")
        assert refused.value.param == "input_file_id"
        assert len(await ann.lines(batch.output_file_id)) == 1


async def test_keys_are_gone_with_the_batch_and_stand_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not in an upstream's error that repeats them, either."""
    async with batching(tmp_path) as up:
        up.upstream.always(Answer(status=401, parts=[b'{"error":{"message":"Wrong key: sk-mine-0123456789"}}']), on="s")
        key = "sk-mine-0123456789"
        data = {"X-LlamaStack-Provider-Data": json.dumps({"vllm_api_token": key})}
        batch = await up.done(jsonl([chat_line("a"), chat_line("b")]), extra_headers=data)
        assert [request.headers["authorization"] for request in up.upstream.requests] == [f"Bearer {key}"] * 2
        [first, _] = await up.lines(batch.error_file_id)
        assert first["response"]["status_code"] >= 400
        assert "0123456789" not in json.dumps([first, batch.to_dict()])
        assert "0123456789" not in caplog.text
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"0123456789" not in path.read_bytes(), path
    with closing(sqlite3.connect(tmp_path / "store" / "sql_store.db")) as database:
        left = "SELECT d.name FROM ls_run_documents d JOIN ls_runs r ON r.id = d.run WHERE r.kind = 'batch'"
        assert "secrets" not in [name for (name,) in database.execute(left)]
        assert database.execute("SELECT count(*) FROM ls_runs WHERE kind = 'batch'").fetchone() == (1,)

"""Lines of batches against the real inference service: answers, refusals and the pace at which a provider is asked."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llama_stack.services.batches.lane import PacePolicy
from llama_stack.services.batches.lines import LineLimits, LineReply
from llama_stack.storage.sql.batch_records import LineUsage
from llama_stack_api.principal import Call
from tests.services.batches.line_house import LineHouse, line_house
from tests.support.upstream import Recorded, Wire, error, rate_limited, text
from tests.support.upstream_wire import Answer

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"


def chat(said: str = "Hello", **more: Any) -> bytes:
    return json.dumps({"model": "up/upstream-model", "messages": [{"role": "user", "content": said}], **more}).encode()


async def run(
    house: LineHouse, request: bytes, endpoint: str = CHAT, *, line: int = 0, batch: str = "b", left_s: float = 30.0
) -> LineReply | None:
    call = Call(deadline=asyncio.get_running_loop().time() + left_s)
    return await house.lines.run(endpoint, request, call, batch=batch, line=line)


async def answered(house: LineHouse, request: bytes, endpoint: str = CHAT) -> tuple[int, Any]:
    reply = await run(house, request, endpoint)
    assert reply is not None
    assert reply.request_id.startswith("req_")
    return reply.status, json.loads(reply.body)


async def test_a_chat_completion(tmp_path: Path) -> None:
    async with line_house(tmp_path) as house:
        house.upstream.reply(text("Hi there"))
        reply = await run(house, chat())
        assert reply is not None
        assert reply.ok
        body = json.loads(reply.body)
        assert (body["model"], body["choices"][0]["message"]["content"]) == ("up/upstream-model", "Hi there")
        usage = body["usage"]
        assert reply.usage == LineUsage(usage["prompt_tokens"], 0, usage["completion_tokens"], 0)


async def test_a_completion_and_embeddings(tmp_path: Path) -> None:
    async with line_house(tmp_path) as house:
        house.upstream.reply(text("world"))
        status, body = await answered(house, b'{"model": "up/upstream-model", "prompt": "Hello"}', "/v1/completions")
        assert (status, body["choices"][0]["text"]) == (200, "world")
        status, body = await answered(house, b'{"model": "vectors", "input": ["a", "b"]}', "/v1/embeddings")
        assert status == 200, body
        assert len(body["data"]) == 2


@pytest.mark.parametrize(
    ("request_body", "status", "code", "param"),
    [
        (b"", 400, "invalid_json", None),
        (b"[]", 400, "invalid_type", None),
        (b'{"model": "up/upstream-model"}', 400, "missing_required_parameter", "messages"),
        (b'{"model": 1, "messages": []}', 400, "invalid_type", "model"),
        (chat(stream=True), 400, "unsupported_parameter", "stream"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, 400, "json_too_deep", None),
        (chat("x" * 2000), 400, "request_too_large", None),
        (chat(model="nobody/has-it"), 404, "model_not_found", "model"),
    ],
)
async def test_what_is_wrong_is_an_answer(
    tmp_path: Path, request_body: bytes, status: int, code: str, param: str | None
) -> None:
    async with line_house(tmp_path, limits=LineLimits(bytes_max=2000, depth_max=64, timeout_s=30)) as house:
        got, body = await answered(house, request_body)
        assert (got, body["error"]["code"], body["error"]["param"]) == (status, code, param)
        assert house.upstream.requests == []


async def test_a_stream_that_is_not_asked_for_is_no_mistake(tmp_path: Path) -> None:
    async with line_house(tmp_path) as house:
        status, _ = await answered(house, chat(stream=False))
        assert status == 200


async def test_a_refusal_of_the_provider_is_an_answer(tmp_path: Path) -> None:
    async with line_house(tmp_path) as house:
        house.upstream.reply(error(400, "no such parameter", param="top_k"))
        status, body = await answered(house, chat())
        assert (status, body["error"]["param"]) == (400, "top_k")
        house.upstream.reply(error(500, "broken"))
        status, body = await answered(house, chat())
        assert (status, body["error"]["code"]) == (502, "upstream_error")
        assert len(house.upstream.requests) == 2


async def test_an_answer_that_does_not_come(tmp_path: Path) -> None:
    async with line_house(tmp_path, limits=LineLimits(bytes_max=2000, depth_max=64, timeout_s=0.1)) as house:
        house.upstream.reply(text("late", wire=Wire(stall_head=True)))
        status, body = await answered(house, chat())
        assert (status, body["error"]["code"]) == (504, "request_timeout")
        await house.upstream.last.wait_hung_up()


async def test_an_answer_that_is_too_large(tmp_path: Path) -> None:
    async with line_house(tmp_path, limits=LineLimits(bytes_max=500, depth_max=64, timeout_s=30)) as house:
        house.upstream.reply(text("x" * 1000))
        status, body = await answered(house, chat())
        assert (status, body["error"]["code"]) == (500, "answer_too_large")


@pytest.mark.parametrize("refusal", [rate_limited("0"), error(503, "busy"), error(529, "busy")])
async def test_a_throttled_line_is_tried_until_it_is_answered(tmp_path: Path, refusal: Answer) -> None:
    async with line_house(tmp_path) as house:
        house.upstream.reply(*[refusal] * 5, text("at last"))
        status, body = await answered(house, chat())
        assert (status, body["choices"][0]["message"]["content"]) == (200, "at last")
        assert len(house.upstream.requests) == 6


async def test_a_provider_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    async with line_house(tmp_path) as house:
        house.upstream.reply(*[text("", wire=Wire(refuse=True))] * 3, text("back"))
        status, _ = await answered(house, chat())
        assert status == 200


async def test_a_throttled_line_has_no_answer_when_its_time_is_over(tmp_path: Path) -> None:
    async with line_house(tmp_path) as house:
        house.upstream.always(rate_limited(None))
        assert await run(house, chat(), left_s=0.3) is None
        assert 2 <= len(house.upstream.requests) <= 30, "it was tried, and not in a hot loop"


async def test_an_answer_that_is_under_way_when_its_time_is_over(tmp_path: Path) -> None:
    async with line_house(tmp_path) as house:
        house.upstream.reply(text("late", wire=Wire(stall_head=True)))
        assert await run(house, chat(), left_s=0.1) is None
        await house.upstream.last.wait_hung_up()


async def test_no_line_is_begun_when_the_time_is_over(tmp_path: Path) -> None:
    async with line_house(tmp_path) as house:
        assert await run(house, chat(), left_s=0) is None
        assert house.upstream.requests == []


async def test_lines_under_way_are_bounded_and_all_are_answered(tmp_path: Path) -> None:
    """Two batches, a provider that takes three requests at a time and refuses any other."""
    under_way = Counter[str]()
    most = 0

    async with line_house(tmp_path, PacePolicy(8, start=8, pause_s=0.005, pause_max_s=0.02)) as house:

        def busy(request: Recorded) -> Answer:
            nonlocal most
            open_now = sum(not (each.finished or each.hung_up) for each in house.upstream.requests)
            most = max(most, open_now)
            under_way[request.body["messages"][0]["content"]] += 1
            return rate_limited("0.01") if open_now > 3 else text("done", wire=Wire(head_after_s=0.002))(request)

        house.upstream.always(busy, on="/chat/completions")
        lines = [(batch, line) for line in range(30) for batch in ("a", "b")]
        replies = await asyncio.gather(
            *(run(house, chat(f"{batch}{line}"), batch=batch, line=line) for batch, line in lines)
        )
        assert all(reply is not None and reply.ok for reply in replies)
        assert set(under_way) == {f"{batch}{line}" for batch, line in lines}
        assert most <= 8


async def test_who_is_cancelled_frees_its_place(tmp_path: Path) -> None:
    async with line_house(tmp_path, PacePolicy(1, start=1)) as house:
        house.upstream.reply(text("never", wire=Wire(stall_head=True)))
        first = asyncio.create_task(run(house, chat("first")))
        await house.upstream.wait_requests(1)
        waiting = asyncio.create_task(run(house, chat("waiting")))
        third = asyncio.create_task(run(house, chat("third")))
        await asyncio.sleep(0)
        waiting.cancel()
        first.cancel()
        reply = await third
        assert reply is not None
        assert reply.ok
        assert {first.cancelled() or first.cancelling() > 0, waiting.cancelling() > 0} == {True}
        said = [request.body["messages"][0]["content"] for request in house.upstream.requests]
        assert said == ["first", "third"]

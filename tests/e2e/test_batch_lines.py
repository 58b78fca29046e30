"""Lines of batches against the whole server's responses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llama_stack.routing.table import Entry
from llama_stack.services.batches.endpoints import openai_endpoints
from llama_stack.services.batches.lane import PacePolicy
from llama_stack.services.batches.lines import LineLimits, LineReply, LineRunner
from llama_stack.services.batches.pace import Pace
from llama_stack_api.principal import Call
from tests.support.responding import MODEL, Responding, responding
from tests.support.upstream import Tool, Wire, calls, error, rate_limited, text

pytestmark = pytest.mark.anyio

RESPONSES = "/v1/responses"


class OneLane:
    def lookup(self, identifier: str) -> Entry | None:
        return None


@dataclass(frozen=True, slots=True)
class House:
    up: Responding
    lines: LineRunner

    async def run(self, line: int = 0, left_s: float = 30.0, **request: Any) -> LineReply | None:
        call = Call(deadline=asyncio.get_running_loop().time() + left_s)
        sent = json.dumps({"model": MODEL, "input": "Hello", **request}).encode()
        return await self.lines.run(RESPONSES, sent, call, batch="batch_1", line=line)

    async def answered(self, line: int = 0, **request: Any) -> tuple[int, Any]:
        reply = await self.run(line, **request)
        assert reply is not None
        return reply.status, json.loads(reply.body)


@asynccontextmanager
async def house_in(directory: Path) -> AsyncIterator[House]:
    async with responding(directory) as up:
        services = up.server.services
        endpoints = openai_endpoints(services.inference, services.responses.creation, services.moderations, OneLane())
        pace = Pace(4, policy=PacePolicy(4, pause_s=0.01, pause_max_s=0.02, told_max_s=0.02))
        yield House(up, LineRunner(endpoints, pace, LineLimits(100_000, 64, 30.0)))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_in(tmp_path) as made:
        yield made


async def test_a_response(house: House) -> None:
    house.up.upstream.reply(text("Hi"))
    reply = await house.run()
    assert reply is not None
    response = json.loads(reply.body)
    assert (reply.status, response["status"], response["output"][0]["content"][0]["text"]) == (200, "completed", "Hi")
    usage = response["usage"]
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (usage["input_tokens"], usage["output_tokens"])
    assert (await house.up.openai.responses.retrieve(response["id"])).id == response["id"]


async def test_a_line_that_is_carried_out_again_finds_its_response(house: House) -> None:
    house.up.upstream.reply(text("once"))
    first, again = await house.answered(), await house.answered()
    assert first == again
    assert len(house.up.upstream.requests) == 1
    house.up.upstream.reply(text("another"))
    assert (await house.answered(line=1))[1]["id"] != first[1]["id"]


async def test_a_line_that_was_cut_off_attaches_to_what_it_began(house: House) -> None:
    house.up.upstream.reply(text("slow", wire=Wire(head_after_s=0.3)))
    cut_off = asyncio.create_task(house.run())
    await house.up.upstream.wait_requests(1)
    cut_off.cancel()
    await asyncio.wait((cut_off,))
    status, response = await house.answered()
    assert (status, response["output"][0]["content"][0]["text"]) == (200, "slow")
    assert len(house.up.upstream.requests) == 1


async def test_a_throttled_response_is_begun_anew(house: House) -> None:
    house.up.upstream.reply(*[rate_limited("0")] * 7, text("at last"))
    status, response = await house.answered()
    assert (status, response["output"][0]["content"][0]["text"]) == (200, "at last")
    again = await house.answered()
    assert again == (status, response), "also when what was refused is found first"
    assert len(house.up.upstream.requests) == 8


async def test_a_response_that_fails_is_an_error(house: House) -> None:
    house.up.upstream.reply(error(400, "no such thing", param="messages"))
    status, body = await house.answered()
    assert (status, body["error"]["param"]) == (400, "input")


async def test_a_response_with_a_function_call_is_one_answer(house: House) -> None:
    house.up.upstream.reply(calls(Tool("look", {"at": "it"})))
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}
    status, response = await house.answered(tools=[tool])
    assert (status, response["output"][0]["type"], response["output"][0]["name"]) == (200, "function_call", "look")


@pytest.mark.parametrize("asked", ["stream", "background"])
async def test_another_way_of_answering_is_refused(house: House, asked: str) -> None:
    status, body = await house.answered(**{asked: True})
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "unsupported_parameter", asked)
    assert house.up.upstream.requests == []


async def test_a_response_may_take_as_long_as_its_batch_and_no_longer(house: House) -> None:
    house.up.upstream.reply(text("never", wire=Wire(stall_head=True)))
    assert await house.run(left_s=0.3) is None

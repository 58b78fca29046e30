"""Responses that run without a store or in the background, are cancelled, time out; and how they look meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llama_stack.agent.entries import Entry, ModelCall
from llama_stack.agent.ids import new_id
from llama_stack.agent.kind import ResponseKind
from llama_stack.agent.response import response_json
from llama_stack.agent.snapshot import snapshot
from llama_stack.agent.tools.base import ToolContext
from llama_stack.agent.turn import Turn
from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.limits import RunLimits, RunTimings
from llama_stack.runs.model import Event, NewRun, Run, RunStatus
from llama_stack.storage.sql.open import open_sql
from llama_stack_api.openai.responses.response import Response
from tests.agent.loop.conftest import Respond
from tests.support.agent import ALICE, Remembered, ScriptedModel, checked, payload, turn
from tests.support.agent_tools import Toolset
from tests.support.upstream_replies import Say, Tool, calls, text
from tests.support.upstream_wire import Wire

pytestmark = pytest.mark.anyio

TOOLS = [{"type": "mcp", "server_label": "toys", "name": "wait"}]
Open = Callable[..., Any]


@pytest.fixture
async def engine_of(tmp_path: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as exits, asyncio.timeout(30):
        database = await open_sql(SqlSqliteBackend(db_path=tmp_path / "runs.db"))
        exits.push_async_callback(database.close)

        async def one(kind: ResponseKind, **options: Any) -> RunEngine:
            engine = RunEngine(database, [kind], timings=RunTimings(poll_s=0.01, drain_s=0.1), **options)
            await engine.open()
            exits.push_async_callback(engine.close)
            return engine

        yield one


def kind_of(script: Sequence[Say | Exception], tools: Toolset | None = None) -> ResponseKind:
    return ResponseKind(model=ScriptedModel(script), history=Remembered(), tools=[tools or Toolset()])


def new(asked: Turn, **options: Any) -> NewRun:
    return NewRun("response", payload(asked), id=new_id("resp"), **options)


async def tail(engine: RunEngine, run_id: str) -> list[bytes]:
    return [event.data async for events in engine.tail(ALICE, run_id) for event in events]


async def first_of(engine: RunEngine, run_id: str, kind: str) -> None:
    async for events in engine.tail(ALICE, run_id):
        if any(json.loads(event.data)["type"] == kind for event in events):
            return


@pytest.mark.parametrize("streamed", [True, False])
async def test_without_a_store(engine_of: Open, streamed: bool) -> None:
    engine = await engine_of(kind_of([text("Hello there")]))
    run = engine.start_ephemeral(ALICE, new(turn("Hi", store=False, stream=streamed)), streamed=streamed)
    if streamed:
        events = checked(await tail(engine, run.id))
        assert sum(event["type"] == "response.output_text.delta" for event in events) == 2
        response = events[-1]["response"]
    else:
        outcome = await engine.wait(ALICE, run.id)
        response = json.loads(outcome.result)
        assert outcome.documents == {}
    assert response["output"][0]["content"][0]["text"] == "Hello there"
    assert response["store"] is False


async def test_in_the_background(respond: Respond) -> None:
    ended = await respond(turn("Hi", background=True), [text("Hello")], background=True)
    assert ended.types[:3] == ["created", "queued", "in_progress"]
    assert [event["response"]["status"] for event in ended.events[:3]] == ["queued", "queued", "in_progress"]
    assert ended.response["background"] is True
    assert ended.text == "Hello"


async def test_what_nobody_watches_has_one_delta(respond: Respond) -> None:
    ended = await respond(turn("Hi", stream=False), [text("Hello there you")])
    assert ended.types.count("output_text.delta") == 1


async def test_cancelled_in_the_middle_of_a_tool(engine_of: Open) -> None:
    begun = asyncio.Event()

    async def wait(call: ModelCall, context: ToolContext) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    script = [Say("Let me wait", reasoning="hm", tools=(Tool("wait", {"n": 1}),))]
    engine = await engine_of(kind_of(script, Toolset({"wait": wait})))
    run_id = (await engine.start(ALICE, new(turn("Wait!", tools=TOOLS)))).run.id
    following = asyncio.create_task(tail(engine, run_id))
    await begun.wait()
    await engine.cancel(ALICE, run_id)
    events = checked(await following)
    response = events[-1]["response"]
    assert (events[-1]["type"], response["status"]) == ("response.incomplete", "cancelled")
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    assert events[-2]["item"]["status"] == "incomplete"
    assert response["usage"]["output_tokens"] == 10
    entries = msgspec.json.decode(await engine.journal.document(ALICE, run_id, "turn"), type=list[Entry])
    assert [entry.item["type"] for entry in entries] == ["message", "reasoning", "message"]
    assert json.loads(await engine.journal.document(ALICE, run_id, "result")) == response


async def test_cancelled_in_the_middle_of_a_text(engine_of: Open) -> None:
    engine = await engine_of(kind_of([text("Hello there you", wire=Wire(stall_after=3))]))
    run_id = (await engine.start(ALICE, new(turn("Hi")))).run.id
    await first_of(engine, run_id, "response.output_text.delta")
    following = asyncio.create_task(tail(engine, run_id))
    await asyncio.sleep(0)
    await engine.cancel(ALICE, run_id)
    events = checked(await following)
    assert events[-1]["response"]["output"] == []
    assert events[-2]["item"]["content"][0]["text"] == "Hello there "
    assert events[-2]["item"]["status"] == "incomplete"


async def test_cancelled_before_it_began(engine_of: Open) -> None:
    engine = await engine_of(kind_of([]), claims=False)
    run_id = (await engine.start(ALICE, new(turn("Hi"), background=True))).run.id
    await engine.cancel(ALICE, run_id)
    events = checked(await tail(engine, run_id))
    assert [event["type"] for event in events] == ["response.created", "response.incomplete"]
    assert events[-1]["response"]["status"] == "cancelled"


async def test_out_of_time(engine_of: Open) -> None:
    script = [text("Hello there you", wire=Wire(stall_after=3))]
    engine = await engine_of(kind_of(script), limits=RunLimits(wall_time_s=0.2))
    run_id = (await engine.start(ALICE, new(turn("Hi")))).run.id
    events = checked(await tail(engine, run_id))
    assert events[-1]["type"] == "response.failed"
    assert "run_timed_out" in events[-1]["response"]["error"]["message"]


async def test_snapshots_grow_with_the_log(respond: Respond) -> None:
    script = [
        Say("Let me look", reasoning="I think so", tools=(Tool("wait", {"n": 1}),)),
        calls(Tool("tell", {"it": [1, 2]})),
    ]
    asked = turn("Look!", tools=[*TOOLS, {"type": "function", "name": "tell", "parameters": {"type": "object"}}])
    ended = await respond(asked, script, tools=Toolset({"wait": lambda call, context: "waited"}))
    run = Run("resp_1", "acme", "alice", "response", RunStatus.RUNNING, False, None, 1, 1, 0.0, 0.0)
    log = [Event(number, json.dumps(event).encode()) for number, event in enumerate(ended.events)]
    seen = 0
    for length in range(len(log)):
        response = json.loads(await snapshot(asked, run, _these(log[:length])))
        Response.model_validate(response)
        assert response["status"] == "in_progress"
        assert [item["id"] for item in response["output"]] == [item["id"] for item in ended.output][
            : len(response["output"])
        ]
        size = len(json.dumps([item.get("content") or item.get("arguments") for item in response["output"]]))
        assert size >= seen or response["output"][-1]["type"] == "mcp_call"
        seen = size
    assert response["output"] == ended.output


async def _these(events: list[Event]) -> AsyncIterator[Event]:
    for event in events:
        yield event


def test_settings_are_echoed() -> None:
    asked = turn(
        tools=[{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}],
        text={"verbosity": "low"},
        reasoning={"effort": "high"},
        metadata=None,
        instructions="Be brief.",
    )
    asked.conversation = "conv_1"
    response = response_json(asked, "resp_1", status="queued")
    Response.model_validate(response)
    assert response["tools"] == [
        {"type": "function", "name": "f", "description": None, "parameters": None, "strict": False},
        {"type": "custom", "name": "c", "format": {"type": "text"}},
    ]
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert response["reasoning"] == {"effort": "high", "summary": None}
    assert response["conversation"] == {"id": "conv_1"}
    assert response["instructions"] == "Be brief."
    assert response["usage"]["total_tokens"] == 0
    expected = {
        "metadata": {}, "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "truncation": "disabled",
        "parallel_tool_calls": True, "store": True, "background": False, "service_tier": "auto", "error": None,
        "previous_response_id": None, "max_output_tokens": None, "incomplete_details": None, "completed_at": None,
    }  # fmt: skip
    assert {name: response[name] for name in expected} == expected

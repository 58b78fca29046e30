"""Responses over a WebSocket: several on one connection, going on from what only the connection remembers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import omit
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from websockets.exceptions import ConnectionClosed, InvalidStatus

from llama_stack.config.websocket import SocketLimits
from llama_stack.http.websocket import origin_allowed
from llama_stack.security.authentication import new_key
from tests.support.responding import MODEL, RESPONSES, Responding, responding
from tests.support.response_socket import WAIT_S, answer, ask, socket
from tests.support.upstream import Tool, Wire, calls, text

pytestmark = pytest.mark.anyio

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Responding]:
    async with responding(tmp_path) as up:
        yield up


async def test_responses_go_on_from_one_that_only_the_connection_remembers(up: Responding) -> None:
    up.upstream.reply(text("Hi Ann."), text("Ann."))
    async with socket(up) as connection:
        first = await ask(connection, input="I am Ann.")
        assert [event["sequence_number"] for event in first] == list(range(len(first)))
        for event in first:
            EVENT.validate_python(event)
        response = first[-1]["response"]
        assert response["output"][0]["content"][0]["text"] == "Hi Ann."
        second = await ask(connection, input="Who am I?", previous_response_id=response["id"])
        assert second[-1]["response"]["previous_response_id"] == response["id"]
        assert up.said() == [("user", "I am Ann."), ("assistant", "Hi Ann."), ("user", "Who am I?")]
        (gone,) = await ask(connection, input="And?", previous_response_id=response["id"])
        assert gone["status"] == 400
        assert gone["error"]["code"] == "previous_response_not_found"
        third = await ask(connection, input="And?", previous_response_id=second[-1]["response"]["id"])
        assert third[-1]["type"] == "response.completed"
        assert len(up.asked()) == 5
    async with socket(up) as another:
        (unknown,) = await ask(another, input="And?", previous_response_id=third[-1]["response"]["id"])
        assert unknown["error"]["code"] == "previous_response_not_found"


async def test_the_connection_of_the_openai_package(up: Responding) -> None:
    up.upstream.reply(text("Hi Ann."), text("Ann."))
    async with up.openai.responses.connect() as connection:
        response_id: Any = omit
        for question, told in (("I am Ann.", "Hi Ann."), ("Who am I?", "Ann.")):
            await connection.response.create(model=MODEL, input=question, store=False, previous_response_id=response_id)
            async for event in connection:
                if event.type == "response.completed":
                    response_id = event.response.id
                    assert event.response.output_text == told
                    break
        await connection.response.create(model=MODEL, input="Hi", previous_response_id="resp_gone")
        refused = await connection.recv()
        assert refused.type == "error"
        assert refused.error.code == "previous_response_not_found"


async def test_a_tool_of_the_caller_and_its_result(up: Responding) -> None:
    up.upstream.reply(calls(Tool("f", {})), text("Done."))
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}]
    async with socket(up) as connection:
        response = (await ask(connection, input="Go", tools=tools))[-1]["response"]
        output = {"type": "function_call_output", "call_id": response["output"][0]["call_id"], "output": "done"}
        last = (await ask(connection, input=[output], tools=tools, previous_response_id=response["id"]))[-1]
        assert last["response"]["output"][0]["content"][0]["text"] == "Done."
        assert [message["role"] for message in up.asked()] == ["user", "assistant", "tool"]


async def test_stored_responses_are_those_of_http(up: Responding) -> None:
    async with socket(up) as connection:
        events = await ask(connection, input="Hi", store=True)
        response_id = events[-1]["response"]["id"]
        found = (await up.http.get(f"{RESPONSES}/{response_id}")).json()
        assert found == events[-1]["response"]
        goes_on = await ask(connection, input="And?", previous_response_id=response_id)
        assert goes_on[-1]["type"] == "response.completed"
        assert len(up.asked()) == 3


async def test_getting_ready(up: Responding) -> None:
    async with socket(up) as connection:
        ready = await ask(connection, input="I am Ann.", generate=False)
        assert ready[-1]["response"]["output"] == []
        assert up.upstream.requests == []
        await ask(connection, input="Hi", previous_response_id=ready[-1]["response"]["id"])
        assert up.said() == [("user", "I am Ann."), ("user", "Hi")]


async def test_mistakes_are_told_and_the_connection_goes_on(up: Responding) -> None:
    async with socket(up) as connection:
        for message, status, param in (
            ("no json", 400, None),
            ("[]", 400, None),
            (json.dumps({"type": "response.destroy"}), 400, "type"),
            (json.dumps({"type": "response.create", "model": "gone", "input": "Hi"}), 404, "model"),
            ("[" * 1000 + "]" * 1000, 400, None),
        ):
            await connection.send(message)
            (told,) = await answer(connection)
            assert (told["type"], told["status"], told["error"]["param"]) == ("error", status, param), message
        (named,) = await ask(connection, input="Hi", model="gone", stream_id="s1")
        assert named["stream_id"] == "s1"
        events = await ask(connection, input="Hi", stream_id="s2", background=True)
        assert {event["stream_id"] for event in events} == {"s2"}
        assert events[-1]["type"] == "response.completed"


async def test_one_response_after_the_other(up: Responding) -> None:
    up.upstream.reply(text("One two three.", wire=Wire(gap_s=0.02)), text("Four."))
    async with socket(up) as connection:
        for _ in range(2):
            await connection.send(json.dumps({"type": "response.create", "model": MODEL, "input": "Hi"}))
        first, second = await answer(connection), await answer(connection)
        assert {first[-1]["type"], second[-1]["type"]} == {"response.completed"}
        assert first[-1]["response"]["output"][0]["content"][0]["text"] == "One two three."


async def test_whoever_hangs_up_ends_what_is_not_stored(up: Responding) -> None:
    up.upstream.always(text("One two three.", wire=Wire(stall_after=2)))
    async with socket(up) as connection:
        await connection.send(json.dumps({"type": "response.create", "model": MODEL, "input": "Hi", "store": False}))
        await up.upstream.wait_requests(1)
    await up.upstream.last.wait_hung_up()


async def test_who_may_connect(tmp_path: Path) -> None:
    key = new_key()
    auth = {"provider_config": {"type": "api_keys", "keys": [{"id": "ann", "hash": key.hash}]}}
    async with responding(tmp_path, server={"auth": auth}) as up:
        with pytest.raises(InvalidStatus):
            async with socket(up):
                pass
        with pytest.raises(InvalidStatus):
            async with socket(up, "/v1/realtime", authorization=f"Bearer {key.key}"):
                pass
        with pytest.raises(InvalidStatus):
            async with socket(up, authorization=f"Bearer {key.key}", origin="https://evil.example"):
                pass
        async with socket(up, authorization=f"Bearer {key.key}") as connection:
            assert (await ask(connection, input="Hi"))[-1]["type"] == "response.completed"


def test_origins() -> None:
    from llama_stack.config.server import LOCALHOST_CORS, CorsConfig

    page = {b"origin": b"http://localhost:3000", b"host": b"localhost:8321"}
    assert origin_allowed({b"host": b"localhost:8321"}, None)
    assert origin_allowed({b"origin": b"http://localhost:8321", b"host": b"localhost:8321"}, None)
    assert not origin_allowed(page, None)
    assert origin_allowed(page, LOCALHOST_CORS)
    assert not origin_allowed({**page, b"origin": b"null"}, LOCALHOST_CORS)
    assert origin_allowed(page, CorsConfig(allow_origins=["*"]))
    assert not origin_allowed(page, CorsConfig(allow_origins=["http://localhost"]))


@pytest.mark.parametrize(
    ("limits", "said"),
    [(SocketLimits(age_s=0.0), ["websocket_connection_limit_reached"]), (SocketLimits(idle_s=0.05), [])],
)
async def test_connections_end(up: Responding, limits: SocketLimits, said: list[str]) -> None:
    up.server.edge.socket_limits = limits
    async with socket(up) as connection:
        told = [json.loads(message) async for message in connection]
        assert [event["error"]["code"] for event in told] == said
        assert connection.close_code == 1000


async def test_a_server_that_stops_ends_its_connections(up: Responding) -> None:
    async with socket(up) as connection:
        assert (await ask(connection, input="Hi"))[-1]["type"] == "response.completed"
        up.server.stop()
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(WAIT_S):
                await connection.recv()

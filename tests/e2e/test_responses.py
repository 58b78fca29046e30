"""Responses by the unmodified `openai` client: whole, streamed, parsed, with tools of the caller; what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage
from pydantic import BaseModel

from tests.support.responding import MODEL, RESPONSES, Responding, responding
from tests.support.upstream import Tool, Wire, calls, error, text

pytestmark = pytest.mark.anyio

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
TIME_SERVER: Any = {"type": "mcp", "server_label": "time", "server_url": "https://time.example/mcp"}


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Responding]:
    async with responding(tmp_path) as up:
        yield up


async def test_a_response_as_a_whole(up: Responding) -> None:
    up.upstream.reply(text("Hello there."))
    response = await up.openai.responses.create(
        model=MODEL, input="Hi", instructions="Be kind.", metadata={"a": "b"}, temperature=0.5
    )
    assert response.id.startswith("resp_")
    assert len(response.id) == 53
    assert (response.status, response.output_text, response.model) == ("completed", "Hello there.", MODEL)
    assert (response.instructions, response.metadata, response.temperature) == ("Be kind.", {"a": "b"}, 0.5)
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens == 11
    (message,) = response.output
    assert isinstance(message, ResponseOutputMessage)
    assert message.id.startswith("msg_")
    assert up.said() == [("system", "Be kind."), ("user", "Hi")]
    assert up.upstream.last.body["temperature"] == 0.5
    assert up.upstream.last.body["stream"] is True


async def test_a_stream_is_what_the_client_puts_together(up: Responding) -> None:
    up.upstream.reply(text("Hello there, you."))
    kinds, numbers = [], []
    async with up.openai.responses.stream(model=MODEL, input="Hi") as stream:
        async for event in stream:
            kinds.append(event.type)
            numbers.append(event.sequence_number)
        final = await stream.get_final_response()
    assert final.output_text == "Hello there, you."
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert numbers == list(range(len(numbers)))


async def test_the_bytes_of_a_stream(up: Responding) -> None:
    async with up.http.stream("POST", RESPONSES, json={"model": MODEL, "input": "Hi", "stream": True}) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        body = (await reply.aread()).decode()
    events = body.removesuffix("\n\n").split("\n\n")
    for event in events:
        name, data = event.split("\n")
        assert name == f"event: {json.loads(data.removeprefix('data: '))['type']}"
    assert "[DONE]" not in body


class City(BaseModel):
    name: str
    people: int


async def test_structured_output_is_parsed(up: Responding) -> None:
    up.upstream.reply(text('{"name":"Ulm","people":129942}'))
    response = await up.openai.responses.parse(model=MODEL, input="A city?", text_format=City)
    assert response.output_parsed == City(name="Ulm", people=129942)
    assert up.upstream.last.body["response_format"]["json_schema"]["strict"] is True


async def test_a_call_of_the_callers_tool_and_its_result(up: Responding) -> None:
    up.upstream.reply(calls(Tool("get_weather", {"city": "Ulm"})), text("Sunny."))
    first = await up.openai.responses.create(model=MODEL, input="Weather in Ulm?", tools=[WEATHER])
    (call,) = first.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert json.loads(call.arguments) == {"city": "Ulm"}
    second = await up.openai.responses.create(
        model=MODEL,
        previous_response_id=first.id,
        tools=[WEATHER],
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sunny, 20 °C"}],
    )
    assert second.output_text == "Sunny."
    assert second.previous_response_id == first.id
    user, assistant, tool = up.asked()
    assert user["role"] == "user"
    assert assistant["tool_calls"][0]["function"]["name"] == "get_weather"
    assert (tool["role"], tool["tool_call_id"], tool["content"]) == ("tool", call.call_id, "sunny, 20 °C")


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        ({"input": "Hi"}, 400, "model", "missing_required_parameter"),
        ({"model": "gone", "input": "Hi"}, 404, "model", "model_not_found"),
        ({"model": MODEL}, 400, "input", "missing_required_parameter"),
        (
            {"model": MODEL, "input": "Hi", "previous_response_id": "resp_gone"},
            400,
            "previous_response_id",
            "previous_response_not_found",
        ),
        ({"model": MODEL, "input": "Hi", "conversation": f"conv_{'0' * 48}"}, 404, None, "not_found"),
        ({"model": MODEL, "input": [{"type": "item_reference", "id": "msg_x"}]}, 404, "input[0].id", "not_found"),
        ({"model": MODEL, "input": "Hi", "tools": [{"type": "function", "name": ""}]}, 400, "tools[0].name", None),
        (
            {"model": MODEL, "input": "Hi", "tools": [TIME_SERVER, TIME_SERVER]},
            400,
            "tools[1].server_label",
            None,
        ),
        ({"model": MODEL, "input": "Hi", "guardrails": ["gone"]}, None, "guardrails", None),
        ({"model": MODEL, "input": "Hi", "max_output_tokens": 1}, 400, "max_output_tokens", "invalid_value"),
    ],
)
async def test_what_is_refused(
    up: Responding, body: dict[str, Any], status: int | None, param: str | None, code: str | None
) -> None:
    for stream in (False, True):
        reply = await up.http.post(RESPONSES, json=body | {"stream": stream})
        refused = reply.json()["error"]
        assert reply.status_code == status or (status is None and reply.status_code in (400, 404))
        if param is not None:
            assert refused["param"] == param
        if code is not None:
            assert refused["code"] == code
    assert up.upstream.requests == []
    assert (await up.http.get(RESPONSES)).json()["data"] == []


async def test_unknown_tools_and_items_do_not_stop_a_request(up: Responding) -> None:
    response = await up.openai.responses.create(
        model=MODEL,
        tools=[{"type": "hologram", "beams": 3}, WEATHER],  # type: ignore[list-item]
        include=["something.new"],  # type: ignore[list-item]
        input=[{"type": "message", "role": "user", "content": "Hi"}, {"type": "aura", "colour": "blue"}],  # type: ignore[list-item]
    )
    assert response.status == "completed"
    assert [tool["function"]["name"] for tool in up.upstream.last.body["tools"]] == ["get_weather"]


async def test_a_failure_before_any_output_is_an_http_error(up: Responding) -> None:
    up.upstream.always(error(400, "Your prompt is bad.", code="invalid_value"), on="/chat/completions")
    with pytest.raises(openai.BadRequestError, match="Your prompt is bad"):
        await up.openai.responses.create(model=MODEL, input="Hi")
    (listed,) = (await up.http.get(RESPONSES)).json()["data"]
    assert (listed["status"], listed["output"]) == ("failed", [])
    async with up.openai.responses.stream(model=MODEL, input="Hi") as stream:
        kinds = [event.type async for event in stream]
    assert kinds == ["response.created", "response.in_progress", "response.failed"]


async def test_a_response_that_takes_too_long_goes_on(tmp_path: Path) -> None:
    limits = {"limits": {"request_timeout_s": 0.3}}
    async with responding(tmp_path, server=limits) as up:
        await up.server.edge.cold.app()  # which takes longer than that to build
        up.upstream.reply(text("At last.", wire=Wire(head_after_s=0.8)))
        reply = await up.http.post(RESPONSES, json={"model": MODEL, "input": "Hi"})
        assert reply.status_code == 504
        refused = reply.json()["error"]
        assert refused["code"] == "request_timeout"
        response_id = refused["message"].split()[2]
        async with asyncio.timeout(10):
            while (found := (await up.http.get(f"{RESPONSES}/{response_id}")).json())["status"] == "in_progress":
                await asyncio.sleep(0.05)
        assert found["status"] == "completed"

        up.upstream.reply(text("Never.", wire=Wire(head_after_s=30)))
        reply = await up.http.post(RESPONSES, json={"model": MODEL, "input": "Hi", "store": False})
        assert reply.status_code == 504
        assert "cancelled" in reply.json()["error"]["message"]
        await up.upstream.last.wait_hung_up()

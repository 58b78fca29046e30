"""A message and calls in one answer: the message is said to be done when the whole answer is, behind the beginnings of
its calls (docs/agent.md). Clients that read streams in one way or another get along with that."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import ParsedResponseFunctionToolCall
from pydantic import BaseModel

from tests.support.responding import MODEL, Responding, responding
from tests.support.upstream import Say, Tool, text

pytestmark = pytest.mark.anyio

WORDS = "I shall look at both."
BOTH = Say(WORDS, tools=(Tool("Weather", {"city": "Ulm"}, "call_a"), Tool("Weather", {"city": "Bonn"}, "call_b")))


class Weather(BaseModel):
    city: str


PARSED: Any = openai.pydantic_function_tool(Weather)
TOOL: Any = {"type": "function", **PARSED["function"]}


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Responding]:
    async with responding(tmp_path) as up:
        yield up


async def test_the_helper_of_the_openai_package(up: Responding) -> None:
    up.upstream.reply(BOTH)
    said, done = "", []
    async with up.openai.responses.stream(model=MODEL, input="Weather?", tools=[PARSED]) as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                said += event.delta
                assert event.snapshot == said
            elif event.type == "response.function_call_arguments.delta":
                assert event.snapshot.endswith(event.delta)
            elif event.type == "response.output_item.done":
                done.append(event.item)
        final = await stream.get_final_response()
    message, *calls = final.output
    assert said == final.output_text == WORDS
    assert message.type == "message"
    parsed = [call.parsed_arguments for call in calls if isinstance(call, ParsedResponseFunctionToolCall)]
    assert parsed == [Weather(city="Ulm"), Weather(city="Bonn")]
    assert [item.to_dict()["id"] for item in done] == [item.to_dict()["id"] for item in final.output]


async def test_a_client_that_keeps_items_by_their_places(up: Responding) -> None:
    """As accumulators do that know no more than the events."""
    up.upstream.reply(BOTH)
    items: dict[int, Any] = {}
    events = []
    async for event in await up.openai.responses.create(model=MODEL, input="Weather?", tools=[TOOL], stream=True):
        events.append(event)
        match event.type:
            case "response.output_item.added":
                assert event.output_index == len(items)
                items[event.output_index] = {"id": event.item.id, "text": "", "arguments": "", "done": None}
            case "response.output_text.delta":
                items[event.output_index]["text"] += event.delta
            case "response.function_call_arguments.delta":
                items[event.output_index]["arguments"] += event.delta
            case "response.output_item.done":
                assert items[event.output_index]["done"] is None
                items[event.output_index]["done"] = event.item
    final: Any = events[-1].response  # type: ignore[union-attr]
    assert [items[place]["done"] for place in sorted(items)] == final.output
    assert items[0]["text"] == WORDS
    assert [json.loads(items[place]["arguments"]) for place in (1, 2)] == [{"city": "Ulm"}, {"city": "Bonn"}]
    ends = [event.type for event in events if event.type.endswith(".done")]
    assert ends.index("response.output_item.done") > ends.index("response.output_text.done")


@pytest.mark.parametrize("stored", [True, False])
async def test_an_agent_that_acts_on_what_is_done(up: Responding, stored: bool) -> None:
    """It runs a call as soon as that is done, shows a message then, and goes on when the response has ended."""
    up.upstream.reply(BOTH, text("Sunny in Ulm, rain in Bonn."))
    shown: list[str] = []
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    goes_on: dict[str, Any] = {"input": history}
    for _ in range(2):
        items, outputs = [], []
        stream = await up.openai.responses.create(model=MODEL, tools=[TOOL], stream=True, store=stored, **goes_on)
        async for event in stream:
            if event.type == "response.output_item.done":
                item = event.item
                items.append(item.model_dump(exclude_none=True))
                if item.type == "function_call":
                    city = json.loads(item.arguments)["city"]
                    outputs.append({"type": "function_call_output", "call_id": item.call_id, "output": f"of {city}"})
                elif item.type == "message":
                    shown.append("".join(getattr(part, "text", "") for part in item.content))
            elif event.type == "response.completed":
                assert [item["id"] for item in items] == [item.id for item in event.response.output]
                history += [*items, *outputs]
                goes_on = (
                    {"input": outputs, "previous_response_id": event.response.id} if stored else {"input": history}
                )
    assert shown == [WORDS, "Sunny in Ulm, rain in Bonn."]
    assert [message["content"] for message in up.asked() if message["role"] == "tool"] == ["of Ulm", "of Bonn"]
    assert [message["role"] for message in up.asked()] == ["user", "assistant", "tool", "tool"]

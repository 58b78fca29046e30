"""For tests of the agent: a model that speaks by script, tools with effects outside, and what every log must be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, get_args

import msgspec
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent as OpenAIEvent
from pydantic import BaseModel, TypeAdapter

from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.ids import new_id
from llama_stack.agent.turn import Turn
from llama_stack_api.errors import ProviderStreamBroken
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.responses.events import ResponseStreamEvent
from llama_stack_api.openai.responses.response import Response
from llama_stack_api.principal import Call, Principal
from tests.support.upstream import Recorded
from tests.support.upstream_replies import Say
from tests.support.upstream_wire import Cut, Stall

ALICE = Principal(id="alice", tenant="acme")

Script: TypeAlias = Callable[[dict[str, Any]], "Say | Exception"]
"""From the body of a chat completion request to what the model says."""


class ScriptedModel:
    """The port of the model over a script: the same bytes that an upstream sends. `asked` are the requests."""

    def __init__(self, script: Script | Sequence[Say | Exception]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.closed = 0
        self._script = script if callable(script) else _in_turn(script)

    async def stream(self, params: ChatCompletionRequest, call: Call) -> AsyncGenerator[bytes, None]:
        body = json.loads(params.model_dump_json(exclude_unset=True))
        self.asked.append(body)
        reply = self._script(body)
        if isinstance(reply, Exception):
            raise reply
        return self._blocks(reply, body)

    async def _blocks(self, reply: Say, body: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        try:
            yield b""
            for part in reply(Recorded("POST", "/chat/completions", {}, {}, b"", body, 0)).parts:
                if isinstance(part, Cut):
                    raise ProviderStreamBroken("the stream was cut")
                if isinstance(part, Stall):
                    await asyncio.Event().wait()
                elif isinstance(part, bytes):
                    yield part
        finally:
            self.closed += 1


def _in_turn(replies: Sequence[Say | Exception]) -> Script:
    left = list(replies)
    return lambda body: left.pop(0)


@dataclass
class Remembered:
    """The history of a conversation, in memory."""

    entries: list[Entry] = field(default_factory=list)
    added: dict[str, list[Entry]] = field(default_factory=dict)

    async def before(self, principal: Principal, turn: Turn) -> list[Entry]:
        return list(self.entries)

    async def add(self, principal: Principal, turn: Turn, run_id: str, entries: Sequence[Entry]) -> None:
        self.added[run_id] = list(entries)


def user(text: str) -> Entry:
    content = [{"type": "input_text", "text": text}]
    return Entry({"id": new_id("message"), "type": "message", "role": "user", "content": content})


def turn(*input: Entry | str, **request: Any) -> Turn:
    entries = [user(entry) if isinstance(entry, str) else entry for entry in input]
    return Turn({"model": "toy-model", "stream": True, **request}, entries, created_at=1_700_000_000)


_OURS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_THEIRS: Mapping[str, type[BaseModel]] = {
    each.model_fields["type"].annotation.__args__[0]: each for each in get_args(get_args(OpenAIEvent)[0])
}
"""By their types: their union tries all of them."""
_TERMINAL = ("response.completed", "response.incomplete", "response.failed")


def checked(log: Sequence[bytes]) -> list[dict[str, Any]]:
    """The events of a complete log, after a look at everything that holds for all of them."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    events = [json.loads(data) for data in log]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    places: dict[str, int] = {}
    done: dict[str, Item] = {}
    for data, event in zip(log, events, strict=True):
        _OURS.validate_json(data)
        theirs: Any = _THEIRS[event["type"]].model_validate_json(_within_contract(data), strict=True)
        state.handle_event(theirs)
        _check_place(event, places, done)
    assert sorted(places.values()) == list(range(len(places)))
    assert set(places) == set(done), "every item that was added is done"
    assert [event["type"] in _TERMINAL for event in events] == [False] * (len(events) - 1) + [True]
    response = events[-1]["response"]
    Response.model_validate(response)
    for item in response["output"]:
        assert done[item["id"]] == item, "the item is what its last event said"
    ours = {item["id"] for item in response["output"]}
    assert ours >= {item_id for item_id, item in done.items() if item.get("status") != "incomplete"}, "done is meant"
    assert [event["type"] for event in events].count("response.created") == 1
    assert [event["type"] for event in events].count("response.in_progress") <= 1
    return events


def _within_contract(data: bytes) -> bytes:
    """What goes beyond the contract by intent: its reasons and codes are few."""
    data = data.replace(b'{"reason":"max_iterations_exceeded"}', b'{"reason":"max_output_tokens"}')
    for code in (b"context_length_exceeded", b"credentials_lost"):
        data = data.replace(b'"code":"' + code, b'"code":"server_error')
    return data


def _check_place(event: dict[str, Any], places: dict[str, int], done: dict[str, Item]) -> None:
    if event["type"] == "response.output_item.added":
        assert event["item"]["id"] not in places
        places[event["item"]["id"]] = event["output_index"]
    elif "output_index" in event:
        item_id = event.get("item_id") or event["item"]["id"]
        assert places[item_id] == event["output_index"]
        assert item_id not in done, "nothing comes after the end of an item"
        if event["type"] == "response.output_item.done":
            done[item_id] = event["item"]


def payload(turn: Turn) -> bytes:
    return msgspec.json.encode(turn)

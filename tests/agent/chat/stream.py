"""Streams of chat completions as providers send them, and what must hold of the events made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent as SDKEvent
from pydantic import TypeAdapter

from llama_stack.agent.chat.assembler import Assembler
from llama_stack.agent.entries import Event, Item
from llama_stack.agent.tools.functions import FunctionTools, NamespaceTools
from llama_stack_api.openai.responses.events import ResponseStreamEvent

Json = dict[str, Any]


def chunk(delta: Json | None = None, finish: str | None = None, *, logprobs: Any = None, **members: Any) -> Json:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish, "logprobs": logprobs}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [choice], **members}


def call(index: int | None, name: str | None = None, arguments: Any = None, *, id: str | None = None) -> Json:
    piece: Json = {"function": {}}
    if name is not None:
        piece["function"]["name"] = name
    if arguments is not None:
        piece["function"]["arguments"] = arguments
    if index is not None:
        piece["index"] = index
    if id is not None:
        piece["id"] = id
    return piece


def calls(*pieces: Json) -> Json:
    return chunk({"tool_calls": list(pieces)})


def usage(**counts: Any) -> Json:
    return {
        **chunk(),
        "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, **counts},
    }


def sse(*chunks: Json) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks)


DONE = b"data: [DONE]\n\n"


def bound(*tools: Json) -> dict[str, Any]:
    functions, namespaces = FunctionTools(), NamespaceTools()
    kinds = {kind: each for each in (functions, namespaces) for kind in each.types}
    return {one.name: one for tool in tools for one in kinds[tool["type"]].bind(tool, ()).tools}


def run(assembler: Assembler, *chunks: Json) -> list[Event]:
    """Each chunk in a block of its own, to the end; every event is judged."""
    events = [event for each in chunks for event in assembler.feed(sse(each))]
    events += assembler.feed(DONE) + assembler.finish()
    judge(events)
    return events


def kinds(events: Iterable[Event]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def done_items(events: Iterable[Event]) -> list[Item]:
    return [event["item"] for event in events if event["type"] == "response.output_item.done"]


@cache
def _adapters() -> tuple[TypeAdapter[Any], TypeAdapter[Any]]:
    return TypeAdapter(ResponseStreamEvent), TypeAdapter(SDKEvent)


def judge(events: Sequence[Event]) -> None:
    """Valid for us and, strictly, for the `openai` package, whose client can follow them; items are whole and opened,
    filled and closed in order; deltas add up."""
    ours, theirs = _adapters()
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=[], text_format=_no_format())
    for number, event in enumerate([_created(), *events]):
        sent = json.dumps({**event, "sequence_number": number})
        read = ours.validate_json(sent)
        assert type(read).__name__ != "OtherEvent", event
        state.handle_event(theirs.validate_json(sent, strict=True))
    items: dict[int, _Seen] = {}
    for event in events:
        _follow(items, event)
    assert all(seen.done for seen in items.values()), "an item is still open"
    assert sorted(items) == list(range(len(items))), "indices have gaps"


def _no_format() -> Any:
    from openai import omit

    return omit


def _created() -> Event:
    response = {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": [], "status": "in_progress",
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    }  # fmt: skip
    return {"type": "response.created", "response": response}


class _Seen:
    def __init__(self, item: Item) -> None:
        self.item = item
        self.parts: dict[tuple[str, int], str] = {}
        self.text = ""
        self.closed_parts = 0
        self.done = False


_TEXTS = {"output_text.done": "text", "refusal.done": "refusal", "reasoning_text.done": "text",
          "reasoning_summary_text.done": "text"}  # fmt: skip


def _follow(items: dict[int, _Seen], event: Event) -> None:
    kind, index = event["type"].removeprefix("response."), event["output_index"]
    if kind == "output_item.added":
        assert index == len(items), "items are opened in order"
        assert event["item"]["status"] == "in_progress"
        still_open = [seen.item["type"] for seen in items.values() if not seen.done]
        assert all(kind.endswith("_call") for kind in (*still_open, event["item"]["type"])) or not still_open
        items[index] = _Seen(event["item"])
        return
    seen = items[index]
    assert not seen.done, f"{kind} after the end of its item"
    if kind == "output_item.done":
        _finished(seen, event["item"])
        return
    assert event["item_id"] == seen.item["id"]
    part = (
        "summary" if "summary_index" in event else "content",
        event.get("content_index", event.get("summary_index", -1)),
    )
    if kind.endswith("part.added"):
        assert part not in seen.parts
        assert part[1] == sum(one[0] == part[0] for one in seen.parts)
        seen.parts[part] = ""
    elif kind in ("function_call_arguments.delta", "custom_tool_call_input.delta"):
        assert event["delta"]
        seen.text += event["delta"]
    elif kind in ("function_call_arguments.done", "custom_tool_call_input.done"):
        assert seen.text == event.get("arguments", event.get("input"))
    elif kind.endswith(".delta"):
        assert event["delta"]
        seen.parts[part] += event["delta"]
    elif kind in _TEXTS:
        assert seen.parts[part] == event[_TEXTS[kind]]
    elif kind.endswith("part.done"):
        seen.closed_parts += 1
        assert seen.parts[part] == (event["part"].get("text") if "text" in event["part"] else event["part"]["refusal"])


def _finished(seen: _Seen, item: Item) -> None:
    seen.done = True
    assert item["id"] == seen.item["id"]
    assert item["type"] == seen.item["type"]
    texts = [part.get("text", part.get("refusal")) for part in (*item.get("content", ()), *item.get("summary", ()))]
    written = [text for _, text in sorted(seen.parts.items())]
    if item["type"] in ("message", "reasoning"):
        assert texts == written or (texts == [] and written == [""])
        assert seen.closed_parts == len(seen.parts) or item["status"] == "incomplete"
    elif item["type"] != "tool_search_call":
        assert item.get("arguments", item.get("input")) == seen.text


def texts(items: Iterable[Item]) -> Iterator[str]:
    for item in items:
        yield from (part.get("text", part.get("refusal", "")) for part in item.get("content", ()))

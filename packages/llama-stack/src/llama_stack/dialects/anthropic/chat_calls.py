"""The calls of a conversation, each with its result, in whatever order the results came.

- A result belongs to the last call of its id before it that has none. If all before it have one, it is a repetition and
  dropped; if there is no call before it, it belongs to the first after it.
- A result without a call gets one, with no arguments, at its place: what a tool said is not what the user says.
- A call without a result is told that there is none.

Tools that Anthropic's server ran (`server_tool_use`, `mcp_tool_use`) are calls like any other; their results stand in
the assistant's own message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from llama_stack.dialects.anthropic.chat_parts import divided, parts_of, text_part
from llama_stack.dialects.chat.arguments import tool_input
from llama_stack.dialects.chat.values import Json, as_json, chat_call_id, mapping, objects, text_or

NO_RESULT: Final = "There is no output of this call."
SHOWN_BELOW: Final = "The output is in the next message of the user."


@dataclass(slots=True)
class Call:
    id: str
    name: str
    input: Json
    result: list[Json] | None = None

    def as_tool_call(self) -> Json:
        function = {"name": self.name, "arguments": as_json(self.input)}
        return {"id": chat_call_id(self.id), "type": "function", "function": function}

    def as_tool_message(self) -> tuple[Json, list[Json]]:
        """The message with the result, and the parts that only a user's message may hold."""
        text, others = divided([text_part(NO_RESULT)] if self.result is None else self.result)
        content = text or (SHOWN_BELOW if others else "")
        return {"role": "tool", "tool_call_id": chat_call_id(self.id), "content": content}, others


def is_call(block: Json) -> bool:
    kind = text_or(block.get("type"))
    return kind == "tool_use" or kind.endswith("_tool_use")


def is_result(block: Json) -> bool:
    kind = text_or(block.get("type"))
    return (kind == "tool_result" or kind.endswith("_tool_result")) and "tool_use_id" in block


@dataclass(frozen=True, slots=True)
class Pairing:
    """The calls by the identity of their blocks. `orphans`: results without a call, as calls, by that of the result."""

    calls: dict[int, Call]
    orphans: dict[int, Call]


def paired(messages: Iterable[Json]) -> Pairing:
    """What belongs together in the messages of a request."""
    matching = _Matching()
    for message in messages:
        for block in objects(message.get("content")):
            if is_call(block):
                matching.enter(block)
            elif is_result(block):
                matching.match(block)
    return Pairing(matching.calls, dict(matching.early.values()))


class _Matching:
    """`early`: results before any call of their id. An id in `_waiting` was called; its calls there have no result."""

    def __init__(self) -> None:
        self.calls: dict[int, Call] = {}
        self.early: dict[str, tuple[int, Call]] = {}
        self._waiting: defaultdict[str, list[Call]] = defaultdict(list)

    def enter(self, block: Json) -> None:
        call = Call(text_or(block.get("id")), text_or(block.get("name")), tool_input(block.get("input")))
        self.calls[id(block)] = call
        waiting = self._waiting[call.id]
        if call.id in self.early:
            call.result = self.early.pop(call.id)[1].result
        else:
            waiting.append(call)

    def match(self, block: Json) -> None:
        call_id = text_or(block.get("tool_use_id"))
        if self._waiting.get(call_id):
            self._waiting[call_id].pop().result = _result_parts(block)
        elif call_id not in self._waiting and call_id not in self.early:
            orphan = Call(call_id, "unknown_tool", {}, result=_result_parts(block))
            self.early[call_id] = (id(block), orphan)


def _result_parts(block: Json) -> list[Json]:
    content = block.get("content")
    parts = _told(content) if isinstance(content, dict) else [part for each in _listed(content) for part in _told(each)]
    if block.get("is_error") is not True:
        return parts
    text, others = divided(parts)
    return [text_part(f"Error: {text}"), *others]


def _listed(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content] if isinstance(content, str) else []


def _told(content: Any) -> list[Json]:
    """A block in a result, of a client's tool or of one that a server ran."""
    block = mapping(content)
    match block.get("type"):
        case "web_search_result":
            lines = (block.get("title"), block.get("url"), block.get("page_age"))
            return [text_part("\n".join(line for line in lines if isinstance(line, str) and line))]
        case "web_fetch_result":
            return [*parts_of(text_or(block.get("url"))), *parts_of([block.get("content")])]
        case str(kind) if kind.endswith("_error"):
            return [text_part(f"Error: {text_or(block.get('error_code'), kind)}")]
    return parts_of(content if isinstance(content, str) else [content])

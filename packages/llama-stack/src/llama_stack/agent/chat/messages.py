"""Items of Responses as the messages of a chat completion.

    message                     system, user or assistant (`developer` is `system`); leading system messages become one
    reasoning                   `reasoning_content` of the assistant's message that follows, and `thinking_blocks` where
                                its provider signed it; a summary is not sent
    calls                       `tool_calls` of the assistant's message before them, those of one round together
    their results               `tool` messages right after that message, in the order of the calls
    images, files in results    a message of the user after the results
    compaction                  a message of the user with the summary

`nodes.py` has the rules for each kind of item, `pairing.py` those for calls and results that do not match. What comes
out satisfies every provider: a message with `tool_calls` is followed by one result for each, no result is alone, and
arguments are JSON objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

from llama_stack.agent.arguments import json_object
from llama_stack.agent.chat.nodes import Called, Node, RoundOver, Said, Thought, nodes_of
from llama_stack.agent.chat.pairing import paired
from llama_stack.agent.chat.parts import Part, as_json, content_of, divided
from llama_stack.agent.chat.told import told
from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.seals import Unseal

CALL_ID_CHARS_MAX: Final = 40
"""OpenAI takes no longer ones."""

SHOWN_BELOW: Final = "The output is in the next message of the user."


def chat_messages(
    entries: Sequence[Entry],
    *,
    instructions: str | list[Item] | None = None,
    unseal: Unseal,
    reasoning_context: str | None = None,
    tools_told: bool = False,
) -> list[dict[str, Any]]:
    """`unseal` opens the `encrypted_content` of a `reasoning` or `compaction`; None if it cannot.

    `reasoning_context` is the request's `reasoning.context`: with `current_turn` the model is not shown what it thought
    before the user's last message; else its template decides that. `tools_told`: the model knows no tools, and is told
    what they gave.
    """
    if isinstance(instructions, str):
        instructions = [{"type": "message", "role": "system", "content": instructions}]
    first = (Entry(item) for item in instructions or ())
    nodes = paired([node for entry in chain(first, entries) for node in nodes_of(entry, unseal)])
    if reasoning_context == "current_turn":
        nodes = _without_earlier_thoughts(nodes)
    if tools_told:
        nodes = told(nodes)
    chat = _Chat()
    for node in nodes:
        chat.add(node)
    chat.flush()
    return chat.messages


def _without_earlier_thoughts(nodes: list[Node]) -> list[Node]:
    users = [at for at, node in enumerate(nodes) if isinstance(node, Said) and node.role == "user"]
    begin = users[-1] if users else 0
    return [node for at, node in enumerate(nodes) if at > begin or not isinstance(node, Thought)]


class _Chat:
    """`_parts`, `_calls` and `_thought_before` are those of the assistant's message that is being made."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._thoughts: list[Thought] = []
        self._begun = False
        self._thought_before: list[Thought] = []
        self._parts: list[Part] = []
        self._calls: dict[str, Called] = {}
        self._round_over = False

    def add(self, node: Node) -> None:
        if isinstance(node, Said):
            self._say(node)
        elif isinstance(node, Thought):
            self.flush()
            self._thoughts.append(node)
        elif isinstance(node, Called):
            self._call(node)
        elif isinstance(node, RoundOver):
            self._round_over = True

    def _say(self, said: Said) -> None:
        self.flush()
        if said.role == "assistant":
            self._begin(said.parts)
            return
        self._thoughts.clear()
        if said.role == "user":
            self.messages.append({"role": "user", "content": content_of(said.parts)})
            return
        texts = [part for part in said.parts if part["type"] == "text"]
        self._instruct(content_of(texts))
        self._show([part for part in said.parts if part["type"] != "text"])

    def _instruct(self, content: str | list[Part]) -> None:
        """Many templates take one system message, at the beginning."""
        last = self.messages[0] if len(self.messages) == 1 else {}
        if last.get("role") == "system" and isinstance(last["content"], str) and isinstance(content, str):
            last["content"] = "\n\n".join(text for text in (last["content"], content) if text)
        elif content:
            self.messages.append({"role": "system", "content": content})

    def _begin(self, parts: list[Part]) -> None:
        self._begun = True
        self._thought_before, self._thoughts = self._thoughts, []
        self._parts = parts

    def _call(self, call: Called) -> None:
        if (self._round_over and not call.together) or call.id in self._calls:
            self.flush()
        if not self._begun:
            self._begin([])
        self._calls[call.id] = call
        # What the server ran has its result here: a call after this one saw it, unless it says otherwise.
        self._round_over |= call.at_once

    def flush(self) -> None:
        """The assistant's message is complete: put it and its results down."""
        text, others = divided(self._parts)
        if text or others or self._calls:
            message: dict[str, Any] = {"role": "assistant", "content": text or None}
            message |= _thinking(self._thought_before)
            if self._calls:
                message["tool_calls"] = [_tool_call(call) for call in self._calls.values()]
            if text or self._calls:
                self.messages.append(message)
            self._show([*others, *self._results()])
        self._begun, self._parts, self._calls, self._round_over = False, [], {}, False
        self._thought_before = []

    def _results(self) -> Iterator[Part]:
        """The `tool` messages; what they cannot hold is left for the user's."""
        for call in self._calls.values():
            text, others = divided(call.result or ())
            content = text or (SHOWN_BELOW if others else "")
            self.messages.append({"role": "tool", "tool_call_id": _call_id(call.id), "content": content})
            if others:
                yield {"type": "text", "text": f"Output of {call.name}:"}
                yield from others

    def _show(self, parts: Sequence[Part]) -> None:
        if parts:
            self.messages.append({"role": "user", "content": list(parts)})


def _thinking(thoughts: Sequence[Thought]) -> dict[str, Any]:
    """Earlier ones are of answers that broke off: a provider takes signatures of the answer alone that they led to."""
    said: dict[str, Any] = {}
    if text := "\n".join(thought.text for thought in thoughts if thought.text):
        said["reasoning_content"] = text
    if thoughts and thoughts[-1].blocks:
        said["thinking_blocks"] = thoughts[-1].blocks
    return said


def _tool_call(call: Called) -> dict[str, Any]:
    arguments = call.arguments if json_object(call.arguments) is not None else _as_object(call.arguments)
    return {"id": _call_id(call.id), "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _as_object(arguments: str) -> str:
    """Templates read the arguments of calls, and fail at what a model wrote that is no object."""
    return as_json({"arguments": arguments}) if arguments.strip() else "{}"


def _call_id(call_id: str) -> str:
    if 0 < len(call_id) <= CALL_ID_CHARS_MAX:
        return call_id
    return f"call_{hashlib.sha256(call_id.encode(errors='replace')).hexdigest()[:24]}"

"""The chunks of a streamed chat completion as the events of a streamed message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_stack.dialects.anthropic.from_chat import stop_details
from llama_stack.dialects.anthropic.open_blocks import Block, OpenBlocks
from llama_stack.dialects.anthropic.replies import (
    call_id,
    citations_of,
    message_usage,
    new_message_id,
    stop_of,
    thought_and_text,
)
from llama_stack.dialects.chat.values import Json, as_json, mapping, objects, text_or


class MessageEvents:
    """One stream. `model` is the name that the client asked for, `stop_sequences` those of its request.

    The first choice is told of; usage is told at the end, as it came last, and is 0 where the upstream never told it.
    """

    def __init__(self, *, model: str, stop_sequences: Sequence[str] = (), message_id: str | None = None) -> None:
        self._model = model
        self._stop_sequences = stop_sequences
        self._id = message_id or new_message_id()
        self._started = False
        self._blocks = OpenBlocks()
        self._calls: dict[int, Block] = {}
        self._last_index = -1
        self._thought: Block | None = None
        self._ending: Json = {}
        self._refused = False
        self._usage: Json | None = None
        self._text = ""

    def feed(self, chunk: Json) -> list[Json]:
        """The events that a chunk amounts to, which may be none."""
        if isinstance(chunk.get("usage"), dict):
            self._usage = message_usage(chunk["usage"])
        events = self._start()
        for choice in objects(chunk.get("choices")):
            if choice.get("index") in (0, None):
                self._take(choice)
        return [*events, *self._blocks.events()]

    def finish(self) -> list[Json]:
        """The events that end the message."""
        events = [*self._start(), *self._blocks.events(ended=True)]
        reason, sequence = stop_of(self._ending, self._stop_sequences, calls=bool(self._calls), refused=self._refused)
        delta = {"stop_reason": reason, "stop_sequence": sequence, "stop_details": stop_details(reason)}
        usage = self._usage or message_usage(None)
        return [*events, {"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]

    def _start(self) -> list[Json]:
        if self._started:
            return []
        self._started = True
        message: Json = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": self._usage or message_usage(None),
        }
        return [{"type": "message_start", "message": message}, {"type": "ping"}]

    def _take(self, choice: Json) -> None:
        delta = mapping(choice.get("delta"))
        thought, text = thought_and_text(delta)
        if thought:
            self._think(thought)
        for block in objects(delta.get("thinking_blocks")):
            self._keep(block, heard=bool(thought))
        refusal = text_or(delta.get("refusal"))
        self._refused = self._refused or bool(refusal)
        if text + refusal:
            self._say(text + refusal)
        self._cite(delta.get("annotations"))
        self._call(delta)
        if choice.get("finish_reason"):
            self._ending = choice

    def _say(self, text: str) -> None:
        self._text += text
        block = self._blocks.ending_in("text") or self._blocks.begin({"type": "text", "text": "", "citations": None})
        block.add_text(text)

    def _think(self, text: str) -> None:
        block = self._blocks.ending_in("thinking") or self._begin_thinking()
        block.add_text(text)
        self._thought = block

    def _begin_thinking(self) -> Block:
        return self._blocks.begin({"type": "thinking", "thinking": "", "signature": ""})

    def _keep(self, kept: Json, *, heard: bool) -> None:
        """A block of thinking, whole or in pieces, mostly told in words before. `heard`: so are those of this delta."""
        if kept.get("type") == "redacted_thinking":
            self._blocks.begin({"type": "redacted_thinking", "data": text_or(kept.get("data"))}).sealed = True
            return
        text, signature = text_or(kept.get("thinking")), text_or(kept.get("signature"))
        told = self._thought is not None and self._thought.text == text and not self._thought.signed
        if text and not heard and not told:
            self._think(text)
        if signature:
            # Gemini signs behind its words: what is signed may not be the block that ends here.
            block = self._blocks.ending_in("thinking") or self._begin_thinking()
            block.sign(signature)

    def _cite(self, annotations: Any) -> None:
        block = self._blocks.ending_in("text")
        if block is not None:
            block.deltas += [
                {"type": "citations_delta", "citation": each} for each in citations_of(annotations, self._text)
            ]

    def _call(self, delta: Json) -> None:
        pieces = objects(delta.get("tool_calls"))
        legacy = delta.get("function_call")
        if isinstance(legacy, dict):
            pieces = [*pieces, {"index": 0, "function": legacy}]
        for piece in pieces:
            function = mapping(piece.get("function"))
            block = self._called(piece, text_or(function.get("name")))
            arguments = function.get("arguments")
            if arguments is not None:
                block.add_arguments(arguments if isinstance(arguments, str) else as_json(arguments))

    def _called(self, piece: Json, name: str) -> Block:
        """The call that a piece belongs to. Some upstreams give no `index`, some give all calls the same one."""
        index, given = piece.get("index"), text_or(piece.get("id"))
        if not isinstance(index, int):
            last = self._calls.get(self._last_index)
            begins = given != last.known_as if last is not None and given else bool(given or name)
            index = self._last_index + begins
        self._last_index = max(index, 0)
        block = self._calls.get(self._last_index)
        if block is None or (given and name and block.known_as not in ("", given)):
            start = {"type": "tool_use", "id": call_id(given), "name": name, "input": {}}
            block = self._calls[self._last_index] = self._blocks.begin(start)
        elif name and not block.started:
            block.start["name"] = name
        block.known_as = given or block.known_as
        return block

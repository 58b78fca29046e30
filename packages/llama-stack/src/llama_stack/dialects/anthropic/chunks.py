"""The events of a streamed message as the chunks of a streamed chat completion."""

from __future__ import annotations

from typing import Any

from llama_stack.dialects.anthropic.completions import (
    annotations_of,
    citations_in,
    completion_id,
    completion_usage,
    finish_members,
    kept_thinking,
)
from llama_stack.dialects.chat.chunks import ChunkHead, numbered
from llama_stack.dialects.chat.values import Json, as_json, mapping, text_or


class ChatChunks:
    """One stream. `complete` once the message said that it ends; `error` events are the caller's.

    Thinking streams as `reasoning_content`. A block of it that must be sent back comes whole, when it is over, in
    `thinking_blocks`, with an `index` by which clients join what comes in several chunks.
    """

    def __init__(self, *, created: int, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head = ChunkHead(id=completion_id(""), model="", created=created)
        self._usage: Json = {}
        self._open: dict[Any, Json] = {}
        self._calls: dict[Any, int] = {}
        self._thinking_blocks = 0
        self._annotations = 0
        self._text_length = 0
        self._finished = False
        self.complete = False

    @property
    def over(self) -> bool:
        return self.complete

    def feed(self, event: Json) -> list[Json]:
        """The chunks that an event amounts to, which may be none."""
        index = event["index"] if isinstance(event.get("index"), int) else None
        match event.get("type"):
            case "message_start":
                return self._start(mapping(event.get("message")))
            case "content_block_start":
                return self._begin(index, dict(mapping(event.get("content_block"))))
            case "content_block_delta" if index in self._open:
                return self._add(index, self._open[index], mapping(event.get("delta")))
            case "content_block_stop" if index in self._open:
                return self._end(index, self._open.pop(index))
            case "message_delta":
                return self._stop(event)
            case "message_stop":
                self.complete = True
        return []

    def finish(self) -> list[Json]:
        """The last chunks: the reason of the end, if it did not come before, and the usage if it was asked for."""
        chunks = [] if self._finished else [self._head.chunk({}, **finish_members(None, None))]
        if self._include_usage:
            chunks.append(self._head.usage(completion_usage(self._usage)))
        return chunks

    def _start(self, message: Json) -> list[Json]:
        self._head.id, self._head.model = completion_id(message.get("id")), text_or(message.get("model"))
        self._usage = dict(mapping(message.get("usage")))
        return [self._head.begin()]

    def _begin(self, index: Any, block: Json) -> list[Json]:
        self._open[index] = block
        match block.get("type"):
            case "text":
                block["citations"] = citations_in(block)
                block["start"] = self._text_length
                return self._say(text_or(block.get("text")))
            case "thinking":
                return self._think(text_or(block.get("thinking")))
            case "tool_use":
                self._calls[index] = len(self._calls)
                function = {"name": text_or(block.get("name")), "arguments": ""}
                call = {"id": text_or(block.get("id")), "type": "function", "function": function}
                return [self._call(index, call)]
        return []

    def _add(self, index: Any, block: Json, delta: Json) -> list[Json]:
        match delta.get("type"):
            case "text_delta":
                return self._say(text_or(delta.get("text")))
            case "thinking_delta":
                piece = text_or(delta.get("thinking"))
                block["thinking"] = text_or(block.get("thinking")) + piece
                return self._think(piece)
            case "signature_delta":
                block["signature"] = text_or(delta.get("signature"))
            case "citations_delta" if isinstance(block.get("citations"), list):
                block["citations"].append(mapping(delta.get("citation")))
            case "input_json_delta" if index in self._calls and delta.get("partial_json"):
                block["streamed"] = True
                return [self._call(index, {"function": {"arguments": text_or(delta["partial_json"])}})]
        return []

    def _end(self, index: Any, block: Json) -> list[Json]:
        if block.get("type") == "tool_use" and not block.get("streamed"):
            return [self._call(index, {"function": {"arguments": as_json(mapping(block.get("input")))}})]
        kept = kept_thinking(block)
        if kept is not None:
            self._thinking_blocks += 1
            return [self._head.chunk({"thinking_blocks": numbered([kept], self._thinking_blocks - 1)})]
        annotations = annotations_of(citations_in(block), block.get("start", 0), self._text_length)
        if not annotations:
            return []
        self._annotations += len(annotations)
        return [self._head.chunk({"annotations": numbered(annotations, self._annotations - len(annotations))})]

    def _stop(self, event: Json) -> list[Json]:
        self._usage |= {name: count for name, count in mapping(event.get("usage")).items() if count is not None}
        delta = mapping(event.get("delta"))
        if self._finished or delta.get("stop_reason") is None:
            return []
        self._finished = True
        return [self._head.chunk({}, **finish_members(delta["stop_reason"], delta.get("stop_sequence")))]

    def _say(self, text: str) -> list[Json]:
        self._text_length += len(text)
        return [self._head.chunk({"content": text})] if text else []

    def _think(self, text: str) -> list[Json]:
        return [self._head.chunk({"reasoning_content": text})] if text else []

    def _call(self, index: Any, call: Json) -> Json:
        return self._head.chunk({"tool_calls": [{"index": self._calls[index], **call}]})

"""The events of ConverseStream as the chunks of a streamed chat completion.

An event is an object with its type as the only member: `{"contentBlockDelta": {…}}`. The reason of the end is told when
the stream is over, for what a guardrail found comes behind it.
"""

from __future__ import annotations

import base64
from typing import Any

from llama_stack.dialects.chat.chunks import ChunkHead, numbered
from llama_stack.dialects.chat.values import Json, as_json, mapping, objects, text_or
from llama_stack.dialects.converse.completions import cited, finish_members, reply_members, usage_of
from llama_stack.dialects.converse.from_converse import kept_reasoning
from llama_stack.dialects.converse.to_converse import AS_IT_IS, Reading


class ConverseChunks:
    """One stream. Exceptions are the caller's. A block of reasoning that must be sent back comes whole, when it is
    over, in `thinking_blocks`."""

    def __init__(self, *, id: str, model: str, created: int, include_usage: bool, reading: Reading = AS_IT_IS) -> None:
        self._head = ChunkHead(id=id, model=model, created=created)
        self._include_usage = include_usage
        self._reading = reading
        self._open: dict[Any, Json] = {}
        self._calls = 0
        self._thinking_blocks = 0
        self._annotations = 0
        self._text_length = 0
        self._stop: Json = {}
        self._metadata: Json = {}
        self.complete = False
        self.over = False

    def feed(self, event: Json) -> list[Json]:
        """The chunks that an event amounts to, which may be none."""
        match event:
            case {"messageStart": _}:
                return [self._head.begin()]
            case {"contentBlockStart": dict(start)}:
                return self._begin(_index(start), mapping(start.get("start")))
            case {"contentBlockDelta": dict(added)}:
                block = self._open.setdefault(_index(added), {})
                return self._add(block, mapping(added.get("delta")))
            case {"contentBlockStop": dict(ended)}:
                return self._end(self._open.pop(_index(ended), {}))
            case {"messageStop": dict(stop)}:
                self._stop, self.complete = stop, True
            case {"metadata": dict(metadata)}:
                self._metadata, self.over = metadata, self.complete
        return []

    def finish(self) -> list[Json]:
        """The reason of the end, and the usage if it was asked for."""
        self._head.members = reply_members(self._metadata)
        reason, trace = text_or(self._stop.get("stopReason")), mapping(self._metadata.get("trace"))
        members = finish_members(reason, trace, calls=self._calls > 0)
        if fields := self._stop.get("additionalModelResponseFields"):
            members["additionalModelResponseFields"] = fields
        chunks = [self._head.chunk({}, **members)]
        if self._include_usage:
            chunks.append(self._head.usage(usage_of(mapping(self._metadata.get("usage")))))
        return chunks

    def _begin(self, index: Any, start: Json) -> list[Json]:
        block: Json = {}
        self._open[index] = block
        call = start.get("toolUse")
        if not isinstance(call, dict):
            return []
        if call.get("name") == self._reading.answer_tool:
            # One that is given twice would be no JSON.
            block["left_out" if self._text_length else "answer"] = True
            return []
        if self._reading.calls_max is not None and self._calls >= self._reading.calls_max:
            block["left_out"] = True
            return []
        block["call"], self._calls = self._calls, self._calls + 1
        function = {"name": text_or(call.get("name")), "arguments": ""}
        return [self._call(block, {"id": text_or(call.get("toolUseId")), "type": "function", "function": function})]

    def _add(self, block: Json, delta: Json) -> list[Json]:
        match delta:
            case {"text": str(text)}:
                block.setdefault("start", self._text_length)
                return self._say(text) if self._reading.answer_tool is None else self._think(text)
            case {"reasoningContent": dict(thought)}:
                return self._reason(block, thought)
            case {"citation": dict(citation)} if self._reading.answer_tool is None:
                block.setdefault("citations", []).append(citation)
            case {"toolUse": {"input": str(piece)}} if piece and "left_out" not in block:
                block["streamed"] = True
                if "answer" in block:
                    return self._say(piece)
                return [self._call(block, {"function": {"arguments": piece}})] if "call" in block else []
        return []

    def _reason(self, block: Json, thought: Json) -> list[Json]:
        piece = text_or(thought.get("text"))
        block["text"] = block.get("text", "") + piece
        block["signature"] = block.get("signature", "") + text_or(thought.get("signature"))
        if isinstance(redacted := thought.get("redactedContent"), str):
            block.setdefault("redacted", []).append(redacted)
        return self._think(piece)

    def _end(self, block: Json) -> list[Json]:
        if "streamed" not in block and "answer" in block:
            return self._say("{}")
        if "streamed" not in block and "call" in block:
            return [self._call(block, {"function": {"arguments": "{}"}})]
        kept = kept_reasoning(block, _joined(block.get("redacted", [])), self._reading)
        if kept is not None:
            self._thinking_blocks += 1
            return [self._head.chunk({"thinking_blocks": numbered([kept], self._thinking_blocks - 1)})]
        annotations = cited(objects(block.get("citations")), block.get("start", 0), self._text_length)
        self._annotations += len(annotations)
        entries = numbered(annotations, self._annotations - len(annotations))
        return [self._head.chunk({"annotations": entries})] if entries else []

    def _say(self, text: str) -> list[Json]:
        self._text_length += len(text)
        return [self._head.chunk({"content": text})] if text else []

    def _think(self, text: str) -> list[Json]:
        return [self._head.chunk({"reasoning_content": text})] if text else []

    def _call(self, block: Json, call: Json) -> Json:
        return self._head.chunk({"tool_calls": [{"index": block["call"], **call}]})


def _index(event: Json) -> int | None:
    index = event.get("contentBlockIndex")
    return index if isinstance(index, int) else None


def _joined(pieces: list[str]) -> str:
    """Pieces of base64 as one."""
    if len(pieces) < 2:
        return "".join(pieces)
    return base64.b64encode(b"".join(map(base64.b64decode, pieces))).decode()


def events_of(reply: Json) -> list[Json]:
    """A whole reply as the events of a stream, for models that cannot stream."""
    events: list[Json] = [{"messageStart": {"role": "assistant"}}]
    for index, block in enumerate(objects(mapping(mapping(reply.get("output")).get("message")).get("content"))):
        at = {"contentBlockIndex": index}
        if isinstance(call := block.get("toolUse"), dict):
            start = {name: value for name, value in call.items() if name != "input"}
            events.append({"contentBlockStart": {"start": {"toolUse": start}, **at}})
        events += [{"contentBlockDelta": {"delta": delta, **at}} for delta in _deltas(block)]
        events.append({"contentBlockStop": at})
    stop = {name: reply[name] for name in ("stopReason", "additionalModelResponseFields") if name in reply}
    rest = ("usage", "trace", "metrics", "performanceConfig", "serviceTier")
    metadata = {name: reply[name] for name in rest if name in reply}
    return [*events, {"messageStop": stop}, {"metadata": metadata}]


def _deltas(block: Json) -> list[Json]:
    match block:
        case {"text": str(text)}:
            return [{"text": text}]
        case {"toolUse": dict(call)}:
            return [{"toolUse": {"input": as_json(mapping(call.get("input")))}}]
        case {"reasoningContent": {"reasoningText": dict(spoken)}}:
            said = [{name: spoken[name]} for name in ("text", "signature") if spoken.get(name)]
            return [{"reasoningContent": each} for each in said]
        case {"reasoningContent": {"redactedContent": str(data)}}:
            return [{"reasoningContent": {"redactedContent": data}}]
        case {"citationsContent": dict(content)}:
            texts = [{"text": text_or(part.get("text"))} for part in objects(content.get("content"))]
            return [*texts, *({"citation": each} for each in objects(content.get("citations")))]
    return []

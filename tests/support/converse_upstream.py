"""What a model says by Converse: a whole reply, or the binary events of ConverseStream.

    up.always(conversed("Hello"), on="/converse-stream")
    up.always(conversed(reasoned("Hm.", "sig"), use("weather", {"city": "Graz"}, "t1")))

Everything that is sent is held to AWS's own model of the service first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.converse_contract import check_event, check_reply
from tests.support.upstream import Recorded
from tests.support.upstream_wire import Answer, Wire, dumps

CONVERSE, CONVERSE_STREAM = "/converse", "/converse-stream"
EVENT_STREAM = "application/vnd.amazon.eventstream"
REQUEST_ID = "b1e2d3c4-0000-4000-8000-000000000001"


@dataclass(frozen=True, slots=True)
class ConverseWire(Wire):
    """Each event in a message of AWS's, with its type in a header; an event with a member `exception` is one; text is
    the payload of an event as it is."""

    done: bool = False

    def _event(self, number: int, event: Any) -> bytes:
        from tests.support.anthropic_upstream_bedrock import aws_message

        if isinstance(event, Mapping) and "exception" in event:
            headers = {":message-type": "exception", ":exception-type": event["exception"]}
            return aws_message(headers, dumps({"message": event["message"]}))
        kind, payload = ("contentBlockDelta", event.encode()) if isinstance(event, str) else _payload(event)
        headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
        return aws_message(headers, payload)


def _payload(event: Mapping[str, Any]) -> tuple[str, bytes]:
    check_event(event)
    ((kind, said),) = event.items()
    return kind, dumps({**said, "p": "abcd"})


@dataclass(frozen=True, slots=True)
class Conversed:
    """`pieces`: how the texts are split in a stream; by words if None."""

    blocks: Sequence[Mapping[str, Any]]
    reason: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)
    pieces: Sequence[str] | None = None
    wire: Wire = field(default_factory=ConverseWire)

    def __call__(self, request: Recorded) -> Answer:
        head = {"x-amzn-requestid": REQUEST_ID}
        if request.path.endswith(CONVERSE_STREAM):
            return self.wire.events(list(self.events()), {"content-type": EVENT_STREAM, **head})
        reply = self.reply()
        check_reply(reply)
        return self.wire.json(reply, headers=head)

    def reply(self) -> dict[str, Any]:
        return {
            "output": {"message": {"role": "assistant", "content": list(self.blocks)}},
            "stopReason": self._reason,
            "usage": self._usage,
            "metrics": {"latencyMs": 7},
            **self.members,
        }

    def events(self) -> Iterator[dict[str, Any]]:
        yield {"messageStart": {"role": "assistant"}}
        for index, block in enumerate(self.blocks):
            at = {"contentBlockIndex": index}
            if "toolUse" in block:
                start = {name: value for name, value in block["toolUse"].items() if name != "input"}
                yield {"contentBlockStart": {"start": {"toolUse": start}, **at}}
            for delta in self._deltas(block):
                yield {"contentBlockDelta": {"delta": delta, **at}}
            yield {"contentBlockStop": at}
        fields = {name: value for name, value in self.members.items() if name == "additionalModelResponseFields"}
        yield {"messageStop": {"stopReason": self._reason, **fields}}
        told = {name: value for name, value in self.members.items() if name not in fields}
        yield {"metadata": {"usage": self._usage, "metrics": {"latencyMs": 7}, **told}}

    def _deltas(self, block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        if "text" in block:
            yield from ({"text": piece} for piece in self._split(block["text"]))
        elif "toolUse" in block:
            text = json.dumps(block["toolUse"]["input"], ensure_ascii=False)
            for at in range(0, len(text), 5):
                yield {"toolUse": {"input": text[at : at + 5]}}
        elif "citationsContent" in block:
            yield from ({"text": part["text"]} for part in block["citationsContent"]["content"])
            yield from ({"citation": each} for each in block["citationsContent"]["citations"])
        else:
            thought = block["reasoningContent"]
            spoken = thought.get("reasoningText", {})
            yield from ({"reasoningContent": {"text": piece}} for piece in self._split(spoken.get("text", "")))
            if "signature" in spoken:
                yield {"reasoningContent": {"signature": spoken["signature"]}}
            if "redactedContent" in thought:
                yield {"reasoningContent": thought}

    def _split(self, text: str) -> Sequence[str]:
        return self.pieces if self.pieces is not None else re.findall(r"\S+\s*|\s+", text)

    @property
    def _reason(self) -> str:
        return self.reason or ("tool_use" if any("toolUse" in block for block in self.blocks) else "end_turn")

    @property
    def _usage(self) -> dict[str, int]:
        """Words count as tokens, so that every figure can be told in advance."""
        words = sum(len(self._split(block["text"])) for block in self.blocks if "text" in block)
        counts = {"inputTokens": 9, "outputTokens": words + 7 * sum("toolUse" in block for block in self.blocks)}
        counts |= self.usage
        return {**counts, "totalTokens": counts["inputTokens"] + counts["outputTokens"]}


def conversed(*said: str | Mapping[str, Any], **options: Any) -> Conversed:
    """The model says texts and blocks. Options: the fields of `Conversed`."""
    return Conversed([{"text": each} if isinstance(each, str) else each for each in said], **options)


def reasoned(text: str, signature: str | None = None) -> dict[str, Any]:
    signed = {} if signature is None else {"signature": signature}
    return {"reasoningContent": {"reasoningText": {"text": text, **signed}}}


def redacted(data: str) -> dict[str, Any]:
    return {"reasoningContent": {"redactedContent": data}}


def use(name: str, given: Mapping[str, Any], call_id: str = "tooluse_1") -> dict[str, Any]:
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": dict(given)}}

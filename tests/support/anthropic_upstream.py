"""Anthropic on loopback: a real HTTP server that speaks the Messages API by script and refuses what Anthropic refuses.

    async with AnthropicUpstream() as up:
        up.reply(says("Hello"))                                          # the next request
        up.reply(says(thought("Hm."), tool_use("weather", {"city": "Graz"})))
        up.reply(failure(529), on="/messages")
        up.always(says("Hi", wire=MessagesWire(split_bytes=3)))
        ...                                                              # call up.url (without /v1)

It is the `Upstream` of tests/support/upstream.py with another tongue: requests are recorded, replies scripted and
broken in the same ways. A request is held to the contract (anthropic_upstream_contract.py) before any reply is given:
a 400 in Anthropic's words, whose `type` the client sees, means that whatever called it sent something wrong.
`python -m tests.support.anthropic_upstream` prints its address.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.anthropic_upstream_contract import Violation, check_message, redacted_data, signature_of
from tests.support.upstream import Recorded, Reply, Upstream
from tests.support.upstream_wire import Answer, Wire, dumps

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
MODEL = "claude-sonnet-5"
REQUEST_ID = "req_loopback_1"


@dataclass(frozen=True, slots=True)
class MessagesWire(Wire):
    """Events with their names, and no `[DONE]`."""

    done: bool = False

    def _event(self, number: int, event: Any) -> bytes:
        end = self.newline.encode()
        payload = event.encode() if isinstance(event, str) else dumps(event)
        comment = f": {self.comment}".encode() + end + end if self.comment is not None else b""
        name = event.get("type", "error") if isinstance(event, Mapping) else "content_block_delta"
        colon = b": " if self.space else b":"
        return comment + b"event" + colon + name.encode() + end + b"data" + colon + payload + end + end


def text(value: str, **members: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **members}


def thought(value: str) -> dict[str, Any]:
    """A thought under the signature that this upstream wants to see again."""
    return {"type": "thinking", "thinking": value, "signature": signature_of(value)}


def hidden_thought(value: str) -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": redacted_data(value)}


def tool_use(name: str, arguments: Mapping[str, Any], identifier: str = "toolu_1") -> dict[str, Any]:
    return {"type": "tool_use", "id": identifier, "name": name, "input": dict(arguments)}


@dataclass(frozen=True, slots=True)
class Says:
    """A message, streamed if the request asks for it. `pieces` are the deltas of the only text block."""

    blocks: Sequence[Mapping[str, Any]]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    input_tokens: int = 9
    output_tokens: int | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    pieces: Sequence[str] | None = None
    identifier: str = "msg_upstream_1"
    wire: Wire = field(default_factory=MessagesWire)
    headers: Mapping[str, str] = field(default_factory=lambda: {"request-id": REQUEST_ID})

    def __call__(self, request: Recorded) -> Answer:
        if request.body.get("stream"):
            return self.wire.events(list(self.events(request.body["model"])), self.headers)
        return self.wire.json(self.message(request.body["model"]), headers=self.headers)

    def message(self, model: str) -> dict[str, Any]:
        return {
            "id": self.identifier,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [dict(block) for block in self.blocks],
            "stop_reason": self.reason,
            "stop_sequence": self.stop_sequence,
            "usage": self.counted(self.tokens_out),
        }

    @property
    def reason(self) -> str:
        if self.stop_reason is not None:
            return self.stop_reason
        if self.stop_sequence is not None:
            return "stop_sequence"
        return "tool_use" if any(block["type"] == "tool_use" for block in self.blocks) else "end_turn"

    @property
    def tokens_out(self) -> int:
        words = sum(len(str(block.get("text", "tool call")).split()) for block in self.blocks)
        return words if self.output_tokens is None else self.output_tokens

    def counted(self, output_tokens: int) -> dict[str, Any]:
        cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        return {"input_tokens": self.input_tokens, **cache, "output_tokens": output_tokens, **self.usage}

    def events(self, model: str) -> Iterator[dict[str, Any]]:
        opened = self.message(model) | {"content": [], "stop_reason": None, "stop_sequence": None}
        yield {"type": "message_start", "message": opened | {"usage": self.counted(1)}}
        for index, block in enumerate(self.blocks):
            start, deltas = self._parts(block)
            yield {"type": "content_block_start", "index": index, "content_block": start}
            if index == 0:
                yield {"type": "ping"}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        ended = {"stop_reason": self.reason, "stop_sequence": self.stop_sequence}
        yield {"type": "message_delta", "delta": ended, "usage": self.counted(self.tokens_out)}
        yield {"type": "message_stop"}

    def _parts(self, block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A block as it begins, and its deltas."""
        match block["type"]:
            case "text":
                pieces = self.pieces if self.pieces is not None else _pieces(block["text"])
                return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]
            case "thinking":
                deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
                signed = {"type": "signature_delta", "signature": block["signature"]}
                return {**block, "thinking": "", "signature": ""}, [*deltas, signed]
            case "tool_use" | "server_tool_use" | "mcp_tool_use":
                written = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
                pieces = ["", *(written[at : at + 7] for at in range(0, len(written), 7))]
                return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            case _:
                return dict(block), []


def says(*blocks: str | Mapping[str, Any], **options: Any) -> Says:
    """A message of these blocks; a string is a text block."""
    return Says([text(block) if isinstance(block, str) else block for block in blocks], **options)


def failure(status: int, message: str = "The upstream says no.", retry_after: str | None = None) -> Answer:
    headers = {"request-id": REQUEST_ID} | ({} if retry_after is None else {"retry-after": retry_after})
    return Wire().json(error_body(status, message), status, headers)


def error_body(status: int, message: str) -> dict[str, Any]:
    inner = {"type": TYPES.get(status, "api_error"), "message": message}
    return {"type": "error", "error": inner, "request_id": REQUEST_ID}


def counts(tokens: int) -> Answer:
    return Wire().json({"input_tokens": tokens})


@dataclass(frozen=True, slots=True)
class Models:
    """The list of models, in pages as they are asked for."""

    models: Sequence[Mapping[str, Any]]

    def __call__(self, request: Recorded) -> Answer:
        listed = [
            {"type": "model", "display_name": model["id"], "created_at": "2026-01-01T00:00:00Z", **model}
            for model in self.models
        ]
        after = request.query.get("after_id")
        if after is not None:
            listed = listed[[model["id"] for model in listed].index(after) + 1 :]
        page = listed[: int(request.query.get("limit", "20"))]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        return Wire().json({"data": page, "has_more": len(page) < len(listed), **ends})


def models(*entries: str | Mapping[str, Any]) -> Models:
    return Models([{"id": entry} if isinstance(entry, str) else entry for entry in entries])


class AnthropicUpstream(Upstream):
    """The server. `key`: the one key that it accepts; None: any. `checks=False` answers whatever it is asked."""

    def __init__(self, *, key: str | None = None, checks: bool = True) -> None:
        super().__init__()
        self._key = key
        self._checks = checks
        self.violations: list[str] = []
        self.defaults = DEFAULTS

    def _answer_to(self, request: Recorded) -> Answer:
        try:
            return self._refusal(request) or super()._answer_to(request)
        except Violation as wrong:
            self.violations.append(str(wrong))
            return failure(400, str(wrong))

    def _refusal(self, request: Recorded) -> Answer | None:
        if not self._checks or not request.path.startswith("/v1/"):
            return None
        given = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if not given or (self._key is not None and given != self._key):
            return failure(401, "invalid x-api-key")
        if request.path in ("/v1/messages", "/v1/messages/count_tokens"):
            if "anthropic-version" not in request.headers:
                raise Violation("anthropic-version: header is required")
            beta = "anthropic-beta" in request.headers
            check_message(request.body, beta=beta, counting=request.path.endswith("count_tokens"))
        return None


def _pieces(value: str) -> list[str]:
    """In words, each with the space before it."""
    return re.findall(r"\s*\S+|\s+$", value)


DEFAULTS: Mapping[str, Reply] = {
    "/messages": says("Hello from the upstream."),
    "/messages/count_tokens": counts(17),
    "/models": models(MODEL),
}

if __name__ == "__main__":
    with AnthropicUpstream() as upstream:
        print(upstream.url, flush=True)
        sys.stdin.read()

"""What a run of kind `response` is asked to do, and what it leaves: the documents of the journal."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from llama_stack.agent.entries import Entry, ModelCall

KIND: Final = "response"
"""The kind of the runs that are responses; a run's id is that of its response (`resp_…`)."""

TURN: Final = "turn"
"""The document with a response's entries, input and output, for those that go on from it: a list of `Entry` as JSON."""


class Turn(msgspec.Struct, omit_defaults=True):
    """The payload of a run.

    `request` is the request as JSON with our defaults filled in, a prompt template resolved, and every secret taken out
    (an MCP tool there has neither `authorization` nor `headers`). `input` are its items with ids, and `previous` or
    `conversation` (with the position up to which it is read) say what comes before them. `secrets` is a `Secrets` as
    JSON, sealed and bound to the run. `digest` is that of the request, where an idempotency key came with it. Times are
    Unix seconds.
    """

    request: dict[str, Any]
    input: list[Entry]
    created_at: int
    previous: str | None = None
    conversation: str | None = None
    conversation_position: int = 0
    attributes: dict[str, list[str]] = {}
    request_id: str = ""
    secrets: bytes = b""
    digest: str = ""


class ServerSecrets(msgspec.Struct, omit_defaults=True):
    """What one MCP tool of the request carries, by its `server_label`."""

    authorization: str | None = None
    headers: dict[str, str] = {}


class Secrets(msgspec.Struct, omit_defaults=True):
    provider_data: dict[str, str] = {}
    forward_headers: dict[str, str] = {}
    servers: dict[str, ServerSecrets] = {}


class Usage(msgspec.Struct):
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


class ServerCall(msgspec.Struct):
    """A call of a tool that the server runs, under the id that its item will have."""

    item_id: str
    call: ModelCall


class Generated(msgspec.Struct, omit_defaults=True):
    """What one call of the model gave: the result of a model step.

    `entries` are the items that it made (messages, reasoning, calls of the caller's tools), in order; `calls` those of
    tools that the server runs. `finish_reason` is the chat completion's.
    """

    entries: list[Entry]
    calls: list[ServerCall] = []
    finish_reason: str | None = None
    usage: Usage | None = None
    service_tier: str | None = None
    model: str | None = None

"""What a run of kind `response` is asked to do, and what it leaves: the documents of the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from llama_stack.agent.entries import Entry, ModelCall
from llama_stack.runs.secrets import Secrets

KIND: Final = "response"
"""The kind of the runs that are responses; a run's id is that of its response (`resp_…`)."""

TURN: Final = "turn"
"""The document with a response's entries, input and output, for those that go on from it: a list of `Entry` as JSON."""


class Turn(msgspec.Struct, omit_defaults=True):
    """The payload of a run.

    `request` is the request as JSON with our defaults filled in, a prompt template resolved, and every secret taken out
    (an MCP tool there has neither `authorization` nor `headers`). `input` are its items with ids, and `previous` or
    `conversation` (with the position up to which it is read) say what comes before them. `digest` is that of the
    request, where an idempotency key came with it. Times are Unix seconds.

    `tools_told`: the model cannot call tools, so files are searched before it is asked, and it is told what was found.
    `context_length` is the model's, in tokens, where it is known. `checked`: guardrails have let the input pass, as it
    stands here.
    """

    request: dict[str, Any]
    input: list[Entry]
    created_at: int
    previous: str | None = None
    conversation: str | None = None
    conversation_position: int = 0
    attributes: dict[str, list[str]] = {}
    request_id: str = ""
    digest: str = ""
    tools_told: bool = False
    context_length: int | None = None
    checked: bool = False


def server_key(tool: Mapping[str, Any]) -> str:
    """Which server an MCP tool means, under which label: what is sent for one is for no other, whatever its label."""
    address = tool.get("server_url") or None
    connector = None if address else tool.get("connector_id")
    return msgspec.json.encode([tool.get("server_label"), address, connector]).decode()


class ServerSecrets(msgspec.Struct, omit_defaults=True):
    """What one MCP tool of the request carries, by its `server_key`."""

    authorization: str | None = None
    headers: dict[str, str] = {}


class TurnSecrets(Secrets, omit_defaults=True):
    """The secrets of a run, sealed and bound to it: as JSON, beside its payload."""

    servers: dict[str, ServerSecrets] = msgspec.field(default_factory=dict)


class Usage(msgspec.Struct):
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


def total(*usages: Usage | None) -> Usage | None:
    """Of those that are known; None if none is."""
    known = [usage for usage in usages if usage is not None]
    return sum(known, Usage()) if known else None


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


class ToolDone(msgspec.Struct, omit_defaults=True):
    """The result of a tool's step: its entry, and those that come with it. `pin`: it did not run, as its definition is
    not what it was; this is the digest of what it is now."""

    entries: list[Entry] = []
    pin: str | None = None


class Compacted(msgspec.Struct, omit_defaults=True):
    """The result of a step of compaction."""

    entry: Entry
    usage: Usage | None = None

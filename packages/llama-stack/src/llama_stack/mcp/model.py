"""An MCP server as it is named to us, and its answers as plain data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from llama_stack_api.errors import LlamaStackError


@dataclass(frozen=True, slots=True)
class StdioCommand:
    """A server that we start ourselves and speak to over its standard input and output.

    For connectors of the operator's config alone: it runs a program. `env` comes on top of a minimal environment.
    """

    command: str
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class McpServer:
    """One of `url` and `command` is set. `label` is how messages call the server.

    `authorization` is an OAuth access token, or a whole value of the Authorization header (`Basic …`); `headers` are
    sent with every request. `trusted`: the address comes from the operator's config and may be private. Sessions are
    shared within `scope` only: it names the tenant, and whoever else must be kept apart.
    """

    label: str
    url: str | None = field(default=None, repr=False)
    command: StdioCommand | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authorization: str | None = field(default=None, repr=False)
    trusted: bool = False
    scope: str = ""

    def __post_init__(self) -> None:
        if (self.url is None) == (self.command is None):
            raise ValueError("an MCP server has either a url or a command")

    def request_headers(self) -> dict[str, str]:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.authorization is not None:
            scheme = "" if " " in self.authorization else "Bearer "
            headers["authorization"] = scheme + self.authorization
        return headers

    def key(self) -> bytes:
        """What a session belongs to: equal for servers that may share one. A digest, as it covers the credentials."""
        command = self.command and [self.command.command, list(self.command.args), sorted(self.command.env.items())]
        parts = [self.url, command, sorted(self.request_headers().items()), self.trusted, self.scope]
        return hashlib.sha256(msgspec.json.encode(parts)).digest()


class McpServerInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a server says of itself."""

    name: str | None = None
    version: str | None = None
    title: str | None = None
    instructions: str | None = None
    protocol_version: str | None = None


class McpTool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool as the server describes it; `annotations` in MCP's names (`readOnlyHint`, `idempotentHint`, …)."""

    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    title: str | None = None
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None


class McpResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tool gave: `content` blocks as MCP writes them, and `structuredContent`.

    Blocks are `{"type": "text", "text"}`, `{"type": "image" or "audio", "data" (base64), "mimeType"}`, `{"type":
    "resource", "resource": {"uri", "mimeType", "text" or "blob"}}` and `{"type": "resource_link", "uri", "name", …}`.
    `is_error`: the tool ran and failed, and `content` says why, for the model.
    """

    content: list[dict[str, Any]]
    structured: Any = None
    is_error: bool = False

    @property
    def text(self) -> str:
        """The text blocks, a line each."""
        return "\n".join(block["text"] for block in self.content if block.get("type") == "text")


@dataclass(frozen=True, slots=True)
class McpLimits:
    """What a server may cost us. Times are seconds."""

    connect_timeout_s: float = 15.0
    call_timeout_s: float = 300.0
    """For requests without a deadline."""
    idle_s: float = 60.0
    sessions_max: int = 256
    calls_per_session_max: int = 64
    message_bytes_max: int = 8 * 1024 * 1024
    """One answer: a result, or a page of tools."""
    reply_bytes_max: int = 64 * 1024 * 1024
    """One HTTP reply, notifications included."""
    tools_max: int = 1000
    tool_name_chars_max: int = 256
    tools_bytes_max: int = 8 * 1024 * 1024
    pages_max: int = 100


class Unanswered(Exception):
    """A transport's own failure, on its way through the SDK to whoever asked."""

    def __init__(self, error: LlamaStackError) -> None:
        super().__init__(error.message)
        self.error = error

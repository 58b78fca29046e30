"""What the loop knows of a tool that this server runs."""

from __future__ import annotations

from typing import Final, Protocol
from uuid import uuid4

from llama_stack.services.messages.chat import Json
from llama_stack_api.errors import InvalidRequest, LlamaStackError, RateLimited
from llama_stack_api.principal import Call

UNAVAILABLE: Final = "unavailable"
INVALID_INPUT: Final = "invalid_tool_input"
MAX_USES: Final = "max_uses_exceeded"


class ToolFailed(Exception):
    """A tool's failure as the contract names it: `code` is an `error_code`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ServerTool(Protocol):
    """One tool, for one message.

    `name`: of the function that the model calls. `counter`: the member of `usage.server_tool_use` that counts its
    uses, if one does.
    """

    @property
    def name(self) -> str: ...

    @property
    def counter(self) -> str | None: ...

    def definition(self) -> Json:
        """The tool as the model is offered it, in the form of a tool of the client's."""
        ...

    def use(self) -> Json:
        """The block that begins a use of it, with an id and without its input."""
        ...

    async def result(self, use: Json, call: Call) -> Json:
        """The block with what came of it. Raises `ToolFailed` and `LlamaStackError`."""
        ...

    def failure(self, use: Json, error: LlamaStackError | ToolFailed) -> Json:
        """The block that says why nothing came of it."""
        ...


def server_tool_use(name: str) -> Json:
    """The block that begins a use of one of Anthropic's own tools, whatever the request calls it."""
    return {
        "type": "server_tool_use",
        "id": f"srvtoolu_{uuid4().hex[:24]}",
        "name": name,
        "input": {},
        "caller": {"type": "direct"},
    }


def server_tool_result(use: Json, content: Json | list[Json]) -> Json:
    """The block with what came of such a use."""
    kind = f"{use['name']}_tool_result"
    return {"type": kind, "tool_use_id": use["id"], "content": content, "caller": {"type": "direct"}}


def server_tool_failure(use: Json, error: LlamaStackError | ToolFailed) -> Json:
    return server_tool_result(use, {"type": f"{use['name']}_tool_result_error", "error_code": code_of(error)})


def code_of(error: LlamaStackError | ToolFailed) -> str:
    match error:
        case ToolFailed():
            return error.code
        case RateLimited():
            return "too_many_requests"
        case InvalidRequest(param=str()):
            return INVALID_INPUT
        case _:
            return UNAVAILABLE


class Uses:
    """How often a tool may still be used. `most` None: as often as the model likes."""

    def __init__(self, most: int | None) -> None:
        self._left = most

    def take(self) -> None:
        """`ToolFailed` if there is none left."""
        if self._left is None:
            return
        if self._left <= 0:
            raise ToolFailed(MAX_USES)
        self._left -= 1

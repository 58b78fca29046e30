"""What a tool of a response is: a function that the model is offered, and whoever runs it.

    ToolKind.bind(tool of the request) -> Bound
        .tools     BoundTool: what the model sees, and its `runner` (None: the caller runs it)
        .listing   what has to be asked for first: an MCP server's tools

A tool's failure is an item and a message that the model sees. Tools raise `LlamaStackError` for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from llama_stack.agent.entries import Entry, Event, Item, ModelCall
from llama_stack.agent.turn import ServerSecrets
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.principal import Call

CallerKind: TypeAlias = Literal["function", "custom", "tool_search"]
"""Which item a call of the caller's tool becomes: `function_call`, `custom_tool_call`, `tool_search_call`."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What goes with one run of a tool. `call.deadline` is the tool's own; `idempotency_key` is the same in every
    attempt; `include` are the request's; `secrets` are by `server_key`. `deferred` are the response's deferred tools,
    for a search among them. `approved_pin` is the `pin` of the approval request that the caller said yes to, if there
    was one. `room` is how many tokens the model has left for what this shows it, where that is known. `told`: the model
    cannot call tools, and is told what they gave."""

    call: Call
    idempotency_key: str = ""
    include: frozenset[str] = frozenset()
    secrets: Mapping[str, ServerSecrets] = field(default_factory=dict)
    deferred: Sequence[BoundTool] = ()
    approved_pin: str | None = None
    room: int | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The finished item with what the model is shown, and items that come with it (`tool_search_output`)."""

    entry: Entry
    more: Sequence[Entry] = ()


class ServerTool(Protocol):
    """A tool that this server runs. `kind` labels its journal steps and metrics; `timeout_s` is its deadline."""

    @property
    def kind(self) -> str: ...

    @property
    def idempotent(self) -> bool:
        """It may run again after a crash in the middle. What may have a side effect may not."""
        ...

    @property
    def timeout_s(self) -> float: ...

    def opened(self, call: ModelCall, item_id: str) -> Item:
        """The item as `response.output_item.added` shows it. For a call that was approved, the loop adds
        `approval_request_id`, which `run` and `failed` keep."""
        ...

    def announced(self, call: ModelCall, item: Item) -> Sequence[Event]:
        """Events between that and the run (`response.mcp_call.in_progress`, …), without `item_id`, `output_index` and
        `sequence_number`."""
        ...

    async def run(self, call: ModelCall, item: Item, context: ToolContext) -> ToolResult:
        """Run it. A `LlamaStackError` is a failure that `failed` turns into an item; but `DefinitionChanged` means that
        it has not run, and that the loop asks for an approval instead (it writes no `mcp_call`)."""
        ...

    def failed(self, call: ModelCall, item: Item, error: LlamaStackError) -> ToolResult:
        """The item of a call that failed, was interrupted by a crash (`StepInterrupted`) or was not allowed."""
        ...

    def concluded(self, entry: Entry) -> Sequence[Event]:
        """Events between the run and `response.output_item.done` (`response.mcp_call.completed` or `….failed`, …)."""
        ...


@dataclass(frozen=True, slots=True)
class CallerTool:
    """How a call of the caller's tool is shown: the caller's name for it, and the namespace that it is in."""

    kind: CallerKind
    name: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class BoundTool:
    """`name` is what the model calls; unique in a response once `tools.names.distinct` has been over all of its tools
    (the loop does that after the listings). `definition` is a tool of chat completions
    (`{"type": "function", "function": {…}}`). `origin` is the tool of the request that brought it.

    Of `runner` and `caller` one is there. `deferred`: the model sees it only once a search has found it
    (`tools.deferral.offered` says what it sees in a round).
    `needs_approval`: a call becomes an `mcp_approval_request`, and runs in the response to the caller's approval.
    `pin` is the digest of the definition.
    """

    name: str
    definition: dict[str, Any]
    origin: Item
    runner: ServerTool | None = None
    caller: CallerTool | None = None
    deferred: bool = False
    needs_approval: bool = False
    pin: str | None = None
    label: str | None = None
    """The `server_label` of an MCP tool."""
    bare_name: str | None = None
    """The MCP server's own name for it, or whatever else tells tools of one kind and name apart."""


class Listing(Protocol):
    """Tools that somebody has to be asked for: an MCP server's. Its item is an `mcp_list_tools`."""

    @property
    def key(self) -> str:
        """Of the journal step; unique in a response (the `server_label`)."""
        ...

    def opened(self, item_id: str) -> Item: ...

    def announced(self) -> Sequence[Event]:
        """Events between `response.output_item.added` and the run, as `ServerTool.announced` gives them."""
        ...

    def concluded(self, entry: Entry) -> Sequence[Event]:
        """Events between the run and `response.output_item.done` (`response.mcp_list_tools.completed`, …)."""
        ...

    async def run(self, item: Item, context: ToolContext) -> Entry:
        """Never fails: a server that cannot be asked is an item with an `error`, and no tools."""
        ...

    def tools(self, entry: Entry) -> Sequence[BoundTool]: ...


@dataclass(frozen=True, slots=True)
class Bound:
    tools: Sequence[BoundTool] = ()
    listing: Listing | None = None


class ToolKind(Protocol):
    """One kind of tools of a request, registered with the agent by `stack.py`."""

    @property
    def types(self) -> frozenset[str]:
        """The `type`s of the request's tools that it answers."""
        ...

    def check(self, tool: Item) -> None:
        """`InvalidRequest` (its `param` relative to the tool) if the tool cannot be had: known before a run starts."""
        ...

    def bind(self, tool: Item, before: Sequence[Entry]) -> Bound:
        """`before`: the entries of earlier turns and of the input; a server listed there is not asked again."""
        ...

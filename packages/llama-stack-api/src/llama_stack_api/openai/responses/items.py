"""Items: messages, reasoning, the calls of tools and their results. They are the input and the output of responses."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from llama_stack_api.base import OTHER, Flag, Integer, JsonObject, Number, WireModel, by_type, other_than
from llama_stack_api.openai.responses.content import AnyJson, Content, ReasoningText, SummaryText
from llama_stack_api.openai.responses.hosted_items import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    CodeInterpreterCall,
    ComputerCall,
    ComputerCallOutput,
    ImageGenerationCall,
    LocalShellCall,
    LocalShellCallOutput,
    Program,
    ProgramOutput,
    ShellCall,
    ShellCallOutput,
)
from llama_stack_api.openai.responses.item_base import BaseItem, ItemStatus, ToolCaller
from llama_stack_api.openai.responses.tools import Tool

ITEM_TYPES = (
    "message", "reasoning", "compaction",
    "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output",
    "tool_search_call", "tool_search_output", "additional_tools",
    "mcp_list_tools", "mcp_call", "mcp_approval_request", "mcp_approval_response",
    "file_search_call", "web_search_call",
    "computer_call", "computer_call_output", "image_generation_call", "code_interpreter_call",
    "local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output",
    "apply_patch_call", "apply_patch_call_output", "program", "program_output",
    "item_reference", "compaction_trigger",
)  # fmt: skip
ACTION_TYPES = ("search", "open_page", "find_in_page")
MCP_ERROR_TYPES = ("mcp_protocol_error", "mcp_tool_execution_error", "http_error")

Role: TypeAlias = Literal["user", "assistant", "system", "developer", "tool", "critic", "discriminator", "unknown"]
MessagePhase: TypeAlias = Literal["commentary", "final_answer"] | str
ToolExecution: TypeAlias = Literal["server", "client"] | str


class Message(BaseItem):
    """What someone said. `phase` tells the final answer from what the model said on the way to it."""

    type: Literal["message"] = "message"
    role: Role
    content: Content
    status: ItemStatus | None = None
    phase: MessagePhase | None = None


class ReasoningItem(BaseItem):
    """What the model thought. `encrypted_content` is opaque, and lets a response go on that was not stored."""

    type: Literal["reasoning"] = "reasoning"
    summary: list[SummaryText] = Field(default_factory=list)
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None
    status: ItemStatus | None = None


class Compaction(BaseItem):
    """Stands for the items before it. `encrypted_content` is opaque."""

    type: Literal["compaction"] = "compaction"
    encrypted_content: str
    created_by: str | None = None


class FunctionCall(BaseItem):
    """`arguments` is JSON as the model wrote it, which need not be valid."""

    type: Literal["function_call"] = "function_call"
    call_id: str
    name: str
    namespace: str | None = None
    arguments: str
    caller: ToolCaller | None = None
    status: ItemStatus | None = None
    created_by: str | None = None


class FunctionCallOutput(BaseItem):
    type: Literal["function_call_output"] = "function_call_output"
    call_id: str | None = None
    output: Content
    name: str | None = None
    namespace: str | None = None
    caller: ToolCaller | None = None
    status: ItemStatus | None = None
    created_by: str | None = None


class CustomToolCall(BaseItem):
    """`input` is text, not JSON."""

    type: Literal["custom_tool_call"] = "custom_tool_call"
    call_id: str
    name: str
    namespace: str | None = None
    input: str
    caller: ToolCaller | None = None
    status: ItemStatus | None = None
    created_by: str | None = None


class CustomToolCallOutput(BaseItem):
    type: Literal["custom_tool_call_output"] = "custom_tool_call_output"
    call_id: str
    output: Content
    caller: ToolCaller | None = None
    status: ItemStatus | None = None
    created_by: str | None = None


class ToolSearchCall(BaseItem):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"call_id"})

    type: Literal["tool_search_call"] = "tool_search_call"
    call_id: str | None = None
    execution: ToolExecution | None = None
    arguments: AnyJson
    status: ItemStatus | None = None
    created_by: str | None = None


class ToolSearchOutput(BaseItem):
    """The definitions that a search found."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"call_id"})

    type: Literal["tool_search_output"] = "tool_search_output"
    call_id: str | None = None
    execution: ToolExecution | None = None
    tools: list[Tool]
    status: ItemStatus | None = None
    created_by: str | None = None


class AdditionalTools(BaseItem):
    """Tools that the model may use from here on."""

    type: Literal["additional_tools"] = "additional_tools"
    role: Role = "developer"
    tools: list[Tool]


class MCPToolDefinition(WireModel):
    name: str
    description: str | None = None
    input_schema: JsonObject
    annotations: JsonObject | None = None


class MCPListTools(BaseItem):
    """What tools a server offers; `error` if it could not be asked."""

    type: Literal["mcp_list_tools"] = "mcp_list_tools"
    server_label: str
    tools: list[MCPToolDefinition]
    error: str | None = None


class MCPApprovalRequest(BaseItem):
    type: Literal["mcp_approval_request"] = "mcp_approval_request"
    server_label: str
    name: str
    arguments: str


class MCPApprovalResponse(BaseItem):
    """The caller's verdict. The contract requires a `request_id` too, without saying what it is."""

    type: Literal["mcp_approval_response"] = "mcp_approval_response"
    approval_request_id: str
    approve: Flag
    reason: str | None = None
    request_id: str | None = None


class MCPProtocolError(WireModel):
    type: Literal["mcp_protocol_error"] = "mcp_protocol_error"
    code: Integer
    message: str


class MCPToolExecutionError(WireModel):
    """`content` is what the tool said of its failure."""

    type: Literal["mcp_tool_execution_error"] = "mcp_tool_execution_error"
    content: AnyJson


class MCPHTTPError(WireModel):
    """`code` is the status of the server's answer."""

    type: Literal["http_error"] = "http_error"
    code: Integer
    message: str


class OtherMCPError(WireModel):
    type: str = Field(json_schema_extra=other_than(*MCP_ERROR_TYPES))


MCPError: TypeAlias = Annotated[
    Annotated[MCPProtocolError, Tag("mcp_protocol_error")]
    | Annotated[MCPToolExecutionError, Tag("mcp_tool_execution_error")]
    | Annotated[MCPHTTPError, Tag("http_error")]
    | Annotated[OtherMCPError, Tag(OTHER)],
    by_type(*MCP_ERROR_TYPES),
]


class MCPCall(BaseItem):
    """A tool's call and result in one. `error` as plain text comes from servers of before Llama Stack 1.0."""

    type: Literal["mcp_call"] = "mcp_call"
    server_label: str
    name: str
    arguments: str
    output: str | None = None
    error: Annotated[str | MCPError, Field(union_mode="left_to_right")] | None = None
    approval_request_id: str | None = None
    status: Literal["in_progress", "calling", "completed", "incomplete", "failed"] | str | None = None


class FileSearchResult(WireModel):
    """`score` is from 0 to 1."""

    file_id: str | None = None
    filename: str | None = None
    text: str | None = None
    score: Number | None = None
    attributes: dict[str, str | Flag | Integer | Number] | None = None


class FileSearchCall(BaseItem):
    """`results` is there if `include` asks for it."""

    type: Literal["file_search_call"] = "file_search_call"
    queries: list[str] = Field(default_factory=list)
    status: Literal["in_progress", "searching", "completed", "incomplete", "failed"] | str | None = None
    results: list[FileSearchResult] | None = None


class WebSearchSource(WireModel):
    type: Literal["url"] | str = "url"
    url: str


class SearchAction(WireModel):
    """`sources` is there if `include` asks for it."""

    type: Literal["search"] = "search"
    query: str | None = None
    queries: list[str] | None = None
    sources: list[WebSearchSource] | None = None


class OpenPageAction(WireModel):
    type: Literal["open_page"] = "open_page"
    url: str | None = None


class FindInPageAction(WireModel):
    type: Literal["find_in_page"] = "find_in_page"
    url: str | None = None
    pattern: str | None = None


class OtherAction(WireModel):
    type: str = Field(json_schema_extra=other_than(*ACTION_TYPES))


WebSearchAction: TypeAlias = Annotated[
    Annotated[SearchAction, Tag("search")]
    | Annotated[OpenPageAction, Tag("open_page")]
    | Annotated[FindInPageAction, Tag("find_in_page")]
    | Annotated[OtherAction, Tag(OTHER)],
    by_type(*ACTION_TYPES),
]


class WebSearchCall(BaseItem):
    type: Literal["web_search_call"] = "web_search_call"
    status: Literal["in_progress", "searching", "completed", "failed"] | str | None = None
    action: WebSearchAction | None = None


class ItemReference(WireModel):
    """Stands for a stored item. The `type` may be left out."""

    type: Literal["item_reference"] | None = "item_reference"
    id: str


class CompactionTrigger(BaseItem):
    """Asks to compact what is before it."""

    type: Literal["compaction_trigger"] = "compaction_trigger"


class OtherItem(BaseItem):
    """An item of a type that the contract does not know."""

    type: str = Field(json_schema_extra=other_than(*ITEM_TYPES))


def _kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    if kind is None:
        refers = isinstance(value, ItemReference) or (isinstance(value, dict) and "id" in value and "role" not in value)
        return "item_reference" if refers else "message"
    return kind if isinstance(kind, str) and kind in ITEM_TYPES else OTHER


_Item: TypeAlias = (
    Annotated[Message, Tag("message")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[Compaction, Tag("compaction")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[FunctionCallOutput, Tag("function_call_output")]
    | Annotated[CustomToolCall, Tag("custom_tool_call")]
    | Annotated[CustomToolCallOutput, Tag("custom_tool_call_output")]
    | Annotated[ToolSearchCall, Tag("tool_search_call")]
    | Annotated[ToolSearchOutput, Tag("tool_search_output")]
    | Annotated[AdditionalTools, Tag("additional_tools")]
    | Annotated[MCPListTools, Tag("mcp_list_tools")]
    | Annotated[MCPCall, Tag("mcp_call")]
    | Annotated[MCPApprovalRequest, Tag("mcp_approval_request")]
    | Annotated[MCPApprovalResponse, Tag("mcp_approval_response")]
    | Annotated[FileSearchCall, Tag("file_search_call")]
    | Annotated[WebSearchCall, Tag("web_search_call")]
    | Annotated[ComputerCall, Tag("computer_call")]
    | Annotated[ComputerCallOutput, Tag("computer_call_output")]
    | Annotated[ImageGenerationCall, Tag("image_generation_call")]
    | Annotated[CodeInterpreterCall, Tag("code_interpreter_call")]
    | Annotated[LocalShellCall, Tag("local_shell_call")]
    | Annotated[LocalShellCallOutput, Tag("local_shell_call_output")]
    | Annotated[ShellCall, Tag("shell_call")]
    | Annotated[ShellCallOutput, Tag("shell_call_output")]
    | Annotated[ApplyPatchCall, Tag("apply_patch_call")]
    | Annotated[ApplyPatchCallOutput, Tag("apply_patch_call_output")]
    | Annotated[Program, Tag("program")]
    | Annotated[ProgramOutput, Tag("program_output")]
    | Annotated[OtherItem, Tag(OTHER)]
)

OutputItem: TypeAlias = Annotated[_Item, Discriminator(_kind)]
"""An item that a response or a conversation holds."""

InputItem: TypeAlias = Annotated[
    _Item | Annotated[ItemReference, Tag("item_reference")] | Annotated[CompactionTrigger, Tag("compaction_trigger")],
    Discriminator(_kind),
]
"""An item of a request. Without a `type` it is a message, or a reference if it has an `id` and no `role`."""

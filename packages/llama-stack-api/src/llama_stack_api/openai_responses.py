"""Items of the Responses API under the names of `llama-stack-api` 0.7: messages, tool calls, tools."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, Tag

from llama_stack_api.base import OTHER, JsonObject, WireModel, by_type, other_than

ITEM_TYPES = (
    "message", "function_call", "function_call_output", "file_search_call", "web_search_call", "mcp_call",
    "mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "reasoning",
)  # fmt: skip
TOOL_TYPES = ("function", "file_search", "mcp", "web_search")


class OpenAIResponseInputMessageContentText(WireModel):
    type: Literal["input_text"] = "input_text"
    text: str


class OpenAIResponseInputMessageContentImage(WireModel):
    type: Literal["input_image"] = "input_image"
    detail: Literal["low", "high", "auto"] | str = "auto"
    file_id: str | None = None
    image_url: str | None = None


class OpenAIResponseInputMessageContentFile(WireModel):
    type: Literal["input_file"] = "input_file"
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


OpenAIResponseInputMessageContent: TypeAlias = Annotated[
    OpenAIResponseInputMessageContentText
    | OpenAIResponseInputMessageContentImage
    | OpenAIResponseInputMessageContentFile,
    Field(discriminator="type"),
]


class OpenAIResponseAnnotationFileCitation(WireModel):
    type: Literal["file_citation"] = "file_citation"
    file_id: str
    filename: str
    index: int


class OpenAIResponseAnnotationCitation(WireModel):
    type: Literal["url_citation"] = "url_citation"
    start_index: int
    end_index: int
    title: str
    url: str


class OpenAIResponseAnnotationContainerFileCitation(WireModel):
    type: Literal["container_file_citation"] = "container_file_citation"
    container_id: str
    file_id: str
    filename: str
    start_index: int
    end_index: int


class OpenAIResponseAnnotationFilePath(WireModel):
    type: Literal["file_path"] = "file_path"
    file_id: str
    index: int


OpenAIResponseAnnotations: TypeAlias = Annotated[
    OpenAIResponseAnnotationFileCitation
    | OpenAIResponseAnnotationCitation
    | OpenAIResponseAnnotationContainerFileCitation
    | OpenAIResponseAnnotationFilePath,
    Field(discriminator="type"),
]


class OpenAIResponseOutputMessageContentOutputText(WireModel):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[OpenAIResponseAnnotations] = Field(default_factory=list)
    logprobs: list[JsonObject] | None = None


class OpenAIResponseContentPartRefusal(WireModel):
    type: Literal["refusal"] = "refusal"
    refusal: str


OpenAIResponseOutputMessageContent: TypeAlias = Annotated[
    OpenAIResponseOutputMessageContentOutputText | OpenAIResponseContentPartRefusal, Field(discriminator="type")
]


class OpenAIResponseMessage(WireModel):
    """What someone said. `id` and `status` are there once it is stored."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[OpenAIResponseInputMessageContent] | list[OpenAIResponseOutputMessageContent]
    id: str | None = None
    status: str | None = None


class OpenAIResponseOutputMessageFunctionToolCall(WireModel):
    """`arguments` is JSON as the model wrote it."""

    type: Literal["function_call"] = "function_call"
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None


class OpenAIResponseInputFunctionToolCallOutput(WireModel):
    type: Literal["function_call_output"] = "function_call_output"
    call_id: str
    output: str | list[OpenAIResponseInputMessageContent]
    id: str | None = None
    status: str | None = None


class OpenAIResponseOutputMessageFileSearchToolCallResults(WireModel):
    attributes: JsonObject = Field(default_factory=dict)
    file_id: str
    filename: str
    score: float
    text: str


class OpenAIResponseOutputMessageFileSearchToolCall(WireModel):
    type: Literal["file_search_call"] = "file_search_call"
    id: str
    queries: list[str]
    status: str
    results: list[OpenAIResponseOutputMessageFileSearchToolCallResults] | None = None


class OpenAIResponseOutputMessageWebSearchToolCall(WireModel):
    type: Literal["web_search_call"] = "web_search_call"
    id: str
    status: str


class OpenAIResponseOutputMessageMCPCall(WireModel):
    type: Literal["mcp_call"] = "mcp_call"
    id: str
    server_label: str
    name: str
    arguments: str
    output: str | None = None
    error: str | JsonObject | None = None


class MCPListToolsTool(WireModel):
    name: str
    description: str | None = None
    input_schema: JsonObject


class OpenAIResponseOutputMessageMCPListTools(WireModel):
    type: Literal["mcp_list_tools"] = "mcp_list_tools"
    id: str
    server_label: str
    tools: list[MCPListToolsTool]


class OpenAIResponseMCPApprovalRequest(WireModel):
    type: Literal["mcp_approval_request"] = "mcp_approval_request"
    id: str
    server_label: str
    name: str
    arguments: str


class OpenAIResponseMCPApprovalResponse(WireModel):
    type: Literal["mcp_approval_response"] = "mcp_approval_response"
    approval_request_id: str
    approve: bool
    id: str | None = None
    reason: str | None = None


class OpenAIResponseReasoningItem(WireModel):
    type: Literal["reasoning"] = "reasoning"
    id: str | None = None
    summary: list[JsonObject] = Field(default_factory=list)
    content: list[JsonObject] | None = None
    encrypted_content: str | None = None
    status: str | None = None


class OpenAIResponseOtherItem(WireModel):
    type: str = Field(json_schema_extra=other_than(*ITEM_TYPES))


OpenAIResponseInput: TypeAlias = Annotated[
    Annotated[OpenAIResponseMessage, Tag("message")]
    | Annotated[OpenAIResponseOutputMessageFunctionToolCall, Tag("function_call")]
    | Annotated[OpenAIResponseInputFunctionToolCallOutput, Tag("function_call_output")]
    | Annotated[OpenAIResponseOutputMessageFileSearchToolCall, Tag("file_search_call")]
    | Annotated[OpenAIResponseOutputMessageWebSearchToolCall, Tag("web_search_call")]
    | Annotated[OpenAIResponseOutputMessageMCPCall, Tag("mcp_call")]
    | Annotated[OpenAIResponseOutputMessageMCPListTools, Tag("mcp_list_tools")]
    | Annotated[OpenAIResponseMCPApprovalRequest, Tag("mcp_approval_request")]
    | Annotated[OpenAIResponseMCPApprovalResponse, Tag("mcp_approval_response")]
    | Annotated[OpenAIResponseReasoningItem, Tag("reasoning")]
    | Annotated[OpenAIResponseOtherItem, Tag(OTHER)],
    by_type(*ITEM_TYPES, default="message"),
]
"""An item of a conversation. Without a `type` it is a message."""

OpenAIResponseOutput: TypeAlias = OpenAIResponseInput


class OpenAIResponseInputToolFunction(WireModel):
    type: Literal["function"] = "function"
    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class OpenAIResponseInputToolFileSearch(WireModel):
    """`filters` is a `llama_stack_api.filters.Filter`."""

    type: Literal["file_search"] = "file_search"
    vector_store_ids: list[str]
    filters: JsonObject | None = None
    max_num_results: int | None = Field(default=10, ge=1, le=50)
    ranking_options: JsonObject | None = None


class OpenAIResponseInputToolWebSearch(WireModel):
    type: Literal["web_search"] | str = "web_search"
    search_context_size: Literal["low", "medium", "high"] | str | None = None


class ApprovalFilter(WireModel):
    """Names of tools that always, and that never, need an approval."""

    always: list[str] | None = None
    never: list[str] | None = None


class AllowedToolsFilter(WireModel):
    tool_names: list[str] | None = None


class OpenAIResponseInputToolMCP(WireModel):
    """A server by its address or by the id of a configured connector."""

    type: Literal["mcp"] = "mcp"
    server_label: str
    server_url: str | None = None
    connector_id: str | None = None
    headers: dict[str, str] | None = None
    authorization: str | None = None
    require_approval: Literal["always", "never"] | ApprovalFilter = "never"
    allowed_tools: list[str] | AllowedToolsFilter | None = None


class OpenAIResponseOtherTool(WireModel):
    type: str = Field(json_schema_extra=other_than(*TOOL_TYPES))


OpenAIResponseInputTool: TypeAlias = Annotated[
    Annotated[OpenAIResponseInputToolFunction, Tag("function")]
    | Annotated[OpenAIResponseInputToolFileSearch, Tag("file_search")]
    | Annotated[OpenAIResponseInputToolMCP, Tag("mcp")]
    | Annotated[OpenAIResponseInputToolWebSearch, Tag("web_search")]
    | Annotated[OpenAIResponseOtherTool, Tag(OTHER)],
    by_type(*TOOL_TYPES),
]

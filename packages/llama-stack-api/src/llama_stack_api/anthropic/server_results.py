"""The results of tools that the server runs."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, Tag

from llama_stack_api.anthropic.content import Block, DocumentBlock, TextBlock, ToolReference
from llama_stack_api.base import OTHER, Flag, WireModel, by_type, other_than

ErrorCode: TypeAlias = (
    Literal[
        "invalid_tool_input", "unavailable", "too_many_requests", "max_uses_exceeded", "query_too_long",
        "request_too_large", "url_too_long", "url_not_allowed", "url_not_accessible", "unsupported_content_type",
        "execution_time_exceeded", "output_file_too_large", "file_not_found",
    ]
    | str
)  # fmt: skip


class ToolCaller(WireModel):
    """Who called a tool: the model itself, or a program of it, whose call is `tool_id`."""

    type: Literal["direct", "code_execution_20250825", "code_execution_20260120"] | str = "direct"
    tool_id: str | None = None


class WebSearchError(WireModel):
    type: Literal["web_search_tool_result_error"] = "web_search_tool_result_error"
    error_code: ErrorCode


class WebSearchResult(WireModel):
    """`encrypted_content` is for whoever searched; it is sent back as it is."""

    type: Literal["web_search_result"] = "web_search_result"
    url: str
    title: str
    encrypted_content: str
    page_age: str | None = None


class WebSearchToolResult(Block):
    type: Literal["web_search_tool_result"] = "web_search_tool_result"
    tool_use_id: str
    content: list[WebSearchResult] | WebSearchError
    caller: ToolCaller | None = None


class WebFetchError(WireModel):
    type: Literal["web_fetch_tool_result_error"] = "web_fetch_tool_result_error"
    error_code: ErrorCode


class WebFetchResult(WireModel):
    """`retrieved_at` is a time in ISO 8601."""

    type: Literal["web_fetch_result"] = "web_fetch_result"
    url: str
    content: DocumentBlock
    retrieved_at: str | None = None


class OtherFetch(WireModel):
    type: str = Field(json_schema_extra=other_than("web_fetch_result", "web_fetch_tool_result_error"))


class WebFetchToolResult(Block):
    type: Literal["web_fetch_tool_result"] = "web_fetch_tool_result"
    tool_use_id: str
    content: Annotated[
        Annotated[WebFetchResult, Tag("web_fetch_result")]
        | Annotated[WebFetchError, Tag("web_fetch_tool_result_error")]
        | Annotated[OtherFetch, Tag(OTHER)],
        by_type("web_fetch_result", "web_fetch_tool_result_error"),
    ]
    caller: ToolCaller | None = None


class ExecutionOutput(WireModel):
    """A file that a program wrote."""

    type: Literal["code_execution_output", "bash_code_execution_output"] | str
    file_id: str


class ExecutionResult(WireModel):
    """What a program, a shell command or an editor's command did, or why not; `type` says which fields there are."""

    type: (
        Literal[
            "code_execution_result", "encrypted_code_execution_result", "bash_code_execution_result",
            "text_editor_code_execution_view_result", "text_editor_code_execution_create_result",
            "text_editor_code_execution_str_replace_result",
            "code_execution_tool_result_error", "bash_code_execution_tool_result_error",
            "text_editor_code_execution_tool_result_error",
        ]
        | str
    )  # fmt: skip
    error_code: ErrorCode | None = None
    error_message: str | None = None
    stdout: str | None = None
    encrypted_stdout: str | None = None
    stderr: str | None = None
    return_code: int | None = None
    content: str | list[ExecutionOutput] | None = None
    file_type: Literal["text", "image", "pdf"] | str | None = None
    num_lines: int | None = None
    start_line: int | None = None
    total_lines: int | None = None
    is_file_update: Flag | None = None
    lines: list[str] | None = None
    old_start: int | None = None
    old_lines: int | None = None
    new_start: int | None = None
    new_lines: int | None = None


class CodeExecutionToolResult(Block):
    type: Literal["code_execution_tool_result"] = "code_execution_tool_result"
    tool_use_id: str
    content: ExecutionResult


class BashExecutionToolResult(Block):
    type: Literal["bash_code_execution_tool_result"] = "bash_code_execution_tool_result"
    tool_use_id: str
    content: ExecutionResult


class EditorToolResult(Block):
    type: Literal["text_editor_code_execution_tool_result"] = "text_editor_code_execution_tool_result"
    tool_use_id: str
    content: ExecutionResult


class ToolSearchResult(WireModel):
    """The tools that were found, or why none could be looked for."""

    type: Literal["tool_search_tool_search_result", "tool_search_tool_result_error"] | str
    tool_references: list[ToolReference] | None = None
    error_code: ErrorCode | None = None
    error_message: str | None = None


class ToolSearchToolResult(Block):
    type: Literal["tool_search_tool_result"] = "tool_search_tool_result"
    tool_use_id: str
    content: ToolSearchResult


class MCPToolResult(Block):
    """What a tool of an MCP server said."""

    type: Literal["mcp_tool_result"] = "mcp_tool_result"
    tool_use_id: str
    is_error: Flag | None = None
    content: str | list[TextBlock] | None = None

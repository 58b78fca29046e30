"""Tools that a request offers the model, and how it may choose."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag
from pydantic.config import JsonDict

from llama_stack_api.anthropic.content import CacheControl, CitationsConfig
from llama_stack_api.anthropic.tool_families import FAMILIES, family_of
from llama_stack_api.base import OTHER, Flag, Integer, JsonObject, WireModel

_KNOWN: JsonDict = {"pattern": f"^(custom|({'|'.join(FAMILIES)})(_[0-9]{{8}})?)$"}


def _of(family: str) -> JsonDict:
    return {"pattern": f"^{family}(_[0-9]{{8}})?$"}


class BaseTool(WireModel):
    name: str
    cache_control: CacheControl | None = None
    allowed_callers: list[Literal["direct", "code_execution_20250825", "code_execution_20260120"] | str] | None = None
    defer_loading: Flag | None = None
    strict: Flag | None = None


class InputSchema(WireModel):
    """A JSON Schema of an object."""

    type: Literal["object"] | str = "object"
    properties: JsonObject | None = None
    required: list[str] | None = None


class Tool(BaseTool):
    """A tool of the caller's, who runs it."""

    type: Literal["custom"] | None = None
    description: str | None = None
    input_schema: InputSchema
    eager_input_streaming: Flag | None = None
    input_examples: list[JsonObject] | None = None


class UserLocation(WireModel):
    type: Literal["approximate"] | str = "approximate"
    city: str | None = None
    region: str | None = None
    country: str | None = None
    timezone: str | None = None


class _WebTool(BaseTool):
    max_uses: Annotated[Integer, Field(ge=1)] | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None


class WebSearchTool(_WebTool):
    type: Literal["web_search_20250305", "web_search_20260209"] | str = Field(json_schema_extra=_of("web_search"))
    name: Literal["web_search"] | str = "web_search"
    user_location: UserLocation | None = None


class WebFetchTool(_WebTool):
    type: Literal["web_fetch_20250910", "web_fetch_20260209", "web_fetch_20260309"] | str = Field(
        json_schema_extra=_of("web_fetch")
    )
    name: Literal["web_fetch"] | str = "web_fetch"
    citations: CitationsConfig | None = None
    max_content_tokens: Annotated[Integer, Field(ge=1)] | None = None
    use_cache: Flag | None = None


class BashTool(BaseTool):
    type: Literal["bash_20250124"] | str = Field(json_schema_extra=_of("bash"))
    name: Literal["bash"] | str = "bash"
    input_examples: list[JsonObject] | None = None


class TextEditorTool(BaseTool):
    type: Literal["text_editor_20250124", "text_editor_20250429", "text_editor_20250728"] | str = Field(
        json_schema_extra=_of("text_editor")
    )
    name: Literal["str_replace_editor", "str_replace_based_edit_tool"] | str
    input_examples: list[JsonObject] | None = None
    max_characters: Integer | None = None


class CodeExecutionTool(BaseTool):
    type: Literal["code_execution_20250522", "code_execution_20250825", "code_execution_20260120"] | str = Field(
        json_schema_extra=_of("code_execution")
    )
    name: Literal["code_execution"] | str = "code_execution"


class MemoryTool(BaseTool):
    type: Literal["memory_20250818"] | str = Field(json_schema_extra=_of("memory"))
    name: Literal["memory"] | str = "memory"
    input_examples: list[JsonObject] | None = None


class BM25SearchTool(BaseTool):
    """Finds tools whose loading is deferred, by words."""

    type: Literal["tool_search_tool_bm25", "tool_search_tool_bm25_20251119"] | str = Field(
        json_schema_extra=_of("tool_search_tool_bm25")
    )
    name: Literal["tool_search_tool_bm25"] | str = "tool_search_tool_bm25"


class RegexSearchTool(BaseTool):
    """Finds tools whose loading is deferred, by regular expressions."""

    type: Literal["tool_search_tool_regex", "tool_search_tool_regex_20251119"] | str = Field(
        json_schema_extra=_of("tool_search_tool_regex")
    )
    name: Literal["tool_search_tool_regex"] | str = "tool_search_tool_regex"


class MCPToolConfig(WireModel):
    enabled: Flag | None = None
    defer_loading: Flag | None = None


class MCPToolset(WireModel):
    """The tools of a server in `mcp_servers`. `configs` says what holds for one of them, by its name."""

    type: Literal["mcp_toolset"] | str = Field(json_schema_extra=_of("mcp_toolset"))
    mcp_server_name: str
    default_config: MCPToolConfig | None = None
    configs: dict[str, MCPToolConfig] | None = None
    cache_control: CacheControl | None = None


class OtherTool(WireModel):
    """A tool of a type that we do not know. It may have no `name`."""

    type: str = Field(json_schema_extra={"not": _KNOWN})


def _tag(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    if kind is None or kind == "custom":
        return "custom"
    family = family_of(kind) if isinstance(kind, str) else OTHER
    return family if family in FAMILIES else OTHER


AnyTool: TypeAlias = Annotated[
    Annotated[Tool, Tag("custom")]
    | Annotated[WebSearchTool, Tag("web_search")]
    | Annotated[WebFetchTool, Tag("web_fetch")]
    | Annotated[BashTool, Tag("bash")]
    | Annotated[TextEditorTool, Tag("text_editor")]
    | Annotated[CodeExecutionTool, Tag("code_execution")]
    | Annotated[MemoryTool, Tag("memory")]
    | Annotated[BM25SearchTool, Tag("tool_search_tool_bm25")]
    | Annotated[RegexSearchTool, Tag("tool_search_tool_regex")]
    | Annotated[MCPToolset, Tag("mcp_toolset")]
    | Annotated[OtherTool, Tag(OTHER)],
    Discriminator(_tag),
]


class ToolChoice(WireModel):
    """`tool` means the one of this `name`, `any` at least one of them."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: Flag | None = None


class MCPToolConfiguration(WireModel):
    """The older way to say which tools of a server there are; `mcp_toolset` is the newer one."""

    enabled: Flag | None = None
    allowed_tools: list[str] | None = None


class MCPServer(WireModel):
    """An MCP server that the server asks for tools, and runs them on."""

    type: Literal["url"] | str = "url"
    name: str
    url: str
    authorization_token: str | None = None
    tool_configuration: MCPToolConfiguration | None = None

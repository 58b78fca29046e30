"""Settings that a request chooses and its response repeats: tool choice, text format, reasoning, prompt, …"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, Tag

from llama_stack_api.base import DEPRECATED, OTHER, Flag, JsonObject, WireModel, by_type, other_than
from llama_stack_api.openai.chat import PromptCacheOptions, ReasoningEffort, Verbosity
from llama_stack_api.openai.responses.content import ContentPart

__all__ = [
    "AllowedToolsChoice", "ConversationReference", "CustomToolChoice", "FunctionToolChoice", "HostedToolChoice",
    "Include", "MCPToolChoice", "OtherTextFormat", "OtherToolChoice", "PromptCacheOptions", "PromptReference",
    "PromptVariable", "Reasoning", "ReasoningEffort", "ReasoningSummary", "ServiceTier", "TextFormat",
    "TextFormatJsonObject", "TextFormatJsonSchema", "TextFormatText", "TextOptions", "ToolChoice", "Truncation",
    "Verbosity",
]  # fmt: skip

HOSTED_CHOICE_TYPES = (
    "file_search", "web_search_preview", "web_search_preview_2025_03_11",
    "computer", "computer_use", "computer_use_preview", "image_generation", "code_interpreter",
    "programmatic_tool_calling", "apply_patch", "shell",
)  # fmt: skip
CHOICE_TYPES = ("allowed_tools", "function", "custom", "mcp", *HOSTED_CHOICE_TYPES)
FORMAT_TYPES = ("text", "json_schema", "json_object")

Include: TypeAlias = (
    Literal[
        "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
        "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs",
        "reasoning.encrypted_content", "message.output_text.logprobs",
    ]
    | str
)  # fmt: skip
"""What a response holds only if it is asked for."""

ServiceTier: TypeAlias = Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | str
Truncation: TypeAlias = Literal["auto", "disabled"]
ReasoningSummary: TypeAlias = Literal["auto", "concise", "detailed"] | str


class AllowedToolsChoice(WireModel):
    """`tools` holds references such as `{"type": "function", "name": "…"}`."""

    type: Literal["allowed_tools"] = "allowed_tools"
    mode: Literal["auto", "required"]
    tools: list[JsonObject]


class FunctionToolChoice(WireModel):
    type: Literal["function"] = "function"
    name: str


class CustomToolChoice(WireModel):
    type: Literal["custom"] = "custom"
    name: str


class MCPToolChoice(WireModel):
    """One tool of a server, or without `name` any of them."""

    type: Literal["mcp"] = "mcp"
    server_label: str
    name: str | None = None


class HostedToolChoice(WireModel):
    """A tool that the server runs. The contract has no `web_search` here: that is of another type."""

    type: Literal[
        "file_search", "web_search_preview", "web_search_preview_2025_03_11",
        "computer", "computer_use", "computer_use_preview", "image_generation", "code_interpreter",
        "programmatic_tool_calling", "apply_patch", "shell",
    ]  # fmt: skip


class OtherToolChoice(WireModel):
    type: str = Field(json_schema_extra=other_than(*CHOICE_TYPES))


ToolChoice: TypeAlias = Annotated[
    Literal["none", "auto", "required"]
    | str
    | Annotated[
        Annotated[AllowedToolsChoice, Tag("allowed_tools")]
        | Annotated[FunctionToolChoice, Tag("function")]
        | Annotated[CustomToolChoice, Tag("custom")]
        | Annotated[MCPToolChoice, Tag("mcp")]
        | Annotated[HostedToolChoice, Tag("file_search")]
        | Annotated[HostedToolChoice, Tag("web_search_preview")]
        | Annotated[HostedToolChoice, Tag("web_search_preview_2025_03_11")]
        | Annotated[HostedToolChoice, Tag("computer")]
        | Annotated[HostedToolChoice, Tag("computer_use")]
        | Annotated[HostedToolChoice, Tag("computer_use_preview")]
        | Annotated[HostedToolChoice, Tag("image_generation")]
        | Annotated[HostedToolChoice, Tag("code_interpreter")]
        | Annotated[HostedToolChoice, Tag("programmatic_tool_calling")]
        | Annotated[HostedToolChoice, Tag("apply_patch")]
        | Annotated[HostedToolChoice, Tag("shell")]
        | Annotated[OtherToolChoice, Tag(OTHER)],
        by_type(*CHOICE_TYPES),
    ],
    Field(union_mode="left_to_right"),
]


class TextFormatText(WireModel):
    type: Literal["text"] = "text"


class TextFormatJsonSchema(WireModel):
    type: Literal["json_schema"] = "json_schema"
    name: str
    description: str | None = None
    schema_: JsonObject = Field(alias="schema")
    strict: Flag | None = None


class TextFormatJsonObject(WireModel):
    type: Literal["json_object"] = "json_object"


class OtherTextFormat(WireModel):
    type: str = Field(json_schema_extra=other_than(*FORMAT_TYPES))


TextFormat: TypeAlias = Annotated[
    Annotated[TextFormatText, Tag("text")]
    | Annotated[TextFormatJsonSchema, Tag("json_schema")]
    | Annotated[TextFormatJsonObject, Tag("json_object")]
    | Annotated[OtherTextFormat, Tag(OTHER)],
    by_type(*FORMAT_TYPES),
]


class TextOptions(WireModel):
    format: TextFormat | None = None
    verbosity: Verbosity | None = None


class Reasoning(WireModel):
    """How much to think, and what of it to show. `context` says which turns' thoughts go on to the model."""

    mode: Literal["standard", "pro"] | str | None = None
    effort: ReasoningEffort | None = None
    summary: ReasoningSummary | None = None
    context: Literal["auto", "current_turn", "all_turns"] | str | None = None
    generate_summary: ReasoningSummary | None = Field(default=None, json_schema_extra=DEPRECATED)


PromptVariable: TypeAlias = Annotated[str | ContentPart, Field(union_mode="left_to_right")]


class PromptReference(WireModel):
    """A stored prompt. Each of `variables` takes the place of `{{name}}` in it."""

    id: str
    version: str | None = None
    variables: dict[str, PromptVariable] | None = None


class ConversationReference(WireModel):
    id: str

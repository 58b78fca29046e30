"""The tools of a chat request, which of them to use, and the form of the answer."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, Tag

from llama_stack_api.base import OTHER, Flag, JsonObject, WireModel, by_type, other_than

TOOL_TYPES = ("function", "custom")
TOOL_CHOICE_TYPES = ("allowed_tools", "function", "custom")
RESPONSE_FORMAT_TYPES = ("text", "json_schema", "json_object")


class FunctionDefinition(WireModel):
    """A function that the model may call. `parameters` is a JSON Schema; none means no parameters."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: Flag | None = None


class FunctionTool(WireModel):
    type: Literal["function"] = "function"
    function: FunctionDefinition


class TextFormat(WireModel):
    type: Literal["text"] = "text"


class Grammar(WireModel):
    definition: str
    syntax: Literal["lark", "regex"] | str


class GrammarFormat(WireModel):
    type: Literal["grammar"] = "grammar"
    grammar: Grammar


class CustomToolDefinition(WireModel):
    """A tool whose input is free text, or text of a grammar."""

    name: str
    description: str | None = None
    format: Annotated[TextFormat | GrammarFormat, Field(discriminator="type")] | None = None


class CustomTool(WireModel):
    type: Literal["custom"] = "custom"
    custom: CustomToolDefinition


class OtherTool(WireModel):
    """A tool of the provider's own (`browser_search`, …)."""

    type: str = Field(json_schema_extra=other_than(*TOOL_TYPES))


Tool: TypeAlias = Annotated[
    Annotated[FunctionTool, Tag("function")] | Annotated[CustomTool, Tag("custom")] | Annotated[OtherTool, Tag(OTHER)],
    by_type(*TOOL_TYPES),
]


class AllowedTools(WireModel):
    """`tools` holds references such as `{"type": "function", "function": {"name": "…"}}`."""

    mode: Literal["auto", "required"]
    tools: list[JsonObject]


class AllowedToolsChoice(WireModel):
    type: Literal["allowed_tools"] = "allowed_tools"
    allowed_tools: AllowedTools


class ToolName(WireModel):
    name: str


class FunctionToolChoice(WireModel):
    type: Literal["function"] = "function"
    function: ToolName


class CustomToolChoice(WireModel):
    type: Literal["custom"] = "custom"
    custom: ToolName


class OtherToolChoice(WireModel):
    type: str = Field(json_schema_extra=other_than(*TOOL_CHOICE_TYPES))


ToolChoice: TypeAlias = Annotated[
    Literal["none", "auto", "required"]
    | str
    | Annotated[
        Annotated[AllowedToolsChoice, Tag("allowed_tools")]
        | Annotated[FunctionToolChoice, Tag("function")]
        | Annotated[CustomToolChoice, Tag("custom")]
        | Annotated[OtherToolChoice, Tag(OTHER)],
        by_type(*TOOL_CHOICE_TYPES),
    ],
    Field(union_mode="left_to_right"),
]


class LegacyFunction(WireModel):
    """A function as in the deprecated `functions`."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None


LegacyFunctionChoice: TypeAlias = Annotated[Literal["none", "auto"] | str | ToolName, Field(union_mode="left_to_right")]


class ResponseFormatText(WireModel):
    type: Literal["text"] = "text"


class JsonSchemaDefinition(WireModel):
    name: str
    description: str | None = None
    schema_: JsonObject | None = Field(default=None, alias="schema")
    strict: Flag | None = None


class ResponseFormatJsonSchema(WireModel):
    type: Literal["json_schema"] = "json_schema"
    json_schema: JsonSchemaDefinition


class ResponseFormatJsonObject(WireModel):
    type: Literal["json_object"] = "json_object"


class OtherResponseFormat(WireModel):
    """A format of the provider's own (`grammar`, `structural_tag`, …)."""

    type: str = Field(json_schema_extra=other_than(*RESPONSE_FORMAT_TYPES))


ResponseFormat: TypeAlias = Annotated[
    Annotated[ResponseFormatText, Tag("text")]
    | Annotated[ResponseFormatJsonSchema, Tag("json_schema")]
    | Annotated[ResponseFormatJsonObject, Tag("json_object")]
    | Annotated[OtherResponseFormat, Tag(OTHER)],
    by_type(*RESPONSE_FORMAT_TYPES),
]

"""The messages of a conversation, as a client sends them: content parts, tool calls, and one type per role."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, Tag

from llama_stack_api.base import DEPRECATED, OTHER, WireModel, by_type, other_than

PART_TYPES = ("text", "image_url", "input_audio", "file", "refusal")
TOOL_CALL_TYPES = ("function", "custom")


class PromptCacheBreakpoint(WireModel):
    """The end of a prompt prefix that is worth caching."""

    mode: Literal["explicit"] | str = "explicit"


class TextPart(WireModel):
    type: Literal["text"] = "text"
    text: str
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class ImageURL(WireModel):
    """`url` is an address or a `data:` URL with the image in base64."""

    url: str
    detail: Literal["auto", "low", "high"] | str | None = None


class ImagePart(WireModel):
    type: Literal["image_url"] = "image_url"
    image_url: ImageURL
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class InputAudio(WireModel):
    """`data` is base64."""

    data: str
    format: Literal["wav", "mp3"] | str


class AudioPart(WireModel):
    type: Literal["input_audio"] = "input_audio"
    input_audio: InputAudio
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class InputFile(WireModel):
    """An uploaded file by its id, or the file itself as a `data:` URL in base64."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class FilePart(WireModel):
    type: Literal["file"] = "file"
    file: InputFile
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class RefusalPart(WireModel):
    """What an assistant said instead of an answer."""

    type: Literal["refusal"] = "refusal"
    refusal: str


class OtherPart(WireModel):
    """A part of a type that OpenAI's contract does not know (`input_video`, …); the provider judges it."""

    type: str = Field(json_schema_extra=other_than(*PART_TYPES))


ContentPart: TypeAlias = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[ImagePart, Tag("image_url")]
    | Annotated[AudioPart, Tag("input_audio")]
    | Annotated[FilePart, Tag("file")]
    | Annotated[RefusalPart, Tag("refusal")]
    | Annotated[OtherPart, Tag(OTHER)],
    by_type(*PART_TYPES),
]
"""One union for all roles: which role may hold which part differs from provider to provider."""

ContentParts: TypeAlias = Annotated[list[ContentPart], Field(min_length=1)]

Content: TypeAlias = Annotated[str | ContentParts, Field(union_mode="left_to_right")]


class FunctionCall(WireModel):
    """`arguments` is JSON as the model wrote it, which need not be valid."""

    name: str
    arguments: str


class FunctionToolCall(WireModel):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class CustomCall(WireModel):
    name: str
    input: str


class CustomToolCall(WireModel):
    id: str
    type: Literal["custom"]
    custom: CustomCall


class OtherToolCall(WireModel):
    id: str | None = None
    type: str = Field(json_schema_extra=other_than(*TOOL_CALL_TYPES))


ToolCall: TypeAlias = Annotated[
    Annotated[FunctionToolCall, Tag("function")]
    | Annotated[CustomToolCall, Tag("custom")]
    | Annotated[OtherToolCall, Tag(OTHER)],
    by_type(*TOOL_CALL_TYPES, default="function"),
]


class DeveloperMessage(WireModel):
    role: Literal["developer"] = "developer"
    content: Content
    name: str | None = None


class SystemMessage(WireModel):
    role: Literal["system"] = "system"
    content: Content
    name: str | None = None


class UserMessage(WireModel):
    role: Literal["user"] = "user"
    content: Content
    name: str | None = None


class AudioReference(WireModel):
    """An earlier spoken reply of the model."""

    id: str


class AssistantMessage(WireModel):
    """What the model said. Extras such as `reasoning_content` are kept."""

    role: Literal["assistant"] = "assistant"
    content: Content | None = None
    refusal: str | None = None
    name: str | None = None
    audio: AudioReference | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = Field(default=None, json_schema_extra=DEPRECATED)


class ToolMessage(WireModel):
    """The result of the tool call `tool_call_id`."""

    role: Literal["tool"] = "tool"
    content: Content
    tool_call_id: str


class FunctionMessage(WireModel):
    """The result of a call of a function named `name`; superseded by `ToolMessage`."""

    role: Literal["function"] = "function"
    content: str | None
    name: str


Message: TypeAlias = Annotated[
    DeveloperMessage | SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage,
    Field(discriminator="role"),
]

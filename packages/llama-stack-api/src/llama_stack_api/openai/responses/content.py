"""What a message, a tool's result or a reasoning item holds: parts of text, images and files, and annotations."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, Tag, WithJsonSchema

from llama_stack_api.base import OTHER, Integer, Number, WireModel, by_type, other_than
from llama_stack_api.openai.chat_messages import PromptCacheBreakpoint

PART_TYPES = (
    "input_text", "input_image", "input_file", "output_text", "refusal", "reasoning_text", "summary_text", "text",
    "computer_screenshot",
)  # fmt: skip
ANNOTATION_TYPES = ("file_citation", "url_citation", "container_file_citation", "file_path")

AnyJson: TypeAlias = Annotated[
    Any, WithJsonSchema({"type": ["object", "array", "string", "number", "boolean", "null"]})
]
"""A value whose form a tool decides."""

ImageDetail: TypeAlias = Literal["low", "high", "auto", "original"] | str
FileDetail: TypeAlias = Literal["auto", "low", "high"] | str


class InputText(WireModel):
    type: Literal["input_text"] = "input_text"
    text: str
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class InputImage(WireModel):
    """An image by its address, as a `data:` URL, or as an uploaded file."""

    type: Literal["input_image"] = "input_image"
    image_url: str | None = None
    file_id: str | None = None
    detail: ImageDetail | None = None
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class InputFile(WireModel):
    """A file by its address, as a `data:` URL in `file_data`, or as an uploaded file."""

    type: Literal["input_file"] = "input_file"
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: FileDetail | None = None
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class FileCitation(WireModel):
    """The text at character `index` rests on a file."""

    type: Literal["file_citation"] = "file_citation"
    file_id: str
    filename: str
    index: Integer


class URLCitation(WireModel):
    """The characters from `start_index` to `end_index` rest on `url`."""

    type: Literal["url_citation"] = "url_citation"
    url: str
    title: str
    start_index: Integer
    end_index: Integer


class ContainerFileCitation(WireModel):
    """The characters from `start_index` to `end_index` rest on a file that a tool made in its container."""

    type: Literal["container_file_citation"] = "container_file_citation"
    container_id: str
    file_id: str
    filename: str
    start_index: Integer
    end_index: Integer


class FilePath(WireModel):
    type: Literal["file_path"] = "file_path"
    file_id: str
    index: Integer


class OtherAnnotation(WireModel):
    type: str = Field(json_schema_extra=other_than(*ANNOTATION_TYPES))


Annotation: TypeAlias = Annotated[
    Annotated[FileCitation, Tag("file_citation")]
    | Annotated[URLCitation, Tag("url_citation")]
    | Annotated[ContainerFileCitation, Tag("container_file_citation")]
    | Annotated[FilePath, Tag("file_path")]
    | Annotated[OtherAnnotation, Tag(OTHER)],
    by_type(*ANNOTATION_TYPES),
]


class TopLogprob(WireModel):
    """`bytes` are the UTF-8 bytes of the token, which may be a part of a character."""

    token: str
    logprob: Number
    bytes: list[Integer] = Field(default_factory=list)


class Logprob(TopLogprob):
    top_logprobs: list[TopLogprob] = Field(default_factory=list)


class OutputText(WireModel):
    """What the model said. `logprobs` is empty unless `include` asks for them."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Annotation] = Field(default_factory=list)
    logprobs: list[Logprob] | None = Field(default_factory=list)


class Refusal(WireModel):
    """What the model said instead of an answer."""

    type: Literal["refusal"] = "refusal"
    refusal: str


class ReasoningText(WireModel):
    type: Literal["reasoning_text"] = "reasoning_text"
    text: str


class SummaryText(WireModel):
    """A part of the summary of what the model thought."""

    type: Literal["summary_text"] = "summary_text"
    text: str


class PlainText(WireModel):
    """Text of a conversation that no response made."""

    type: Literal["text"] = "text"
    text: str


class ComputerScreenshot(WireModel):
    type: Literal["computer_screenshot"] = "computer_screenshot"
    image_url: str | None = None
    file_id: str | None = None
    detail: ImageDetail | None = None
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class OtherPart(WireModel):
    """A part of a type that the contract does not know (`input_audio`, …)."""

    type: str = Field(json_schema_extra=other_than(*PART_TYPES))


ContentPart: TypeAlias = Annotated[
    Annotated[InputText, Tag("input_text")]
    | Annotated[InputImage, Tag("input_image")]
    | Annotated[InputFile, Tag("input_file")]
    | Annotated[OutputText, Tag("output_text")]
    | Annotated[Refusal, Tag("refusal")]
    | Annotated[ReasoningText, Tag("reasoning_text")]
    | Annotated[SummaryText, Tag("summary_text")]
    | Annotated[PlainText, Tag("text")]
    | Annotated[ComputerScreenshot, Tag("computer_screenshot")]
    | Annotated[OtherPart, Tag(OTHER)],
    by_type(*PART_TYPES),
]
"""One union for all places: clients send back parts of every kind in messages of every role."""

Content: TypeAlias = Annotated[str | list[ContentPart], Field(union_mode="left_to_right")]

"""The events of a streamed response. `sequence_number` counts them from 0 and has no gaps.

What belongs to an item has its `output_index` (its place in `Response.output`) and `item_id`; what belongs to a part
of an item has its `content_index` or `summary_index` too.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args

from pydantic import Discriminator, Field, Tag

from llama_stack_api.base import OTHER, Integer, Number, WireModel, other_than
from llama_stack_api.openai.responses.content import Annotation, ContentPart, SummaryText
from llama_stack_api.openai.responses.hosted_items import ShellOutput
from llama_stack_api.openai.responses.items import OutputItem
from llama_stack_api.openai.responses.response import Response


class Event(WireModel):
    type: str
    sequence_number: Integer


class ResponseEvent(Event):
    """The response as it is at this moment."""

    response: Response


class ItemEvent(Event):
    item_id: str
    output_index: Integer


class PartEvent(ItemEvent):
    content_index: Integer


class SummaryEvent(ItemEvent):
    summary_index: Integer


class CommandEvent(Event):
    """Of a `shell_call`, whose id these events lack."""

    output_index: Integer
    command_index: Integer


# --- the response


class ResponseCreated(ResponseEvent):
    type: Literal["response.created"] = "response.created"


class ResponseQueued(ResponseEvent):
    type: Literal["response.queued"] = "response.queued"


class ResponseInProgress(ResponseEvent):
    type: Literal["response.in_progress"] = "response.in_progress"


class ResponseCompleted(ResponseEvent):
    type: Literal["response.completed"] = "response.completed"


class ResponseIncomplete(ResponseEvent):
    type: Literal["response.incomplete"] = "response.incomplete"


class ResponseFailed(ResponseEvent):
    type: Literal["response.failed"] = "response.failed"


class ErrorEvent(Event):
    """The stream broke. What became of the response is to be read from the response."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"code", "param"})

    type: Literal["error"] = "error"
    code: str | None = None
    message: str
    param: str | None = None


# --- items and their parts


class OutputItemAdded(Event):
    type: Literal["response.output_item.added"] = "response.output_item.added"
    output_index: Integer
    item: OutputItem


class OutputItemDone(Event):
    type: Literal["response.output_item.done"] = "response.output_item.done"
    output_index: Integer
    item: OutputItem


class ContentPartAdded(PartEvent):
    type: Literal["response.content_part.added"] = "response.content_part.added"
    part: ContentPart


class ContentPartDone(PartEvent):
    type: Literal["response.content_part.done"] = "response.content_part.done"
    part: ContentPart


# --- text


class StreamedTopLogprob(WireModel):
    token: str | None = None
    logprob: Number | None = None


class StreamedLogprob(WireModel):
    token: str
    logprob: Number
    top_logprobs: list[StreamedTopLogprob] = Field(default_factory=list)


class OutputTextDelta(PartEvent):
    type: Literal["response.output_text.delta"] = "response.output_text.delta"
    delta: str
    logprobs: list[StreamedLogprob] = Field(default_factory=list)
    obfuscation: str | None = None


class OutputTextDone(PartEvent):
    type: Literal["response.output_text.done"] = "response.output_text.done"
    text: str
    logprobs: list[StreamedLogprob] = Field(default_factory=list)


class OutputTextAnnotationAdded(PartEvent):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"annotation"})

    type: Literal["response.output_text.annotation.added"] = "response.output_text.annotation.added"
    annotation_index: Integer
    annotation: Annotation | None = None


class RefusalDelta(PartEvent):
    type: Literal["response.refusal.delta"] = "response.refusal.delta"
    delta: str
    obfuscation: str | None = None


class RefusalDone(PartEvent):
    type: Literal["response.refusal.done"] = "response.refusal.done"
    refusal: str


# --- reasoning


class ReasoningTextDelta(PartEvent):
    type: Literal["response.reasoning_text.delta"] = "response.reasoning_text.delta"
    delta: str
    obfuscation: str | None = None


class ReasoningTextDone(PartEvent):
    type: Literal["response.reasoning_text.done"] = "response.reasoning_text.done"
    text: str


class ReasoningSummaryPartAdded(SummaryEvent):
    type: Literal["response.reasoning_summary_part.added"] = "response.reasoning_summary_part.added"
    part: SummaryText


class ReasoningSummaryPartDone(SummaryEvent):
    """`status` is there if the part was cut off."""

    type: Literal["response.reasoning_summary_part.done"] = "response.reasoning_summary_part.done"
    part: SummaryText
    status: Literal["incomplete"] | str | None = None


class ReasoningSummaryTextDelta(SummaryEvent):
    type: Literal["response.reasoning_summary_text.delta"] = "response.reasoning_summary_text.delta"
    delta: str
    obfuscation: str | None = None


class ReasoningSummaryTextDone(SummaryEvent):
    type: Literal["response.reasoning_summary_text.done"] = "response.reasoning_summary_text.done"
    text: str


# --- calls of the caller's tools


class FunctionCallArgumentsDelta(ItemEvent):
    type: Literal["response.function_call_arguments.delta"] = "response.function_call_arguments.delta"
    delta: str
    obfuscation: str | None = None


class FunctionCallArgumentsDone(ItemEvent):
    """The contract requires the `name`, which some providers leave out."""

    type: Literal["response.function_call_arguments.done"] = "response.function_call_arguments.done"
    name: str | None = None
    arguments: str


class CustomToolCallInputDelta(ItemEvent):
    type: Literal["response.custom_tool_call_input.delta"] = "response.custom_tool_call_input.delta"
    delta: str
    obfuscation: str | None = None


class CustomToolCallInputDone(ItemEvent):
    type: Literal["response.custom_tool_call_input.done"] = "response.custom_tool_call_input.done"
    input: str


# --- MCP


class MCPListToolsInProgress(ItemEvent):
    type: Literal["response.mcp_list_tools.in_progress"] = "response.mcp_list_tools.in_progress"


class MCPListToolsCompleted(ItemEvent):
    type: Literal["response.mcp_list_tools.completed"] = "response.mcp_list_tools.completed"


class MCPListToolsFailed(ItemEvent):
    type: Literal["response.mcp_list_tools.failed"] = "response.mcp_list_tools.failed"


class MCPCallInProgress(ItemEvent):
    type: Literal["response.mcp_call.in_progress"] = "response.mcp_call.in_progress"


class MCPCallArgumentsDelta(ItemEvent):
    type: Literal["response.mcp_call_arguments.delta"] = "response.mcp_call_arguments.delta"
    delta: str
    obfuscation: str | None = None


class MCPCallArgumentsDone(ItemEvent):
    type: Literal["response.mcp_call_arguments.done"] = "response.mcp_call_arguments.done"
    arguments: str


class MCPCallCompleted(ItemEvent):
    type: Literal["response.mcp_call.completed"] = "response.mcp_call.completed"


class MCPCallFailed(ItemEvent):
    type: Literal["response.mcp_call.failed"] = "response.mcp_call.failed"


# --- searches


class FileSearchCallInProgress(ItemEvent):
    type: Literal["response.file_search_call.in_progress"] = "response.file_search_call.in_progress"


class FileSearchCallSearching(ItemEvent):
    type: Literal["response.file_search_call.searching"] = "response.file_search_call.searching"


class FileSearchCallCompleted(ItemEvent):
    type: Literal["response.file_search_call.completed"] = "response.file_search_call.completed"


class WebSearchCallInProgress(ItemEvent):
    type: Literal["response.web_search_call.in_progress"] = "response.web_search_call.in_progress"


class WebSearchCallSearching(ItemEvent):
    type: Literal["response.web_search_call.searching"] = "response.web_search_call.searching"


class WebSearchCallCompleted(ItemEvent):
    type: Literal["response.web_search_call.completed"] = "response.web_search_call.completed"


# --- tools that work on a machine


class CodeInterpreterCallInProgress(ItemEvent):
    type: Literal["response.code_interpreter_call.in_progress"] = "response.code_interpreter_call.in_progress"


class CodeInterpreterCallCodeDelta(ItemEvent):
    type: Literal["response.code_interpreter_call_code.delta"] = "response.code_interpreter_call_code.delta"
    delta: str
    obfuscation: str | None = None


class CodeInterpreterCallCodeDone(ItemEvent):
    type: Literal["response.code_interpreter_call_code.done"] = "response.code_interpreter_call_code.done"
    code: str


class CodeInterpreterCallInterpreting(ItemEvent):
    type: Literal["response.code_interpreter_call.interpreting"] = "response.code_interpreter_call.interpreting"


class CodeInterpreterCallCompleted(ItemEvent):
    type: Literal["response.code_interpreter_call.completed"] = "response.code_interpreter_call.completed"


class ImageGenerationCallInProgress(ItemEvent):
    type: Literal["response.image_generation_call.in_progress"] = "response.image_generation_call.in_progress"


class ImageGenerationCallGenerating(ItemEvent):
    type: Literal["response.image_generation_call.generating"] = "response.image_generation_call.generating"


class ImageGenerationCallPartialImage(ItemEvent):
    type: Literal["response.image_generation_call.partial_image"] = "response.image_generation_call.partial_image"
    partial_image_index: Integer
    partial_image_b64: str
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    output_format: str | None = None


class ImageGenerationCallCompleted(ItemEvent):
    type: Literal["response.image_generation_call.completed"] = "response.image_generation_call.completed"


class ShellCallCommandAdded(CommandEvent):
    type: Literal["response.shell_call_command.added"] = "response.shell_call_command.added"
    command: str


class ShellCallCommandDelta(CommandEvent):
    type: Literal["response.shell_call_command.delta"] = "response.shell_call_command.delta"
    delta: str
    obfuscation: str | None = None


class ShellCallCommandDone(CommandEvent):
    type: Literal["response.shell_call_command.done"] = "response.shell_call_command.done"
    command: str


class ShellOutputPiece(WireModel):
    stdout: str | None = None
    stderr: str | None = None


class ShellCallOutputDelta(ItemEvent):
    type: Literal["response.shell_call_output_content.delta"] = "response.shell_call_output_content.delta"
    command_index: Integer
    delta: ShellOutputPiece


class ShellCallOutputDone(ItemEvent):
    type: Literal["response.shell_call_output_content.done"] = "response.shell_call_output_content.done"
    command_index: Integer
    output: list[ShellOutput]


# --- sound. The contract requires a `response_id` that it does not describe


class AudioDelta(Event):
    """`delta` is base64."""

    type: Literal["response.audio.delta"] = "response.audio.delta"
    delta: str
    response_id: str | None = None


class AudioDone(Event):
    type: Literal["response.audio.done"] = "response.audio.done"
    response_id: str | None = None


class AudioTranscriptDelta(Event):
    type: Literal["response.audio.transcript.delta"] = "response.audio.transcript.delta"
    delta: str
    response_id: str | None = None


class AudioTranscriptDone(Event):
    type: Literal["response.audio.transcript.done"] = "response.audio.transcript.done"
    response_id: str | None = None


KnownEvent: TypeAlias = Annotated[
    ResponseCreated | ResponseQueued | ResponseInProgress | ResponseCompleted | ResponseIncomplete | ResponseFailed
    | ErrorEvent | OutputItemAdded | OutputItemDone | ContentPartAdded | ContentPartDone
    | OutputTextDelta | OutputTextDone | OutputTextAnnotationAdded | RefusalDelta | RefusalDone
    | ReasoningTextDelta | ReasoningTextDone | ReasoningSummaryPartAdded | ReasoningSummaryPartDone
    | ReasoningSummaryTextDelta | ReasoningSummaryTextDone
    | FunctionCallArgumentsDelta | FunctionCallArgumentsDone | CustomToolCallInputDelta | CustomToolCallInputDone
    | MCPListToolsInProgress | MCPListToolsCompleted | MCPListToolsFailed
    | MCPCallInProgress | MCPCallArgumentsDelta | MCPCallArgumentsDone | MCPCallCompleted | MCPCallFailed
    | FileSearchCallInProgress | FileSearchCallSearching | FileSearchCallCompleted
    | WebSearchCallInProgress | WebSearchCallSearching | WebSearchCallCompleted
    | CodeInterpreterCallInProgress | CodeInterpreterCallCodeDelta | CodeInterpreterCallCodeDone
    | CodeInterpreterCallInterpreting | CodeInterpreterCallCompleted
    | ImageGenerationCallInProgress | ImageGenerationCallGenerating | ImageGenerationCallPartialImage
    | ImageGenerationCallCompleted | ShellCallCommandAdded | ShellCallCommandDelta | ShellCallCommandDone
    | ShellCallOutputDelta | ShellCallOutputDone | AudioDelta | AudioDone | AudioTranscriptDelta | AudioTranscriptDone,
    Field(discriminator="type"),
]  # fmt: skip

EVENT_CLASSES: tuple[type[Event], ...] = get_args(get_args(KnownEvent)[0])
EVENT_TYPES: frozenset[str] = frozenset(event.model_fields["type"].default for event in EVENT_CLASSES)


class OtherEvent(Event):
    """An event of a type that the contract does not know, of a provider's own Responses endpoint."""

    type: str = Field(json_schema_extra=other_than(*sorted(EVENT_TYPES)))


def _kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "known" if isinstance(kind, str) and kind in EVENT_TYPES else OTHER


ResponseStreamEvent: TypeAlias = Annotated[
    Annotated[KnownEvent, Tag("known")] | Annotated[OtherEvent, Tag(OTHER)], Discriminator(_kind)
]

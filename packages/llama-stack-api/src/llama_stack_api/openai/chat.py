"""Chat completions: the request, the whole reply, and the chunks of a streamed one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from llama_stack_api.base import DEPRECATED, Flag, Integer, Metadata, Number, UnixTime, WireModel
from llama_stack_api.openai.chat_messages import (
    AssistantMessage,
    AudioPart,
    Content,
    ContentPart,
    CustomToolCall,
    DeveloperMessage,
    FilePart,
    FunctionCall,
    FunctionMessage,
    FunctionToolCall,
    ImagePart,
    ImageURL,
    Message,
    OtherPart,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from llama_stack_api.openai.chat_tools import (
    CustomTool,
    FunctionDefinition,
    FunctionTool,
    JsonSchemaDefinition,
    LegacyFunction,
    LegacyFunctionChoice,
    ResponseFormat,
    ResponseFormatJsonObject,
    ResponseFormatJsonSchema,
    ResponseFormatText,
    Tool,
    ToolChoice,
)
from llama_stack_api.openai.moderation import CompletionModeration, ModerationOptions
from llama_stack_api.openai.usage import CompletionTokensDetails, CompletionUsage, PromptTokensDetails, ServiceTier

__all__ = [
    # request
    "ChatCompletionRequest", "StreamOptions", "AudioOptions", "CustomVoice", "Prediction", "PromptCacheOptions",
    "WebSearchOptions", "WebSearchLocation", "WebSearchUserLocation", "ReasoningEffort", "Verbosity", "ServiceTier",
    "ModerationOptions", "StopSequences",
    # messages
    "Message", "SystemMessage", "DeveloperMessage", "UserMessage", "AssistantMessage", "ToolMessage",
    "FunctionMessage", "Content", "ContentPart", "TextPart", "ImagePart", "ImageURL", "AudioPart", "FilePart",
    "RefusalPart", "OtherPart", "ToolCall", "FunctionToolCall", "CustomToolCall", "FunctionCall",
    # tools and formats
    "Tool", "FunctionTool", "FunctionDefinition", "CustomTool", "ToolChoice", "LegacyFunction",
    "LegacyFunctionChoice", "ResponseFormat", "ResponseFormatText", "ResponseFormatJsonObject",
    "ResponseFormatJsonSchema", "JsonSchemaDefinition",
    # reply
    "ChatCompletion", "Choice", "ChatCompletionMessage", "ChatCompletionAudio", "Annotation", "URLCitation",
    "FinishReason", "ChoiceLogprobs", "TokenLogprob", "TopLogprob", "CompletionUsage", "CompletionTokensDetails",
    "PromptTokensDetails", "CompletionModeration",
    # streamed reply
    "ChatCompletionChunk", "ChunkChoice", "Delta", "DeltaFunctionCall", "DeltaToolCall",
]  # fmt: skip

ReasoningEffort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | str
Verbosity: TypeAlias = Literal["low", "medium", "high"] | str
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "function_call"] | str
StopSequences: TypeAlias = Annotated[str | list[str], Field(union_mode="left_to_right")]


class StreamOptions(WireModel):
    """Only with `stream`. `include_usage` asks for a last chunk that has no choices but `usage`."""

    include_usage: Flag | None = None
    include_obfuscation: Flag | None = None


class PromptCacheOptions(WireModel):
    ttl: Literal["30m"] | str | None = None
    mode: Literal["implicit", "explicit"] | str | None = None


class WebSearchLocation(WireModel):
    """`country` is an ISO 3166-1 alpha-2 code, `timezone` an IANA name."""

    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None


class WebSearchUserLocation(WireModel):
    type: Literal["approximate"] = "approximate"
    approximate: WebSearchLocation


class WebSearchOptions(WireModel):
    user_location: WebSearchUserLocation | None = None
    search_context_size: Literal["low", "medium", "high"] | str | None = None


class CustomVoice(WireModel):
    id: str


class AudioOptions(WireModel):
    """How to speak, where `modalities` holds `audio`."""

    voice: (
        Literal["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"]
        | str
        | CustomVoice
    )
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"] | str


class Prediction(WireModel):
    """Text that much of the answer will repeat, such as a file that is to be edited."""

    type: Literal["content"] = "content"
    content: Annotated[str | Annotated[list[TextPart], Field(min_length=1)], Field(union_mode="left_to_right")]


class ChatCompletionRequest(WireModel):
    """A chat request. All but `model` and `messages` is optional; what is absent is the provider's default."""

    model: str
    messages: list[Message] = Field(min_length=1, description="The conversation so far, oldest first.")

    audio: AudioOptions | None = None
    frequency_penalty: Number | None = Field(default=None, ge=-2, le=2)
    function_call: LegacyFunctionChoice | None = Field(default=None, json_schema_extra=DEPRECATED)
    functions: list[LegacyFunction] | None = Field(
        default=None, min_length=1, max_length=128, json_schema_extra=DEPRECATED
    )
    logit_bias: dict[str, Integer | Number] | None = Field(
        default=None, description="Token id to bias, from -100 (never) to 100 (only)."
    )
    logprobs: Flag | None = None
    max_completion_tokens: Integer | None = Field(default=None, description="Includes reasoning tokens.")
    max_tokens: Integer | None = Field(default=None, json_schema_extra=DEPRECATED)
    metadata: Metadata | None = None
    modalities: list[Literal["text", "audio"] | str] | None = None
    moderation: ModerationOptions | None = None
    n: Integer | None = Field(default=None, ge=1, le=128, description="How many choices to generate.")
    parallel_tool_calls: Flag | None = None
    prediction: Prediction | None = None
    presence_penalty: Number | None = Field(default=None, ge=-2, le=2)
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | str | None = Field(default=None, json_schema_extra=DEPRECATED)
    reasoning_effort: ReasoningEffort | None = None
    response_format: ResponseFormat | None = None
    safety_identifier: str | None = Field(default=None, max_length=64)
    seed: Integer | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    service_tier: ServiceTier | None = None
    stop: StopSequences | None = None
    store: Flag | None = Field(default=None, description="Keep the completion, to be listed and read later.")
    stream: Flag | None = None
    stream_options: StreamOptions | None = None
    temperature: Number | None = Field(default=None, ge=0, le=2)
    tool_choice: ToolChoice | None = None
    tools: list[Tool] | None = None
    top_logprobs: Integer | None = Field(default=None, ge=0, le=20)
    top_p: Number | None = Field(default=None, ge=0, le=1)
    user: str | None = None
    verbosity: Verbosity | None = None
    web_search_options: WebSearchOptions | None = None


class TopLogprob(WireModel):
    """`bytes` are the UTF-8 bytes of the token, which may be a part of a character."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"bytes"})

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    top_logprobs: list[TopLogprob] = Field(default_factory=list)


class ChoiceLogprobs(WireModel):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"content", "refusal"})

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class URLCitation(WireModel):
    """The characters from `start_index` to `end_index` of the content rest on `url`."""

    start_index: int
    end_index: int
    url: str
    title: str


class Annotation(WireModel):
    type: Literal["url_citation"] | str = "url_citation"
    url_citation: URLCitation | None = None


class ChatCompletionAudio(WireModel):
    """`data` is base64 in the format that was asked for."""

    id: str
    expires_at: UnixTime
    data: str
    transcript: str


class ChatCompletionMessage(WireModel):
    """The model's answer. `content` is null where it calls tools or refuses."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"content", "refusal"})

    role: Literal["assistant"] | str = "assistant"
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    annotations: list[Annotation] | None = None
    function_call: FunctionCall | None = Field(default=None, json_schema_extra=DEPRECATED)
    audio: ChatCompletionAudio | None = None


class Choice(WireModel):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"logprobs"})

    index: int
    message: ChatCompletionMessage
    finish_reason: FinishReason
    logprobs: ChoiceLogprobs | None = None


class ChatCompletion(WireModel):
    id: str
    object: Literal["chat.completion"] | str = "chat.completion"
    created: UnixTime
    model: str
    choices: list[Choice]
    usage: CompletionUsage | None = None
    service_tier: ServiceTier | None = None
    system_fingerprint: str | None = None
    metadata: Metadata | None = None
    moderation: CompletionModeration | None = None


class DeltaFunctionCall(WireModel):
    name: str | None = None
    arguments: str | None = None


class DeltaToolCall(WireModel):
    """A piece of the tool call number `index`; `arguments` of the pieces are joined in order."""

    index: int = 0
    id: str | None = None
    type: Literal["function"] | str | None = None
    function: DeltaFunctionCall | None = None


class Delta(WireModel):
    role: Literal["developer", "system", "user", "assistant", "tool"] | str | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[DeltaToolCall] | None = None
    function_call: DeltaFunctionCall | None = Field(default=None, json_schema_extra=DEPRECATED)


class ChunkChoice(WireModel):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"finish_reason"})

    index: int
    delta: Delta
    finish_reason: FinishReason | None = None
    logprobs: ChoiceLogprobs | None = None


class ChatCompletionChunk(WireModel):
    """One event of a stream. The chunk that carries `usage` may have no choices."""

    id: str
    object: Literal["chat.completion.chunk"] | str = "chat.completion.chunk"
    created: UnixTime
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None = None
    service_tier: ServiceTier | None = None
    system_fingerprint: str | None = None
    obfuscation: str | None = None
    moderation: CompletionModeration | None = None

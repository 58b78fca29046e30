"""Text completions, the API before chat."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from llama_stack_api.base import Flag, Integer, Number, UnixTime, WireModel
from llama_stack_api.openai.chat import StopSequences, StreamOptions
from llama_stack_api.openai.usage import CompletionUsage

TokenIds: TypeAlias = Annotated[list[Integer], Field(min_length=1)]

Prompt: TypeAlias = Annotated[
    str | list[str] | TokenIds | Annotated[list[TokenIds], Field(min_length=1)], Field(union_mode="left_to_right")
]


class CompletionRequest(WireModel):
    """`prompt` is one text or several, or their token ids; each is completed `n` times."""

    model: str
    prompt: Prompt | None = Field(description="Null is the beginning of a new document.")

    best_of: Integer | None = Field(default=None, ge=0, le=20)
    echo: Flag | None = Field(default=None, description="Put the prompt before the completion.")
    frequency_penalty: Number | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, Integer | Number] | None = None
    logprobs: Integer | None = Field(default=None, ge=0, le=5)
    max_tokens: Integer | None = Field(default=None, ge=0)
    n: Integer | None = Field(default=None, ge=1, le=128)
    presence_penalty: Number | None = Field(default=None, ge=-2, le=2)
    seed: Integer | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    stop: StopSequences | None = None
    stream: Flag | None = None
    stream_options: StreamOptions | None = None
    suffix: str | None = Field(default=None, description="What comes after the completion, for insertion.")
    temperature: Number | None = Field(default=None, ge=0, le=2)
    top_p: Number | None = Field(default=None, ge=0, le=1)
    user: str | None = None


class CompletionLogprobs(WireModel):
    """Four lists of one entry per token; entries of the first token may be null."""

    text_offset: list[int] | None = None
    token_logprobs: list[float | None] | None = None
    tokens: list[str] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class CompletionChoice(WireModel):
    """`finish_reason` is null only in a stream, before the end."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"finish_reason", "logprobs"})

    index: int
    text: str
    finish_reason: Literal["stop", "length", "content_filter"] | str | None = None
    logprobs: CompletionLogprobs | None = None


class Completion(WireModel):
    """A whole reply, or one event of a stream."""

    id: str
    object: Literal["text_completion"] | str = "text_completion"
    created: UnixTime
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage | None = None
    system_fingerprint: str | None = None

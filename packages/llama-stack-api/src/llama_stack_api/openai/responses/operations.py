"""What one does with stored responses, and the operations beside them: tokens of an input, compaction, WebSocket."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from llama_stack_api.base import DEPRECATED, Flag, Integer, UnixTime, WireModel
from llama_stack_api.openai.responses.items import OutputItem
from llama_stack_api.openai.responses.request import ConversationParam, Input, ResponseRequest
from llama_stack_api.openai.responses.response import Response, ResponseUsage
from llama_stack_api.openai.responses.settings import (
    Include,
    PromptCacheOptions,
    Reasoning,
    ServiceTier,
    TextOptions,
    ToolChoice,
    Truncation,
)
from llama_stack_api.openai.responses.tools import Tool
from llama_stack_api.paging import PageParams

Personality: TypeAlias = Literal["friendly", "pragmatic"] | str
ItemId: TypeAlias = Annotated[str, Field(description="Empty in an empty page.")]


class RetrieveResponseParams(WireModel):
    """The query of a read. With `stream`, the events behind number `starting_after`, as they were and as they come."""

    include: list[Include] | None = None
    include_obfuscation: bool | None = None
    starting_after: int | None = Field(default=None, ge=0)
    stream: bool | None = None


class ListResponsesParams(PageParams):
    model: str | None = None


class ResponseList(WireModel):
    object: Literal["list"] = "list"
    data: list[Response]
    first_id: ItemId = ""
    last_id: ItemId = ""
    has_more: bool = False


class ResponseDeleted(WireModel):
    id: str
    object: Literal["response"] = "response"
    deleted: bool = True


class ListItemsParams(PageParams):
    include: list[Include] | None = None


class ListInputItemsParams(ListItemsParams):
    """`before` is Llama Stack's own, and excludes `after`."""

    before: str | None = None


class ItemList(WireModel):
    """`last_id` is the `after` of the next page, which exists if `has_more`."""

    object: Literal["list"] = "list"
    data: list[OutputItem]
    first_id: ItemId = ""
    last_id: ItemId = ""
    has_more: bool = False


class InputTokensRequest(WireModel):
    """Counts the tokens that a request for a response would send to the model."""

    model: str | None = None
    input: Input | None = None
    conversation: ConversationParam | None = None
    instructions: str | None = None
    parallel_tool_calls: Flag | None = None
    personality: Personality | None = None
    previous_response_id: str | None = None
    reasoning: Reasoning | None = None
    text: TextOptions | None = None
    tool_choice: ToolChoice | None = None
    tools: list[Tool] | None = None
    truncation: Truncation | None = Field(default=None, json_schema_extra=DEPRECATED)


class InputTokens(WireModel):
    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int


class CompactRequest(WireModel):
    """Asks for a shorter context that stands for `previous_response_id` and `input`."""

    model: str | None
    input: Input | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = Field(default=None, max_length=64)
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | str | None = Field(default=None, json_schema_extra=DEPRECATED)
    service_tier: ServiceTier | None = None


class CompactedResponse(WireModel):
    """`output` is the input of the next response: messages that were kept, and a `compaction` item for the rest."""

    id: str
    object: Literal["response.compaction"] = "response.compaction"
    created_at: UnixTime
    output: list[OutputItem]
    usage: ResponseUsage


class CreateOverWebSocket(ResponseRequest):
    """What a client sends over a WebSocket. `stream` and `background` mean nothing there.

    `generate` false only makes the context ready. Events of a `stream_id` carry it.
    """

    type: Literal["response.create"] = "response.create"
    generate: Flag | None = None
    stream_id: str | None = None


class WebSocketFailure(WireModel):
    """Why a message of the client was not carried out; the fields are those of an HTTP error."""

    type: str
    message: str
    code: str | None = None
    param: str | None = None


class WebSocketError(WireModel):
    """`status` is what the HTTP status would be."""

    type: Literal["error"] = "error"
    error: WebSocketFailure
    status: Integer | None = None
    sequence_number: Integer | None = None
    stream_id: str | None = None

"""Message batches: many requests, worked on without anyone waiting, and their results as lines of JSON."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, StringConstraints, Tag

from llama_stack_api.anthropic.errors import ErrorResponse
from llama_stack_api.anthropic.messages import CreateMessageRequest, Message
from llama_stack_api.base import OTHER, JsonObject, WireModel, by_type, other_than

RESULT_TYPES = ("succeeded", "errored", "canceled", "expired")


class MessageBatchRequest(WireModel):
    """One of a batch's requests. `custom_id` tells it from the others."""

    custom_id: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    params: CreateMessageRequest


class UncheckedBatchRequest(WireModel):
    """As `MessageBatchRequest`; what is wrong with `params` is that request's error, not the batch's."""

    custom_id: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    params: JsonObject


class CreateMessageBatchRequest(WireModel):
    requests: Annotated[list[MessageBatchRequest], Field(min_length=1, max_length=100_000)]


class UncheckedMessageBatch(WireModel):
    requests: Annotated[list[UncheckedBatchRequest], Field(min_length=1, max_length=100_000)]


class RequestCounts(WireModel):
    """All but `processing` are 0 until the batch has ended."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class MessageBatch(WireModel):
    """Times are in ISO 8601."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"archived_at", "cancel_initiated_at", "ended_at", "results_url"})

    id: str
    type: Literal["message_batch"] = "message_batch"
    processing_status: Literal["in_progress", "canceling", "ended"]
    request_counts: RequestCounts
    created_at: str
    expires_at: str
    ended_at: str | None = None
    cancel_initiated_at: str | None = None
    archived_at: str | None = None
    results_url: str | None = None


class MessageBatchList(WireModel):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"first_id", "last_id"})

    data: list[MessageBatch]
    has_more: bool
    first_id: str | None = None
    last_id: str | None = None


class DeletedMessageBatch(WireModel):
    id: str
    type: Literal["message_batch_deleted"] = "message_batch_deleted"


class SucceededResult(WireModel):
    type: Literal["succeeded"] = "succeeded"
    message: Message


class ErroredResult(WireModel):
    type: Literal["errored"] = "errored"
    error: ErrorResponse


class CanceledResult(WireModel):
    type: Literal["canceled"] = "canceled"


class ExpiredResult(WireModel):
    type: Literal["expired"] = "expired"


class OtherResult(WireModel):
    type: str = Field(json_schema_extra=other_than(*RESULT_TYPES))


Result: TypeAlias = Annotated[
    Annotated[SucceededResult, Tag("succeeded")]
    | Annotated[ErroredResult, Tag("errored")]
    | Annotated[CanceledResult, Tag("canceled")]
    | Annotated[ExpiredResult, Tag("expired")]
    | Annotated[OtherResult, Tag(OTHER)],
    by_type(*RESULT_TYPES),
]


class MessageBatchResult(WireModel):
    """One line of a batch's results, which are in no particular order."""

    custom_id: str
    result: Result

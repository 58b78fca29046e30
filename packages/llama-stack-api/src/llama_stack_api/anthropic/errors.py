"""Anthropic's error object: the body of a reply with a status of 400 or more, and the data of an `error` event."""

from __future__ import annotations

from typing import ClassVar, Literal

from llama_stack_api.base import WireModel


class Error(WireModel):
    type: (
        Literal[
            "invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error",
            "request_too_large", "rate_limit_error", "timeout_error", "api_error", "overloaded_error",
        ]
        | str
    )  # fmt: skip
    message: str


class ErrorResponse(WireModel):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"request_id"})

    type: Literal["error"] = "error"
    error: Error
    request_id: str | None = None

"""Errors in Anthropic's words, and what its API says when it refuses or fails, as one of our errors.

Source: https://platform.claude.com/docs/en/api/errors
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from llama_stack.dialects.chat.values import Json, mapping, text_or
from llama_stack.dialects.openai import errors as openai_errors
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack_api.errors import (
    ContextLengthExceeded,
    LlamaStackError,
    NotImplementedByProvider,
    Overloaded,
    ProviderError,
)

TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The `type` of an error by its status. All else is `invalid_request_error` from 400, `api_error` from 500."""

_UPSTREAM_STATUSES: Final = {402: 402, 503: 529, 529: 529}
"""What a provider's status means to our client; any other is 502."""

THREAD_UNSUPPORTED: Final = "thread_unsupported_request"
"""The code by which SDKs know to send the whole conversation instead of going on with a thread of the server's."""

_TOO_LONG: Final = "prompt is too long"
"""The words by which coding agents know that they must shorten the conversation."""


def status_of(error: LlamaStackError) -> int:
    """The HTTP status that Anthropic's clients are given for an error."""
    if isinstance(error, Overloaded):
        return 529
    if isinstance(error, NotImplementedByProvider):
        # Clients try again what fails with 500 or more, and this would fail again.
        return 400
    if type(error) is ProviderError and error.upstream_status is not None:
        return _UPSTREAM_STATUSES.get(error.upstream_status, error.status)
    return error.status


def error_event(error: LlamaStackError, request_id: str) -> Json:
    """The body of an error, which is also the event that ends a stream."""
    status = status_of(error)
    kind = TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")
    # A message may quote what no UTF-8 can hold: half of a surrogate pair, from some upstream's JSON.
    message = error.message.encode("utf-8", "backslashreplace").decode()
    if isinstance(error, ContextLengthExceeded) and _TOO_LONG not in message.lower():
        message = f"{_TOO_LONG}: {message}"
    said: Json = {"type": kind, "message": message}
    if error.code == THREAD_UNSUPPORTED:
        said["details"] = {"error_code": error.code}
    return {"type": "error", "error": said, "request_id": request_id}


def render(error: LlamaStackError, request_id: str) -> bytes:
    """The body of an error's reply."""
    return msgspec.json.encode(error_event(error, request_id))


def error_of_reply(status: int, headers: Mapping[str, str], body: bytes, provider: str) -> LlamaStackError:
    """The error that a reply of a Messages API amounts to. The status decides; the message is passed on, shortened,
    save for refused credentials, where it may repeat the key."""
    try:
        error = _error_in(msgspec.json.decode(body))
    except UNREADABLE:
        error = {}
    if error:
        if status < 400:
            status = _status(error)
        body = msgspec.json.encode({"error": {"message": error["message"]}})
    return openai_errors.error_of_reply(status, headers, body, provider)


def error_in_stream(event: Any, provider: str, mask: Callable[[str], str] = str) -> LlamaStackError:
    """The error for an `error` event in a stream that began as a success. `mask` takes secrets out."""
    error = _error_in(event) or {"message": ""}
    said = {"message": error["message"], "status": _status(error)}
    return openai_errors.error_in_stream(said, provider, mask)


def _error_in(body: Any) -> Json:
    """`type` and `message` of an error in Anthropic's shape; empty for another."""
    error = mapping(mapping(body).get("error"))
    if not isinstance(error.get("message"), str):
        return {}
    return {"type": text_or(error.get("type")), "message": error["message"]}


def _status(error: Json) -> int:
    kind = error.get("type")
    return next((status for status, name in TYPES.items() if name == kind and status != 408), 500)

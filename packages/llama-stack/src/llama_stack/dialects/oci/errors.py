"""What Oracle's services say when they refuse or fail, as one of our errors.

A body is `{"code": …, "message": …}`; `opc-request-id` is what Oracle's support asks for, so it is passed on.
Source: https://docs.oracle.com/iaas/Content/API/References/apierrors.htm
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from llama_stack.dialects.chat.values import Json, text_or
from llama_stack.dialects.openai import errors as openai_errors
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack_api.errors import ContentFiltered, LlamaStackError

REQUEST_ID: Final = "opc-request-id"
_STATUSES: Final[Mapping[str, int]] = {
    "LimitExceeded": 429,
    "QuotaExceeded": 429,
    "TooManyRequests": 429,
    "NotAuthenticated": 401,
    "SignUpRequired": 403,
    "NotAuthorized": 403,
    "NotAuthorizedOrNotFound": 404,
    "InvalidParameter": 400,
    "CannotParseRequest": 400,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
}
"""What a code means that comes with another status, or with that of a success."""
_FILTERED: Final = ("inappropriate content", "violates usage guidelines", "content filter", "safety filter")
_NOT_FOUND_HINT: Final = (
    " Oracle answers the same where the model is not served in this region and where the policies of the compartment "
    "do not allow its use."
)


def error_of_reply(status: int, headers: Mapping[str, str], body: bytes, provider: str) -> LlamaStackError:
    """The error that a reply amounts to."""
    said = _said(body)
    if said is None:
        return openai_errors.error_of_reply(status, headers, body, provider)
    code, message = said
    if status < 400 or (status == 400 and _STATUSES.get(code) == 429):
        status = _status(code)
    if code == "NotAuthorizedOrNotFound":
        message += _NOT_FOUND_HINT
    if request_id := headers.get(REQUEST_ID):
        message = f"{message[: openai_errors.MESSAGE_CHARS_MAX - 200]} ({REQUEST_ID}: {request_id[:128]})"
    if status in (400, 422) and any(words in message.lower() for words in _FILTERED):
        return ContentFiltered(f"Provider '{provider}': {message}")
    error = {"error": {"message": message, "code": code}}
    return openai_errors.error_of_reply(status, headers, msgspec.json.encode(error), provider)


def error_of_event(event: Json, provider: str, mask: Callable[[str], str] = str) -> LlamaStackError | None:
    """The error that an event of a stream that began as a success amounts to."""
    message = event.get("errorMessage") or event.get("message")
    if isinstance(message, str) and message:
        code = event.get("code")
        return openai_errors.error_in_stream({"message": message, "status": _status(code)}, provider, mask)
    if text_or(event.get("finishReason")).upper() == "ERROR":
        return openai_errors.error_in_stream({"message": "The model failed.", "status": 500}, provider, mask)
    return None


def _said(body: bytes) -> tuple[str, str] | None:
    try:
        error = msgspec.json.decode(body)
    except UNREADABLE:
        return None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return None
    return str(error.get("code") or ""), error["message"]


def _status(code: Any) -> int:
    """Codes are words, or the status in digits."""
    text = str(code)
    if text.isdigit() and 400 <= int(text) < 600:
        return int(text)
    return _STATUSES.get(text, 500)

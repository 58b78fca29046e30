"""What Google says when it refuses or fails, as one of our errors.

    {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": …, "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"},
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": …}, …]}}

alone, in a list of one, or as an event of a stream that began as a success. Source: https://google.aip.dev/193
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from llama_stack.dialects.chat.values import Json, mapping, objects, text_or
from llama_stack.dialects.gemini.endings import FAILURES
from llama_stack.dialects.openai import errors as openai_errors
from llama_stack.dialects.openai.errors import MESSAGE_CHARS_MAX, UNREADABLE
from llama_stack_api.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    LlamaStackError,
    ProviderError,
    ProviderRejectedCredentials,
    RateLimited,
)

_CREDENTIALS: Final = ("API_KEY", "ACCESS_TOKEN", "ACCOUNT_STATE", "CREDENTIALS")
"""How the reasons begin of which Google says 400 or 403 and means 401."""

_TOO_LONG: Final = "exceeds the maximum number of tokens"
_DURATION_S_MAX: Final = 7 * 24 * 3600


def error_of_reply(status: int, headers: Mapping[str, str], body: bytes, provider: str) -> LlamaStackError:
    """The error that a reply amounts to. `body` has no secrets in it."""
    try:
        error = _error_in(msgspec.json.decode(body))
    except UNREADABLE:
        error = {}
    if not error or 300 <= status < 400:
        return openai_errors.error_of_reply(status, headers, body, provider)
    if status < 400:
        status = _status(error)
    return _error(status, error, provider, headers)


def error_of_event(event: Any, provider: str, mask: Callable[[str], str] = str) -> LlamaStackError | None:
    """The error that a reply, or an event of a stream, amounts to although it came with the status of a success: an
    error, a prompt that was blocked, an answer that was lost. `mask` takes secrets out."""
    error = _error_in(event)
    if error:
        return _error(_status(error), {**error, "message": mask(error["message"])}, provider, {})
    said = mapping(event)
    candidates, feedback = objects(said.get("candidates")), mapping(said.get("promptFeedback"))
    if feedback.get("blockReason") and not candidates:
        reason = text_or(feedback.get("blockReasonMessage")) or text_or(feedback["blockReason"])
        return ContentFiltered(f"Provider '{provider}' blocked the prompt: {_short(mask(reason))}.", param="messages")
    failed = next((candidate for candidate in candidates if text_or(candidate.get("finishReason")) in FAILURES), None)
    if failed is None:
        return None
    words = f": {_short(mask(text))}" if (text := text_or(failed.get("finishMessage"))) else ""
    return ProviderError(
        f"Provider '{provider}': the model's answer was lost ({failed['finishReason']}){words}. Send the request again."
    )


def _error_in(body: Any) -> Json:
    """The status object, its message a string; empty for what is none."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    error = mapping(mapping(body).get("error"))
    return {**error, "message": text_or(error.get("message"))} if error else {}


def _status(error: Json) -> int:
    code = error.get("code")
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def _error(status: int, error: Json, provider: str, headers: Mapping[str, str]) -> LlamaStackError:
    reason = _reason(error)
    if status in (401, 403) or reason.startswith(_CREDENTIALS):
        return ProviderRejectedCredentials(
            f"Provider '{provider}' refused the credentials (HTTP {status}{', ' if reason else ''}{reason}). Check its "
            "api_key or access_token in the run config, or what was sent in X-LlamaStack-Provider-Data.",
            upstream_status=status,
        )
    text = f"Provider '{provider}': {_short(error['message']) or f'HTTP {status}'}"
    if status == 429:
        waits = openai_errors.retry_after_s(headers)
        return RateLimited(text, retry_after_s=_retry_delay_s(error) if waits is None else waits)
    if status == 400 and _TOO_LONG in error["message"]:
        return ContextLengthExceeded(text, param="messages")
    body = msgspec.json.encode({"error": {"message": error["message"]}})
    return openai_errors.error_of_reply(status, headers, body, provider)


def _reason(error: Json) -> str:
    """The `reason` of an ErrorInfo: a constant of Google's, in capitals."""
    said = next((text_or(each.get("reason")) for each in objects(error.get("details")) if each.get("reason")), "")
    return said if said.replace("_", "").isalnum() and said.isupper() else ""


def _retry_delay_s(error: Json) -> float | None:
    """Of a RetryInfo: a duration such as `31.5s`."""
    for detail in objects(error.get("details")):
        delay = text_or(detail.get("retryDelay"))
        try:
            seconds = float(delay.removesuffix("s")) if delay.endswith("s") else -1.0
        except ValueError:
            continue
        if 0 <= seconds <= _DURATION_S_MAX:
            return seconds
    return None


def _short(text: str) -> str:
    return text[:MESSAGE_CHARS_MAX]

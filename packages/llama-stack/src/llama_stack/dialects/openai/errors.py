"""Errors of ours as OpenAI words them, and what an OpenAI-compatible upstream says as one of ours.

The status decides the class; of the body only OpenAI's own codes are trusted for more, and its message is passed on,
shortened, because it tells the caller what to change. A message that reports refused credentials is never passed on:
some upstreams repeat the key in it.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from llama_stack_api.errors import (
    Conflict,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    LlamaStackError,
    ModelNotFound,
    PayloadTooLarge,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderTimeout,
    RateLimited,
)

MESSAGE_CHARS_MAX = 1000
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are no JSON, no UTF-8, or nested beyond all reason."""
_CODES: dict[str, type[InvalidRequest]] = {
    "context_length_exceeded": ContextLengthExceeded,
    "exceed_context_size_error": ContextLengthExceeded,
    "content_filter": ContentFiltered,
    "content_policy_violation": ContentFiltered,
}
_CONTEXT_WORDS = (
    "maximum context length",
    "context length exceeded",
    "exceeds the context length",
    "exceeds the available context size",
    "context window",
    "too many tokens",
    "prompt is too long",
)


_encode = msgspec.json.Encoder().encode


def render(error: LlamaStackError) -> bytes:
    """The body of OpenAI's error replies."""
    # A message may quote what no UTF-8 can hold: half of a surrogate pair, from some upstream's JSON.
    message = error.message.encode("utf-8", "backslashreplace").decode()
    return _encode({"error": {"message": message, "type": error.type, "param": error.param, "code": error.code}})


def error_of_reply(status: int, headers: Mapping[str, str], body: bytes, provider: str) -> LlamaStackError:
    """The error that a reply amounts to. Shapes of the body: OpenAI's, `detail`, `message`, text, HTML."""
    if 300 <= status < 400:
        # Followed, it would take the request, key and all, to wherever the upstream likes.
        return ProviderError(
            f"Provider '{provider}' answered with a redirect (HTTP {status}), which is not followed. "
            "Check its base_url in the run config.",
            upstream_status=status,
        )
    said = _Said.of_body(body)
    if status < 400:
        if not said.message:
            return ProviderError(
                f"Provider '{provider}' answered with a whole body where a stream was asked for.",
                upstream_status=status,
            )
        status = said.status or 500
    return _error(status, said, provider, retry_after_s(headers))


def error_in_stream(error: Any, provider: str, mask: Callable[[str], str] = str) -> LlamaStackError:
    """The error for an `error` member in a body or an event that began as a success. `mask` takes secrets out."""
    said = _Said.of_error(error)
    said.message = mask(said.message)
    status = said.status if said.status is not None and said.status >= 400 else 500
    return _error(status, said, provider, None)


def retry_after_s(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Seconds to wait by `retry-after-ms` or `Retry-After` (seconds or an HTTP date), or None."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            seconds = _seconds_until(value, time.time() if now is None else now)
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def _seconds_until(date: str, now: float) -> float:
    try:
        return max(0.0, email.utils.parsedate_to_datetime(date).timestamp() - now)
    except ValueError:
        return -1.0


class _Said(msgspec.Struct):
    """What an error body says, whatever its shape."""

    message: str = ""
    code: str | None = None
    param: str | None = None
    status: int | None = None

    @classmethod
    def of_body(cls, body: bytes) -> _Said:
        try:
            decoded = msgspec.json.decode(body)
        except UNREADABLE:
            text = body[: MESSAGE_CHARS_MAX * 4].decode("utf-8", "replace").strip()
            return cls() if text.startswith("<") else cls(message=text)
        if isinstance(decoded, list) and len(decoded) == 1:
            decoded = decoded[0]
        if isinstance(decoded, dict):
            for key in ("error", "detail", "message", "errors"):
                if decoded.get(key):
                    inner = decoded[key]
                    return cls.of_error(inner if isinstance(inner, dict) else {**decoded, "message": inner})
        return cls.of_error(decoded)

    @classmethod
    def of_error(cls, error: Any) -> _Said:
        if isinstance(error, str):
            return cls(message=error)
        if isinstance(error, list):
            return cls(message="; ".join(_said_by_item(item) for item in error[:5]))
        if not isinstance(error, dict):
            return cls()
        message = error.get("message") or error.get("msg") or error.get("detail") or ""
        if not isinstance(message, str):
            message = cls.of_error(message).message
        code, kind, param = error.get("code"), error.get("type"), error.get("param")
        status = code if isinstance(code, int) else error.get("status")
        return cls(
            message=message,
            code=code if isinstance(code, str) else kind if isinstance(kind, str) else None,
            param=param if isinstance(param, str) else None,
            status=status if isinstance(status, int) else None,
        )


def _said_by_item(item: Any) -> str:
    """One entry of FastAPI's list of validation errors, `{"loc": […], "msg": …}`, or anything else."""
    if isinstance(item, dict):
        where = ".".join(str(part) for part in item.get("loc", ()) if part != "body")
        text = str(item.get("msg") or item.get("message") or "")
        return f"{where}: {text}" if where else text
    return str(item)


def _error(status: int, said: _Said, provider: str, retry_after: float | None) -> LlamaStackError:
    message = said.message[:MESSAGE_CHARS_MAX] or f"HTTP {status}"
    text = f"Provider '{provider}': {message}"
    match status:
        case 401 | 403:
            return ProviderRejectedCredentials(
                f"Provider '{provider}' refused the credentials (HTTP {status}). Check its api_key in the run config, "
                "or the key sent in X-LlamaStack-Provider-Data.",
                upstream_status=status,
            )
        case 404:
            # Their codes differ (DeploymentNotFound, NOT_FOUND, api_error, none): we ask for nothing but models.
            return ModelNotFound(text, param="model")
        case 408 | 504:
            return ProviderTimeout(text, upstream_status=status, retry_after_s=retry_after)
        case 409:
            return Conflict(text)
        case 413:
            return PayloadTooLarge(text)
        case 429:
            return RateLimited(text, retry_after_s=retry_after)
        case _ if 400 <= status < 500 and status not in (402, 407, 425):
            return _refused(text, said)
    return ProviderError(text, upstream_status=status, retry_after_s=retry_after)


def _refused(text: str, said: _Said) -> InvalidRequest:
    kind = _CODES.get(said.code or "")
    if kind is None:
        # No code of its own says so at most compatible servers (vLLM, TGI, llama.cpp): their words are all there is.
        lowered = said.message.lower()
        kind = ContextLengthExceeded if any(words in lowered for words in _CONTEXT_WORDS) else InvalidRequest
    if kind is InvalidRequest:
        return InvalidRequest(text, param=said.param, code=said.code)
    return kind(text, param=said.param)

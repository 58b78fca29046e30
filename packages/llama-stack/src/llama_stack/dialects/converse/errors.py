"""What Bedrock says when it refuses or fails, as one of our errors; in a reply, and in a stream of events.

The kind of an error is in the header `x-amzn-errortype`, or names the event. Of a `ValidationException`, which can be
anything, its words are all there is: they tell a prompt that is too long, and what a model cannot do.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from llama_stack.dialects.chat.values import Json, mapping, text_or
from llama_stack.dialects.converse.completions import MALFORMED
from llama_stack.dialects.openai import errors as openai_errors
from llama_stack.dialects.openai.errors import MESSAGE_CHARS_MAX, UNREADABLE
from llama_stack_api.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    LlamaStackError,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderStreamBroken,
    UnsupportedParameter,
)

EXCEPTION: Final = ":exception"
"""The member by which an event is an exception: its kind. `message` is what it says."""

_STATUSES: Final[Mapping[str, int]] = {
    "accessdenied": 403,
    "conflict": 409,
    "dependencyfailed": 502,
    "internalserver": 500,
    "modelerror": 502,
    "modelnotready": 503,
    "modelstreamerror": 500,
    "modeltimeout": 504,
    "resourcenotfound": 404,
    "servicequotaexceeded": 429,
    "serviceunavailable": 503,
    "throttling": 429,
    "validation": 400,
}
"""By kind, less `Exception` and case: as a status that says the same to those who would try again."""

_TOO_LONG: Final = (
    "input is too long",
    "prompt is too long",
    "too many input tokens",
    "maximum tokens you requested exceeds",
    "exceeds the maximum number of tokens",
    "exceeds the maximum context",
)
_LACKS: Final[tuple[tuple[str, str], ...]] = (
    ("support tool use in streaming", "stream"),
    ("unsupported for streaming", "stream"),
    ("support streaming", "stream"),
    ("toolconfig.toolchoice", "tool_choice"),
    ("support tool use", "tools"),
    ("support system", "messages"),
    ("support image", "messages"),
    ("support document", "messages"),
    ("support the image", "messages"),
    ("support the document", "messages"),
    ("support stop sequences", "stop"),
    ("support the stopsequences", "stop"),
    ("support the textformat", "response_format"),
    ("support structured output", "response_format"),
)
"""Words of Bedrock about what a model cannot do, and the parameter that asked for it."""


def error_of_reply(status: int, headers: Mapping[str, str], body: bytes, provider: str) -> LlamaStackError:
    """The error that a reply amounts to. Its kind decides, and without one its status."""
    said = _decoded(body)
    kind = _kind(headers.get("x-amzn-errortype") or text_or(said.get("__type")))
    message = text_or(said.get("message")) or text_or(said.get("Message"))
    if status < 300 and not message:
        return openai_errors.error_of_reply(status, headers, body, provider)
    if kind == "accessdenied":
        return _denied(status, provider)
    status = _STATUSES.get(kind, 500 if status < 300 else status)
    if status == 400 and (refused := _refused(message, provider)) is not None:
        return refused
    if message:
        body = msgspec.json.encode({"message": message})
    return openai_errors.error_of_reply(status, headers, body, provider)


def error_of_event(event: Json, provider: str) -> LlamaStackError | None:
    """The error that an event of a stream amounts to; None for all that are none."""
    if EXCEPTION not in event:
        return malformed(mapping(event.get("messageStop")).get("stopReason"), provider)
    kind, message = _kind(text_or(event[EXCEPTION])), text_or(event.get("message"))
    if kind not in _STATUSES:
        # An `error`, or an exception that is new.
        said = message[:MESSAGE_CHARS_MAX] or "an error of AWS"
        return ProviderStreamBroken(f"Provider '{provider}' broke the stream: {said}.")
    return error_of_reply(
        _STATUSES[kind], {"x-amzn-errortype": kind}, msgspec.json.encode({"message": message}), provider
    )


def malformed(reason: object, provider: str) -> ProviderError | None:
    """The error of an answer that the model wrote so that nobody can read it."""
    if reason not in MALFORMED:
        return None
    return ProviderError(f"Provider '{provider}': the model wrote what cannot be read ({reason}). Ask again.")


def lacks(error: LlamaStackError, param: str) -> bool:
    """Whether Bedrock refused because the model cannot do what this parameter asks for."""
    return isinstance(error, UnsupportedParameter) and error.param == param


def _refused(message: str, provider: str) -> InvalidRequest | None:
    lowered, text = message.lower(), f"Provider '{provider}': {message[:MESSAGE_CHARS_MAX]}"
    if any(words in lowered for words in _TOO_LONG):
        return ContextLengthExceeded(text)
    param = next((param for words, param in _LACKS if words in lowered), None)
    if param is not None and ("doesn't" in lowered or "not" in lowered or "unsupported" in lowered):
        return UnsupportedParameter(f"{text} (asked for by '{param}')", param=param)
    if "model identifier is invalid" in lowered or "on-demand throughput" in lowered:
        return InvalidRequest(text, param="model")
    return None


def _denied(status: int, provider: str) -> ProviderRejectedCredentials:
    return ProviderRejectedCredentials(
        f"Provider '{provider}' was denied access by AWS (HTTP {status}). Check that its role or user may call "
        "bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream on this model, and that the account has access "
        "to it in this region.",
        upstream_status=status,
    )


def _kind(said: str) -> str:
    """`ThrottlingException:http://…`, `throttlingException` and `com.amazon…#ThrottlingException` are `throttling`."""
    return said.partition(":")[0].rpartition("#")[2].removesuffix("Exception").lower()


def _decoded(body: bytes) -> Json:
    try:
        return mapping(msgspec.json.decode(body))
    except UNREADABLE:
        return {}

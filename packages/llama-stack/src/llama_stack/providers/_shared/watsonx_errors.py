"""What watsonx.ai says when it refuses: `errors` with codes, and a `trace` that IBM's support asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from llama_stack.dialects.openai import errors as openai_errors
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack_api.errors import ContextLengthExceeded, LlamaStackError

TRACE_CHARS_MAX: Final = 128
_STATUSES: Final[Mapping[str, int]] = {
    "model_not_supported": 404,
    "model_no_support_for_function": 400,
    "rate_limit_reached_requests": 429,
    "rate_limit_reached_tokens": 429,
    "token_quota_reached": 429,
    "consumption_limit_reached": 429,
}
"""What a code means that comes with another status: a used-up quota with 403, an unknown model with 400."""
_TOO_LONG: Final = ("cannot exceed the total tokens limit", "exceeds the maximum sequence length")


def error_of_reply(status: int, headers: Mapping[str, str], body: bytes, provider: str) -> LlamaStackError:
    code, message, trace = _said(body)
    if not message:
        return openai_errors.error_of_reply(status, headers, body, provider)
    status = _STATUSES.get(code, status)
    if trace:
        message = f"{message[: openai_errors.MESSAGE_CHARS_MAX - 2 * TRACE_CHARS_MAX]} (trace: {trace})"
    if status == 400 and any(words in message for words in _TOO_LONG):
        return ContextLengthExceeded(f"Provider '{provider}': {message}")
    said = msgspec.json.encode({"error": {"message": message, "code": code or None}})
    return openai_errors.error_of_reply(status, headers, said, provider)


def _said(body: bytes) -> tuple[str, str, str]:
    """Code, message and trace; empty for a body in another form."""
    try:
        said: Any = msgspec.json.decode(body)
        first = said["errors"][0]
        message = "; ".join(str(error["message"]) for error in said["errors"][:5])
    except (*UNREADABLE, IndexError, KeyError, TypeError):
        return "", "", ""
    trace = said.get("trace")
    return str(first.get("code") or ""), message, trace[:TRACE_CHARS_MAX] if isinstance(trace, str) else ""

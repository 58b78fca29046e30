"""Google's errors, as what they mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llama_stack.dialects.gemini.errors import error_of_event, error_of_reply
from llama_stack_api.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    LlamaStackError,
    ModelNotFound,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderTimeout,
    RateLimited,
)
from tests.support.gemini_upstream import error_body

TOO_LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."


def of_reply(status: int, body: Any, headers: dict[str, str] | None = None) -> LlamaStackError:
    return error_of_reply(status, headers or {}, json.dumps(body).encode(), "g")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error_body(400, "Bad."), InvalidRequest),
        (400, error_body(400, TOO_LONG), ContextLengthExceeded),
        (400, error_body(400, "API key not valid.", reason="API_KEY_INVALID"), ProviderRejectedCredentials),
        (400, [error_body(400, "API key expired.", reason="API_KEY_INVALID")], ProviderRejectedCredentials),
        (401, error_body(401, "Expired.", reason="ACCESS_TOKEN_EXPIRED"), ProviderRejectedCredentials),
        (403, error_body(403, "Denied.", reason="SERVICE_DISABLED"), ProviderRejectedCredentials),
        (404, error_body(404, "models/x is not found"), ModelNotFound),
        (429, error_body(429, "Quota."), RateLimited),
        (500, error_body(500, "Internal."), ProviderError),
        (503, [error_body(503, "The model is overloaded.")], ProviderError),
        (504, error_body(504, "Deadline."), ProviderTimeout),
        (200, error_body(503, "Late."), ProviderError),
    ],
)
def test_what_a_reply_means(status: int, body: Any, kind: type[LlamaStackError]) -> None:
    assert type(of_reply(status, body)) is kind


def test_when_to_come_back() -> None:
    assert of_reply(429, error_body(429, "Quota.", retry_delay="31.5s")).retry_after_s == 31.5
    assert of_reply(429, error_body(429, "Quota.", retry_delay="31s"), {"retry-after": "2"}).retry_after_s == 2
    for delay in ("soon", "-1s", "nans", "infs", ""):
        assert of_reply(429, error_body(429, "Quota.", retry_delay=delay)).retry_after_s is None


def test_refused_credentials_name_the_reason_and_repeat_no_key() -> None:
    raised = of_reply(400, error_body(400, "API key AIzaSecret not valid.", reason="API_KEY_INVALID"))
    assert "API_KEY_INVALID" in raised.message
    assert "AIzaSecret" not in raised.message
    raised = of_reply(403, error_body(403, "No.", reason="your key AIzaSecret"))
    assert "AIzaSecret" not in raised.message


def test_what_comes_with_the_status_of_a_success() -> None:
    blocked = error_of_event({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}, "g")
    assert isinstance(blocked, ContentFiltered)
    assert "SAFETY" in blocked.message
    answered = {"promptFeedback": {"blockReason": "SAFETY"}, "candidates": [{"finishReason": "STOP"}]}
    assert error_of_event(answered, "g") is None
    lost = {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "print(f(1))"}]}
    failed = error_of_event(lost, "g")
    assert isinstance(failed, ProviderError)
    assert "MALFORMED_FUNCTION_CALL" in failed.message
    assert "print(f(1))" in failed.message
    limited = error_of_event(error_body(429, "Key k1.", retry_delay="3s"), "g", lambda text: text.replace("k1", "***"))
    assert isinstance(limited, RateLimited)
    assert (limited.message, limited.retry_after_s) == ("Provider 'g': Key ***.", 3.0)
    assert error_of_event({"candidates": [{"finishReason": "SAFETY"}]}, "g") is None
    nothing: tuple[Any, ...] = (None, [], "x", {"error": "x"}, {"error": {}})
    for rubbish in nothing:
        assert error_of_event(rubbish, "g") is None

"""Errors in Anthropic's words, and its own as ours."""

from __future__ import annotations

import json

import pytest

from llama_stack.dialects.anthropic.errors import error_in_stream, error_of_reply, render, status_of
from llama_stack_api import errors as e


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (e.LlamaStackError("x"), 500, "api_error"),
        (e.InvalidRequest("x"), 400, "invalid_request_error"),
        (e.MalformedBody("x"), 400, "invalid_request_error"),
        (e.UnsupportedParameter("x"), 400, "invalid_request_error"),
        (e.ContextLengthExceeded("x"), 400, "invalid_request_error"),
        (e.ContentFiltered("x"), 400, "invalid_request_error"),
        (e.UnsupportedFile("x"), 400, "invalid_request_error"),
        (e.InvalidFile("x"), 400, "invalid_request_error"),
        (e.Unauthenticated("x"), 401, "authentication_error"),
        (e.PermissionDenied("x"), 403, "permission_error"),
        (e.NotFound("x"), 404, "not_found_error"),
        (e.ModelNotFound("x"), 404, "not_found_error"),
        (e.MethodNotAllowed("x"), 405, "invalid_request_error"),
        (e.RequestTimeout("x"), 408, "timeout_error"),
        (e.Conflict("x"), 409, "invalid_request_error"),
        (e.PayloadTooLarge("x"), 413, "request_too_large"),
        (e.UnsupportedMedia("x"), 415, "invalid_request_error"),
        (e.RateLimited("x"), 429, "rate_limit_error"),
        (e.ProviderError("x"), 502, "api_error"),
        (e.ProviderError("x", upstream_status=500), 502, "api_error"),
        (e.ProviderError("x", upstream_status=402), 402, "billing_error"),
        (e.ProviderError("x", upstream_status=529), 529, "overloaded_error"),
        (e.ProviderError("x", upstream_status=503), 529, "overloaded_error"),
        (e.ProviderUnreachable("x"), 502, "api_error"),
        (e.ProviderStreamBroken("x"), 502, "api_error"),
        (e.ProviderRejectedCredentials("x", upstream_status=401), 502, "api_error"),
        (e.ProviderTimeout("x"), 504, "timeout_error"),
        (e.NotImplementedByProvider("x"), 400, "invalid_request_error"),
        (e.Overloaded("x"), 529, "overloaded_error"),
    ],
)
def test_every_class_has_a_type_and_a_status(error: e.LlamaStackError, status: int, kind: str) -> None:
    body = json.loads(render(error, "req_1"))
    assert (status_of(error), body["error"]["type"]) == (status, kind)
    assert (body["type"], body["request_id"]) == ("error", "req_1")


def test_agents_are_told_that_the_prompt_is_too_long_in_words_they_know() -> None:
    assert json.loads(render(e.ContextLengthExceeded("8192 tokens at most."), "r"))["error"]["message"] == (
        "prompt is too long: 8192 tokens at most."
    )


def test_a_message_that_is_no_utf8() -> None:
    assert "\\ud800" in json.loads(render(e.InvalidRequest("\ud800"), "r"))["error"]["message"]


def reply(status: int, kind: str, message: str = "Said.", **headers: str) -> e.LlamaStackError:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
    return error_of_reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, "claude")


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "invalid_request_error", e.InvalidRequest),
        (401, "authentication_error", e.ProviderRejectedCredentials),
        (402, "billing_error", e.ProviderError),
        (403, "permission_error", e.ProviderRejectedCredentials),
        (404, "not_found_error", e.ModelNotFound),
        (413, "request_too_large", e.PayloadTooLarge),
        (429, "rate_limit_error", e.RateLimited),
        (500, "api_error", e.ProviderError),
        (504, "timeout_error", e.ProviderTimeout),
        (529, "overloaded_error", e.ProviderError),
        (200, "overloaded_error", e.ProviderError),
    ],
)
def test_upstream_errors(status: int, kind: str, expected: type[e.LlamaStackError]) -> None:
    error = reply(status, kind)
    assert type(error) is expected
    if kind == "overloaded_error":
        assert status_of(error) == 529
    if kind == "billing_error":
        assert status_of(error) == 402


def test_retry_after_and_the_context_are_understood() -> None:
    assert reply(429, "rate_limit_error", retry_after="7").retry_after_s == 7
    assert reply(529, "overloaded_error", retry_after="3").retry_after_s == 3
    assert isinstance(reply(400, "invalid_request_error", "prompt is too long: 9 tokens"), e.ContextLengthExceeded)


def test_a_refused_key_is_never_passed_on() -> None:
    assert "sk-ant-1" not in reply(401, "authentication_error", "invalid x-api-key sk-ant-1").message


def test_bodies_of_proxies() -> None:
    assert type(error_of_reply(502, {}, b"<html>Bad gateway</html>", "claude")) is e.ProviderError
    assert "redirect" in error_of_reply(302, {}, b"", "claude").message
    assert "whole body" in error_of_reply(200, {}, b"{}", "claude").message


@pytest.mark.parametrize(
    ("kind", "expected", "status"),
    [
        ("overloaded_error", e.ProviderError, 529),
        ("rate_limit_error", e.RateLimited, 429),
        ("invalid_request_error", e.InvalidRequest, 400),
        ("api_error", e.ProviderError, 502),
        ("timeout_error", e.ProviderTimeout, 504),
        ("new_error", e.ProviderError, 502),
    ],
)
def test_error_events(kind: str, expected: type[e.LlamaStackError], status: int) -> None:
    event = {"type": "error", "error": {"type": kind, "message": "key sk-1"}}
    error = error_in_stream(event, "claude", lambda text: text.replace("sk-1", "***"))
    assert (type(error), status_of(error)) == (expected, status)
    assert "sk-1" not in error.message

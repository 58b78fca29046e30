"""Error replies as the providers really shape them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.support.upstream_wire import Answer, Wire, dumps

_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}

SHAPES: Mapping[str, Callable[[int, str, str | None, str | None], Any]] = {
    "openai": lambda status, message, code, param: {
        "error": {"message": message, "type": _TYPES.get(status, "server_error"), "param": param, "code": code}
    },
    "azure": lambda status, message, code, _: {"error": {"code": code or str(status), "message": message}},
    "anthropic": lambda status, message, _, __: {
        "type": "error",
        "error": {"type": _TYPES.get(status, "api_error"), "message": message},
        "request_id": "req_1",
    },
    "string": lambda _, message, __, ___: {"error": message},  # Ollama
    "detail": lambda _, message, __, ___: {"detail": message},  # FastAPI's HTTPException
    "message": lambda _, message, __, ___: {"message": message},
    "flat": lambda status, message, code, param: {  # vLLM before 0.10, Mistral
        "object": "error",
        "message": message,
        "type": "BadRequestError",
        "param": param,
        "code": code or status,
    },
    "typed": lambda _, message, code, __: {"error": message, "error_type": code or "Validation"},  # TEI
    "coded": lambda _, message, code, __: {"error_code": code or "BAD_REQUEST", "message": message},  # Databricks
    "oci": lambda _, message, code, __: {"code": code or "InvalidParameter", "message": message},
    "numbered": lambda status, message, _, __: {  # OpenRouter
        "error": {"code": status, "message": message, "metadata": {"provider_name": "Upstream"}}
    },
    "google": lambda status, message, _, __: {
        "error": {"code": status, "message": message, "status": "INVALID_ARGUMENT", "details": []}
    },
    "listed": lambda status, message, code, _: {  # watsonx
        "errors": [{"code": code or "invalid_request", "message": message}],
        "trace": "t-1",
        "status_code": status,
    },
    "problem": lambda status, message, _, __: {  # NVIDIA, RFC 9457
        "type": "about:blank",
        "status": status,
        "title": "Error",
        "detail": message,
    },
    "fastapi": lambda _, message, __, param: {  # a 422 of FastAPI's validation
        "detail": [{"type": "value_error", "loc": ["body", param or "messages"], "msg": message, "input": None}]
    },
}


def error(
    status: int,
    message: str = "The upstream says no.",
    *,
    shape: str = "openai",
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
    wire: Wire | None = None,
) -> Answer:
    """An error reply: a shape of `SHAPES`, or `html` (a proxy's page), `text`, `empty`."""
    wire = wire or Wire()
    if shape == "html":
        page = f"<html><head><title>{status}</title></head><body><h1>{message}</h1><hr>nginx</body></html>"
        return wire.body(page.encode(), "text/html", status, headers)
    if shape == "text":
        return wire.body(message.encode(), "text/plain", status, headers)
    if shape == "empty":
        return wire.body(b"", "application/octet-stream", status, headers)
    body = SHAPES[shape](status, message, code, param)
    return wire.body(dumps(body), "application/json", status, headers)


def rate_limited(retry_after: str | None = "7", *, shape: str = "openai") -> Answer:
    """429; `retry_after` in seconds or as an HTTP date."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return error(429, "Rate limit reached.", shape=shape, code="rate_limit_exceeded", headers=headers)


def context_too_long(*, shape: str = "openai") -> Answer:
    message = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
    return error(400, message, shape=shape, code="context_length_exceeded", param="messages")

"""How errors reach a client: one shape per family of APIs. All are `LlamaStackError`s by then."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llama_stack.dialects.anthropic import errors as anthropic_errors
from llama_stack.dialects.openai.errors import render as render_openai
from llama_stack.http import sse
from llama_stack.http.asgi import Headers
from llama_stack_api.errors import LlamaStackError

ANTHROPIC_VERSION = b"anthropic-version"
SPOKEN_VERSION = b"2023-06-01"
"""The version of Anthropic's API that replies state. Which one a request states makes no difference."""
MESSAGES_PATH = "/v1/messages"
MODELS_PATH = "/v1/models"


class InternalError(LlamaStackError):
    """What a client sees of an exception that nobody expected. The log has the rest under the request's id."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"The server failed to handle the request. Its log says why, under request id {request_id}.")


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """`render` makes a body of an error and the id of its request, `event` of that body the last event of a stream."""

    render: Callable[[LlamaStackError, str], bytes]
    status: Callable[[LlamaStackError], int]
    event: Callable[[bytes], bytes]


def _render_openai(error: LlamaStackError, request_id: str) -> bytes:
    return render_openai(error)


def _own_status(error: LlamaStackError) -> int:
    return error.status


OPENAI_ERRORS = ErrorShape(_render_openai, _own_status, sse.event)
ANTHROPIC_ERRORS = ErrorShape(anthropic_errors.render, anthropic_errors.status_of, sse.error_event)


def is_anthropic(path: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request is for Anthropic's API. Its models are where OpenAI's are, and told apart by a header."""
    if path.startswith(MESSAGES_PATH):
        return path[len(MESSAGES_PATH) :][:1] in ("", "/")
    return path.startswith(MODELS_PATH) and ANTHROPIC_VERSION in headers


def error_headers(error: LlamaStackError) -> Headers:
    """What the error itself adds to the reply's head."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in error.headers.items()]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(0, math.ceil(error.retry_after_s))))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers

"""How errors reach a client: one renderer per family of APIs, chosen by path. All are `LlamaStackError`s by then."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from llama_stack.http.asgi import Headers
from llama_stack_api.errors import LlamaStackError

Renderer: TypeAlias = Callable[[LlamaStackError], bytes]

_encode = msgspec.json.Encoder().encode


class InternalError(LlamaStackError):
    """What a client sees of an exception that nobody expected. The log has the rest under the request's id."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"The server failed to handle the request. Its log says why, under request id {request_id}.")


def render_openai(error: LlamaStackError) -> bytes:
    # A message may quote what no UTF-8 can hold: half of a surrogate pair, from some upstream's JSON.
    message = error.message.encode("utf-8", "backslashreplace").decode()
    return _encode({"error": {"message": message, "type": error.type, "param": error.param, "code": error.code}})


RENDERERS: Mapping[str, Renderer] = {}
"""Renderer by path prefix, where an API's errors are not in OpenAI's shape."""


def renderer_for(path: str) -> Renderer:
    for prefix, renderer in RENDERERS.items():
        if path.startswith(prefix):
            return renderer
    return render_openai


def error_headers(error: LlamaStackError) -> Headers:
    """What the error itself adds to the reply's head."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in error.headers.items()]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(0, math.ceil(error.retry_after_s))))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers

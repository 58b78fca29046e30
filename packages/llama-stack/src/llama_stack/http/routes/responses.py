"""Creating responses: parse, serve, send."""

from __future__ import annotations

from typing import Any

from llama_stack.http.dispatch import Operation
from llama_stack.http.exchange import Exchange
from llama_stack.services.parsing import parse
from llama_stack.services.responses.service import ResponseService
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.responses.request import ResponseRequest
from llama_stack_api.openai.responses.response import Response

PATH = "/v1/responses"
TAG = "Responses"

IDEMPOTENCY_KEY = b"idempotency-key"
IDEMPOTENCY_KEY_CHARS_MAX = 256
LAST_WORDS_S = 1.0
"""How much later than the service, which knows what becomes of the response, the edge gives up."""


def response_operations(responses: ResponseService) -> list[Operation]:
    async def create(exchange: Exchange) -> None:
        request = parse(ResponseRequest, await exchange.read_json())
        call = exchange.call()
        exchange.deadline += LAST_WORDS_S
        reply = await responses.creation.create(request, call, idempotency_key=_idempotency_key(exchange))
        if isinstance(reply, bytes):
            await exchange.send_json(reply)
        else:
            await exchange.send_events(reply)

    return [
        Operation(
            "POST",
            PATH,
            create,
            name="create_response",
            summary="Let a model answer, with tools that the server runs; whole, as a stream, or in the background.",
            tag=TAG,
            request=ResponseRequest,
            reply=Response,
            events=_events,
        )
    ]


def _events() -> Any:
    # Seventy types, which no start should wait for.
    from llama_stack_api.openai.responses.events import ResponseStreamEvent

    return ResponseStreamEvent


def _idempotency_key(exchange: Exchange) -> str | None:
    key = exchange.headers.get(IDEMPOTENCY_KEY, b"").decode("latin-1").strip()
    if len(key) > IDEMPOTENCY_KEY_CHARS_MAX:
        raise InvalidRequest(
            f"The header Idempotency-Key has more than {IDEMPOTENCY_KEY_CHARS_MAX} characters.",
            code="invalid_idempotency_key",
        )
    return key or None

"""Anthropic's Messages API: parse, serve, send."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
from pydantic import BaseModel

from llama_stack.http.asgi import Headers
from llama_stack.http.dispatch import Operation
from llama_stack.http.errors import MESSAGES_PATH
from llama_stack.http.exchange import Exchange
from llama_stack.http.routes.inference import PROVIDER_HEADER
from llama_stack.services.messages.service import MessageService
from llama_stack.services.parsing import parse
from llama_stack_api.anthropic.errors import ErrorResponse

TAG = "Messages"
MODEL_HEADER = b"x-llama-stack-model"
"""Which model it was, percent-encoded. The reply itself repeats the name that was asked for."""
ESTIMATED: Headers = [(b"x-llama-stack-token-count", b"estimated")]


def message_operations(messages: MessageService) -> list[Operation]:
    async def create(exchange: Exchange) -> None:
        from llama_stack_api.anthropic.messages import CreateMessageRequest

        request = parse(CreateMessageRequest, await exchange.read_json())
        served = await messages.create(request, exchange.call())
        headers = [
            (PROVIDER_HEADER, served.provider_id.encode()),
            (MODEL_HEADER, quote(served.model, safe="/:@+").encode()),
        ]
        if isinstance(served.body, bytes):
            await exchange.send_json(served.body, 200, headers)
        else:
            await exchange.send_events(served.body, headers)

    async def count_tokens(exchange: Exchange) -> None:
        from llama_stack_api.anthropic.messages import CountTokensRequest

        request = parse(CountTokensRequest, await exchange.read_json())
        counted = await messages.count_tokens(request, exchange.call())
        body = msgspec.json.encode({"input_tokens": counted.tokens})
        await exchange.send_json(body, 200, ESTIMATED if counted.estimated else ())

    return [
        Operation(
            "POST",
            MESSAGES_PATH,
            create,
            name="create_message",
            summary="Answer a conversation in Anthropic's words, whole or as a stream.",
            tag=TAG,
            types=_of_create,
            events=_events,
            errors=ErrorResponse,
        ),
        Operation(
            "POST",
            f"{MESSAGES_PATH}/count_tokens",
            count_tokens,
            name="count_message_tokens",
            summary="How many tokens a request for a message has, without asking the model.",
            tag=TAG,
            types=_of_count_tokens,
            errors=ErrorResponse,
        ),
    ]


# The types of this API are imported with its first request: no start should wait for them.


def _of_create() -> tuple[type[BaseModel], type[BaseModel]]:
    from llama_stack_api.anthropic.messages import CreateMessageRequest, Message

    return CreateMessageRequest, Message


def _of_count_tokens() -> tuple[type[BaseModel], type[BaseModel]]:
    from llama_stack_api.anthropic.messages import CountTokensRequest, TokenCount

    return CountTokensRequest, TokenCount


def _events() -> Any:
    from llama_stack_api.anthropic.events import MessageStreamEvent

    return MessageStreamEvent

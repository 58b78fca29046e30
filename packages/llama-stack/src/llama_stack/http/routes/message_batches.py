"""Creating message batches: the body is read as it comes, and held nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pydantic import BaseModel

from llama_stack.http.dispatch import Operation
from llama_stack.http.exchange import Exchange, not_json
from llama_stack.services.batches.messages import PATH, MessageBatchService
from llama_stack_api.anthropic.errors import ErrorResponse

TAG = "Messages"
PIECE_BYTES = 64 * 1024


def message_batch_operations(batches: MessageBatchService) -> list[Operation]:
    async def create(exchange: Exchange) -> None:
        if not exchange.is_json:
            raise not_json()
        async with aclosing(_pieces(exchange, batches)) as pieces:
            batch = await batches.create(pieces, exchange.call(), base_url(exchange))
        await exchange.send_json(batch.model_dump_json(exclude_unset=True).encode())

    return [
        Operation(
            "POST",
            PATH,
            create,
            name="create_message_batch",
            summary="Have many requests for messages answered within a day, without waiting for them.",
            tag=TAG,
            types=_types,
            errors=ErrorResponse,
        )
    ]


def _types() -> tuple[type[BaseModel], type[BaseModel]]:
    from llama_stack_api.anthropic.batches import CreateMessageBatchRequest, MessageBatch

    return CreateMessageBatchRequest, MessageBatch


def base_url(exchange: Exchange) -> str:
    """Where the client found this server."""
    scope = exchange.scope
    host = exchange.headers.get(b"host", b"").decode("latin-1")
    return f"{scope['scheme']}://{host}{scope.get('root_path', '')}"


async def _pieces(exchange: Exchange, batches: MessageBatchService) -> AsyncGenerator[bytes, None]:
    if exchange.headers.get(b"content-encoding", b"identity").strip().lower() in (b"", b"identity"):
        body = exchange.body_pieces(
            too_large=batches.too_large(), bytes_max=batches.limits.bytes_max, timeout_s=batches.upload_timeout_s
        )
        async with aclosing(body):
            async for piece in body:
                yield piece
        return
    # A compressed one is decompressed as a whole, and so has the limit of all bodies.
    whole = await exchange.read_body()
    for start in range(0, len(whole), PIECE_BYTES):
        yield whole[start : start + PIECE_BYTES]
        await asyncio.sleep(0)  # others have their turn

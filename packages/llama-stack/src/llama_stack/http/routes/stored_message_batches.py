"""Message batches that are there."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from enum import Enum
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse

from llama_stack.http.asgi import Receive, Scope, Send
from llama_stack.http.dispatch import SCOPE_KEY
from llama_stack.http.exchange import Exchange
from llama_stack.http.routes.message_batches import TAG, base_url
from llama_stack.http.routes.parts import ANTHROPIC_DOCUMENTED, CallOf, shown
from llama_stack.services.batches.messages import PATH, MessageBatchService
from llama_stack_api.anthropic.batches import DeletedMessageBatch, MessageBatch, MessageBatchList, MessageBatchResult

ONE = PATH + "/{message_batch_id}"
TAGS: list[str | Enum] = [TAG]

AfterId = Annotated[str | None, Query(description="The last id of the page before.")]
BeforeId = Annotated[str | None, Query(description="The first id of the page after.")]
ListLimit = Annotated[int, Query(ge=1, le=1000)]


def add_message_batch_routes(app: FastAPI, batches: MessageBatchService) -> None:
    @app.get(
        PATH,
        tags=TAGS,
        summary="List message batches, the newest first.",
        response_model=MessageBatchList,
        responses=ANTHROPIC_DOCUMENTED,
    )
    async def list_message_batches(
        request: Request, call: CallOf, before_id: BeforeId = None, after_id: AfterId = None, limit: ListLimit = 20
    ) -> Response:
        page = await batches.list(call, _base_url(request), after_id=after_id, before_id=before_id, limit=limit)
        return shown(page)

    @app.get(
        ONE,
        tags=TAGS,
        summary="Get a message batch, and how far it is.",
        response_model=MessageBatch,
        responses=ANTHROPIC_DOCUMENTED,
    )
    async def retrieve_message_batch(request: Request, message_batch_id: str, call: CallOf) -> Response:
        return shown(await batches.get(message_batch_id, call, _base_url(request)))

    @app.post(
        ONE + "/cancel",
        tags=TAGS,
        summary="Cancel what is not done of a message batch.",
        response_model=MessageBatch,
        responses=ANTHROPIC_DOCUMENTED,
    )
    async def cancel_message_batch(request: Request, message_batch_id: str, call: CallOf) -> Response:
        return shown(await batches.cancel(message_batch_id, call, _base_url(request)))

    @app.delete(
        ONE,
        tags=TAGS,
        summary="Delete a message batch that has ended, with its results.",
        response_model=DeletedMessageBatch,
        responses=ANTHROPIC_DOCUMENTED,
    )
    async def delete_message_batch(message_batch_id: str, call: CallOf) -> Response:
        return shown(await batches.delete(message_batch_id, call))

    @app.get(
        ONE + "/results",
        tags=TAGS,
        summary="Get the results of a message batch that has ended, one in a line.",
        response_class=Results,
        response_model=MessageBatchResult,
        status_code=200,
        responses=ANTHROPIC_DOCUMENTED,
    )
    async def message_batch_results(message_batch_id: str, call: CallOf) -> Response:
        return Results(await batches.results(message_batch_id, call))


class Results(JSONResponse):
    """Lines of JSON, sent by the exchange as the client reads them."""

    media_type = "application/x-jsonl"

    def __init__(self, blocks: AsyncGenerator[bytes, None]) -> None:
        super().__init__(None)
        self._blocks = blocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope[SCOPE_KEY]
        await exchange.send_pieces(self._blocks, 200, [(b"content-type", b"application/x-jsonl")])


def _base_url(request: Request) -> str:
    return base_url(request.scope[SCOPE_KEY])

"""Batches of requests."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from fastapi import FastAPI, Header, Response

from llama_stack.http.routes.parts import After, CallOf, Limit, json_response
from llama_stack.services.batches.openai import BatchService
from llama_stack_api.batches import BatchObject, CreateBatchRequest, ListBatchesRequest, ListBatchesResponse
from llama_stack_api.paging import LIMIT_DEFAULT

PATH = "/v1/batches"
ONE = PATH + "/{batch_id}"
TAGS: list[str | Enum] = ["Batches"]

IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=256)]


def add_batch_routes(app: FastAPI, batches: BatchService) -> None:
    @app.post(
        PATH, tags=TAGS, summary="Have a file of requests answered within a day.", response_model_exclude_none=True
    )
    async def create_batch(
        body: CreateBatchRequest, call: CallOf, idempotency_key: IdempotencyKey = None
    ) -> BatchObject:
        return await batches.create(body, call, idempotency_key=idempotency_key)

    @app.get(PATH, tags=TAGS, summary="List your batches, the newest first.", response_model=ListBatchesResponse)
    async def list_batches(call: CallOf, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
        return json_response(await batches.list_json(ListBatchesRequest(after=after, limit=limit), call))

    @app.get(ONE, tags=TAGS, summary="Get a batch.", response_model_exclude_none=True)
    async def get_batch(batch_id: str, call: CallOf) -> BatchObject:
        return await batches.get(batch_id, call)

    @app.post(
        ONE + "/cancel",
        tags=TAGS,
        summary="Cancel a batch; what is done is in its files.",
        response_model_exclude_none=True,
    )
    async def cancel_batch(batch_id: str, call: CallOf) -> BatchObject:
        return await batches.cancel(batch_id, call)

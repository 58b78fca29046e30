"""Uploads: files that come in parts."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing
from enum import Enum

from fastapi import FastAPI, Request

from llama_stack.http.dispatch import SCOPE_KEY
from llama_stack.http.exchange import Exchange
from llama_stack.http.multipart import FormLimits, FormReader, missing, twice
from llama_stack.http.routes.parts import CallOf, form_body
from llama_stack.services.uploads import NewPart, UploadService
from llama_stack_api.base import WireModel
from llama_stack_api.openai.uploads import CompleteUploadRequest, CreateUploadRequest, Upload, UploadPart
from llama_stack_api.principal import Call

PATH = "/v1/uploads"
ONE = PATH + "/{upload_id}"
TAGS: list[str | Enum] = ["Uploads"]


def add_upload_routes(app: FastAPI, uploads: UploadService) -> None:
    @app.post(PATH, tags=TAGS, summary="Announce a file that comes in parts.", response_model_exclude_none=True)
    async def create_upload(body: CreateUploadRequest, call: CallOf) -> Upload:
        return await uploads.create(body, call)

    @app.post(
        ONE + "/parts",
        tags=TAGS,
        summary="Add a part. Several may come at the same time.",
        openapi_extra=form_body(WireModel, file="data"),
    )
    async def add_upload_part(upload_id: str, request: Request, call: CallOf) -> UploadPart:
        return await _part(uploads, upload_id, request.scope[SCOPE_KEY], call)

    @app.post(ONE + "/complete", tags=TAGS, summary="Make a file of the parts.", response_model_exclude_none=True)
    async def complete_upload(upload_id: str, body: CompleteUploadRequest, call: CallOf) -> Upload:
        return await uploads.complete(upload_id, body, call)

    @app.post(ONE + "/cancel", tags=TAGS, summary="Cancel an upload; its parts go.", response_model_exclude_none=True)
    async def cancel_upload(upload_id: str, call: CallOf) -> Upload:
        return await uploads.cancel(upload_id, call)


async def _part(uploads: UploadService, upload_id: str, exchange: Exchange, call: Call) -> UploadPart:
    limits, form = uploads.limits, FormLimits()
    body = exchange.body_pieces(
        too_large=uploads.part_too_large(),
        bytes_max=limits.part_bytes_max + form.overhead_bytes,
        timeout_s=limits.upload_timeout_s,
    )
    async with AsyncExitStack() as exits:
        pieces = await exits.enter_async_context(aclosing(body))
        new: NewPart | None = None
        async for part in FormReader(exchange.headers, pieces, form).parts():
            if part.name == "data":
                if new is not None:
                    raise twice("data")
                new = await exits.enter_async_context(uploads.part(upload_id, part.pieces(), call))
        if new is None:
            raise missing("data")
        return await uploads.add_part(new, call)

"""Files to chunks of text."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing
from enum import Enum
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from pydantic import ValidationError

from llama_stack.http.dispatch import SCOPE_KEY
from llama_stack.http.exchange import Exchange
from llama_stack.http.multipart import FormLimits, FormReader, nested, twice
from llama_stack.http.routes.parts import CallOf, form_body
from llama_stack.services.file_processors import FileProcessorService
from llama_stack.services.files.service import FileService
from llama_stack.services.files.spool import Spool
from llama_stack.services.json_depth import check_depth
from llama_stack.services.parsing import invalid_value
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.file_processors import ProcessFileRequest, ProcessFileResponse
from llama_stack_api.ports.file_processors import SourceFile
from llama_stack_api.principal import Call

PATH = "/v1alpha/file-processors/process"
TAGS: list[str | Enum] = ["File processors"]
_AS_JSON = ("options", "chunking_strategy")


def add_file_processor_routes(app: FastAPI, processors: FileProcessorService, files: FileService, spool: Spool) -> None:
    document = form_body(ProcessFileRequest, file="file")
    document["requestBody"]["content"]["multipart/form-data"]["schema"]["required"].remove("file")

    @app.post(
        PATH,
        tags=TAGS,
        summary="Read a file, and cut its text into chunks.",
        response_model_exclude_none=True,
        openapi_extra=document,
    )
    async def process_file(request: Request, call: CallOf) -> ProcessFileResponse:
        return await _processed(processors, files, spool, request.scope[SCOPE_KEY], call)


async def _processed(
    processors: FileProcessorService, files: FileService, spool: Spool, exchange: Exchange, call: Call
) -> ProcessFileResponse:
    form = FormLimits()
    body = exchange.body_pieces(
        too_large=files.too_large(),
        bytes_max=files.limits.bytes_max + form.overhead_bytes,
        timeout_s=files.limits.upload_timeout_s,
    )
    fields: dict[str, str] = {}
    uploaded: SourceFile | None = None
    async with AsyncExitStack() as exits:
        pieces = await exits.enter_async_context(aclosing(body))
        async for part in FormReader(exchange.headers, pieces, form).parts():
            if part.name in fields or (part.name == "file" and uploaded is not None):
                raise twice(part.name)
            if part.name == "file" and part.filename is not None:
                path = await exits.enter_async_context(spool.copy(part.pieces()))
                uploaded = SourceFile(path, part.filename, part.content_type)
            else:
                fields[part.name] = await part.text()
        return await processors.process(_request(fields, exchange.limits.json_depth_max), uploaded, call)


def _request(fields: dict[str, str], depth_max: int) -> ProcessFileRequest:
    given = nested(fields)
    for name in _AS_JSON:
        if isinstance(given.get(name), str):
            given[name] = _json(name, given[name], depth_max)
    try:
        return ProcessFileRequest.model_validate(given)
    except ValidationError as error:
        raise invalid_value(error.errors(include_url=False), given) from None


def _json(name: str, value: str, depth_max: int) -> Any:
    body = value.encode()
    check_depth(body, depth_max)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"The field {name!r} of the form is not JSON.", param=name, code="invalid_value") from None

"""Uploaded files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from enum import Enum
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from pydantic import ValidationError

from llama_stack.http.asgi import Receive, Scope, Send
from llama_stack.http.dispatch import SCOPE_KEY
from llama_stack.http.exchange import Exchange
from llama_stack.http.multipart import FormLimits, FormReader, Part, missing, nested, twice
from llama_stack.http.ranges import content_headers, portion
from llama_stack.http.routes.parts import After, ByCreation, CallOf, form_body, json_response
from llama_stack.services.files.names import UNKNOWN_TYPE, checked_purpose
from llama_stack.services.files.service import Draft, FileService, StoredFile
from llama_stack.services.files.spool import Spool, read
from llama_stack.services.parsing import invalid_value
from llama_stack_api.files import (
    LIST_LIMIT_MAX,
    ListFilesRequest,
    ListOpenAIFileResponse,
    OpenAIFileDeleteResponse,
    OpenAIFileObject,
    OpenAIFilePurpose,
    UploadFileRequest,
)
from llama_stack_api.principal import Call

PATH = "/v1/files"
ONE = PATH + "/{file_id}"
CONTENT = ONE + "/content"
TAGS: list[str | Enum] = ["Files"]

ListLimit = Annotated[int, Query(ge=1, le=LIST_LIMIT_MAX)]
BINARY: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            UNKNOWN_TYPE: {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": {"type": "string", "description": "A file of that type: its bytes."}},
            "*/*": {"schema": {"type": "string", "description": "A file of any other type: its bytes."}},
        }
    },
    206: {"description": "The range that was asked for."},
    416: {"description": "The range begins behind the end."},
}


def add_file_routes(app: FastAPI, files: FileService, spool: Spool) -> None:
    @app.post(
        PATH,
        tags=TAGS,
        summary="Upload a file.",
        response_model_exclude_none=True,
        openapi_extra=form_body(UploadFileRequest, file="file"),
    )
    async def create_file(request: Request, call: CallOf) -> OpenAIFileObject:
        exchange: Exchange = request.scope[SCOPE_KEY]
        return await FileForm(files, spool, call).received(exchange)

    @app.get(PATH, tags=TAGS, summary="List files.", response_model=ListOpenAIFileResponse)
    async def list_files(
        call: CallOf,
        after: After = None,
        limit: ListLimit = LIST_LIMIT_MAX,
        order: ByCreation = "desc",
        purpose: OpenAIFilePurpose | None = None,
    ) -> Response:
        params = ListFilesRequest(after=after, limit=limit, order=order, purpose=purpose)
        return json_response(await files.list_json(params, call))

    @app.get(ONE, tags=TAGS, summary="Get what is known of a file.", response_model_exclude_none=True)
    async def retrieve_file(file_id: str, call: CallOf) -> OpenAIFileObject:
        return await files.get(file_id, call)

    @app.delete(ONE, tags=TAGS, summary="Delete a file, from all vector stores too.")
    async def delete_file(file_id: str, call: CallOf) -> OpenAIFileDeleteResponse:
        return await files.delete(file_id, call)

    @app.get(
        CONTENT,
        tags=TAGS,
        summary="Get a file's content, or a range of it.",
        response_class=Content,
        status_code=200,
        responses=BINARY,
    )
    async def retrieve_file_content(file_id: str, call: CallOf) -> Response:
        return Content(await files.open(file_id, call))


class Content(Response):
    """A file's content, sent by the exchange as the client reads it."""

    media_type = UNKNOWN_TYPE

    def __init__(self, file: StoredFile) -> None:
        super().__init__()
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope[SCOPE_KEY]
        file = self._file
        etag = f'"{file.sha256}"'
        part = portion(exchange.headers, file.size, etag)
        headers = content_headers(part, file.size, etag=etag, content_type=file.content_type, filename=file.filename)
        if exchange.method == "HEAD" or part.start == part.end:
            await exchange.send_empty(part.status, headers)
        else:
            await exchange.send_pieces(file.read(part.start, part.end), part.status, headers)


class FileForm:
    """The form of an upload, its parts in any order. A file that comes before its purpose waits on the local disk, as
    no provider can be asked to keep it yet."""

    def __init__(self, files: FileService, spool: Spool, call: Call) -> None:
        self._files = files
        self._spool = spool
        self._call = call
        self._fields: dict[str, str] = {}
        self._draft: Draft | None = None

    async def received(self, exchange: Exchange) -> OpenAIFileObject:
        limits, form = self._files.limits, FormLimits()
        body = exchange.body_pieces(
            too_large=self._files.too_large(),
            bytes_max=limits.bytes_max + form.overhead_bytes,
            timeout_s=limits.upload_timeout_s,
        )
        async with AsyncExitStack() as exits:
            pieces = await exits.enter_async_context(aclosing(body))
            waiting = None
            async for part in FormReader(exchange.headers, pieces, form).parts():
                if part.name != "file":
                    await self._field(part)
                elif self._draft is not None or waiting is not None:
                    raise twice("file")
                elif "purpose" in self._fields:
                    await self._write(exits, part, part.pieces())
                else:
                    waiting = part, await exits.enter_async_context(self._spool.copy(part.pieces()))
            request = self._request()
            if waiting is not None:
                await self._write(exits, waiting[0], read(waiting[1]))
            if self._draft is None:
                raise missing("file")
            return await self._files.add(self._draft, request.expires_after, self._call)

    async def _field(self, part: Part) -> None:
        if part.filename is None:
            if part.name in self._fields:
                raise twice(part.name)
            self._fields[part.name] = await part.text()

    async def _write(self, exits: AsyncExitStack, part: Part, pieces: AsyncIterator[bytes]) -> None:
        self._draft = await exits.enter_async_context(
            self._files.draft(
                pieces,
                self._call,
                filename=part.filename or "file",
                content_type=part.content_type,
                purpose=self._request().purpose,
            )
        )

    def _request(self) -> UploadFileRequest:
        given = nested(self._fields)
        try:
            request = UploadFileRequest.model_validate(given)
        except ValidationError as error:
            raise invalid_value(error.errors(include_url=False), given) from None
        checked_purpose(request.purpose)
        return request

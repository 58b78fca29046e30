"""Stored responses, and what is asked beside creating one: tokens of an input, a shorter context."""

from collections.abc import AsyncGenerator
from enum import Enum
from typing import Annotated

from fastapi import FastAPI, Query
from fastapi import Response as HTTPResponse

from llama_stack.http.asgi import Receive, Scope, Send
from llama_stack.http.dispatch import SCOPE_KEY
from llama_stack.http.routes.parts import After, ByCreation, CallOf, Included, Limit, json_response
from llama_stack.http.routes.responses import PATH, TAG
from llama_stack.services.responses.service import ResponseService
from llama_stack_api.openai.responses.events import ResponseStreamEvent
from llama_stack_api.openai.responses.operations import (
    CompactedResponse,
    CompactRequest,
    InputTokens,
    InputTokensRequest,
    ItemList,
    ListInputItemsParams,
    ListResponsesParams,
    ResponseDeleted,
    ResponseList,
    RetrieveResponseParams,
)
from llama_stack_api.openai.responses.response import Response
from llama_stack_api.paging import LIMIT_DEFAULT

TAGS: list[str | Enum] = [TAG]
ONE = PATH + "/{response_id}"


class Events(HTTPResponse):
    """A stream, sent by the exchange: with its time limits, and its way of telling errors."""

    def __init__(self, blocks: AsyncGenerator[bytes, None]) -> None:
        super().__init__()
        self._blocks = blocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope[SCOPE_KEY].send_events(self._blocks)


def add_response_routes(app: FastAPI, responses: ResponseService) -> None:
    _add_reading(app, responses)
    _add_changes(app, responses)
    _add_context(app, responses)


def _add_reading(app: FastAPI, responses: ResponseService) -> None:
    @app.get(PATH, tags=TAGS, summary="List stored responses.", response_model=ResponseList)
    async def list_responses(
        call: CallOf,
        after: After = None,
        limit: Limit = LIMIT_DEFAULT,
        model: str | None = None,
        order: ByCreation = "desc",
    ) -> HTTPResponse:
        params = ListResponsesParams(after=after, limit=limit, model=model, order=order)
        return json_response(await responses.stored.list_responses(params, call))

    @app.get(
        ONE,
        tags=TAGS,
        summary="Get a response as it is now, or follow its events.",
        response_model=Response,
        responses={"1XX": {"model": ResponseStreamEvent}},
    )
    async def get_response(
        response_id: str,
        call: CallOf,
        include: Included,
        stream: bool | None = None,
        starting_after: Annotated[int | None, Query(ge=0, description="The last event that was seen.")] = None,
        include_obfuscation: bool | None = None,
    ) -> HTTPResponse:
        params = RetrieveResponseParams(
            include=include,
            include_obfuscation=include_obfuscation,
            starting_after=starting_after,
            stream=stream,
        )
        if stream:
            return Events(await responses.stored.events(response_id, params, call))
        return json_response(await responses.stored.get(response_id, call, params.include or ()))

    @app.get(
        ONE + "/input_items", tags=TAGS, summary="List the items that a response was given.", response_model=ItemList
    )
    async def list_input_items(
        response_id: str,
        call: CallOf,
        include: Included,
        after: After = None,
        before: Annotated[str | None, Query(description="The first id of the page behind.")] = None,
        limit: Limit = LIMIT_DEFAULT,
        order: ByCreation = "desc",
    ) -> HTTPResponse:
        params = ListInputItemsParams(after=after, before=before, include=include, limit=limit, order=order)
        return json_response(await responses.stored.list_input_items(response_id, params, call))


def _add_changes(app: FastAPI, responses: ResponseService) -> None:
    @app.delete(ONE, tags=TAGS, summary="Delete a response.")
    async def delete_response(response_id: str, call: CallOf) -> ResponseDeleted:
        await responses.stored.delete(response_id, call)
        return ResponseDeleted(id=response_id, deleted=True)

    @app.post(ONE + "/cancel", tags=TAGS, summary="Cancel a response in the background.", response_model=Response)
    async def cancel_response(response_id: str, call: CallOf) -> HTTPResponse:
        return json_response(await responses.stored.cancel(response_id, call))


def _add_context(app: FastAPI, responses: ResponseService) -> None:
    @app.post(PATH + "/input_tokens", tags=TAGS, summary="Count the tokens of an input.")
    async def count_input_tokens(body: InputTokensRequest, call: CallOf) -> InputTokens:
        return await responses.context.input_tokens(body, call)

    @app.post(
        PATH + "/compact",
        tags=TAGS,
        summary="Make a long context short.",
        response_model=CompactedResponse,
    )
    async def compact_response(body: CompactRequest, call: CallOf) -> HTTPResponse:
        return json_response(await responses.context.compact(body, call))

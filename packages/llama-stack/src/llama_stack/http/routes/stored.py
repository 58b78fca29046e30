"""Stored chat completions."""

from enum import Enum
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic import ValidationError

from llama_stack.http.routes.parts import After, ByCreation, CallOf, Limit, deep_object, deep_object_of, json_response
from llama_stack.services.completions import StoredCompletions
from llama_stack.services.parsing import invalid_value
from llama_stack_api.openai.chat import ChatCompletion
from llama_stack_api.openai.stored import (
    ChatCompletionDeleted,
    ChatCompletionList,
    ChatCompletionMessageList,
    ListChatCompletionsParams,
    ListMessagesParams,
    UpdateChatCompletionRequest,
)
from llama_stack_api.paging import LIMIT_DEFAULT

PATH = "/v1/chat/completions"
TAGS: list[str | Enum] = ["Chat"]


def add_stored_routes(app: FastAPI, stored: StoredCompletions) -> None:
    @app.get(
        PATH,
        tags=TAGS,
        summary="List stored chat completions.",
        response_model=ChatCompletionList,
        openapi_extra={"parameters": [deep_object("metadata", "Only completions that have all these pairs.")]},
    )
    async def list_chat_completions(
        request: Request,
        call: CallOf,
        model: str | None = None,
        after: After = None,
        limit: Limit = LIMIT_DEFAULT,
        order: ByCreation = "asc",
    ) -> Response:
        params = _list_params(
            {"model": model, "after": after, "limit": limit, "order": order},
            deep_object_of(request, "metadata"),
        )
        return json_response(await stored.list_completions(params, call))

    @app.get(
        PATH + "/{completion_id}", tags=TAGS, summary="Get a stored chat completion.", response_model=ChatCompletion
    )
    async def get_chat_completion(completion_id: str, call: CallOf) -> Response:
        return json_response(await stored.get(completion_id, call))

    @app.post(
        PATH + "/{completion_id}",
        tags=TAGS,
        summary="Change the metadata of a stored chat completion.",
        response_model=ChatCompletion,
    )
    async def update_chat_completion(completion_id: str, body: UpdateChatCompletionRequest, call: CallOf) -> Response:
        return json_response(await stored.update(completion_id, body, call))

    @app.delete(PATH + "/{completion_id}", tags=TAGS, summary="Delete a stored chat completion.")
    async def delete_chat_completion(completion_id: str, call: CallOf) -> ChatCompletionDeleted:
        await stored.delete(completion_id, call)
        return ChatCompletionDeleted(id=completion_id, deleted=True)

    @app.get(
        PATH + "/{completion_id}/messages",
        tags=TAGS,
        summary="List the messages that a stored chat completion answered.",
        response_model=ChatCompletionMessageList,
    )
    async def list_chat_completion_messages(
        completion_id: str, call: CallOf, after: After = None, limit: Limit = LIMIT_DEFAULT, order: ByCreation = "asc"
    ) -> Response:
        params = ListMessagesParams(after=after, limit=limit, order=order)
        return json_response(await stored.list_messages(completion_id, params, call))


def _list_params(given: dict[str, Any], metadata: dict[str, str]) -> ListChatCompletionsParams:
    given = {**given, "metadata": metadata or None}
    try:
        return ListChatCompletionsParams.model_validate(given)
    except ValidationError as error:
        raise invalid_value(error.errors(include_url=False), given) from None

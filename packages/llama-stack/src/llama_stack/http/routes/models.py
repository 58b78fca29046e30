"""Models: list them, in OpenAI's shape or, for its clients, in Anthropic's."""

from __future__ import annotations

from urllib.parse import parse_qsl

from pydantic import ValidationError

from llama_stack.http.dispatch import Operation
from llama_stack.http.errors import MODELS_PATH
from llama_stack.http.exchange import Exchange
from llama_stack.services.models import ModelService
from llama_stack.services.parsing import invalid_value
from llama_stack_api.anthropic.models import ListParams, ModelInfoList
from llama_stack_api.openai.models import ModelList


def model_operations(models: ModelService) -> list[Operation]:
    async def list_models(exchange: Exchange) -> None:
        listed: ModelList | ModelInfoList
        params = _params(exchange)
        if exchange.is_anthropic:
            listed = await models.list_infos(params, exchange.call())
        else:
            listed = await models.list_models(exchange.call())
        await exchange.send_json(listed.model_dump_json(exclude_unset=True).encode())

    return [
        Operation(
            "GET",
            MODELS_PATH,
            list_models,
            name="list_models",
            summary="List the models that the server offers. With the header anthropic-version: those that answer "
            "messages, in Anthropic's shape, in pages by after_id, before_id and limit.",
            tag="Models",
            query=ListParams,
            reply=ModelList | ModelInfoList,
        )
    ]


def _params(exchange: Exchange) -> ListParams:
    given = dict(parse_qsl(exchange.scope["query_string"].decode("latin-1")))
    try:
        return ListParams.model_validate(given)
    except ValidationError as error:
        raise invalid_value(error.errors(include_url=False), given) from None

"""Models: list, get, and a clear refusal to delete."""

from __future__ import annotations

from llama_stack.http.dispatch import Operation
from llama_stack.http.exchange import Exchange
from llama_stack.services.models import ModelService
from llama_stack_api.openai.models import ModelList


def model_operations(models: ModelService) -> list[Operation]:
    async def list_models(exchange: Exchange) -> None:
        listed = await models.list_models(exchange.call())
        await exchange.send_json(listed.model_dump_json(exclude_unset=True).encode())

    return [
        Operation(
            "GET",
            "/v1/models",
            list_models,
            name="list_models",
            summary="List the models that the server offers.",
            tag="Models",
            reply=ModelList,
        )
    ]

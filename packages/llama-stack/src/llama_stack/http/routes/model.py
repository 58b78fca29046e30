"""One model, by an id that may hold slashes."""

from enum import Enum

from fastapi import FastAPI, Request, Response

from llama_stack.http.dispatch import SCOPE_KEY
from llama_stack.http.routes.parts import CallOf, shown
from llama_stack.services.models import ModelService
from llama_stack_api.anthropic.models import ModelInfo
from llama_stack_api.openai.models import Model, ModelDeleted

PATH = "/v1/models/{model_id:path}"
TAGS: list[str | Enum] = ["Models"]


def add_model_routes(app: FastAPI, models: ModelService) -> None:
    @app.get(
        PATH,
        tags=TAGS,
        summary="Get a model. With the header anthropic-version: in Anthropic's shape, also by a name of Anthropic's.",
        response_model=Model | ModelInfo,
    )
    async def get_model(model_id: str, call: CallOf, request: Request) -> Response:
        if request.scope[SCOPE_KEY].is_anthropic:
            return shown(await models.get_info(model_id, call))
        return shown(await models.get_model(model_id, call))

    @app.delete(PATH, tags=TAGS, summary="Refused: models come from the run config.")
    async def delete_model(model_id: str, call: CallOf) -> ModelDeleted:
        return await models.delete_model(model_id, call)

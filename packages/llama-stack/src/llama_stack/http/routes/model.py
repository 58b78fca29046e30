"""One model, by an id that may hold slashes."""

from enum import Enum

from fastapi import FastAPI

from llama_stack.http.routes.parts import CallOf
from llama_stack.services.models import ModelService
from llama_stack_api.openai.models import Model, ModelDeleted

PATH = "/v1/models/{model_id:path}"
TAGS: list[str | Enum] = ["Models"]


def add_model_routes(app: FastAPI, models: ModelService) -> None:
    @app.get(PATH, tags=TAGS, summary="Get a model.", response_model_exclude_unset=True)
    async def get_model(model_id: str, call: CallOf) -> Model:
        return await models.get_model(model_id, call)

    @app.delete(PATH, tags=TAGS, summary="Refused: models come from the run config.")
    async def delete_model(model_id: str, call: CallOf) -> ModelDeleted:
        return await models.delete_model(model_id, call)

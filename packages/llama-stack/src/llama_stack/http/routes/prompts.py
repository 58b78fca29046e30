"""Prompt templates."""

from enum import Enum
from typing import Annotated

from fastapi import FastAPI, Path, Query, Response

from llama_stack.http.routes.parts import CallOf
from llama_stack.services.prompts import PromptService
from llama_stack_api.base import Flag, Integer, WireModel
from llama_stack_api.prompts import (
    CreatePromptRequest,
    ListPromptsResponse,
    Prompt,
    SetDefaultVersionRequest,
    UpdatePromptRequest,
)

PATH = "/v1/prompts"
TAGS: list[str | Enum] = ["Prompts"]

PromptId = Annotated[str, Path(description="`pmpt_…`")]
Version = Annotated[int | None, Query(ge=1, description="The default version where none is given.")]


class PromptUpdate(WireModel):
    """`version` is the one that the change starts from; if it is not the latest, that is a conflict."""

    prompt: str
    version: Integer
    variables: list[str] | None = None
    set_as_default: Flag = True


class DefaultVersion(WireModel):
    version: Integer


def add_prompt_routes(app: FastAPI, prompts: PromptService) -> None:
    _add_reading(app, prompts)
    _add_changes(app, prompts)


def _add_reading(app: FastAPI, prompts: PromptService) -> None:
    @app.get(PATH, tags=TAGS, summary="List prompts, each in its default version.")
    async def list_prompts(call: CallOf) -> ListPromptsResponse:
        return await prompts.list_prompts(call)

    @app.get(PATH + "/{prompt_id}", tags=TAGS, summary="Get a prompt.")
    async def get_prompt(prompt_id: PromptId, call: CallOf, version: Version = None) -> Prompt:
        return await prompts.get(prompt_id, version, call)

    @app.get(PATH + "/{prompt_id}/versions", tags=TAGS, summary="List the versions of a prompt.")
    async def list_prompt_versions(prompt_id: PromptId, call: CallOf) -> ListPromptsResponse:
        return await prompts.versions(prompt_id, call)


def _add_changes(app: FastAPI, prompts: PromptService) -> None:
    @app.post(PATH, tags=TAGS, summary="Create a prompt.")
    async def create_prompt(body: CreatePromptRequest, call: CallOf) -> Prompt:
        return await prompts.create(body, call)

    @app.post(PATH + "/{prompt_id}", tags=TAGS, summary="Add a version to a prompt.", name="update_prompt_by_post")
    @app.put(PATH + "/{prompt_id}", tags=TAGS, summary="Add a version to a prompt.")
    async def update_prompt(prompt_id: PromptId, body: PromptUpdate, call: CallOf) -> Prompt:
        request = UpdatePromptRequest(
            prompt_id=prompt_id,
            prompt=body.prompt,
            version=body.version,
            variables=body.variables,
            set_as_default=body.set_as_default,
        )
        return await prompts.update(request, call)

    @app.delete(PATH + "/{prompt_id}", tags=TAGS, summary="Delete a prompt with its versions.", status_code=204)
    async def delete_prompt(prompt_id: PromptId, call: CallOf) -> Response:
        await prompts.delete(prompt_id, call)
        return Response(status_code=204)

    default_path = PATH + "/{prompt_id}/set-default-version"

    @app.post(default_path, tags=TAGS, summary="Choose the default version.", name="set_default_version_by_post")
    @app.put(default_path, tags=TAGS, summary="Choose the default version.")
    async def set_default_version(prompt_id: PromptId, body: DefaultVersion, call: CallOf) -> Prompt:
        return await prompts.set_default_version(
            SetDefaultVersionRequest(prompt_id=prompt_id, version=body.version), call
        )

"""Models as registered resources, and the API over them."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from pydantic import Field

from llama_stack_api.base import JsonObject, WireModel
from llama_stack_api.openai.models import Model as OpenAIModel
from llama_stack_api.openai.models import ModelList as OpenAIListModelsResponse
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.resource import Resource, ResourceType

__all__ = [
    "ModelType", "CommonModelFields", "Model", "ModelInput", "ListModelsResponse", "OpenAIModel",
    "OpenAIListModelsResponse", "GetModelRequest", "RegisterModelRequest", "UnregisterModelRequest", "Models",
]  # fmt: skip


class CommonModelFields(WireModel):
    metadata: JsonObject = Field(default_factory=dict)


class Model(CommonModelFields, Resource):
    type: Literal[ResourceType.model] = ResourceType.model
    model_type: ModelType = ModelType.llm

    @property
    def model_id(self) -> str:
        return self.identifier

    @property
    def provider_model_id(self) -> str:
        """The provider's own id of the model; ours where it has no other."""
        return self.provider_resource_id or self.identifier


class ModelInput(CommonModelFields):
    model_id: str
    provider_id: str | None = None
    provider_model_id: str | None = None
    model_type: ModelType | None = ModelType.llm
    model_validation: bool | None = None


class ListModelsResponse(WireModel):
    data: list[Model]


class GetModelRequest(WireModel):
    model_id: str


class RegisterModelRequest(WireModel):
    model_id: str
    provider_model_id: str | None = None
    provider_id: str | None = None
    metadata: JsonObject | None = None
    model_type: ModelType | None = None
    model_validation: bool | None = None


class UnregisterModelRequest(WireModel):
    model_id: str


@runtime_checkable
class Models(Protocol):
    async def list_models(self) -> ListModelsResponse: ...

    async def openai_list_models(self) -> OpenAIListModelsResponse: ...

    async def get_model(self, request: GetModelRequest) -> Model: ...

    async def register_model(self, request: RegisterModelRequest) -> Model: ...

    async def unregister_model(self, request: UnregisterModelRequest) -> None: ...

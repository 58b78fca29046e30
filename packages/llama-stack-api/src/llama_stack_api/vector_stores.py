"""Vector stores as registered resources."""

from __future__ import annotations

from typing import Literal

from llama_stack_api.base import WireModel
from llama_stack_api.resource import Resource, ResourceType


class VectorStore(Resource):
    type: Literal[ResourceType.vector_store] = ResourceType.vector_store
    embedding_model: str
    embedding_dimension: int
    vector_store_name: str | None = None

    @property
    def vector_store_id(self) -> str:
        return self.identifier

    @property
    def provider_vector_store_id(self) -> str | None:
        return self.provider_resource_id


class VectorStoreInput(WireModel):
    vector_store_id: str
    embedding_model: str
    embedding_dimension: int
    provider_id: str | None = None
    provider_vector_store_id: str | None = None

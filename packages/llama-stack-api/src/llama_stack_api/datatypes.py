"""What packages written for `llama-stack-api` 0.7 import to describe and register themselves."""

from __future__ import annotations

from typing import Any, Protocol

from llama_stack_api.api import Api
from llama_stack_api.models import Model
from llama_stack_api.provider import HealthResponse, HealthStatus
from llama_stack_api.shields import Shield
from llama_stack_api.specs import (
    ExternalApiSpec,
    InlineProviderSpec,
    ProviderSpec,
    RemoteProviderConfig,
    RemoteProviderSpec,
)
from llama_stack_api.tools import ToolGroup
from llama_stack_api.vector_stores import VectorStore

__all__ = [
    "Api", "ProviderSpec", "InlineProviderSpec", "RemoteProviderSpec", "RemoteProviderConfig", "ExternalApiSpec",
    "HealthResponse", "HealthStatus", "ModelsProtocolPrivate", "ShieldsProtocolPrivate", "VectorStoresProtocolPrivate",
    "ToolGroupsProtocolPrivate", "RoutingTable",
]  # fmt: skip


class ModelsProtocolPrivate(Protocol):
    """How the server tells an inference provider of its models, and asks it for those that it has."""

    async def register_model(self, model: Model) -> Model: ...

    async def unregister_model(self, model_id: str) -> None: ...

    async def list_models(self) -> list[Model] | None: ...

    async def should_refresh_models(self) -> bool: ...


class ShieldsProtocolPrivate(Protocol):
    """How the server tells a safety provider of its shields."""

    async def register_shield(self, shield: Shield) -> None: ...

    async def unregister_shield(self, identifier: str) -> None: ...


class VectorStoresProtocolPrivate(Protocol):
    async def register_vector_store(self, vector_store: VectorStore) -> None: ...

    async def unregister_vector_store(self, vector_store_id: str) -> None: ...


class ToolGroupsProtocolPrivate(Protocol):
    async def register_toolgroup(self, toolgroup: ToolGroup) -> None: ...

    async def unregister_toolgroup(self, toolgroup_id: str) -> None: ...


class RoutingTable(Protocol):
    async def get_provider_impl(self, routing_key: str) -> Any: ...

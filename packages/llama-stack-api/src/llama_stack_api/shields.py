"""Shields: named safety checks, each served by a safety provider."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from llama_stack_api.base import JsonObject, WireModel
from llama_stack_api.resource import ListResourcesResponse, Resource, ResourceType


class CommonShieldFields(WireModel):
    params: JsonObject | None = None


class Shield(CommonShieldFields, Resource):
    """`params` are the provider's own."""

    type: Literal[ResourceType.shield] = ResourceType.shield

    @property
    def shield_id(self) -> str:
        return self.identifier

    @property
    def provider_shield_id(self) -> str | None:
        return self.provider_resource_id


class ShieldInput(CommonShieldFields):
    shield_id: str
    provider_id: str | None = None
    provider_shield_id: str | None = None


class ListShieldsResponse(ListResourcesResponse[Shield]):
    pass


class GetShieldRequest(WireModel):
    identifier: str


class RegisterShieldRequest(CommonShieldFields):
    shield_id: str
    provider_shield_id: str | None = None
    provider_id: str | None = None


class UnregisterShieldRequest(WireModel):
    identifier: str


@runtime_checkable
class Shields(Protocol):
    async def list_shields(self) -> ListShieldsResponse: ...

    async def get_shield(self, request: GetShieldRequest) -> Shield: ...

    async def register_shield(self, request: RegisterShieldRequest) -> Shield: ...

    async def unregister_shield(self, request: UnregisterShieldRequest) -> None: ...

"""The admin API under the names of `llama-stack-api` 0.7."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from llama_stack_api.native.admin import (
    ApiFilter,
    HealthInfo,
    InspectProviderRequest,
    ListProvidersResponse,
    ListRoutesRequest,
    ListRoutesResponse,
    ProviderInfo,
    RouteInfo,
    VersionInfo,
)

__all__ = [
    "Admin", "ApiFilter", "HealthInfo", "InspectProviderRequest", "ListProvidersResponse", "ListRoutesRequest",
    "ListRoutesResponse", "ProviderInfo", "RouteInfo", "VersionInfo",
]  # fmt: skip


@runtime_checkable
class Admin(Protocol):
    async def list_providers(self) -> ListProvidersResponse: ...

    async def inspect_provider(self, request: InspectProviderRequest) -> ProviderInfo: ...

    async def list_routes(self, request: ListRoutesRequest) -> ListRoutesResponse: ...

    async def health(self) -> HealthInfo: ...

    async def version(self) -> VersionInfo: ...

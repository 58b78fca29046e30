"""The inspect API under the names of `llama-stack-api` 0.7."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from llama_stack_api.native.admin import HealthInfo, ListRoutesRequest, ListRoutesResponse, RouteInfo, VersionInfo

__all__ = ["Inspect", "HealthInfo", "ListRoutesRequest", "ListRoutesResponse", "RouteInfo", "VersionInfo"]


@runtime_checkable
class Inspect(Protocol):
    async def list_routes(self, request: ListRoutesRequest) -> ListRoutesResponse: ...

    async def health(self) -> HealthInfo: ...

    async def version(self) -> VersionInfo: ...

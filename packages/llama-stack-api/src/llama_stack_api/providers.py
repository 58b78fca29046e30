"""The providers API under the names of `llama-stack-api` 0.7."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from llama_stack_api.native.admin import InspectProviderRequest, ListProvidersResponse, ProviderInfo

__all__ = ["Providers", "InspectProviderRequest", "ListProvidersResponse", "ProviderInfo"]


@runtime_checkable
class Providers(Protocol):
    async def list_providers(self) -> ListProvidersResponse: ...

    async def inspect_provider(self, request: InspectProviderRequest) -> ProviderInfo: ...

"""What the server says of itself: health, version, providers, routes."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from llama_stack_api.base import JsonObject, WireModel
from llama_stack_api.provider import HealthResponse, HealthStatus

ApiFilter: TypeAlias = Literal["v1", "v1alpha", "v1beta", "deprecated"]


class HealthInfo(WireModel):
    status: HealthStatus


class VersionInfo(WireModel):
    version: str


class ListRoutesRequest(WireModel):
    """The routes of one level, or those that are deprecated; none: all that are not deprecated."""

    api_filter: ApiFilter | None = None


class RouteInfo(WireModel):
    """One route and the types of the providers behind it."""

    route: str
    method: str
    provider_types: list[str] = Field(default_factory=list)


class ListRoutesResponse(WireModel):
    data: list[RouteInfo]


class InspectProviderRequest(WireModel):
    provider_id: str


class ProviderInfo(WireModel):
    """One configured provider. Secrets in `config` are masked."""

    api: str
    provider_id: str
    provider_type: str
    config: JsonObject
    health: HealthResponse


class ListProvidersResponse(WireModel):
    data: list[ProviderInfo]

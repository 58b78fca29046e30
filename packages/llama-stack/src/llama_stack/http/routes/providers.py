"""What the server is made of: its providers and its routes, each under `/v1` and as the admin API's twin."""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Annotated, Literal

from fastapi import FastAPI, Query
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from llama_stack.http.dispatch import API_OF_TAG
from llama_stack.http.routes.admin import PREFIXES
from llama_stack.services.admin import AdminService
from llama_stack_api.native.admin import ListProvidersResponse, ListRoutesResponse, ProviderInfo, RouteInfo

TAGS: list[str | Enum] = ["Admin"]

ApiFilter = Annotated[
    Literal["v1", "v1alpha", "v1beta", "deprecated"] | None,
    Query(description="Only routes of this level, or only deprecated ones."),
]


def add_provider_routes(app: FastAPI, admin: AdminService) -> None:
    for prefix, named in PREFIXES.items():
        _add(app, admin, prefix, named)


def _add(app: FastAPI, admin: AdminService, prefix: str, named: str) -> None:
    @app.get(f"{prefix}/providers", name=f"{named}list_providers", tags=TAGS, summary="List providers, with health.")
    async def list_providers() -> ListProvidersResponse:
        return await admin.list_providers()

    @app.get(f"{prefix}/providers/{{provider_id}}", name=f"{named}get_provider", tags=TAGS, summary="Get a provider.")
    async def get_provider(provider_id: str) -> ProviderInfo:
        return await admin.get_provider(provider_id)

    @app.get(f"{prefix}/inspect/routes", name=f"{named}list_routes", tags=TAGS, summary="List the routes.")
    async def list_routes(api_filter: ApiFilter = None) -> ListRoutesResponse:
        return ListRoutesResponse(data=list(_routes(app.routes, admin, api_filter)))


def _routes(routes: Iterable[BaseRoute], admin: AdminService, api_filter: str | None) -> Iterator[RouteInfo]:
    for route in routes:
        if isinstance(route, APIRoute) and _selected(route, api_filter):
            apis = {API_OF_TAG.get(str(tag), str(tag)) for tag in route.tags}  # an external API's tag is its name
            types = sorted({each for api in apis for each in admin.provider_types(api)})
            for method in sorted(route.methods or ()):
                yield RouteInfo(route=route.path_format, method=method, provider_types=types)


def _selected(route: APIRoute, api_filter: str | None) -> bool:
    if api_filter is None:
        return True
    return bool(route.deprecated) if api_filter == "deprecated" else route.path.startswith(f"/{api_filter}/")

from typing import Protocol

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from llama_stack_api import Api, ProviderSpec, RemoteProviderSpec
from llama_stack_api.router_utils import standard_responses
from llama_stack_api.version import LLAMA_STACK_API_V1


class Wind(BaseModel):
    place: str
    name: str
    told: str | None = None


class WeatherProvider(Protocol):
    async def locations(self) -> list[str]: ...

    async def wind(self, place: str) -> Wind: ...


def available_providers() -> list[ProviderSpec]:
    return [
        RemoteProviderSpec(
            api=Api.weather,
            provider_type="remote::kaze",
            adapter_type="kaze",
            module="llama_stack_provider_kaze",
            config_class="llama_stack_provider_kaze.config.KazeConfig",
            pip_packages=["llama-stack-provider-kaze"],
            api_dependencies=[Api.inference],
        )
    ]


def create_router(impl: WeatherProvider) -> APIRouter:
    router = APIRouter(prefix=f"/{LLAMA_STACK_API_V1}/weather", tags=["Weather"], responses=standard_responses)

    @router.get("/locations", summary="List the places.")
    async def locations() -> list[str]:
        return await impl.locations()

    @router.get("/winds/{place}", summary="Which wind blows.", openapi_extra={"x-public": True})
    async def wind(place: str) -> Wind:
        if place == "moon":
            raise HTTPException(status_code=403, detail="There is no wind on the moon.")
        return await impl.wind(place)

    return router

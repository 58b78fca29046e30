"""What the server says of itself: health, version, providers, routes."""

from __future__ import annotations

import asyncio
from importlib import metadata

from llama_stack.config.model import ProviderEntry, RunConfig
from llama_stack.config.redact import redact
from llama_stack.routing.discovery import Discovery
from llama_stack.routing.health import HealthState
from llama_stack.routing.opening import ProviderOpener
from llama_stack_api.errors import LlamaStackError, NotFound
from llama_stack_api.native.admin import HealthInfo, ListProvidersResponse, ProviderInfo, VersionInfo
from llama_stack_api.ports.lifecycle import ReportsHealth
from llama_stack_api.provider import HealthResponse, HealthStatus

HEALTH_TIMEOUT_S = 5.0

_LISTING_HEALTH = {
    HealthState.HEALTHY: HealthStatus.OK,
    HealthState.UNHEALTHY: HealthStatus.ERROR,
    HealthState.UNKNOWN: HealthStatus.NOT_IMPLEMENTED,
}


class AdminService:
    def __init__(self, config: RunConfig, opener: ProviderOpener, discovery: Discovery) -> None:
        self._entries = list(config.provider_entries())
        self.serves = config.serves
        self._opener = opener
        self._discovery = discovery
        self._version = metadata.version("llama-stack")

    def health(self) -> HealthInfo:
        """The process answers; how its providers are is in their list."""
        return HealthInfo(status=HealthStatus.OK)

    def version(self) -> VersionInfo:
        return VersionInfo(version=self._version)

    def provider_types(self, api: str) -> list[str]:
        return sorted({entry.provider_type for name, entry in self._entries if name == api})

    async def list_providers(self) -> ListProvidersResponse:
        """Every configured provider with its health, asked of all at once."""
        return ListProvidersResponse(data=await asyncio.gather(*(self._info(*entry) for entry in self._entries)))

    async def get_provider(self, provider_id: str) -> ProviderInfo:
        for api, entry in self._entries:
            if entry.provider_id == provider_id:
                return await self._info(api, entry)
        known = ", ".join(entry.provider_id for _, entry in self._entries) or "none"
        raise NotFound(f"There is no provider {provider_id[:200]!r}; configured: {known}.", param="provider_id")

    async def _info(self, api: str, entry: ProviderEntry) -> ProviderInfo:
        return ProviderInfo(
            api=api,
            provider_id=entry.provider_id,
            provider_type=entry.provider_type,
            config=redact(entry.config),
            health=await self._health(api, entry.provider_id),
        )

    async def _health(self, api: str, provider_id: str) -> HealthResponse:
        opened = self._opener.opened.get((api, provider_id))
        found = [each for each in self._opener.problems if (each.api, each.provider_id) == (api, provider_id)]
        if opened is None or any(each.fatal for each in found):
            return HealthResponse(
                status=HealthStatus.ERROR, message="; ".join(each.message for each in found) or "not open"
            )
        if isinstance(opened.impl, ReportsHealth):
            return await _reported(opened.impl)
        known = self._discovery.health.get(provider_id)
        return HealthResponse(status=_LISTING_HEALTH[known.state], message=known.last_error)


async def _reported(provider: ReportsHealth) -> HealthResponse:
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            return await provider.health()
    except TimeoutError:
        return HealthResponse(status=HealthStatus.ERROR, message=f"no answer within {HEALTH_TIMEOUT_S:g} seconds")
    except LlamaStackError as error:
        return HealthResponse(status=HealthStatus.ERROR, message=error.message)
    except Exception as error:  # noqa: BLE001 - a provider's own code; whatever it raises, the others are listed
        return HealthResponse(status=HealthStatus.ERROR, message=f"its health check failed ({type(error).__name__})")

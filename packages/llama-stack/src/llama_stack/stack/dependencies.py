"""What providers are handed of the server's APIs and of other packages', before these are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from llama_stack.config.model import RunConfig
from llama_stack.mcp.client import McpClients
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.models import ModelTable
from llama_stack.routing.opening import OpenProvider
from llama_stack.services.provider_apis import (
    FilesApi,
    Later,
    ModelsApi,
    SafetyApi,
    ToolRuntimeApi,
    VectorIOApi,
)
from llama_stack.stack.services import Services
from llama_stack_api.api import Api
from llama_stack_api.ports.tool_runtime import ToolInvocation

RESOURCES: Final = {Api.models: Api.inference, Api.shields: Api.safety}
"""APIs over resources, there with the API that they belong to."""
SERVED: Final = (Api.inference, Api.safety, Api.vector_io, Api.files, Api.tool_runtime)


class Dependencies:
    """`handed` is what every provider is opened with; of the server's own APIs, those that have providers."""

    def __init__(self, config: RunConfig, catalog: Catalog, mcp: McpClients) -> None:
        configured = {api for api, _ in config.provider_entries()}
        configured.add(Api.inference)  # its service is there, also where no model is
        named = [*(api for api in SERVED if api in configured)]
        named += [api for api, of in RESOURCES.items() if of in configured]
        named += [each.api for name, each in catalog.external.apis.items() if name in configured]
        self._later = {api: Later(api) for api in named}
        self.handed: Mapping[Api, Any] = {Api.connectors: mcp, **self._later}

    def be(self, api: Api, made: Any) -> None:
        """From here on it answers."""
        if api in self._later:
            self._later[api].be(made)

    def serve(self, services: Services, models: ModelTable, providers: Iterable[OpenProvider]) -> None:
        """All of the server's own."""
        safety = SafetyApi(services.shields, services.moderations)
        tools = [each.impl for each in providers if each.api == Api.tool_runtime]
        self.be(Api.safety, safety)
        self.be(Api.shields, safety)
        self.be(Api.models, ModelsApi(services.models, models))
        self.be(Api.vector_io, VectorIOApi(services.vector_stores))
        self.be(Api.files, FilesApi(services.files))
        self.be(Api.tool_runtime, ToolRuntimeApi([impl for impl in tools if isinstance(impl, ToolInvocation)]))

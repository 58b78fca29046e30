"""The run config: one file says what a server offers, who provides it and where state is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from llama_stack.config.apis import (
    ABSENT_APIS,
    API_ALIASES,
    INTERNAL_APIS,
    NEEDED_APIS,
    RESOURCE_APIS,
    SERVICE_APIS,
)
from llama_stack.config.logs import LoggingConfig
from llama_stack.config.paths import storage_dir
from llama_stack.config.resources import ConnectorEntry, RegisteredResources
from llama_stack.config.safety import SafetyConfig
from llama_stack.config.section import Section, UserPath
from llama_stack.config.server import ServerConfig
from llama_stack.config.storage import StorageConfig
from llama_stack.config.vector_stores import VectorStoresConfig

RUN_CONFIG_VERSION = 2

_FORMER_NAMES = {"distro_name": "image_name", "logging": "logging_config"}
_NOT_OPENED = frozenset({*SERVICE_APIS, *INTERNAL_APIS, *API_ALIASES, *ABSENT_APIS})


Name = Annotated[str, Field(min_length=1)]


class ProviderEntry(Section):
    """One provider. `config` is validated by the provider's own model when it is opened."""

    provider_id: Name
    provider_type: str = Field(pattern=r"^(inline|remote)::.+$")
    config: dict[str, Any] = Field(default_factory=dict)
    module: str | None = None
    """An installed package (`name` or `name==version`) or module that brings this provider type."""


ProviderEntries = Annotated[list[ProviderEntry], BeforeValidator(lambda value: [] if value is None else value)]


class RunConfig(Section):
    version: int = Field(default=RUN_CONFIG_VERSION, ge=1, le=RUN_CONFIG_VERSION)
    distro_name: Name
    image_name: Name | None = Field(default=None, deprecated=True)
    """The former name of `distro_name`."""
    container_image: str | None = None
    apis: list[str] = Field(default_factory=list)
    """APIs whose routes are offered, and whose providers are opened with those that they work with; empty: all."""
    providers: dict[str, ProviderEntries]
    """Providers by the API that they implement. The same type may appear several times under different ids."""
    storage: StorageConfig = Field(default_factory=StorageConfig)
    registered_resources: RegisteredResources = Field(default_factory=RegisteredResources)
    server: ServerConfig = Field(default_factory=ServerConfig)
    logging: LoggingConfig | None = None
    logging_config: LoggingConfig | None = Field(default=None, deprecated=True)
    """The former name of `logging`."""
    vector_stores: VectorStoresConfig = Field(default_factory=VectorStoresConfig)
    safety: SafetyConfig = Field(default_factory=SafetyConfig)
    connectors: list[ConnectorEntry] = Field(default_factory=list)
    external_providers_dir: UserPath | None = None
    external_apis_dir: UserPath | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_former_names(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        present = {new: data[old] for new, old in _FORMER_NAMES.items() if data.get(old) is not None}
        return present | {key: value for key, value in data.items() if value is not None}

    @model_validator(mode="after")
    def _place_storage(self, info: ValidationInfo) -> RunConfig:
        environ: Mapping[str, str] = (info.context or {}).get("environ", os.environ)
        self.storage.fill_defaults(storage_dir(self.distro_name, environ))
        return self

    def provider_entries(self) -> Iterator[tuple[str, ProviderEntry]]:
        """The providers to open, each with its API: neither those of APIs that no provider implements, nor those of
        APIs that nothing here uses."""
        for api, entries in self.providers.items():
            if api not in _NOT_OPENED and self.opens(api):
                for entry in entries:
                    yield api, entry

    def opens(self, api: str) -> bool:
        """Whether the providers of an API are opened: it is served, or an API that is works with it, or guards do."""
        if self.serves(api) or (api == "safety" and self.safety.guards):
            return True
        return any(api in needed and self.serves(user) for user, needed in NEEDED_APIS.items())

    def serves(self, api: str) -> bool:
        """Whether the routes of an API are offered, as `apis` says."""
        listed = {API_ALIASES.get(name, name) for name in self.apis}
        return not listed or api in INTERNAL_APIS or api in listed or RESOURCE_APIS.get(api) in listed

    def service_settings(self, api: str) -> dict[str, Any]:
        """The `config` of the first provider entry of an API that is a service here; empty if there is none."""
        for name, entries in self.providers.items():
            if API_ALIASES.get(name, name) == api and entries:
                return entries[0].config
        return {}

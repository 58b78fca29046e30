"""A provider's specification as packages written for `llama-stack-api` 0.7 state it: `get_provider_spec()` returns one.

A new provider needs none of this: see `llama_stack_api.provider`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from llama_stack_api.api import Api


class ProviderSpec(BaseModel):
    """`config_class` and `provider_data_validator` are dotted paths of pydantic models. `module` is the package that
    has `get_adapter_impl(config, deps)` (remote) or `get_provider_impl(config, deps)` (inline)."""

    model_config = ConfigDict(defer_build=True)

    api: Api
    provider_type: str
    config_class: str
    api_dependencies: list[Api] = Field(default_factory=list)
    optional_api_dependencies: list[Api] = Field(default_factory=list)
    deprecation_warning: str | None = None
    deprecation_error: str | None = None
    module: str | None = None
    pip_packages: list[str] = Field(default_factory=list)
    provider_data_validator: str | None = None
    is_external: bool = False
    toolgroup_id: str | None = None


class InlineProviderSpec(ProviderSpec):
    container_image: str | None = None
    description: str | None = None


class RemoteProviderSpec(ProviderSpec):
    """`adapter_type` is the part of `provider_type` behind `remote::`."""

    adapter_type: str
    description: str | None = None


class RemoteProviderConfig(BaseModel):
    """The address of a remote provider, for configs that have nothing else."""

    model_config = ConfigDict(defer_build=True)

    host: str = "localhost"
    port: int | None = None
    protocol: str = "http"

    @property
    def url(self) -> str:
        return f"{self.protocol}://{self.host}" + (f":{self.port}" if self.port is not None else "")


class ExternalApiSpec(BaseModel):
    """An API that a package adds: `module` has `available_providers()`, and a protocol named `protocol`."""

    model_config = ConfigDict(defer_build=True)

    module: str
    name: str
    pip_packages: list[str] = Field(default_factory=list)
    protocol: str

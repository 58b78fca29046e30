"""`registered_resources` and `connectors`: what is offered besides what providers list themselves."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from llama_stack.config.section import Section

ModelKind = Literal["llm", "embedding", "rerank"]


class ModelTarget(Section):
    """One place that serves a registered model."""

    provider_id: str = Field(min_length=1)
    provider_model_id: str | None = None
    """The provider's own name of the model; None: the registered `model_id`."""
    weight: float = Field(default=1, gt=0)
    """Share of the requests under `strategy: balance`."""


class ModelEntry(Section):
    """A model under a name of ours, served by one provider or by several."""

    model_id: str = Field(min_length=1)
    provider_id: str | None = None
    """None: the only inference provider. `all`: the name is used as it stands, without a provider in front."""
    provider_model_id: str | None = None
    """The provider's own name; None: the same as `model_id`; `auto`: the first of this type that the provider lists."""
    model_type: ModelKind = "llm"
    metadata: dict[str, Any] = Field(default_factory=dict)
    """`embedding_dimension` and `context_length` are read; the rest is shown as it is."""
    model_validation: bool | None = None
    """False: offer the model even if the provider does not list it."""
    aliases: list[str] = Field(default_factory=list)
    """Further names for the same model."""
    strategy: Literal["fallback", "balance"] = "fallback"
    """With several targets: in order, the next one when one fails; or by weight."""
    targets: list[ModelTarget] = Field(default_factory=list)
    """Instead of `provider_id` and `provider_model_id`, where several providers serve the model."""

    @model_validator(mode="after")
    def _one_way_to_say_where(self) -> ModelEntry:
        if self.targets and (self.provider_id is not None or self.provider_model_id is not None):
            raise ValueError("has both `targets` and `provider_id`/`provider_model_id`; say where it is served once")
        if self.model_type == "embedding" and not isinstance(self.metadata.get("embedding_dimension", 1), int):
            raise ValueError("metadata.embedding_dimension must be a whole number")
        return self


class ShieldEntry(Section):
    shield_id: str = Field(min_length=1)
    provider_id: str | None = None
    provider_shield_id: str | None = None
    params: dict[str, Any] | None = None


class VectorStoreEntry(Section):
    vector_store_id: str = Field(min_length=1)
    vector_store_name: str | None = None
    embedding_model: str
    embedding_dimension: int = Field(ge=1)
    provider_id: str | None = None
    provider_vector_store_id: str | None = None


class RegisteredResources(Section):
    models: list[ModelEntry] = Field(default_factory=list)
    shields: list[ShieldEntry] = Field(default_factory=list)
    vector_stores: list[VectorStoreEntry] = Field(default_factory=list)
    tool_groups: list[dict[str, Any]] = Field(default_factory=list)
    """Those with an `mcp_endpoint` add a group; the others follow from the tool_runtime providers."""


class ConnectorEntry(Section):
    """An MCP server that requests may name by `connector_id`: at a `url`, or a program that the server starts."""

    connector_type: Literal["mcp"] = "mcp"
    connector_id: str = Field(min_length=1)
    command: str | None = Field(default=None, min_length=1)
    """A program that speaks MCP over its standard input and output, instead of `url`."""
    url: str | None = Field(default=None, pattern=r"^https?://", validate_default=True)
    """It may be private: what stands in the config is trusted."""
    args: list[str] = Field(default_factory=list)
    env: dict[str, SecretStr] = Field(default_factory=dict)
    """Environment variables of the program, besides the few that any program needs."""
    server_label: str | None = None
    server_description: str | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """HTTP headers that are sent with every request."""
    authorization: SecretStr | None = None
    """An OAuth access token, or a whole value of the Authorization header. One of the request goes before it."""

    @field_validator("url")
    @classmethod
    def _one_way_to_reach_it(cls, url: str | None, info: ValidationInfo) -> str | None:
        if (url is None) == (info.data.get("command") is None):
            raise ValueError("needs either `url` or `command`")
        return url

    @model_validator(mode="after")
    def _settings_fit_the_way(self) -> ConnectorEntry:
        if self.command is None and (self.args or self.env):
            raise ValueError("has `args` or `env`, which belong to a `command`")
        if self.command is not None and (self.headers or self.authorization is not None):
            raise ValueError("has `headers` or `authorization`, which belong to a `url`; a program has `env`")
        if self.authorization is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("has both `authorization` and an Authorization header")
        return self

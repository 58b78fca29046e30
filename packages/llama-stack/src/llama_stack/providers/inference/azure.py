"""Azure OpenAI: the same models behind a resource of one's own, called by the names of its deployments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from pydantic import AliasChoices, Field, SecretStr

from llama_stack.dialects.openai.errors import UNREADABLE, error_of_reply
from llama_stack.providers._shared.addresses import segment
from llama_stack.providers._shared.azure_identity import AzureIdentity, AzureIdentityConfig
from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.api import Api
from llama_stack_api.errors import ContentFiltered, LlamaStackError
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider


class AzureConfig(AzureIdentityConfig, OpenAICompatibleConfig):
    base_url: str = Field(validation_alias=AliasChoices("base_url", "api_base"))
    """`https://<resource>.openai.azure.com`, with or without `/openai/v1`."""
    api_version: str | None = None
    """A dated version selects the older addresses, one for each deployment. None: `/openai/v1`, which needs none."""
    api_type: Literal["azure", "azure_ad"] = "azure"
    """`azure_ad`: `api_key` is a token of Entra ID. Without one, tokens are fetched and renewed: for the application
    (`azure_client_id` with its secret or a workload's token), or else for the machine's managed identity."""


@provider(
    api=Api.inference,
    type="remote::azure",
    description="Azure OpenAI. Models are called by the names of their deployments; name them in allowed_models, for "
    "Azure lists the models that a resource could deploy and not its deployments.",
    config=AzureConfig,
    sample={
        "base_url": "${env.AZURE_API_BASE:=}",
        "api_key": "${env.AZURE_API_KEY:=}",
        "api_version": "${env.AZURE_API_VERSION:=}",
        "api_type": "${env.AZURE_API_TYPE:=azure}",
        "azure_tenant_id": "${env.AZURE_TENANT_ID:=}",
        "azure_client_id": "${env.AZURE_CLIENT_ID:=}",
        "azure_client_secret": "${env.AZURE_CLIENT_SECRET:=}",
        "azure_federated_token_file": "${env.AZURE_FEDERATED_TOKEN_FILE:=}",
    },
    turned_on_by="AZURE_API_KEY",
    data_keys={"azure_api_key": "api_key", "azure_api_base": "base_url"},
)
class Azure(OpenAICompatible):
    serves_unlisted_models = True  # a deployment is called what its owner likes, and the list has models
    quirks = Quirks(
        key_header="api-key",
        key_prefix="",
        embedding_models={
            "text-embedding-3-small": 1536,
            "text-embedding-3-large": 3072,
            "text-embedding-ada-002": 1536,
        },
    )

    def __init__(self, config: AzureConfig, context: ProviderContext) -> None:
        self._version = config.api_version
        self._bearer = config.api_type == "azure_ad"
        self._identity: AzureIdentity | None = None
        if self._bearer and config.api_key is None:
            self._identity = AzureIdentity(config, context.provider_id, context.http(config.network))
        super().__init__(config, context)

    @property
    def key_required(self) -> bool:
        return self._identity is None

    async def headers(self, call: Call) -> Mapping[str, str]:
        headers = await super().headers(call)
        brings_its_own = {self._key_in_data, self._url_in_data} & call.provider_data.keys()
        if self._identity is None or brings_its_own:
            return headers
        token = await self._identity.token()
        return {**headers, "Authorization": f"Bearer {token.get_secret_value()}"}

    async def _refusal(self, reply: HttpReply, sent: Mapping[str, str]) -> LlamaStackError:
        if reply.status == 401 and self._identity is not None:
            # Perhaps revoked ahead of time: the next request fetches another.
            self._identity.forget(sent.get("Authorization", "").removeprefix("Bearer "))
        body = await self._refused_with(reply, sent)
        error = error_of_reply(reply.status, reply.headers, body, self.name)
        filtered = _filtered(body) if reply.status == 400 else []
        return ContentFiltered(f"{error.message} Filtered: {', '.join(filtered)}.") if filtered else error

    def headers_with(self, key: SecretStr | None) -> dict[str, str]:
        headers = super().headers_with(key)
        if self._bearer and "api-key" in headers:
            headers["Authorization"] = f"Bearer {headers.pop('api-key')}"
        return headers

    def _key_in(self, sent: Mapping[str, str]) -> list[str]:
        token = sent.get("Authorization", "").removeprefix("Bearer ")
        return [*super()._key_in(sent), *([token] if token else [])]

    def url(self, path: str, call: Call, model: str | None = None) -> str:
        root = self.base_url(call)
        named = call.provider_data.get("azure_api_version")
        version = named.get_secret_value() if named is not None else self._version
        dated = version is not None and version[:1].isdigit()
        if root.endswith("/v1") or not dated:
            # The v1 surface takes no dated version; `preview` opens what is not yet general there.
            query = f"?api-version={quote(version)}" if version and not dated else ""
            return (root if root.endswith("/v1") else f"{root}/openai/v1") + path + query
        deployment = f"/deployments/{segment(model)}" if model else ""
        return f"{root.removesuffix('/openai')}/openai{deployment}{path}?api-version={quote(version or '')}"

    async def list_models(self, call: Call) -> list[ProviderModel]:
        if self.config.allowed_models is None:
            return await super().list_models(call)
        listed = (self.listed_model({"id": name}) for name in self.config.allowed_models)
        return [model for model in listed if model is not None]

    def model_type(self, item: dict[str, object]) -> ModelType | None:
        can = item.get("capabilities")
        if not isinstance(can, dict) or can.get("chat_completion") or can.get("completion"):
            return super().model_type(item)
        return ModelType.embedding if can.get("embeddings") else None


def _filtered(body: bytes) -> list[str]:
    """The categories for which a request was refused (`hate`, `jailbreak`, …), which stand beside the error's code."""
    try:
        inner: Any = msgspec.json.decode(body)["error"]["innererror"]
        results = inner.get("content_filter_result") or inner.get("content_filter_results") or {}
        found = [name for name, result in results.items() if result.get("filtered")]
    except (*UNREADABLE, AttributeError, KeyError, TypeError):
        return []
    return found or (["content"] if inner.get("code") == "ResponsibleAIPolicyViolation" else [])

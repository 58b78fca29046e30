"""Any OpenAI-compatible server, another Llama Stack included, with what the operator lets through of each request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider

BLOCKED_HEADERS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-real-ip",
    }
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class PassthroughConfig(OpenAICompatibleConfig):
    base_url: str = ""
    """Empty: each request names it as `passthrough_url` (with `allow_client_url`)."""
    forward_headers: dict[str, str] = Field(default_factory=dict)
    """Keys of `X-LlamaStack-Provider-Data` to the headers that they are sent in: `{"tenant_id": "X-Tenant-ID"}`.
    A token for `Authorization` comes with its `Bearer `; a configured or sent API key takes its place."""
    extra_blocked_headers: list[str] = Field(default_factory=list)
    """Headers that `forward_headers` may not name, besides those that steer connections, cookies and proxies."""

    @model_validator(mode="after")
    def _headers_are_harmless(self) -> Self:
        blocked = BLOCKED_HEADERS | {name.strip().lower() for name in self.extra_blocked_headers}
        for key, header in self.forward_headers.items():
            if key.startswith("__"):
                raise ValueError(f"forward_headers: key {key!r} is reserved (it starts with '__')")
            if not _HEADER_NAME.fullmatch(header):
                raise ValueError(f"forward_headers: {header!r} is not a name that a header can have")
            if header.lower() in blocked:
                raise ValueError(f"forward_headers: header {header!r} is blocked")
        return self


@provider(
    api=Api.inference,
    type="remote::passthrough",
    description="Any OpenAI-compatible server, also another Llama Stack. Chosen keys of a request's provider data are "
    "forwarded as headers.",
    config=PassthroughConfig,
    sample={"base_url": "${env.PASSTHROUGH_URL:=}", "api_key": "${env.PASSTHROUGH_API_KEY:=}"},
    turned_on_by="PASSTHROUGH_URL",
    data_keys={"passthrough_api_key": "api_key", "passthrough_url": "base_url"},
)
class Passthrough(OpenAICompatible):
    serves_unlisted_models = True  # what the other side offers is its own affair
    takes_any_history = True  # and what it understands
    quirks = Quirks(key_required=False)

    def __init__(self, config: PassthroughConfig, context: ProviderContext) -> None:
        self._forward = config.forward_headers
        super().__init__(config, context)

    def rooted(self, url: str) -> str:
        url = url.rstrip("/")
        return url if not url or url.endswith("/v1") else f"{url}/v1"

    def base_url(self, call: Call) -> str:
        root = super().base_url(call)
        if not root:
            raise InvalidRequest(
                f"Provider '{self.name}' has no base_url: send passthrough_url in X-LlamaStack-Provider-Data.",
                param="passthrough_url",
            )
        return root

    async def headers(self, call: Call) -> Mapping[str, str]:
        headers = dict(await super().headers(call))
        present = {name.lower() for name in headers}
        for key, header in self._forward.items():
            secret = call.provider_data.get(key)
            if secret is not None and header.lower() not in present:
                headers[header] = self.printable(secret.get_secret_value())
        return headers

    def listed_model(self, item: dict[str, Any]) -> ProviderModel | None:
        """Another Llama Stack says what its models are for."""
        said = item.get("custom_metadata")
        if not isinstance(said, dict) or said.get("model_type") not in list(ModelType):
            return super().listed_model(item)
        known = {key: said[key] for key in ("embedding_dimension", "context_length") if key in said}
        return ProviderModel(str(item["id"]), ModelType(said["model_type"]), known)

"""Another server's moderations, as they are: another Llama Stack, or whatever has OpenAI's route."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, SecretStr

from llama_stack.providers._shared.keyed_service import ServiceConfig
from llama_stack.providers._shared.moderation_shields import ModerationShields
from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthResponse, HealthStatus, provider


class PassthroughSafetyConfig(ServiceConfig):
    base_url: str
    """The address to which `/moderations` is appended; `/v1` is added where it has no path."""
    api_key: SecretStr | None = None
    forward_headers: dict[str, str] = Field(default_factory=dict)
    """Keys of `X-LlamaStack-Provider-Data` to the headers that they are sent in: `{"tenant_id": "X-Tenant-ID"}`."""


@provider(
    api=Api.safety,
    type="remote::passthrough",
    description="The moderations of another server with OpenAI's route, also of another Llama Stack. A shield's "
    "provider_shield_id is the model that is asked there.",
    config=PassthroughSafetyConfig,
    sample={"base_url": "${env.PASSTHROUGH_SAFETY_URL:=}", "api_key": "${env.PASSTHROUGH_SAFETY_API_KEY:=}"},
    turned_on_by="PASSTHROUGH_SAFETY_URL",
    data_keys={"passthrough_api_key": "api_key"},
)
class PassthroughSafety(ModerationShields):
    config: PassthroughSafetyConfig

    async def health(self) -> HealthResponse:
        return HealthResponse(status=HealthStatus.NOT_IMPLEMENTED, message="not asked: each question is a moderation")

    def url(self, call: Call) -> str:
        has_path = "/" in self.base_url.partition("://")[2]
        return f"{self.base_url if has_path else self.base_url + '/v1'}/moderations"

    async def headers(self, call: Call) -> Mapping[str, str]:
        headers = {
            header: _printable(call.provider_data[key].get_secret_value(), key)
            for key, header in self.config.forward_headers.items()
            if key in call.provider_data
        }
        if secret := self._secret_of(call):
            headers["Authorization"] = f"Bearer {secret}"
        return headers


def _printable(value: str, key: str) -> str:
    """Whoever could put a line break into a header could add headers of their own."""
    if not value.isprintable():
        raise InvalidRequest(f"'{key}' in X-LlamaStack-Provider-Data contains a line break or control character.")
    return value

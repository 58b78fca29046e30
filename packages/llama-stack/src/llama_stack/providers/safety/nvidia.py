"""NVIDIA NeMo Guardrails, the microservice.

Wire format: https://docs.nvidia.com/nemo/microservices/latest/guardrails/checks.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field, SecretStr, model_validator

from llama_stack.providers._shared.keyed_service import KeyedService, ServiceConfig
from llama_stack.providers._shared.safety.inputs import text_of
from llama_stack.providers._shared.shields import KnownShields, blocked, passed
from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError
from llama_stack_api.openai.chat_messages import Message
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthResponse, HealthStatus, ProviderContext, provider
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse

_ROLES: Final[Mapping[str, str]] = {"assistant": "assistant", "system": "system", "developer": "system"}


class NVIDIAGuardrailsConfig(ServiceConfig):
    base_url: str = "http://localhost:7331"
    api_key: SecretStr | None = None
    config_id: str = Field(default="self-check", min_length=1)
    """The guardrails configuration there; a shield's params may name another as `config_id`."""

    @model_validator(mode="before")
    @classmethod
    def _former_names(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not data.get("guardrails_service_url"):
            return data
        said = dict(data)
        said.setdefault("base_url", said.pop("guardrails_service_url"))
        return said


@provider(
    api=Api.safety,
    type="remote::nvidia",
    description="A NeMo Guardrails microservice. A shield's provider_shield_id is the model that its self-checks ask.",
    config=NVIDIAGuardrailsConfig,
    sample={
        "base_url": "${env.GUARDRAILS_SERVICE_URL:=http://localhost:7331}",
        "config_id": "${env.NVIDIA_GUARDRAILS_CONFIG_ID:=self-check}",
    },
    turned_on_by="GUARDRAILS_SERVICE_URL",
)
class NVIDIAGuardrails(KeyedService, KnownShields):
    def __init__(self, config: NVIDIAGuardrailsConfig, context: ProviderContext) -> None:
        KeyedService.__init__(self, config, context)
        KnownShields.__init__(self)
        self._config_id = config.config_id

    async def health(self) -> HealthResponse:
        return HealthResponse(status=HealthStatus.NOT_IMPLEMENTED, message="not asked: each question is a check")

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        shield = self.shield(request.shield_id)
        messages = [said for message in request.messages if (said := _said(message))["content"]]
        if not messages:
            return passed()
        body = {
            "model": shield.provider_resource_id,
            "messages": messages,
            "stream": False,
            "guardrails": {"config_id": (shield.params or {}).get("config_id", self._config_id)},
        }
        secret = self._key.get_secret_value() if self._key is not None else ""
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        answer = await self.post_json(f"{self.base_url}/v1/guardrail/checks", headers, body, call, secret=secret)
        match answer.get("status"):
            case "success":
                return passed()
            case "blocked":
                rails = answer.get("rails_status")
                return blocked(categories=_blocking(rails if isinstance(rails, dict) else {}))
        raise ProviderError(f"Provider '{self.name}' answered without saying whether the messages are blocked.")


def _said(message: Message) -> dict[str, str]:
    """What a tool answered is checked as what a user says: rails know no other input."""
    return {"role": _ROLES.get(message.role, "user"), "content": text_of(message)}


def _blocking(rails: Mapping[str, Any]) -> list[str]:
    return sorted(name for name, rail in rails.items() if isinstance(rail, dict) and rail.get("status") != "success")

"""SambaNova's Llama Guard."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from llama_stack.providers._shared.guard_shield import GuardSettings, GuardShields, question
from llama_stack.providers._shared.keyed_service import KeyedService, ServiceConfig
from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider


class SambaNovaSafetyConfig(ServiceConfig, GuardSettings):
    base_url: str = "https://api.sambanova.ai/v1"
    api_key: SecretStr | None = None
    """None: requests must bring their own in `X-LlamaStack-Provider-Data`."""


@provider(
    api=Api.safety,
    type="remote::sambanova",
    description="Llama Guard at SambaNova. A shield's provider_shield_id is the model (Meta-Llama-Guard-3-8B).",
    config=SambaNovaSafetyConfig,
    sample={
        "base_url": "${env.SAMBANOVA_URL:=https://api.sambanova.ai/v1}",
        "api_key": "${env.SAMBANOVA_API_KEY:=}",
    },
    turned_on_by="SAMBANOVA_API_KEY",
    data_keys={"sambanova_api_key": "api_key"},
)
class SambaNovaSafety(KeyedService, GuardShields):
    def __init__(self, config: SambaNovaSafetyConfig, context: ProviderContext) -> None:
        GuardShields.__init__(self, context.provider_id, config)
        KeyedService.__init__(self, config, context)

    async def answer(self, model: str, messages: list[dict[str, Any]], call: Call) -> str:
        key = self.key(call)
        headers = {"Authorization": f"Bearer {key}"}
        body = question(model.removeprefix("sambanova/"), messages)
        answer = await self.post_json(f"{self.base_url}/chat/completions", headers, body, call, secret=key)
        try:
            return str(answer["choices"][0]["message"]["content"])
        except (KeyError, IndexError, TypeError):
            raise ProviderError(f"Provider '{self.name}' answered with something that is no completion.") from None

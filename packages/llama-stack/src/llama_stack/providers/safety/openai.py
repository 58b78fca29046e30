"""OpenAI's moderation models."""

from __future__ import annotations

from pydantic import SecretStr

from llama_stack.providers._shared.keyed_service import ServiceConfig
from llama_stack.providers._shared.moderation_shields import ModerationShields
from llama_stack_api.api import Api
from llama_stack_api.provider import provider


class OpenAIModerationConfig(ServiceConfig):
    base_url: str = "https://api.openai.com/v1"
    api_key: SecretStr | None = None
    """None: requests must bring their own in `X-LlamaStack-Provider-Data`."""


@provider(
    api=Api.safety,
    type="remote::openai",
    description="OpenAI's moderation models, for text and images. A shield's provider_shield_id is the model "
    "(omni-moderation-latest).",
    config=OpenAIModerationConfig,
    sample={"base_url": "${env.OPENAI_BASE_URL:=https://api.openai.com/v1}", "api_key": "${env.OPENAI_API_KEY:=}"},
    turned_on_by="OPENAI_API_KEY",
    data_keys={"openai_api_key": "api_key"},
)
class OpenAIModeration(ModerationShields):
    pass

"""Anthropic itself: its own API for messages, and chat translated into it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from llama_stack.providers._shared.messages_upstream import VERSION, VERSION_HEADER
from llama_stack.providers._shared.messages_upstream_chat import ChatByMessages, ChatByMessagesConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError
from llama_stack_api.ports.inference import ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import provider

PAGES_MAX = 20
PAGE_MODELS = 1000


class AnthropicConfig(ChatByMessagesConfig):
    base_url: str = "https://api.anthropic.com"
    """With or without its `/v1`."""


@provider(
    api=Api.inference,
    type="remote::anthropic",
    description="Anthropic's models. Requests of the Messages API go to it untouched, server tools and betas included; "
    "chat completions are translated.",
    config=AnthropicConfig,
    sample={
        "base_url": "${env.ANTHROPIC_UPSTREAM_URL:=https://api.anthropic.com}",
        "api_key": "${env.ANTHROPIC_API_KEY:=}",
    },
    turned_on_by="ANTHROPIC_API_KEY",
    data_keys={"anthropic_api_key": "api_key"},
)
class Anthropic(ChatByMessages):
    quirks = Quirks(key_header="x-api-key", key_prefix="")
    runs_server_tools = True
    own_names = "claude-"  # who asks for such a model, listed or not, means one of this provider's
    serves_unlisted_models = True  # of a model's names, the list has only the one with a date

    def rooted(self, url: str) -> str:
        """Anthropic's own packages are given the address without `/v1`."""
        url = url.rstrip("/")
        return url if url.endswith("/v1") else f"{url}/v1"

    def headers_with(self, key: SecretStr | None) -> dict[str, str]:
        return {**super().headers_with(key), VERSION_HEADER: VERSION}

    async def listing(self, call: Call) -> Any:
        """All pages of the list."""
        found: list[Any] = []
        after = ""
        for _ in range(PAGES_MAX):
            page = await self.get_json(self.url(f"/models?limit={PAGE_MODELS}{after}", call), call)
            items = self.listed_items(page)
            if not isinstance(page, dict) or not isinstance(items, list):
                return page
            found += items
            if not page.get("has_more") or not page.get("last_id"):
                return found
            after = f"&after_id={quote(str(page['last_id']), safe='')}"
        raise ProviderError(f"Provider '{self.name}' lists more than {PAGES_MAX * PAGE_MODELS} models.")

    def listed_model(self, item: dict[str, Any]) -> ProviderModel | None:
        model = super().listed_model(item)
        if model is None:
            return None
        if isinstance(length := item.get("max_input_tokens"), int):
            model.metadata["context_length"] = length
        if isinstance(tokens := item.get("max_tokens"), int) and tokens > 0:
            self._tokens_max_listed[model.id] = tokens
        return model

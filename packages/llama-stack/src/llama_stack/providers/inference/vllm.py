"""vLLM's server: whatever model it was started with, also for embeddings and rerank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel, Field

from llama_stack.dialects.chat.values import text_or
from llama_stack.providers._shared.messages_upstream_local import LocalMessagesUpstream
from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import ENGINES_IGNORE, Quirks
from llama_stack.providers._shared.reranking import RerankUpstream
from llama_stack.providers._shared.token_counts import TokenCounts, members_of
from llama_stack_api.api import Api
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.completions import CompletionRequest
from llama_stack_api.ports.inference import ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider

_GUIDED: Final = {
    "json": "guided_json",
    "regex": "guided_regex",
    "choice": "guided_choice",
    "grammar": "guided_grammar",
    "whitespace_pattern": "guided_whitespace_pattern",
}
"""Members of `structured_outputs`, and what each was before vLLM 0.11. Newer versions read the old names over."""

_PROMPT = (
    "model",
    "messages",
    "tools",
    "chat_template",
    "chat_template_kwargs",
    "add_generation_prompt",
    "continue_final_message",
    "mm_processor_kwargs",
)


class VLLMConfig(OpenAICompatibleConfig):
    base_url: str
    """`http://localhost:8000/v1`."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens that a chat answer may have when the request does not say. None: as many as the context has room for."""


@provider(
    api=Api.inference,
    type="remote::vllm",
    description="A vLLM server: chat, completions, embeddings and rerank, as the model that it runs allows, and exact "
    "counts of tokens. Its list does not say what a model is for: register embedding and rerank models. A request may "
    "hold vLLM's own members, among them structured_outputs (json, regex, choice, grammar) or, by their older names, "
    "guided_json, guided_regex, guided_choice and guided_grammar: any version understands either.",
    config=VLLMConfig,
    sample={"base_url": "${env.VLLM_URL:=}", "api_key": "${env.VLLM_API_TOKEN:=}"},
    turned_on_by="VLLM_URL",
    data_keys={"vllm_api_token": "api_key", "vllm_url": "base_url"},
)
class VLLM(OpenAICompatible, RerankUpstream, TokenCounts, LocalMessagesUpstream):
    takes_thinking = False
    quirks = Quirks(key_required=False, root="/v1", refuse=ENGINES_IGNORE, thoughts="reasoning_content")

    def __init__(self, config: VLLMConfig, context: ProviderContext) -> None:
        super().__init__(config, context)
        self._tokens_max = config.max_tokens

    def body(self, params: BaseModel, quirks: Quirks) -> bytes:
        changed: dict[str, Any] = {}
        if self._tokens_max is not None and isinstance(params, ChatCompletionRequest) and not _limited(params):
            changed["max_tokens"] = self._tokens_max
        if params.model_extra and isinstance(params, ChatCompletionRequest | CompletionRequest):
            changed |= _in_both_words(params.model_extra)
        return super().body(params.model_copy(update=changed) if changed else params, quirks)

    def listed_items(self, listed: Any) -> Any:
        """A LoRA adapter is listed beside the model that it changes, without that model's context length."""
        items = super().listed_items(listed)
        cards = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
        lengths = {text_or(card.get("id")): card.get("max_model_len") for card in cards}
        for card in cards:
            if card.get("max_model_len") is None and isinstance(card.get("parent"), str):
                card["max_model_len"] = lengths.get(card["parent"])
        return items

    def listed_model(self, item: dict[str, Any]) -> ProviderModel | None:
        model, parent = super().listed_model(item), item.get("parent")
        if model is None or not isinstance(parent, str):
            return model
        return replace(model, metadata={**model.metadata, "adapter_of": parent})

    async def counted_by_upstream(self, chat: Mapping[str, Any], call: Call) -> int | None:
        answer = await self.asked(self.beside("/tokenize", call), members_of(chat, _PROMPT), call)
        return answer.get("count")


def _limited(params: ChatCompletionRequest) -> bool:
    return params.max_tokens is not None or params.max_completion_tokens is not None


def _in_both_words(given: Mapping[str, Any]) -> dict[str, Any]:
    """What constrains the answer, as newer and as older versions call it."""
    structured = given.get("structured_outputs")
    if isinstance(structured, dict):
        return {old: structured[new] for new, old in _GUIDED.items() if new in structured and old not in given}
    guided = {new: given[old] for new, old in _GUIDED.items() if given.get(old) is not None}
    return {"structured_outputs": guided} if guided else {}

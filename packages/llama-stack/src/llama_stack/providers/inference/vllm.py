"""vLLM's server: whatever model it was started with, also for embeddings and rerank."""

from __future__ import annotations

from pydantic import BaseModel, Field

from llama_stack.providers._shared.messages_upstream_local import LocalMessagesUpstream
from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import ENGINES_IGNORE, Quirks
from llama_stack.providers._shared.reranking import RerankUpstream
from llama_stack_api.api import Api
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.provider import ProviderContext, provider


class VLLMConfig(OpenAICompatibleConfig):
    base_url: str
    """`http://localhost:8000/v1`."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens that a chat answer may have when the request does not say. None: as many as the context has room for."""


@provider(
    api=Api.inference,
    type="remote::vllm",
    description="A vLLM server: chat, completions, embeddings and rerank, as the model that it runs allows. Its list "
    "does not say what a model is for: register embedding and rerank models.",
    config=VLLMConfig,
    sample={"base_url": "${env.VLLM_URL:=}", "api_key": "${env.VLLM_API_TOKEN:=}"},
    turned_on_by="VLLM_URL",
    data_keys={"vllm_api_token": "api_key", "vllm_url": "base_url"},
)
class VLLM(OpenAICompatible, RerankUpstream, LocalMessagesUpstream):
    takes_thinking = False
    quirks = Quirks(key_required=False, root="/v1", refuse=ENGINES_IGNORE, thoughts="reasoning_content")

    def __init__(self, config: VLLMConfig, context: ProviderContext) -> None:
        super().__init__(config, context)
        self._tokens_max = config.max_tokens

    def body(self, params: BaseModel, quirks: Quirks) -> bytes:
        if self._tokens_max is not None and isinstance(params, ChatCompletionRequest) and not _limited(params):
            params = params.model_copy(update={"max_tokens": self._tokens_max})
        return super().body(params, quirks)


def _limited(params: ChatCompletionRequest) -> bool:
    return params.max_tokens is not None or params.max_completion_tokens is not None

"""Llama Guard over any model that this server has."""

from __future__ import annotations

from typing import Any

from llama_stack.providers._shared.guard_shield import GuardSettings, GuardShields, question
from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.ports.inference import ChatCompletions
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider
from llama_stack_api.wire import EncodedReply


class LlamaGuardConfig(GuardSettings):
    pass


@provider(
    api=Api.safety,
    type="inline::llama-guard",
    description="Llama Guard's fourteen categories, judged by a model of this server: one of the Llama Guard family, "
    "or any chat model that is told to. A shield's provider_shield_id is the model.",
    config=LlamaGuardConfig,
    sample={"excluded_categories": []},
    api_dependencies=(Api.inference,),
)
class LlamaGuard(GuardShields):
    def __init__(self, config: LlamaGuardConfig, context: ProviderContext) -> None:
        super().__init__(context.provider_id, config)
        self._inference: ChatCompletions = context.deps[Api.inference]

    async def answer(self, model: str, messages: list[dict[str, Any]], call: Call) -> str:
        request = ChatCompletionRequest.model_validate(question(model, messages))
        reply = await self._inference.openai_chat_completion(request, call)
        completion = reply.decode() if isinstance(reply, EncodedReply) else reply
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            raise ProviderError(f"Provider '{self.name}': the model gave no answer.")
        return completion.choices[0].message.content or ""

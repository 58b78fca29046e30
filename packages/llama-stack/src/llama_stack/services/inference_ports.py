"""What other services ask of the inference service, guarded or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llama_stack.services.inference import Served
    from llama_stack_api.anthropic.messages import CreateMessageRequest
    from llama_stack_api.native.rerank import RerankRequest
    from llama_stack_api.openai.chat import ChatCompletionRequest
    from llama_stack_api.openai.completions import CompletionRequest
    from llama_stack_api.openai.embeddings import EmbeddingsRequest
    from llama_stack_api.principal import Call


class ChatInference(Protocol):
    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> Served: ...


class MessageInference(ChatInference, Protocol):
    """For the Messages API."""

    async def anthropic_messages(self, params: CreateMessageRequest, call: Call, *, named: str) -> Served: ...


class Inference(ChatInference, Protocol):
    """For OpenAI's routes."""

    async def openai_completion(self, params: CompletionRequest, call: Call) -> Served: ...

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> Served: ...

    async def rerank(self, params: RerankRequest, call: Call) -> Served: ...

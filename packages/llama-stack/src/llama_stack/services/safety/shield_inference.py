"""Inference for shields that ask a model: behind the same routing as everything, and under no guard, which would ask
the shield about what the shield asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from llama_stack.services.inference import InferenceRouter
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.principal import Call
from llama_stack_api.wire import EncodedReply, EncodedStream


class ShieldInference:
    """Implements `ports.inference.ChatCompletions`; `params.model` is a model of the server's."""

    def __init__(self, inference: InferenceRouter) -> None:
        self._inference = inference

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> EncodedReply[ChatCompletion] | EncodedStream:
        served = await self._inference.openai_chat_completion(params, call)
        if isinstance(served.body, bytes):
            return EncodedReply(served.body, ChatCompletion)
        return _Blocks(served.body)


class _Blocks(EncodedStream):
    def __init__(self, blocks: AsyncGenerator[bytes, None]) -> None:
        self._blocks = blocks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._blocks

    async def aclose(self) -> None:
        await self._blocks.aclose()

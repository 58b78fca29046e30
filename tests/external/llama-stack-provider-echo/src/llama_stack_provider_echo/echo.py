"""Says what it is told."""

from collections.abc import AsyncIterator

from pydantic import BaseModel

from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest
from llama_stack_api.ports.inference import ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider


class EchoConfig(BaseModel):
    prefix: str = ""


@provider(api=Api.inference, type="inline::echo", description="Says what it is told.", config=EchoConfig)
class Echo:
    def __init__(self, config: EchoConfig, context: ProviderContext) -> None:
        self.config = config
        self.context = context

    async def list_models(self, call: Call) -> list[ProviderModel]:
        return [ProviderModel("parrot")]

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> ChatCompletion | AsyncIterator[ChatCompletionChunk]:
        said = params.messages[-1].content
        if not isinstance(said, str):
            raise InvalidRequest("The echo repeats text only.", param="messages")
        answer = self.answer(said)
        return self._chunks(params.model, answer) if params.stream else self._whole(params.model, answer)

    def answer(self, said: str) -> str:
        return self.config.prefix + said

    def _whole(self, model: str, answer: str) -> ChatCompletion:
        message = {"role": "assistant", "content": answer}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return ChatCompletion.model_validate(
            {"id": "echo", "object": "chat.completion", "created": 0, "model": model, "choices": [choice]}
        )

    async def _chunks(self, model: str, answer: str) -> AsyncIterator[ChatCompletionChunk]:
        head = {"id": "echo", "object": "chat.completion.chunk", "created": 0, "model": model}
        for word in answer.split():
            choice = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None}
            yield ChatCompletionChunk.model_validate({**head, "choices": [choice]})
        yield ChatCompletionChunk.model_validate(
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        )

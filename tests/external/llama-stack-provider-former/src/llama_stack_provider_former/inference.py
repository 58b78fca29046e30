from collections.abc import AsyncIterator
from typing import Any

from llama_stack_api import (
    HealthResponse,
    HealthStatus,
    Inference,
    Model,
    ModelType,
    OpenAIChatCompletion,
    OpenAIChatCompletionChunk,
    OpenAIChatCompletionRequestWithExtraBody,
    OpenAIChatCompletionResponseMessage,
    OpenAIChatCompletionUsage,
    OpenAIChoice,
    OpenAIChoiceDelta,
    OpenAIChunkChoice,
    OpenAICompletion,
    OpenAICompletionRequestWithExtraBody,
    OpenAIEmbeddingData,
    OpenAIEmbeddingsRequestWithExtraBody,
    OpenAIEmbeddingsResponse,
    OpenAIEmbeddingUsage,
)
from llama_stack_provider_former.config import InferenceConfig

DIMENSION = 4


class Former(Inference):
    def __init__(self, config: InferenceConfig) -> None:
        self.config = config
        self.is_shut_down = False

    async def initialize(self) -> None:
        pass

    async def shutdown(self) -> None:
        self.is_shut_down = True

    async def health(self) -> HealthResponse:
        return HealthResponse(status=HealthStatus.OK, message=f"I am {self.__provider_id__}")

    async def list_models(self) -> list[Model] | None:
        name = self.__provider_id__
        return [
            Model(identifier="parrot", provider_resource_id="parrot", provider_id=name, model_type=ModelType.llm),
            Model(
                identifier="letters",
                provider_resource_id="letters",
                provider_id=name,
                model_type=ModelType.embedding,
                metadata={"embedding_dimension": DIMENSION, "context_length": 512},
            ),
        ]

    async def should_refresh_models(self) -> bool:
        return False

    async def openai_chat_completion(
        self, params: OpenAIChatCompletionRequestWithExtraBody
    ) -> OpenAIChatCompletion | AsyncIterator[OpenAIChatCompletionChunk]:
        model = await self.model_store.get_model(params.model)
        said = self._said(str(params.messages[-1].content))
        if params.stream:
            return self._stream(model.provider_resource_id, said)
        message = OpenAIChatCompletionResponseMessage(role="assistant", content=said)
        choice = OpenAIChoice(index=0, message=message, finish_reason="stop", logprobs=None)
        usage = OpenAIChatCompletionUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
        return OpenAIChatCompletion(id="c1", created=1, model=params.model, choices=[choice], usage=usage)

    async def _stream(self, model: str, said: str) -> AsyncIterator[OpenAIChatCompletionChunk]:
        head: dict[str, Any] = {"id": "c1", "created": 1, "model": model}
        for word in said.split(" "):
            delta = OpenAIChoiceDelta(content=f"{word} ")
            yield OpenAIChatCompletionChunk(
                choices=[OpenAIChunkChoice(index=0, delta=delta, finish_reason=None)], **head
            )
        # Asked for late: the request is still the one at work.
        delta = OpenAIChoiceDelta(content=self._voice())
        yield OpenAIChatCompletionChunk(choices=[OpenAIChunkChoice(index=0, delta=delta, finish_reason="stop")], **head)

    async def openai_completion(self, params: OpenAICompletionRequestWithExtraBody) -> OpenAICompletion:
        raise NotImplementedError("it only chats")

    async def openai_embeddings(self, params: OpenAIEmbeddingsRequestWithExtraBody) -> OpenAIEmbeddingsResponse:
        texts = [params.input] if isinstance(params.input, str) else params.input
        data = [OpenAIEmbeddingData(index=place, embedding=letters(str(each))) for place, each in enumerate(texts)]
        usage = OpenAIEmbeddingUsage(prompt_tokens=1, total_tokens=1)
        return OpenAIEmbeddingsResponse(data=data, model=params.model, usage=usage)

    def _said(self, text: str) -> str:
        return f"{text} in a {self._voice()} voice"

    def _voice(self) -> str:
        data = self.get_request_provider_data()
        return data.former_voice.get_secret_value() if data else self.config.voice


def letters(text: str) -> list[float]:
    """How often each of four letters is in a text."""
    return [float(text.lower().count(letter)) + 0.01 for letter in "aeio"]


async def get_adapter_impl(config: InferenceConfig, deps: dict[Any, Any]) -> Former:
    made = Former(config)
    await made.initialize()
    return made

"""What retrieval needs of models, over the inference service: routing, retries, fallback and metrics are its."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final, Protocol

import msgspec

from llama_stack.rag.vectors import packed
from llama_stack.routing.table import Entry
from llama_stack.services.inference import Served
from llama_stack_api.errors import ProviderError
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.chat_messages import UserMessage
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.principal import Call

MODELS_KNOWN_MAX: Final = 1000
"""Models whose dimension is remembered, having been seen."""
_PROBE: Final = "dimension"


class Inference(Protocol):
    """`services.inference.InferenceRouter`."""

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> Served: ...

    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> Served: ...

    async def rerank(self, params: RerankRequest, call: Call) -> Served: ...


class Models(Protocol):
    def lookup(self, model: str) -> Entry | None: ...


class _Embedding(msgspec.Struct):
    index: int
    embedding: str | list[float]


class _Embeddings(msgspec.Struct):
    data: list[_Embedding]


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    choices: list[_Choice]


class _Relevance(msgspec.Struct):
    index: int
    relevance_score: float


class _Reranked(msgspec.Struct):
    data: list[_Relevance]


_embeddings: Final = msgspec.json.Decoder(_Embeddings)
_completion: Final = msgspec.json.Decoder(_Completion)
_relevances: Final = msgspec.json.Decoder(_Reranked)


class RoutedEmbeddings:
    """`rag.ports.EmbeddingPort`.

    `dimensions` is sent on only where the model's own are others: many providers refuse the parameter, even with the
    dimension that they have. A model that does not say its own is asked without first.
    """

    def __init__(self, inference: Inference, models: Models) -> None:
        self._inference = inference
        self._models = models
        self._seen: dict[str, int] = {}

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None, call: Call) -> list[bytes]:
        own = self._own_dimension(model)
        if dimensions is None or own is None or own == dimensions:
            vectors = await self._embed(model, texts, None, call)
            self._remember(model, vectors)
            if dimensions is None or all(len(vector) == 4 * dimensions for vector in vectors):
                return vectors
        vectors = await self._embed(model, texts, dimensions, call)
        if any(len(vector) != 4 * dimensions for vector in vectors):
            raise ProviderError(
                f"Model '{model}' answered with {len(vectors[0]) // 4} dimensions where {dimensions} were asked for."
            )
        return vectors

    def context_length(self, model: str) -> int | None:
        length = self._metadata(model, "context_length")
        return length if isinstance(length, int) and length > 0 else None

    async def dimension(self, model: str, call: Call) -> int:
        """The model's own: as it says, or as it embeds a word."""
        own = self._own_dimension(model)
        if own is None:
            (vector,) = await self.embed(model, [_PROBE], dimensions=None, call=call)
            own = len(vector) // 4
        return own

    def _own_dimension(self, model: str) -> int | None:
        said = self._metadata(model, "embedding_dimension")
        return said if isinstance(said, int) and said > 0 else self._seen.get(model)

    def _remember(self, model: str, vectors: Sequence[bytes]) -> None:
        if vectors and len(self._seen) < MODELS_KNOWN_MAX:
            self._seen[model] = len(vectors[0]) // 4

    def _metadata(self, model: str, name: str) -> Any:
        entry = self._models.lookup(model)
        return entry.metadata.get(name) if entry else None

    async def _embed(self, model: str, texts: Sequence[str], dimensions: int | None, call: Call) -> list[bytes]:
        params = EmbeddingsRequest(model=model, input=list(texts), encoding_format="base64")
        if dimensions is not None:
            params = params.model_copy(update={"dimensions": dimensions})
        served = await self._inference.openai_embeddings(params, call)
        reply = _decoded(_embeddings, served, "embeddings")
        vectors = [_vector(each.embedding) for each in sorted(reply.data, key=lambda each: each.index)]
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) > 1 or not all(vectors):
            raise ProviderError(f"Provider '{served.provider_id}' did not answer with one embedding for each text.")
        return vectors


class RoutedCompletions:
    """`rag.ports.CompletionPort`."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def complete(self, model: str, prompt: str, *, max_tokens: int, temperature: float | None, call: Call) -> str:
        asked: dict[str, Any] = {"model": model, "messages": [UserMessage(role="user", content=prompt)]}
        asked["max_completion_tokens"] = max_tokens
        if temperature is not None:
            asked["temperature"] = temperature
        served = await self._inference.openai_chat_completion(ChatCompletionRequest(**asked), call)
        reply = _decoded(_completion, served, "chat completion")
        return (reply.choices[0].message.content or "") if reply.choices else ""


class RoutedReranking:
    """`rag.ports.RerankPort`."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def rerank(self, model: str, query: str, texts: Sequence[str], call: Call) -> list[float]:
        served = await self._inference.rerank(RerankRequest(model=model, query=query, items=list(texts)), call)
        found = {each.index: each.relevance_score for each in _decoded(_relevances, served, "ranking").data}
        if found.keys() != set(range(len(texts))):
            raise ProviderError(f"Provider '{served.provider_id}' did not rank every text.")
        return [found[index] for index in range(len(texts))]


def _decoded(decoder: msgspec.json.Decoder[Any], served: Served, what: str) -> Any:
    assert not isinstance(served.body, AsyncGenerator), "nothing here is asked for as a stream"
    try:
        return decoder.decode(served.body)
    except msgspec.DecodeError:
        raise ProviderError(f"Provider '{served.provider_id}' answered with something that is no {what}.") from None


def _vector(embedding: str | list[float]) -> bytes:
    """Little-endian floats of 32 bits, which is also what base64 stands for. Empty if it is no such thing."""
    try:
        if isinstance(embedding, list):
            return packed(embedding)
        vector = base64.b64decode(embedding, validate=True)
    except ValueError:  # binascii.Error is one
        return b""
    return vector if len(vector) % 4 == 0 else b""

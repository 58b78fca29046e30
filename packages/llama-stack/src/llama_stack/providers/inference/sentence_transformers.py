"""Embedding models of the sentence-transformers library. Needs torch; without it use `inline::onnx-embeddings`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from llama_stack.providers._shared.embedding_replies import reply_of, texts_of
from llama_stack.providers._shared.embedding_worker import Worker
from llama_stack_api.api import Api
from llama_stack_api.errors import ModelNotFound, NotImplementedByProvider
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider
from llama_stack_api.wire import EncodedReply

EXTRA = "sentence-transformers"


class EmbeddingModel(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)

    id: str
    """A Hugging Face name or a directory."""
    embedding_dimension: int = Field(ge=1)
    context_length: int | None = Field(default=None, ge=1)


class SentenceTransformersConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True)

    models: list[EmbeddingModel] = Field(
        default_factory=lambda: [
            EmbeddingModel(id="sentence-transformers/all-MiniLM-L6-v2", embedding_dimension=384, context_length=256)
        ],
        min_length=1,
    )
    trust_remote_code: bool = False
    """Run code that comes with a model. Never for one whose author you do not trust."""
    device: str | None = None
    """`cpu`, `cuda`, `mps`; None: the library's choice."""
    batch_max: int = Field(default=32, ge=1)
    queue_max: int = Field(default=64, ge=1)


@provider(
    api=Api.inference,
    type="inline::sentence-transformers",
    description="Embedding models by sentence-transformers and torch (an extra).",
    config=SentenceTransformersConfig,
    sample={"trust_remote_code": False},
    pip_packages=("sentence-transformers>=4,<7",),
)
class SentenceTransformers:
    def __init__(self, config: SentenceTransformersConfig, context: ProviderContext) -> None:
        self.config = config
        self._name = context.provider_id
        self._models = {model.id: model for model in config.models}
        self._loaded: dict[str, Any] = {}
        self._worker = Worker(context.provider_id, config.queue_max)

    async def close(self) -> None:
        self._worker.close()
        self._loaded.clear()

    async def list_models(self, call: Call) -> list[ProviderModel]:
        return [
            ProviderModel(model.id, ModelType.embedding, model.model_dump(exclude={"id"}, exclude_none=True))
            for model in self._models.values()
        ]

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        model = self._models.get(params.model)
        if model is None:
            raise ModelNotFound(
                f"Provider '{self._name}' has no model '{params.model}'; it has: {', '.join(self._models)}.",
                param="model",
            )
        texts = texts_of(params, dimension=model.embedding_dimension)
        with self._worker.place():
            return await self._worker.run(self._embed, texts, params)

    def _embed(self, texts: list[str], params: EmbeddingsRequest) -> EncodedReply[EmbeddingsResponse]:
        model = self._load(params.model)
        tokens = sum(len(ids) for ids in model.tokenizer(texts, truncation=True)["input_ids"])
        vectors = model.encode(
            texts, batch_size=self.config.batch_max, normalize_embeddings=True, show_progress_bar=False
        )
        return reply_of(vectors, tokens, params)

    def _load(self, name: str) -> Any:
        if name not in self._loaded:
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError:
                raise NotImplementedByProvider(
                    f"Provider '{self._name}' needs an extra: pip install 'llama-stack[{EXTRA}]'."
                ) from None
            self._loaded[name] = SentenceTransformer(
                name, device=self.config.device, trust_remote_code=self.config.trust_remote_code
            )
        return self._loaded[name]

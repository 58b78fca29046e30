"""A cross-encoder that scores texts against a query, by transformers and torch (an extra)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from llama_stack.providers._shared.embedding_worker import Worker
from llama_stack.providers._shared.local_reranking import ranked, texts_to_rank
from llama_stack_api.api import Api
from llama_stack_api.errors import ModelNotFound, NotImplementedByProvider
from llama_stack_api.native.rerank import RerankRequest, RerankResponse
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider

EXTRA = "transformers"


class TransformersRerankConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True)

    models: list[str] = Field(default_factory=lambda: ["cross-encoder/ms-marco-MiniLM-L6-v2"], min_length=1)
    """Hugging Face names or directories of sequence classifiers with one label."""
    device: str = "cpu"
    tokens_max: int = Field(default=512, ge=16)
    """Of a query and an item together; longer items are cut."""
    batch_max: int = Field(default=16, ge=1)
    items_max: int = Field(default=1000, ge=1)
    queue_max: int = Field(default=32, ge=1)


@provider(
    api=Api.inference,
    type="inline::transformers",
    description="Rerankers (cross-encoders) by transformers and torch (an extra).",
    config=TransformersRerankConfig,
    pip_packages=("transformers>=4.50,<6", "torch>=2.6,<3"),
)
class TransformersRerank:
    def __init__(self, config: TransformersRerankConfig, context: ProviderContext) -> None:
        self.config = config
        self._name = context.provider_id
        self._loaded: dict[str, tuple[Any, Any]] = {}
        self._worker = Worker(context.provider_id, config.queue_max)

    async def close(self) -> None:
        self._worker.close()
        self._loaded.clear()

    async def list_models(self, call: Call) -> list[ProviderModel]:
        return [ProviderModel(name, ModelType.rerank) for name in self.config.models]

    async def rerank(self, params: RerankRequest, call: Call) -> RerankResponse:
        if params.model not in self.config.models:
            raise ModelNotFound(
                f"Provider '{self._name}' has no model '{params.model}'; it has: {', '.join(self.config.models)}.",
                param="model",
            )
        query, items = texts_to_rank(params, self.config.items_max)
        with self._worker.place():
            scores = await self._worker.run(self._scores, params.model, query, items)
        return ranked(scores, params.max_num_results)

    def _scores(self, name: str, query: str, items: list[str]) -> list[float]:
        """One logit per item."""
        tokenizer, model = self._load(name)
        import torch

        scores: list[float] = []
        for start in range(0, len(items), self.config.batch_max):
            batch = items[start : start + self.config.batch_max]
            inputs = tokenizer(
                [query] * len(batch), batch, padding=True, truncation="only_second",
                max_length=self.config.tokens_max, return_tensors="pt",
            ).to(self.config.device)  # fmt: skip
            with torch.inference_mode():
                scores += model(**inputs).logits[:, 0].float().tolist()
        return scores

    def _load(self, name: str) -> tuple[Any, Any]:
        if name not in self._loaded:
            try:
                import torch  # noqa: F401 - transformers imports without it and then fails late
                from transformers import AutoModelForSequenceClassification, AutoTokenizer
            except ImportError:
                raise NotImplementedByProvider(
                    f"Provider '{self._name}' needs an extra: pip install 'llama-stack[{EXTRA}]'."
                ) from None
            model = AutoModelForSequenceClassification.from_pretrained(name).to(self.config.device).eval()
            self._loaded[name] = (AutoTokenizer.from_pretrained(name), model)
        return self._loaded[name]

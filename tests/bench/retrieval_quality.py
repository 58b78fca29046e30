"""How well a search finds what answers a question, over labelled passages that are files of their own, through the
whole server with the starter's embedding model and reranker."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx

from tests.bench import servers
from tests.bench.knowledge_server import KNOWLEDGE, RERANK_MODEL, client_of, ingest, new_store, upload
from tests.bench.relevance import LabelledQuery, ndcg, passages, queries, recall
from tests.bench.tables import table

LIMIT: Final = 10
_NEURAL: Final = {"ranker": "neural", "model": RERANK_MODEL}
SEARCHES: Final[Mapping[str, Mapping[str, Any]]] = {
    "vector": {"search_mode": "vector", "ranking_options": {"ranker": "none"}},
    "keyword": {"search_mode": "keyword", "ranking_options": {"ranker": "none"}},
    "hybrid, rrf": {"search_mode": "hybrid", "ranking_options": {"ranker": "rrf"}},
    "hybrid, weighted": {"search_mode": "hybrid", "ranking_options": {"ranker": "weighted"}},
    "hybrid, normalized": {"search_mode": "hybrid", "ranking_options": {"ranker": "normalized"}},
    "hybrid, auto": {"search_mode": "hybrid"},
    "vector, neural": {"search_mode": "vector", "ranking_options": _NEURAL},
    "hybrid, neural": {"search_mode": "hybrid", "ranking_options": _NEURAL},
}
MEASURES: Final[Mapping[str, Callable[[Sequence[str], Mapping[str, int]], float]]] = {
    "recall@1": lambda found, grades: recall(found, grades, 1),
    "recall@10": lambda found, grades: recall(found, grades, LIMIT),
    "nDCG@10": lambda found, grades: ndcg(found, grades, LIMIT),
}


def retrieval(scale: float) -> None:
    asked = queries()[:: 1 if scale == 1 else 10]
    kinds = sorted({query.kind for query in asked})
    rows = []
    with (
        servers.upstream() as upstream,
        servers.llama_stack(upstream, KNOWLEDGE) as server,
        client_of(server.port) as client,
    ):
        store = new_store(client)
        ingest(client, store, [upload(client, f"{name}.txt", text.encode()) for name, text in passages().items()])
        for name, options in SEARCHES.items():
            before = server.cpu_s()
            answers = [found(client, store, query.text, options) for query in asked]
            cpu_ms = (server.cpu_s() - before) / len(asked) * 1000
            rows.append([name, *figures(asked, answers, kinds), f"{cpu_ms:.1f}"])
    head = [f"{measure}, {kind}" if kind else measure for kind in ("", *kinds) for measure in MEASURES]
    table(f"retrieval: {len(asked)} queries over {len(passages())} files", ["search", *head, "CPU ms"], rows)


def found(client: httpx.Client, store: str, text: str, options: Mapping[str, Any]) -> list[str]:
    """The passages' ids, the best first."""
    body = {"query": text, "max_num_results": LIMIT, **options}
    reply = client.post(f"/vector_stores/{store}/search", json=body).raise_for_status().json()
    return [hit["filename"].removesuffix(".txt") for hit in reply["data"]]


def figures(asked: Sequence[LabelledQuery], answers: Sequence[Sequence[str]], kinds: Sequence[str]) -> list[str]:
    """Means over all queries, then over those of each kind."""
    cells = []
    for kind in ("", *kinds):
        chosen = [pair for pair in zip(asked, answers, strict=True) if kind in ("", pair[0].kind)]
        means = (statistics.fmean(of(answer, query.grades) for query, answer in chosen) for of in MEASURES.values())
        cells += [f"{mean:.3f}" for mean in means]
    return cells

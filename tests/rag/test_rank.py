"""What a request's ranking options come to, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.config.vector_stores import VectorStoresConfig
from llama_stack.rag.rank import RankingPlan, fused, keyword_score, merged, ranking_plan, reranked, vector_score
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.ports.vector_io import Hit
from llama_stack_api.vector_io import SearchRankingOptions

RERANKER = {"default_reranker_model": {"provider_id": "tei", "model_id": "bge"}}


def plan(options: dict[str, Any] | None, config: dict[str, Any] | None = None) -> RankingPlan:
    wanted = None if options is None else SearchRankingOptions.model_validate(options)
    return ranking_plan(wanted, VectorStoresConfig.model_validate(config or {}))


def found(**hits: list[Hit]) -> dict[Any, list[Hit]]:
    return dict(hits)


def test_without_options_the_run_config_decides() -> None:
    assert plan(None) == RankingPlan("auto", 0.5, 0.5, 60, None, 1.0, 0.0)
    retrieval = {"default_reranker_strategy": "weighted", "weighted_search_alpha": 0.75, "rrf_impact_factor": 10}
    made = plan(None, {"chunk_retrieval_params": retrieval, **RERANKER})
    assert made == RankingPlan("weighted", 0.75, 0.25, 10, None, 1.0, 0.0)


@pytest.mark.parametrize("ranker", ["auto", "default-2024-11-15", None])
def test_the_default_rerank_model_is_asked_where_neural_is_said(ranker: str | None) -> None:
    neural = {"chunk_retrieval_params": {"default_reranker_strategy": "neural"}, **RERANKER}
    assert plan({"ranker": ranker}, neural).model == "tei/bge"
    assert plan({"ranker": ranker}, RERANKER).model is None
    assert plan({"ranker": "neural"}, RERANKER).model == "tei/bge"
    assert plan({"ranker": "none"}, neural).model is None
    assert plan({"ranker": "rrf"}, neural).model is None
    assert plan({"ranker": "neural", "model": "other/one"}, RERANKER).model == "other/one"


@pytest.mark.parametrize("ranker", ["auto", None])
def test_what_only_one_strategy_knows_chooses_it(ranker: str | None) -> None:
    assert plan({"ranker": ranker, "hybrid_search": {"embedding_weight": 3, "text_weight": 1}}).fusion == "rrf"
    assert plan({"ranker": ranker, "impact_factor": 5}).fusion == "rrf"
    assert plan({"ranker": ranker, "alpha": 0.75}).fusion == "weighted"
    assert plan({"ranker": ranker, "weights": {"vector": 1, "keyword": 2}}).fusion == "weighted"
    assert plan({"ranker": "neural", "model": "m", "weights": {"neural": 0.5}}).fusion == "auto"


def test_shares() -> None:
    assert plan({"hybrid_search": {"embedding_weight": 3, "text_weight": 1}}).vector == 3
    assert plan({"alpha": 0.75}).keyword == 0.25
    assert plan({"ranker": "weighted", "weights": {"vector": 0.2, "keyword": 0.6}}).fusion == "weighted"
    both = plan({"ranker": "neural", "model": "m", "weights": {"vector": 1, "keyword": 1, "neural": 2}})
    assert (both.vector, both.keyword, both.neural) == (1, 1, 0.5)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"ranker": "neural"}, "ranking_options.model"),
        ({"ranker": "rrf", "model": "m"}, "ranking_options.model"),
        ({"ranker": "weighted", "weights": {"vector": 0, "keyword": 0}}, "ranking_options.weights"),
        ({"hybrid_search": {"embedding_weight": -1, "text_weight": 2}}, "ranking_options.hybrid_search"),
        ({"alpha": 0.5, "weights": {"vector": 1}}, "ranking_options.weights"),
    ],
)
def test_what_contradicts_itself_is_refused(options: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        plan(options)
    assert refused.value.param == param


def test_scores_are_shown_from_0_to_1() -> None:
    assert [vector_score(cosine) for cosine in (-0.5, 0.0, 0.4, 1.0000001)] == [0.0, 0.0, 0.4, 1.0]
    assert [keyword_score(relevance) for relevance in (0.0, 1.0, 3.0)] == [0.0, 0.5, 0.75]


def test_one_mode_alone_keeps_its_own_scores() -> None:
    assert fused(found(vector=[Hit("a", 0.9), Hit("b", -0.1)]), RankingPlan()) == {"a": 0.9, "b": 0.0}
    assert fused(found(keyword=[Hit("a", 4.0)]), RankingPlan()) == {"a": 0.8}


def test_hybrid_scores_by_strategy() -> None:
    hits = found(vector=[Hit("a", 0.8), Hit("b", 0.4)], keyword=[Hit("b", 3.0)])
    assert fused(hits, RankingPlan("weighted", 0.5, 0.5)) == pytest.approx({"a": 0.4, "b": 0.575})
    by_rank = fused(hits, RankingPlan("rrf"))
    assert by_rank["b"] > by_rank["a"]


def test_words_are_added_to_the_similarity_by_what_they_cover() -> None:
    hits = found(vector=[Hit("a", 0.8), Hit("b", 0.6)], keyword=[Hit("b", 3.0), Hit("c", 1.0)])
    scores = fused(hits, RankingPlan(), {"a": 0.0, "b": 1.0, "c": 0.0})
    assert scores == pytest.approx({"a": 0.8 / 1.3, "b": 0.9 / 1.3, "c": 0.6 / 1.3})
    assert fused(found(vector=[], keyword=[Hit("c", 1.0)]), RankingPlan(), {"c": 1.0}) == pytest.approx(
        {"c": 0.3 / 1.3}
    )


def test_several_queries_count_by_the_best() -> None:
    assert merged([{"a": 0.5, "b": 0.1}, {"b": 0.7}]) == {"a": 0.5, "b": 0.7}


def test_logits_of_a_rerank_model_become_probabilities() -> None:
    scores = reranked({"a": 0.1, "b": 0.9, "c": 0.5}, {"a": 8.0, "b": -2000.0}, RankingPlan(model="m"))
    assert scores.keys() == {"a", "b"}
    assert scores["a"] == pytest.approx(0.99966, abs=1e-4)
    assert 0 <= scores["b"] < 1e-6
    mixed = reranked({"a": 0.1, "b": 0.9}, {"a": 0.6, "b": 0.2}, RankingPlan(model="m", neural=0.5))
    assert mixed == pytest.approx({"a": 0.35, "b": 0.55})

"""How what was found is ranked: what a request asks for, over what the run config has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from llama_stack.config.vector_stores import VectorStoresConfig
from llama_stack.rag.fuse import Ranking, Scores, best_of, normalized, reciprocal_rank, weighted, with_evidence
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.ports.vector_io import Hit
from llama_stack_api.vector_io import SearchRankingOptions

Mode: TypeAlias = Literal["vector", "keyword", "hybrid"]
Fusion: TypeAlias = Literal["auto", "rrf", "weighted", "normalized"]

_BY_DEFAULT: Final = frozenset({"auto", "default-2024-11-15", None})


@dataclass(frozen=True, slots=True)
class RankingPlan:
    """`vector` and `keyword` are the shares of the two rankings of a hybrid search, `neural` that of the rerank model
    beside what they make together; `auto` knows no shares. `model` None: no rerank."""

    fusion: Fusion = "auto"
    vector: float = 0.5
    keyword: float = 0.5
    impact_factor: float = 60.0
    model: str | None = None
    neural: float = 1.0
    score_threshold: float = 0.0


def ranking_plan(options: SearchRankingOptions | None, config: VectorStoresConfig) -> RankingPlan:
    """`InvalidRequest` for what contradicts itself, or wants a rerank model where there is none.

    Without a ranker, or with OpenAI's `auto`, the run config says how, unless there are shares or an impact factor,
    which only one strategy knows.
    """
    options = options or SearchRankingOptions()
    defaults = config.chunk_retrieval_params
    vector, keyword, neural = _shares(options, defaults.weighted_search_alpha)
    model = _model(options, config)
    return RankingPlan(
        fusion=_fusion(options, defaults.default_reranker_strategy),
        vector=vector,
        keyword=keyword,
        impact_factor=options.impact_factor or defaults.rrf_impact_factor,
        model=model,
        neural=neural,
        score_threshold=options.score_threshold or 0.0,
    )


def needs_evidence(mode: Mode, plan: RankingPlan) -> bool:
    return mode == "hybrid" and plan.fusion == "auto"


def fused(hits: Mapping[Mode, Sequence[Hit]], plan: RankingPlan, evidence: Scores | None = None) -> dict[str, float]:
    """One query's scores. A search of one mode alone keeps that mode's own. `evidence` is that of the words in what was
    found, where the plan needs it."""
    rankings = [
        Ranking(_scores(mode, found), plan.vector if mode == "vector" else plan.keyword) for mode, found in hits.items()
    ]
    if len(rankings) == 1:
        return dict(rankings[0].scores)
    if evidence is not None:
        return with_evidence(_scores("vector", hits["vector"]), evidence)
    if plan.fusion == "rrf":
        return reciprocal_rank(rankings, plan.impact_factor)
    return weighted(rankings) if plan.fusion == "weighted" else normalized(rankings)


def merged(by_query: Sequence[Scores]) -> dict[str, float]:
    """What several queries found, each with its best score."""
    return dict(by_query[0]) if len(by_query) == 1 else best_of(by_query)


def reranked(scores: Scores, relevance: Mapping[str, float], plan: RankingPlan) -> dict[str, float]:
    """`relevance` is what the rerank model said of some of them; only those are left."""
    relevance = _bounded(relevance)
    before = {each: scores[each] for each in relevance}
    return weighted([Ranking(relevance, plan.neural), Ranking(before, 1 - plan.neural)])


def vector_score(cosine: float) -> float:
    return min(1.0, max(0.0, cosine))


def keyword_score(relevance: float) -> float:
    """Of a relevance that has no upper bound."""
    return relevance / (1 + relevance) if relevance > 0 else 0.0


def _scores(mode: Mode, found: Sequence[Hit]) -> dict[str, float]:
    shown = vector_score if mode == "vector" else keyword_score
    return {hit.id: shown(hit.score) for hit in found}


def _bounded(relevance: Mapping[str, float]) -> dict[str, float]:
    """Rerank models answer with probabilities, or with logits."""
    if all(0 <= score <= 1 for score in relevance.values()):
        return dict(relevance)
    return {each: 1 / (1 + math.exp(-max(-60.0, min(60.0, score)))) for each, score in relevance.items()}


def _fusion(options: SearchRankingOptions, default: Fusion | Literal["neural"]) -> Fusion:
    if options.ranker in ("rrf", "weighted", "normalized"):
        return options.ranker
    if options.alpha is not None or set(options.weights or ()) - {"neural"}:
        return "weighted"
    if options.hybrid_search is not None or options.impact_factor is not None:
        return "rrf"  # whose shares and factor they are, as OpenAI has it
    return "auto" if default == "neural" else default


def _shares(options: SearchRankingOptions, alpha: float) -> tuple[float, float, float]:
    """Of vectors, of keywords, and of the rerank model beside the two."""
    given = [name for name in ("hybrid_search", "alpha", "weights") if getattr(options, name) is not None]
    if len(given) > 1:
        raise InvalidRequest(
            f"{given[0]} and {given[1]} say the same; give one of them.", param=f"ranking_options.{given[1]}"
        )
    share = alpha if options.alpha is None else options.alpha
    vector, keyword, neural = share, 1 - share, None
    if options.hybrid_search is not None:
        vector, keyword = options.hybrid_search.embedding_weight, options.hybrid_search.text_weight
    elif options.weights is not None:
        weights = options.weights
        neural = weights.get("neural")
        if neural is None or len(weights) > 1:
            vector, keyword = weights.get("vector", 0.0), weights.get("keyword", 0.0)
    if vector < 0 or keyword < 0 or not vector + keyword > 0:
        raise InvalidRequest(
            f"{given[0]}: the weights of vectors and keywords must be 0 or more, and not both 0.",
            param=f"ranking_options.{given[0]}",
            code="invalid_value",
        )
    return vector, keyword, 1.0 if neural is None else neural / (vector + keyword + neural)


def _model(options: SearchRankingOptions, config: VectorStoresConfig) -> str | None:
    default = config.default_reranker_model.identifier if config.default_reranker_model else None
    if options.ranker == "neural":
        if options.model or default:
            return options.model or default
        raise InvalidRequest(
            "The ranker 'neural' needs a rerank model: name one as 'model', or set "
            "vector_stores.default_reranker_model in the run config.",
            param="ranking_options.model",
            code="missing_required_parameter",
        )
    if options.ranker in _BY_DEFAULT:
        is_neural = config.chunk_retrieval_params.default_reranker_strategy == "neural"
        return options.model or (default if is_neural else None)
    if options.model is not None:
        raise InvalidRequest(
            f"The ranker {options.ranker!r} asks no model; leave out 'model', or take 'neural'.",
            param="ranking_options.model",
        )
    return None

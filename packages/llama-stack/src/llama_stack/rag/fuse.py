"""Several rankings of the same things become one. Pure: scores in, scores out, all from 0 to 1.

A ranking maps an id to its score; nothing else of it counts but, for `reciprocal_rank`, the order of its scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Scores: TypeAlias = Mapping[str, float]

EVIDENCE: Final = 0.3
"""By so much of a cosine a text that has all words of the query is ahead of one that has none: more than the texts of
one topic differ by, less than topics do."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """`share` is how much it counts beside the others: 0 or more, not 0 in all."""

    scores: Scores
    share: float = 1.0


def in_order(scores: Scores) -> list[str]:
    """The ids, the best first; equally good ones by their id, so that the same scores give the same order."""
    return sorted(scores, key=lambda each: (-scores[each], each))


def reciprocal_rank(rankings: Sequence[Ranking], impact_factor: float) -> dict[str, float]:
    """Places count, scores do not: the n-th of a ranking gets `share / (impact_factor + n)`. What is first everywhere
    has 1."""
    best = sum(ranking.share for ranking in rankings) / (impact_factor + 1)
    fused: dict[str, float] = {}
    for ranking in rankings:
        for place, each in enumerate(in_order(ranking.scores), 1):
            fused[each] = fused.get(each, 0.0) + ranking.share / (impact_factor + place) / best
    return _bounded(fused)


def weighted(rankings: Sequence[Ranking]) -> dict[str, float]:
    """The mean of the scores by share. What a ranking lacks has 0 there."""
    shares = sum(ranking.share for ranking in rankings)
    fused: dict[str, float] = {}
    for ranking in rankings:
        for each, score in ranking.scores.items():
            fused[each] = fused.get(each, 0.0) + score * ranking.share / shares
    return _bounded(fused)


def normalized(rankings: Sequence[Ranking]) -> dict[str, float]:
    """As `weighted`, after each ranking is stretched so that its best has 1 and nothing has 0. The worst that was
    found keeps something, for it was found."""
    return weighted([Ranking(_stretched(ranking.scores), ranking.share) for ranking in rankings])


def with_evidence(nearest: Scores, evidence: Scores) -> dict[str, float]:
    """The similarity of the vectors, and on it what the words add: at most `EVIDENCE` of it. `evidence` has every id;
    what `nearest` lacks is as far off as the farthest that it has."""
    farthest = min(nearest.values(), default=0.0)
    return _bounded(
        {each: (nearest.get(each, farthest) + EVIDENCE * said) / (1 + EVIDENCE) for each, said in evidence.items()}
    )


def best_of(fused: Sequence[Scores]) -> dict[str, float]:
    """What several queries found: each with its best score."""
    together: dict[str, float] = {}
    for scores in fused:
        for each, score in scores.items():
            together[each] = max(together.get(each, 0.0), score)
    return together


def _stretched(scores: Scores) -> dict[str, float]:
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    if low == high:
        return dict.fromkeys(scores, 1.0)
    floor = 1 / (len(scores) + 1)
    return {each: floor + (1 - floor) * (score - low) / (high - low) for each, score in scores.items()}


def _bounded(scores: dict[str, float]) -> dict[str, float]:
    """Rounding may carry a sum of shares a hair beyond 1."""
    return {each: min(1.0, score) for each, score in scores.items()}

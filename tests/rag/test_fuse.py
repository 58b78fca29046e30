"""Several rankings become one: what must hold of any rankings, and what each way is meant to do."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.rag.fuse import Ranking, best_of, in_order, normalized, reciprocal_rank, weighted

IDS = st.sampled_from([f"chunk-{number}" for number in range(8)])
SCORES = st.dictionaries(IDS, st.floats(0, 1), max_size=8)
RANKINGS = st.lists(st.builds(Ranking, SCORES, st.floats(0.01, 10)), min_size=1, max_size=4)


def fusions(rankings: list[Ranking], factor: float = 60) -> list[dict[str, float]]:
    return [reciprocal_rank(rankings, factor), weighted(rankings), normalized(rankings)]


@given(RANKINGS, st.floats(0.1, 1000))
def test_all_that_was_found_has_a_score_from_0_to_1(rankings: list[Ranking], factor: float) -> None:
    found = {each for ranking in rankings for each in ranking.scores}
    for fused in fusions(rankings, factor):
        assert fused.keys() == found
        assert all(0 <= score <= 1 for score in fused.values())


@given(RANKINGS, st.randoms())
def test_the_order_of_the_rankings_does_not_matter(rankings: list[Ranking], random: object) -> None:
    turned = list(reversed(rankings))
    for one, other in zip(fusions(rankings), fusions(turned), strict=True):
        assert one == pytest.approx(other)


@given(SCORES, st.floats(0.01, 10), st.floats(0.1, 1000))
def test_what_all_rankings_agree_on_keeps_its_order(scores: dict[str, float], share: float, factor: float) -> None:
    rankings = [Ranking(scores, share), Ranking(scores, 1.0)]
    assert in_order(reciprocal_rank(rankings, factor)) == in_order(scores)
    assert weighted(rankings) == pytest.approx(scores)
    fused = normalized(rankings)
    places = [fused[each] for each in in_order(scores)]
    assert all(later <= before + 1e-9 for before, later in itertools.pairwise(places))


@given(SCORES, SCORES)
def test_a_better_place_never_does_harm(one: dict[str, float], other: dict[str, float]) -> None:
    """By rank: a chunk that comes first in one more ranking is not behind where it was."""
    if not one:
        return
    last = in_order(one)[-1]
    before = in_order(reciprocal_rank([Ranking(one), Ranking(other)], 60)).index(last)
    first = {**{each: score / 2 for each, score in one.items()}, last: 1.0}
    assert in_order(reciprocal_rank([Ranking(first), Ranking(other)], 60)).index(last) <= before


@given(st.lists(SCORES, min_size=1, max_size=4))
def test_of_several_queries_the_best_score_counts(found: list[dict[str, float]]) -> None:
    together = best_of(found)
    for each, score in together.items():
        assert score == max(scores.get(each, 0.0) for scores in found)


def test_first_everywhere_is_1() -> None:
    assert reciprocal_rank([Ranking({"a": 0.2, "b": 0.1}), Ranking({"a": 0.9})], 60)["a"] == 1.0


def test_the_impact_factor_says_how_much_the_first_place_counts() -> None:
    rankings = [Ranking({"a": 0.9, "b": 0.5, "c": 0.4}), Ranking({"b": 0.9, "d": 0.5, "c": 0.4})]
    steep, flat = reciprocal_rank(rankings, 0.1), reciprocal_rank(rankings, 1000)
    assert in_order(steep)[:2] == ["b", "a"]
    assert in_order(flat)[:2] == ["b", "c"]


def test_shares_decide_who_is_heard() -> None:
    vectors, words = {"a": 0.9, "b": 0.3}, {"b": 0.8, "a": 0.1}
    assert in_order(weighted([Ranking(vectors, 0.9), Ranking(words, 0.1)])) == ["a", "b"]
    assert in_order(weighted([Ranking(vectors, 0.1), Ranking(words, 0.9)])) == ["b", "a"]
    assert weighted([Ranking(vectors, 1.0), Ranking({"z": 1.0}, 0.0)])["z"] == 0.0


def test_normalized_makes_up_for_scores_that_lie_close_together() -> None:
    close, wide = {"a": 0.52, "b": 0.51}, {"b": 0.6, "a": 0.2}
    assert in_order(weighted([Ranking(close), Ranking(wide)])) == ["b", "a"]
    assert normalized([Ranking(close, 0.6), Ranking(wide, 0.4)])["a"] == pytest.approx(0.6 + 0.4 / 3)


def test_equally_good_ones_come_in_the_order_of_their_ids() -> None:
    assert in_order({"b": 0.5, "c": 0.7, "a": 0.5}) == ["c", "a", "b"]

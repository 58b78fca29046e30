"""What the retrieval benchmark counts, and that its labels hold together."""

from __future__ import annotations

import math

import pytest

from tests.bench.relevance import ANSWERS, HELPS, ndcg, passages, queries, recall

GRADES = {"a": ANSWERS, "b": HELPS}


def test_recall_is_of_what_answers() -> None:
    assert recall(["b", "a"], GRADES, 1) == 0
    assert recall(["b", "a"], GRADES, 2) == 1
    assert recall(["x", "a", "y"], {"a": ANSWERS, "c": ANSWERS}, 10) == 0.5


def test_recall_of_more_answers_than_places() -> None:
    assert recall(["a"], {"a": ANSWERS, "c": ANSWERS}, 1) == 1


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["a", "b"], 1.0),
        (["b", "a"], (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))),
        (["x", "a"], (3 / math.log2(3)) / (3 + 1 / math.log2(3))),
        (["x", "y"], 0.0),
        ([], 0.0),
    ],
)
def test_ndcg(found: list[str], expected: float) -> None:
    assert ndcg(found, GRADES, 10) == pytest.approx(expected)


def test_only_the_first_count() -> None:
    assert ndcg(["x", "a"], GRADES, 1) == 0


def test_the_labels_name_passages_that_are_there() -> None:
    known = passages()
    asked = queries()
    assert len(known) > 100
    assert len(asked) == 120
    assert {query.kind for query in asked} == {"meaning", "words", "both"}
    for query in asked:
        assert query.grades.keys() <= known.keys()
        assert ANSWERS in query.grades.values()

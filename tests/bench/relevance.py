"""How good an ordered answer is, against what is known to be relevant. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LABELLED: Final = Path(__file__).parent / "retrieval"
ANSWERS: Final = 2
HELPS: Final = 1
"""Grades of a passage for a query: it answers, or it only helps. Others have none."""


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    """`grades` by the passage's id."""

    text: str
    grades: Mapping[str, int]
    kind: str


def passages(path: Path = LABELLED / "passages.txt") -> dict[str, str]:
    """Texts by id."""
    return {name: text for name, _, text in (line.partition(" ") for line in _lines(path))}


def queries(path: Path = LABELLED / "queries.txt") -> list[LabelledQuery]:
    return [_query(line) for line in _lines(path)]


def recall(found: Sequence[str], grades: Mapping[str, int], limit: int) -> float:
    """The share of the passages that answer which is among the first `limit`, of those that could be."""
    answers = {name for name, grade in grades.items() if grade == ANSWERS}
    return len(answers.intersection(found[:limit])) / min(limit, len(answers))


def ndcg(found: Sequence[str], grades: Mapping[str, int], limit: int) -> float:
    """Normalised discounted cumulative gain: 1 for the best possible order, 0 if nothing relevant was found."""
    ideal = _gain(sorted(grades.values(), reverse=True)[:limit])
    return _gain(grades.get(name, 0) for name in found[:limit]) / ideal


def _gain(grades: Iterable[int]) -> float:
    return math.fsum((2.0**grade - 1) / math.log2(place + 1) for place, grade in enumerate(grades, 1))


def _query(line: str) -> LabelledQuery:
    text, relevant, kind = (part.strip() for part in line.split("|"))
    answers, _, helps = relevant.partition("~")
    grades = dict.fromkeys(answers.split(), ANSWERS) | dict.fromkeys(helps.split(), HELPS)
    return LabelledQuery(text, grades, kind)


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]

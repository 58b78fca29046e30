"""What search engines do, done plainly: similarity, relevance and order over documents in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def inner_product(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def relevances(texts: Mapping[str, str], words: Sequence[str]) -> dict[str, float]:
    """BM25 of the texts that have at least one of the words, by their ids; words are what spaces separate."""
    split = {id: text.split() for id, text in texts.items()}
    length = sum(map(len, split.values())) / max(1, len(split))
    found: dict[str, float] = {}
    for word in words:
        having = [id for id, each in split.items() if word in each]
        rarity = math.log(1 + (len(split) - len(having) + 0.5) / (len(having) + 0.5))
        for id in having:
            count = split[id].count(word)
            share = count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(split[id]) / length))
            found[id] = found.get(id, 0) + rarity * share
    return found

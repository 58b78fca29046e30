"""Relevance from the vectors of tokens: each token of a query is held against all tokens of a text, and the best counts
(late interaction, as in ColBERT, https://arxiv.org/abs/2004.12832).

An embedding model that was trained for whole texts does that, too, if its judgement of the whole counts as well, and
rare tokens count for more than those that every text has.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TokenVectors(NamedTuple):
    """The tokens of a text without the special ones, their vectors of length 1 (tokens, dimension), and the vector of
    the whole text, of length 1, too."""

    ids: Sequence[int]
    tokens: NDArray[np.float32]
    whole: NDArray[np.float32]


def relevances(query: TokenVectors, texts: Sequence[TokenVectors]) -> list[float]:
    """Of each text to the query, from -1 to 1."""
    weights = _weights(query.ids, texts)
    return [_relevance(query, text, weights) for text in texts]


def _relevance(query: TokenVectors, text: TokenVectors, weights: NDArray[np.float32]) -> float:
    whole = float(query.whole @ text.whole)
    if not len(query.ids) or not len(text.ids):
        return whole
    nearest = (query.tokens @ text.tokens.T).max(axis=1)
    return (whole + float(nearest @ weights)) / 2


def _weights(ids: Sequence[int], texts: Sequence[TokenVectors]) -> NDArray[np.float32]:
    """What each token of the query counts: the more, the fewer of the texts have it; all together 1."""
    import numpy as np

    having = Counter(token for text in texts for token in set(text.ids))
    rarity = [math.log(1 + (len(texts) - having[token] + 0.5) / (having[token] + 0.5)) for token in ids]
    weights = np.array(rarity, np.float32)
    return weights / max(float(weights.sum()), 1e-9)

"""Cosines of a query with the rows of a table, and the best of them in an order that does not depend on luck."""

from __future__ import annotations

import uuid
from typing import Final

import numpy as np
from numpy.typing import NDArray

from llama_stack.providers._shared.vector_cache.table import Floats, Places
from llama_stack_api.ports.vector_io import Hit

DECIMALS: Final = 6
"""Cosines of 32-bit vectors that differ by less are equal, and ordered by id."""
_NEAR: Final = 2 * 10.0**-DECIMALS
_WHOLE_SHARE: Final = 0.3
"""Of the rows: beyond it, reading all of them in order is faster than picking out those wanted."""
_BLOCK: Final = 4096
_SCORED_AGAIN_MAX: Final = 4096


def nearest(vectors: Floats, ids: NDArray[np.uint8], query: Floats, places: Places, limit: int) -> list[Hit]:
    """The best `limit` of the rows at `places`, equal ones by id, also where the limit cuts between those."""
    scores = cosines(vectors, query, places)
    if len(places) > limit:
        least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        close = np.flatnonzero(scores >= least - _NEAR)
        places, scores = places[close], scores[close]
    if len(places) <= limit + _SCORED_AGAIN_MAX:
        # In 64 bits, so that equal vectors are equally near to the last decimal that counts.
        scores = np.einsum("ij,j->i", vectors[places].astype(np.float64), query.astype(np.float64))
    rounded = np.clip(np.round(scores.astype(np.float64), DECIMALS), -1, 1)
    halves = np.ascontiguousarray(ids[places]).view(">u8")
    order = np.lexsort((halves[:, 1], halves[:, 0], -rounded))[:limit]
    return [Hit(str(uuid.UUID(bytes=ids[places[at]].tobytes())), float(rounded[at])) for at in order]


def cosines(vectors: Floats, query: Floats, places: Places) -> Floats:
    """Of the rows at `places`, in blocks, so that the copies stay small. Row by row: the matrix product is no faster,
    and starts threads that take the cores from other searches."""
    if len(places) > _WHOLE_SHARE * len(vectors):
        everything: Floats = np.vecdot(vectors, query)
        return everything[places]
    scores = np.empty(len(places), np.float32)
    for start in range(0, len(places), _BLOCK):
        scores[start : start + _BLOCK] = np.vecdot(vectors[places[start : start + _BLOCK]], query)
    return scores

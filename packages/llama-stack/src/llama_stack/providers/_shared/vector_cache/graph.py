"""A graph (HNSW) over the rows of a table, which finds candidates; their exact cosines are the table's to compute.

Its nodes are 8-bit copies of the vectors: a quarter of the memory, and twice the speed of walking over whole ones. What
that loses in the order of candidates, computing their cosines again makes good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from llama_stack.providers._shared.vector_cache.table import Floats, Places

LINKS: Final = 16
BUILD_EFFORT: Final = 80
_TRAINED_ON_MAX: Final = 20_000
_BATCH: Final = 1000
"""Rows that are added between two looks at whether to go on."""


class Abandoned(Exception):
    """The work on a graph was to stop."""


class Graph:
    """`places` are those of the nodes in the table, -1 for what is gone from it; the table's rows before `covered` are
    nodes, or were dead when the graph was made. A graph is never changed, so that it can be searched at any time."""

    def __init__(self, index: Any, places: Places, covered: int, built: int) -> None:
        self._index = index
        self.places = places
        self.covered = covered
        self.built = built
        """Rows that it was built with, before it was extended."""

    @property
    def nbytes(self) -> int:
        return len(self.places) * (int(self._index.d) + 4 * 2 * LINKS + 40)

    @property
    def gone(self) -> int:
        return int(np.count_nonzero(self.places < 0))

    @classmethod
    def build(cls, vectors: Floats, places: Places, covered: int, goes_on: Callable[[], bool], threads: int) -> Graph:
        """Of the rows of `vectors` at `places`. Raises `Abandoned`."""
        faiss = _faiss()
        index = faiss.IndexHNSWSQ(vectors.shape[1], faiss.ScalarQuantizer.QT_8bit, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = BUILD_EFFORT
        every = max(1, len(places) // _TRAINED_ON_MAX)
        index.train(vectors[places[::every]])
        _add(index, vectors, places, goes_on, threads)
        return cls(index, places, covered, len(places))

    def extended(
        self, vectors: Floats, places: Places, covered: int, goes_on: Callable[[], bool], threads: int
    ) -> Graph:
        """With the rows at `places` as well, which came after `self.covered`."""
        faiss = _faiss()
        index = faiss.clone_index(self._index)
        _add(index, vectors, places, goes_on, threads)
        return Graph(index, np.concatenate([self.places, places]), covered, self.built)

    def moved(self, to: Places) -> Graph:
        """For a table whose rows have other places: `to` holds the new one of each, -1 of the dead."""
        places = np.where(self.places >= 0, to[self.places], -1)
        return Graph(self._index, places, int(np.count_nonzero(to[: self.covered] >= 0)), self.built)

    def near(self, query: Floats, count: int) -> Places:
        """About the `count` nearest nodes that are still in the table, nearest first."""
        faiss = _faiss()
        count = min(count, len(self.places))
        parameters = faiss.SearchParametersHNSW(efSearch=count)
        _, nodes = self._index.search(query[None, :], count, params=parameters)
        places: Places = self.places[nodes[0][nodes[0] >= 0]]
        return places[places >= 0]

    # --- on disk

    def to_bytes(self) -> NDArray[np.uint8]:
        faiss = _faiss()
        serialized: NDArray[np.uint8] = faiss.serialize_index(self._index)
        return serialized

    @classmethod
    def from_bytes(cls, data: NDArray[np.uint8], places: Places, covered: int, built: int) -> Graph:
        faiss = _faiss()
        return cls(faiss.deserialize_index(data), places, covered, built)


def _add(index: Any, vectors: Floats, places: Places, goes_on: Callable[[], bool], threads: int) -> None:
    faiss = _faiss()
    faiss.omp_set_num_threads(threads)  # of this thread's work
    for start in range(0, len(places), _BATCH):
        if not goes_on():
            raise Abandoned
        index.add(vectors[places[start : start + _BATCH]])


def _faiss() -> Any:
    import faiss  # here, as only large indexes need it; the types that it ships know half of it

    return faiss

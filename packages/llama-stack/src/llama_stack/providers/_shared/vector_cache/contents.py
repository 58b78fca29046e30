"""One index at a version of its rows: what is in it, how it is searched, and what would do it good."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from llama_stack.providers._shared.vector_cache.exact import nearest
from llama_stack.providers._shared.vector_cache.graph import Graph
from llama_stack.providers._shared.vector_cache.table import Floats, Places, Selection, VectorTable, directions
from llama_stack_api.ports.vector_io import ChunkRow, Hit, RowChange, VectorQuery

EXACT_SHARE: Final = 0.02
EXACT_MIN: Final = 2000
"""Chunks that match: so few, or such a share, are compared one by one even where there is a graph."""
EFFORT_MIN: Final = 96
EFFORT_MAX: Final = 2000
MARGIN: Final = 4
"""Candidates that the graph is asked for, per chunk that is wanted and share of chunks that match."""
ENOUGH: Final = 2
"""Candidates that must match, per chunk that is wanted, for the graph's answer to be taken."""

ADDED_AT_ONCE: Final = 200

TAIL_SHARE: Final = 0.05
TAIL_MIN: Final = 2000
DEAD_SHARE: Final = 0.25
DEAD_MIN: Final = 1000


@dataclass(frozen=True, slots=True)
class GraphWork:
    """A graph to be made, away from the lock under which it was thought of; nothing that it reads changes."""

    vectors: Floats
    places: Places
    covered: int
    extends: Graph | None

    def do(self, goes_on: Callable[[], bool], threads: int) -> Graph:
        if self.extends is None:
            return Graph.build(self.vectors, self.places, self.covered, goes_on, threads)
        return self.extends.extended(self.vectors, self.places, self.covered, goes_on, threads)


class Contents:
    """`version` is that of the rows. `table` and `graph` are read by searches at any time and changed by one thread.
    Beyond `flat_chunks_max` chunks there is to be a graph."""

    def __init__(
        self, table: VectorTable, flat_chunks_max: int, *, version: int = 0, graph: Graph | None = None
    ) -> None:
        self.table = table
        self.version = version
        self.graph = graph
        self._flat_chunks_max = flat_chunks_max

    @property
    def nbytes(self) -> int:
        return self.table.nbytes + (self.graph.nbytes if self.graph else 0)

    def change(self, changes: Sequence[RowChange]) -> None:
        for change in changes:
            if change.attributes is None:
                self.table.remove_document(change.document)
            else:
                self.table.set_attributes(change.document, change.attributes)

    def add(self, rows: Sequence[ChunkRow]) -> None:
        for start in range(0, len(rows), ADDED_AT_ONCE):
            self.table.add(rows[start : start + ADDED_AT_ONCE])
            time.sleep(0)  # lets the event loop have the interpreter

    # --- search

    def search(self, query: VectorQuery) -> list[Hit]:
        table, graph = self.table, self.graph
        (vector,) = directions([query.vector], table.dimension)
        selection = table.select(query.filter)
        places = None
        if graph is not None and self._worth_a_walk(selection) and np.any(vector):
            places = _candidates(graph, selection, vector, query.limit)
        if places is None:
            places = selection.places
        return nearest(table.vectors.view[: len(selection.mask)], table.ids.view, vector, places, query.limit)

    def _worth_a_walk(self, selection: Selection) -> bool:
        return selection.count > max(min(EXACT_MIN, self._flat_chunks_max), EXACT_SHARE * len(selection.mask))

    # --- upkeep

    def without_the_dead(self) -> Contents | None:
        """Where enough is dead to be worth it: the same without."""
        table = self.table
        if table.dead < max(DEAD_MIN, DEAD_SHARE * len(table)) and len(table.sets) < 2 * len(table) + DEAD_MIN:
            return None
        fresh, moved = table.without_the_dead()
        graph = self.graph.moved(moved) if self.graph else None
        return Contents(fresh, self._flat_chunks_max, version=self.version, graph=graph)

    def graph_work(self) -> GraphWork | None:
        """What the graph lacks: all, if there is none, or it was built with less than half of what there is, or much of
        it is gone; else what came since."""
        table, graph = self.table, self.graph
        count = len(table)
        if count - table.dead <= self._flat_chunks_max:
            return None
        since = graph.covered if graph else 0
        worn = graph is None or graph.gone > DEAD_SHARE * len(graph.places) or count > 2 * graph.built + TAIL_MIN
        if not worn and count - since < max(min(TAIL_MIN, self._flat_chunks_max), TAIL_SHARE * count):
            return None
        start = 0 if worn else since
        places = start + np.flatnonzero(table.alive.view[start:count])
        return GraphWork(table.vectors.view, places, count, None if worn else graph)


def _candidates(graph: Graph, selection: Selection, vector: Floats, limit: int) -> Places | None:
    """Places that match, near the query, and all that the graph does not know. None if these may not be the nearest.

    The graph is asked for the nearest of all chunks. If enough of those match, they are the nearest of those that
    match too; a walk that were shown the matching ones alone would bring as many, but from anywhere, when what is
    wanted lies far from the query, and nobody could tell.
    """
    count = len(selection.mask)
    effort = max(EFFORT_MIN, MARGIN * limit * count // max(1, selection.count))
    if effort > EFFORT_MAX:
        return None
    near = graph.near(vector, effort)
    near = near[selection.mask[near]]
    if len(near) < min(ENOUGH * limit, selection.count):
        return None
    covered = min(graph.covered, count)
    return np.concatenate([near, covered + np.flatnonzero(selection.mask[covered:])])

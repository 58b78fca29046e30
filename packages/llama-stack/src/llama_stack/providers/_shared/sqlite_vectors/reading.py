# ruff: noqa: S608 - what is put into SQL is the number of an index, from which its tables are named

"""Searches of the file, each on a connection that nobody else uses meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llama_stack.providers._shared.sqlite_vectors.filters import Bound, sets_matching
from llama_stack.providers._shared.sqlite_vectors.writing import direction, number_of
from llama_stack_api.filters import Filter
from llama_stack_api.ports.vector_io import Hit, Index, KeywordQuery, VectorQuery

if TYPE_CHECKING:
    import apsw

KNN_MAX: Final = 4096
"""Neighbours that sqlite-vec gives at once."""
FEW: Final = 500
"""Chunks that match a filter: up to so many are looked up one by one, as a search passes over all of an index."""
MORE: Final = 32
"""Neighbours beyond the limit, by which is seen whether the limit cuts between equally near ones."""
DECIMALS: Final = 6
"""Cosines of 32-bit vectors that differ by less are equal, and ordered by id."""


def search_vectors(connection: apsw.Connection, index: Index, query: VectorQuery) -> list[Hit]:
    number = number_of(connection, index)
    if number is None:
        return []
    vector = direction(query.vector, index.dimension)
    which, bound = _chunks_matching(number, query.filter)
    if vector is None:
        return _all_alike(connection, which, bound, query.limit)
    hits = _neighbours(connection, number, vector, query) or _compared(
        connection, number, vector, which, bound, query.limit
    )
    hits += _all_alike(connection, f"{which} AND NOT has_direction", bound, query.limit)
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))[: query.limit]


def search_keywords(connection: apsw.Connection, index: Index, query: KeywordQuery) -> list[Hit]:
    number = number_of(connection, index)
    if number is None:
        return []
    which, bound = _chunks_matching(number, query.filter)
    any_of = " OR ".join('"' + word.replace('"', '""') + '"' for word in query.words)
    words = f"words_{number}"
    found = connection.execute(
        f"SELECT chunks.id, -bm25({words}) AS score FROM {words} JOIN chunks ON chunks.number = {words}.rowid "
        f"WHERE {words} MATCH ? AND {which} ORDER BY score DESC, chunks.id LIMIT ?",
        (any_of, *bound, query.limit),
    )
    return [Hit(id, score) for id, score in found]


def _chunks_matching(number: int, wanted: Filter | None) -> tuple[str, list[Bound]]:
    """A condition on `chunks`, and what is bound in it."""
    if wanted is None:
        return "chunks.index_number = ?", [number]
    condition, bound = sets_matching(wanted)
    sets = f"SELECT sets.number FROM sets WHERE sets.index_number = ? AND {condition}"
    return f"chunks.index_number = ? AND chunks.set_number IN ({sets})", [number, number, *bound]


def _neighbours(connection: apsw.Connection, number: int, vector: bytes, query: VectorQuery) -> list[Hit] | None:
    """By sqlite-vec's own search, which passes over all of an index. None where comparing is quicker, or where the
    limit cuts between equally near ones, of which it takes any."""
    wanted, chosen, bound = query.limit + MORE, "", list[Bound]()
    if wanted > KNN_MAX:
        return None
    if query.filter is not None:
        which, bound = _chunks_matching(number, query.filter)
        some = connection.execute(f"SELECT 1 FROM chunks WHERE {which} LIMIT {FEW + 1}", bound)
        if len(some.fetchall()) <= FEW:
            return None
        # Within the search, not after it: it looks at these rows alone.
        chosen = f"AND rowid IN (SELECT number FROM chunks WHERE {which})"
    found = connection.execute(
        "SELECT (SELECT id FROM chunks WHERE number = nearest.rowid), nearest.distance "
        f"FROM vectors_{number} AS nearest WHERE embedding MATCH ? AND k = ? {chosen}",
        (vector, wanted, *bound),
    )
    hits = sorted((_hit(id, distance) for id, distance in found), key=lambda hit: (-hit.score, hit.id))
    if len(hits) == wanted and hits[query.limit - 1].score == hits[-1].score:
        return None
    return hits[: query.limit]


def _compared(
    connection: apsw.Connection, number: int, vector: bytes, which: str, bound: list[Bound], limit: int
) -> list[Hit]:
    """Each of the chosen chunks with the vector."""
    found = connection.execute(
        "SELECT chunks.id, vec_distance_cosine(embedding, ?) AS away "
        f"FROM chunks JOIN vectors_{number} ON vectors_{number}.rowid = chunks.number WHERE {which} "
        f"ORDER BY round(away, {DECIMALS}), chunks.id LIMIT ?",
        (vector, *bound, limit),
    )
    return [_hit(id, distance) for id, distance in found]


def _all_alike(connection: apsw.Connection, which: str, bound: list[Bound], limit: int) -> list[Hit]:
    found = connection.execute(f"SELECT id FROM chunks WHERE {which} ORDER BY id LIMIT ?", (*bound, limit))
    return [Hit(id, 0.0) for (id,) in found]


def _hit(id: str, distance: float) -> Hit:
    return Hit(id, max(-1.0, min(1.0, round(1 - distance, DECIMALS))))

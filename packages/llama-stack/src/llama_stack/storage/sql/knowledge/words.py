"""The keyword index over our own rows, for providers that have none: FTS5 on SQLite, GIN on PostgreSQL.

A search costs by the chunks that are ranked, so the rarest words of the query find them: those that are in at most
`RANKED_MAX` chunks together. Of what they find, the best by the database's own reckoning are scored here, by BM25 with
the statistics of this store alone. A word that is in more than `COMMON` chunks says nothing of relevance; where the
others do not find enough, chunks that have such a word follow. Where a filter leaves few chunks, the index is left
aside: each of them is looked at.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Params, Row
from llama_stack.storage.sql.knowledge.filters import where
from llama_stack.storage.sql.knowledge.removal import INDEXED_WORDS, WORDS_INDEX, key_of
from llama_stack.storage.sql.knowledge.rows import OF_STORE, SEEN, encode, strings
from llama_stack.storage.sql.tables import CHUNK_SETS, CHUNK_WORDS, CHUNKS
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES
from llama_stack_api.filters import Filter
from llama_stack_api.ports.vector_io import Hit, Index, KeywordQuery

RANKED_MAX: Final = 10_000
COMMON: Final = 20_000
POSTGRES_SHARE: Final = 4
"""PostgreSQL looks at each row that has a word, also to count them: there both limits are a fourth."""
LOOKED_MAX: Final = 2000
LOOKED_WORDS_MAX: Final = 20_000
"""Chunks that a filter leaves, and that number times the words of the query: of more, the index finds which have the
words."""
SETS_MAX: Final = 2000
SCORED_MIN: Final = 120
WORDS_MAX: Final = 128
"""Of a longer query, the first words are searched for."""
_K1, _B = 1.2, 0.75

_MATCHES = WORDS_INDEX.c.ls_chunk_words_index.op("MATCH", is_comparison=True)
_ROWS = sa.bindparam("rows_max", type_=sa.Integer)
_TEXT = (CHUNKS.c.id, CHUNK_WORDS.c.length, CHUNK_WORDS.c.words)


@dataclass(frozen=True, slots=True)
class _Store:
    id: str
    chunks: int
    words: int
    common: int

    def weight(self, chunks_with: int) -> float:
        """How much a word tells (idf)."""
        if chunks_with > self.common:
            chunks_with = self.chunks
        return math.log(1 + max(0.5, self.chunks - chunks_with + 0.5) / (chunks_with + 0.5))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What may be found, and how much of it; `sets` are those that the condition is about, if it is about some."""

    allowed: sa.ColumnElement[bool]
    rows_max: int
    sets: Mapping[int, int]


class SqlKeywordIndex:
    """Satisfies the port `KeywordIndex`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store = sa.select(STORES.c.id, STORES.c.chunks, STORES.c.words).where(
            STORES.c.index_id == sa.bindparam("of_index"), STORES.c.state == "live"
        )
        self._count = _count(database)
        sets = strings(database, "sets").subquery("sets")
        self._numbers = sa.select(sa.cast(sets.c.value, sa.BigInteger))
        joined = CHUNKS.join(CHUNK_WORDS, CHUNK_WORDS.c.number == CHUNKS.c.number)
        self._texts_of_sets = sa.select(*_TEXT).select_from(joined).where(CHUNKS.c.chunk_set.in_(self._numbers))

    async def search_keywords(self, index: Index, query: KeywordQuery) -> list[Hit]:
        """The best first, then by id: BM25 with the statistics of this store alone."""
        found = await self._database.read(self._store, {"of_index": index.id})
        if not found:
            return []
        share = POSTGRES_SHARE if self._database.shared else 1
        ((store_id, chunks, length),) = found
        store = _Store(store_id, chunks, length, COMMON // share)
        counts = await self._counts(store, query.words[:WORDS_MAX])
        if not counts:
            return []
        weights = {word: store.weight(count) for word, count in counts.items()}
        sets = None if query.filter is None else await self._sets_of(store, query.filter)
        if sets is not None and sum(sets.values()) <= min(LOOKED_MAX, LOOKED_WORDS_MAX // len(counts)):
            return await asyncio.to_thread(_best, store, weights, await self._texts_of(sets), query.limit)
        rows = await self._indexed(store, counts, query, sets)
        return _best(store, weights, rows, query.limit)

    async def _sets_of(self, store: _Store, filter_: Filter) -> Mapping[int, int] | None:
        """Those that pass the filter, with the number of their chunks; None if they are too many."""
        sets = sa.select(CHUNK_SETS.c.number, CHUNK_SETS.c.chunks).where(
            CHUNK_SETS.c.store == OF_STORE, SEEN, CHUNK_SETS.c.chunks > 0
        )
        sets = sets.where(where(filter_, CHUNK_SETS.c.attributes, self._database)).limit(_ROWS)
        rows = await self._database.read(sets, {"of_store": store.id, "rows_max": SETS_MAX + 1})
        return dict(rows) if len(rows) <= SETS_MAX else None

    async def _texts_of(self, sets: Mapping[int, int]) -> Sequence[Row]:
        return await self._database.read(self._texts_of_sets, _named(sets)) if sets else ()

    async def _indexed(
        self, store: _Store, counts: Mapping[str, int], query: KeywordQuery, sets: Mapping[int, int] | None
    ) -> Sequence[Row]:
        """Of chunks that have one of the words, enough to choose the best from."""
        seen = _Seen(self._allowed(query.filter, sets), max(2 * query.limit, SCORED_MIN), sets or {})
        share = POSTGRES_SHARE if self._database.shared else 1
        ranked = _rarest(counts, together_max=RANKED_MAX // share, common=store.common)
        rows: Sequence[Row] = ()
        if ranked:
            weights = {word: store.weight(counts[word]) for word in ranked}
            rows = await self._matching(store, weights, seen)
        others = [word for word in counts if word not in ranked]
        if others and len(rows) < query.limit:
            known = {row[0] for row in rows}
            more = await self._having(store, others, seen)
            rows = [*rows, *(row for row in more if row[0] not in known)]
        return rows

    async def _counts(self, store: _Store, words: Sequence[str]) -> dict[str, int]:
        """In how many chunks each word is, those that are in none left out; counted to one beyond what is common."""
        terms = {self._term(store, word): word for word in words}
        rows = await self._database.read(self._count, {"terms": encode(list(terms)), "rows_max": store.common + 1})
        return {terms[term]: count for term, count in rows if count}

    async def _matching(self, store: _Store, weights: Mapping[str, float], seen: _Seen) -> Sequence[Row]:
        """The best of the chunks that have one of the words: their ids, lengths and words."""
        if self._database.shared:
            parts = [
                sa.select(CHUNK_WORDS.c.number, sa.literal(weight, sa.Float(53)).label("weight")).where(
                    self._has([self._term(store, word)])
                )
                for word, weight in weights.items()
            ]
            found = sa.union_all(*parts).subquery("found")
            best = sa.select(found.c.number, sa.func.sum(found.c.weight).label("rank")).group_by(found.c.number)
            ranked = best.subquery("ranked")
            query = sa.select(CHUNKS.c.number)
            query = query.select_from(CHUNKS.join(ranked, CHUNKS.c.number == ranked.c.number))
            query = query.order_by(ranked.c.rank.desc(), ranked.c.number)
        else:
            query = sa.select(CHUNKS.c.number)
            query = query.select_from(CHUNKS.join(WORDS_INDEX, CHUNKS.c.number == WORDS_INDEX.c.rowid))
            query = query.where(self._has([self._term(store, word) for word in weights]))
            query = query.order_by(sa.literal_column("ls_chunk_words_index.rank"))
        return await self._rows(store, query, seen)

    async def _having(self, store: _Store, words: Sequence[str], seen: _Seen) -> Sequence[Row]:
        """The first chunks that have one of the words."""
        index, number = (
            (CHUNK_WORDS, CHUNK_WORDS.c.number) if self._database.shared else (WORDS_INDEX, WORDS_INDEX.c.rowid)
        )
        query = sa.select(CHUNKS.c.number).select_from(CHUNKS.join(index, CHUNKS.c.number == number))
        query = query.where(self._has([self._term(store, word) for word in words]))
        return await self._rows(store, query, seen)

    async def _rows(self, store: _Store, query: sa.Select[Any], seen: _Seen) -> Sequence[Row]:
        chosen = query.where(seen.allowed).limit(_ROWS).subquery("chosen")
        joined = chosen.join(CHUNKS, CHUNKS.c.number == chosen.c.number)
        joined = joined.join(CHUNK_WORDS, CHUNK_WORDS.c.number == chosen.c.number)
        params = {"of_store": store.id, "rows_max": seen.rows_max, **_named(seen.sets)}
        return await self._database.read(sa.select(*_TEXT).select_from(joined), params)

    def _allowed(self, filter_: Filter | None, sets: Mapping[int, int] | None) -> sa.ColumnElement[bool]:
        """Said so that no database can find chunks by their sets: what has the words is to be found first."""
        if sets is not None:
            return CHUNKS.c.chunk_set.in_(self._numbers).is_(sa.true())
        this = (CHUNK_SETS.c.number == CHUNKS.c.chunk_set, CHUNK_SETS.c.store == OF_STORE, SEEN)
        one = sa.select(CHUNK_SETS.c.number).where(*this)
        if filter_ is not None:
            one = one.where(where(filter_, CHUNK_SETS.c.attributes, self._database))
        return one.correlate(CHUNKS).scalar_subquery().is_not(None)

    def _term(self, store: _Store, word: str) -> str:
        """The word as the index has it; on SQLite as a phrase of its query language."""
        term = key_of(store.id) + word
        return term if self._database.shared else '"' + term.replace('"', '""') + '"'

    def _has(self, terms: Sequence[str]) -> sa.ColumnElement[bool]:
        """At least one of the terms."""
        if self._database.shared:
            return sa.or_(*(_contains(sa.select(sa.literal(term, sa.Text)).scalar_subquery()) for term in terms))
        return _MATCHES(sa.literal(" OR ".join(terms), sa.Text))


def _count(database: Database) -> sa.Select[Any]:
    terms = strings(database, "terms").subquery("terms")
    one: sa.Select[Any]
    if database.shared:
        one = sa.select(sa.literal_column("1").label("one")).select_from(CHUNK_WORDS).where(_contains(terms.c.value))
    else:
        one = sa.select(sa.literal_column("1").label("one")).select_from(WORDS_INDEX).where(_MATCHES(terms.c.value))
    some = one.correlate(terms).limit(_ROWS).subquery()
    return sa.select(terms.c.value, sa.select(sa.func.count()).select_from(some).correlate(terms).scalar_subquery())


def _contains(term: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """On PostgreSQL: of a term that its planner does not know, so that it does not read all rows for a common one."""
    terms = sa.func.array_append(sa.literal_column("'{}'::text[]"), term)
    contains: sa.ColumnElement[bool] = INDEXED_WORDS.op("@>", is_comparison=True)(terms)
    return contains


def _rarest(counts: Mapping[str, int], *, together_max: int, common: int) -> list[str]:
    """The rarest words, as long as they are in that many chunks together; at least one, unless it is common."""
    chosen: list[str] = []
    together = 0
    for word in sorted(counts, key=lambda word: (counts[word], word)):
        together += counts[word]
        if counts[word] > common or (chosen and together > together_max):
            break
        chosen.append(word)
    return chosen


def _named(sets: Mapping[int, int]) -> Params:
    return {"sets": encode([str(number) for number in sets])} if sets else {}


def _best(store: _Store, weights: Mapping[str, float], rows: Sequence[Row], limit: int) -> list[Hit]:
    hits = [Hit(row[0], score) for row in rows if (score := _score(store, weights, row)) > 0]
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]


def _score(store: _Store, weights: Mapping[str, float], row: Row) -> float:
    _, length, words = row
    mean = max(1.0, store.words / max(1, store.chunks))
    scale = _K1 * (1 - _B + _B * length / mean)
    found = Counter(filter(weights.__contains__, words.split(" ")))
    score = 0.0
    for word, weight in weights.items():
        times = found.get(word, 0)
        score += weight * times * (_K1 + 1) / (times + scale)
    return score

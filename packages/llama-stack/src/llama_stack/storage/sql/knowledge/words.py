"""The keyword index over our own rows, for providers that have none: FTS5 on SQLite, GIN on PostgreSQL.

A search costs by the chunks that are ranked, so the rarest words of the query find them: those that are in at most
`RANKED_MAX` chunks together. Of what they find, the best by the database's own reckoning are scored here, by BM25 with
the statistics of this store alone. A word that is in more than `COMMON` chunks says nothing of relevance; where the
others do not find enough, chunks that have such a word follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Row
from llama_stack.storage.sql.knowledge.filters import where
from llama_stack.storage.sql.knowledge.removal import INDEXED_WORDS, WORDS_INDEX, key_of
from llama_stack.storage.sql.knowledge.rows import encode, strings
from llama_stack.storage.sql.tables import CHUNK_WORDS, CHUNKS
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES
from llama_stack_api.filters import Filter
from llama_stack_api.ports.vector_io import Hit, Index, KeywordQuery

RANKED_MAX: Final = 10_000
COMMON: Final = 20_000
POSTGRES_SHARE: Final = 4
"""PostgreSQL looks at each row that has a word, also to count them: there both limits are a fourth."""
SCORED_MIN: Final = 120
WORDS_MAX: Final = 128
"""Of a longer query, the first words are searched for."""
_K1, _B = 1.2, 0.75

_MATCHES = WORDS_INDEX.c.ls_chunk_words_index.op("MATCH", is_comparison=True)
_ROWS = sa.bindparam("rows_max", type_=sa.Integer)


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


class SqlKeywordIndex:
    """Satisfies the port `KeywordIndex`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store = sa.select(STORES.c.id, STORES.c.chunks, STORES.c.words).where(
            STORES.c.index_id == sa.bindparam("of_index"), STORES.c.state == "live"
        )
        self._count = _count(database)

    async def search_keywords(self, index: Index, query: KeywordQuery) -> list[Hit]:
        """The best first, then by id: BM25 with the statistics of this store alone."""
        found = await self._database.read(self._store, {"of_index": index.id})
        if not found:
            return []
        share = POSTGRES_SHARE if self._database.shared else 1
        ((store_id, chunks, length),) = found
        store = _Store(store_id, chunks, length, COMMON // share)
        counts = await self._counts(store, query.words[:WORDS_MAX])
        ranked = _rarest(counts, together_max=RANKED_MAX // share, common=store.common)
        rows_max = max(2 * query.limit, SCORED_MIN)
        rows: Sequence[Row] = ()
        if ranked:
            weights = {word: store.weight(counts[word]) for word in ranked}
            rows = await self._matching(store, weights, query.filter, rows_max)
        others = [word for word in counts if word not in ranked]
        if others and len(rows) < query.limit:
            known = {row[0] for row in rows}
            more = await self._having(store, others, query.filter, rows_max)
            rows = [*rows, *(row for row in more if row[0] not in known)]
        weights = {word: store.weight(count) for word, count in counts.items()}
        hits = [Hit(row[0], _score(store, weights, row)) for row in rows]
        return sorted(hits, key=lambda hit: (-hit.score, hit.id))[: query.limit]

    async def _counts(self, store: _Store, words: Sequence[str]) -> dict[str, int]:
        """In how many chunks each word is, those that are in none left out; counted to one beyond what is common."""
        terms = {self._term(store, word): word for word in words}
        rows = await self._database.read(self._count, {"terms": encode(list(terms)), "rows_max": store.common + 1})
        return {terms[term]: count for term, count in rows if count}

    async def _matching(
        self, store: _Store, weights: Mapping[str, float], filter_: Filter | None, rows_max: int
    ) -> Sequence[Row]:
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
            query = sa.select(CHUNKS.c.number).join_from(ranked, CHUNKS, CHUNKS.c.number == ranked.c.number)
            query = query.order_by(ranked.c.rank.desc(), ranked.c.number)
        else:
            query = sa.select(CHUNKS.c.number).join_from(WORDS_INDEX, CHUNKS, CHUNKS.c.number == WORDS_INDEX.c.rowid)
            query = query.where(self._has([self._term(store, word) for word in weights]))
            query = query.order_by(sa.literal_column("ls_chunk_words_index.rank"))
        return await self._rows(store, query, filter_, rows_max)

    async def _having(
        self, store: _Store, words: Sequence[str], filter_: Filter | None, rows_max: int
    ) -> Sequence[Row]:
        """The first chunks that have one of the words."""
        index, number = (
            (CHUNK_WORDS, CHUNK_WORDS.c.number) if self._database.shared else (WORDS_INDEX, WORDS_INDEX.c.rowid)
        )
        query = sa.select(CHUNKS.c.number).join_from(index, CHUNKS, CHUNKS.c.number == number)
        query = query.where(self._has([self._term(store, word) for word in words]))
        return await self._rows(store, query, filter_, rows_max)

    async def _rows(self, store: _Store, query: sa.Select[Any], filter_: Filter | None, rows_max: int) -> Sequence[Row]:
        query = query.where(CHUNKS.c.store == sa.bindparam("of_store"))
        if filter_ is not None:
            query = query.where(where(filter_, CHUNKS.c.attributes, self._database))
        chosen = query.limit(_ROWS).subquery("chosen")
        joined = chosen.join(CHUNKS, CHUNKS.c.number == chosen.c.number)
        joined = joined.join(CHUNK_WORDS, CHUNK_WORDS.c.number == chosen.c.number)
        rows = sa.select(CHUNKS.c.id, CHUNK_WORDS.c.length, CHUNK_WORDS.c.words).select_from(joined)
        return await self._database.read(rows, {"of_store": store.id, "rows_max": rows_max})

    def _term(self, store: _Store, word: str) -> str:
        """The word as the index has it; on SQLite as a phrase of its query language."""
        term = key_of(store.id) + word
        return term if self._database.shared else '"' + term.replace('"', '""') + '"'

    def _has(self, terms: Sequence[str]) -> sa.ColumnElement[bool]:
        """At least one of the terms."""
        if self._database.shared:
            from sqlalchemy.dialects.postgresql import ARRAY

            has: sa.ColumnElement[bool] = INDEXED_WORDS.op("&&", is_comparison=True)(
                sa.literal(list(terms), ARRAY(sa.Text))
            )
            return has
        return _MATCHES(sa.literal(" OR ".join(terms), sa.Text))


def _count(database: Database) -> sa.Select[Any]:
    terms = strings(database, "terms").subquery("terms")
    one: sa.Select[Any]
    if database.shared:
        term = sa.func.array_append(sa.literal_column("'{}'::text[]"), terms.c.value)
        has = INDEXED_WORDS.op("@>", is_comparison=True)(term)
        one = sa.select(sa.literal_column("1").label("one")).select_from(CHUNK_WORDS).where(has)
    else:
        one = sa.select(sa.literal_column("1").label("one")).select_from(WORDS_INDEX).where(_MATCHES(terms.c.value))
    some = one.correlate(terms).limit(_ROWS).subquery()
    return sa.select(terms.c.value, sa.select(sa.func.count()).select_from(some).correlate(terms).scalar_subquery())


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


def _score(store: _Store, weights: Mapping[str, float], row: Row) -> float:
    _, length, words = row
    text = f" {words.replace(' ', '  ')} "  # so that each word has spaces of its own
    mean = max(1.0, store.words / max(1, store.chunks))
    scale = _K1 * (1 - _B + _B * length / mean)
    score = 0.0
    for word, weight in weights.items():
        times = text.count(f" {word} ")
        score += weight * times * (_K1 + 1) / (times + scale)
    return score

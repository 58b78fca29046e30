"""PostgreSQL with the extension pgvector: one table per vector store, with its own indexes.

Vectors are kept at length one, for which the inner product, the cosine and the Euclidean distance order alike.
"""

# ruff: noqa: S608 - names of tables are quoted, all else is bound

from __future__ import annotations

import hashlib
import sys
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from llama_stack.providers._shared.health import health_of
from llama_stack.providers._shared.pgvector_config import (
    HNSWIndex,
    IVFFlatIndex,
    PgvectorConfig,
    server_settings,
    ssl_of,
)
from llama_stack.providers._shared.pgvector_errors import NOT_TEXT, meaning_of, reason_of
from llama_stack.providers._shared.vector_filters.postgres import condition
from llama_stack_api.api import Api
from llama_stack_api.errors import (
    InvalidRequest,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
)
from llama_stack_api.filters import Filter
from llama_stack_api.ports.vector_io import Attributes, Hit, Index, IndexedChunk, KeywordQuery, VectorQuery
from llama_stack_api.provider import HealthResponse, ProviderContext, provider

if TYPE_CHECKING:
    from asyncpg import Pool

LOCK = 0x6C6C616D61  # an advisory lock of ours: what makes tables takes turns
INDEXED_DIMENSIONS_MAX = 2000
"""pgvector indexes no longer vectors; those are compared one by one."""
INDEX_NAME_MAX = 40
IVFFLAT_ROWS_PER_LIST = 20
"""Its lists are centred on the rows that are there, so it is built once there are enough of them."""
FEW_CHUNKS = 1000


_OPERATORS = {"COSINE": ("<=>", "cosine"), "L2": ("<->", "l2"), "INNER_PRODUCT": ("<#>", "ip")}


@provider(
    api=Api.vector_io,
    type="remote::pgvector",
    description="PostgreSQL with the extension pgvector: vectors, filters and full text in tables of its own.",
    config=PgvectorConfig,
    sample={
        "host": "${env.PGVECTOR_HOST:=localhost}",
        "port": "${env.PGVECTOR_PORT:=5432}",
        "db": "${env.PGVECTOR_DB:=postgres}",
        "user": "${env.PGVECTOR_USER:=postgres}",
        "password": "${env.PGVECTOR_PASSWORD:=}",
    },
    turned_on_by="PGVECTOR_DB",
    pip_packages=("asyncpg>=0.30,<1",),
)
class Pgvector:
    def __init__(self, config: PgvectorConfig, context: ProviderContext) -> None:
        self.config = config
        self.name = context.provider_id
        self._operator, self._metric = _OPERATORS[config.distance_metric]
        self._pool: Pool | None = None

    async def open(self) -> None:
        """Connects to nothing yet: a database that is away must not keep the server from starting."""
        import asyncpg

        config = self.config
        self._pool = asyncpg.create_pool(
            host=config.host,
            port=config.port,
            database=config.db,
            user=config.user,
            password=config.password.get_secret_value() if config.password else None,
            ssl=ssl_of(config),
            min_size=0,
            max_size=config.pool_size,
            timeout=config.connect_timeout,
            command_timeout=config.timeout,
            server_settings=server_settings(config),
            reset=_keep_as_it_is,
        )

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()

    async def health(self) -> HealthResponse:
        return await health_of(self._answer())

    async def _answer(self) -> None:
        async with self._connected() as connection:
            await connection.execute("SELECT 1")

    async def create_index(self, index: Index) -> None:
        table = _table(index)
        async with self._connected() as connection:
            if await connection.fetchval("SELECT to_regclass($1)", table) is not None:
                return
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
                await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
                await connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {table} (id uuid PRIMARY KEY, document text NOT NULL, embedding "
                    f"vector({index.dimension}) NOT NULL, words tsvector NOT NULL, attributes jsonb NOT NULL)"
                )
                for name, method in (
                    ("document", "btree (document)"),
                    ("words", "gin (words)"),
                    ("attributes", "gin (attributes jsonb_path_ops)"),
                ):
                    await connection.execute(
                        f"CREATE INDEX IF NOT EXISTS {_part(index, name)} ON {table} USING {method}"
                    )
                if isinstance(self.config.vector_index, HNSWIndex):
                    await self._index_vectors(connection, index)

    async def delete_index(self, index: Index) -> None:
        async with self._connected() as connection:
            await connection.execute(f"DROP TABLE IF EXISTS {_table(index)}")

    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        rows = [
            (chunk.id, chunk.document, _floats(chunk.vector), chunk.words.split(), _json(chunk.attributes))
            for chunk in chunks
        ]
        async with self._connected() as connection:
            await connection.executemany(  # one transaction
                f"INSERT INTO {_table(index)} (id, document, embedding, words, attributes) "
                "VALUES ($1::uuid, $2, l2_normalize($3::real[]::vector), array_to_tsvector($4::text[]), $5::jsonb) "
                "ON CONFLICT (id) DO UPDATE SET document = excluded.document, embedding = excluded.embedding, "
                "words = excluded.words, attributes = excluded.attributes",
                rows,
            )
            if isinstance(self.config.vector_index, IVFFlatIndex):
                await self._index_vectors_once_filled(connection, index, self.config.vector_index)

    async def delete_document(self, index: Index, document: str) -> None:
        async with self._in_index() as connection:
            await connection.execute(f"DELETE FROM {_table(index)} WHERE document = $1", document)

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None:
        async with self._in_index() as connection:
            await connection.execute(
                f"UPDATE {_table(index)} SET attributes = $2::jsonb WHERE document = $1", document, _json(attributes)
            )

    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        params: list[object] = [_floats(query.vector), query.limit]
        where = _where(query.filter, params)
        asked = "l2_normalize($1::real[]::vector)"
        by_index = f"embedding {self._operator} {asked}"
        one_by_one = f"({by_index}) + 0"  # not an expression that an index knows
        rows: list[Any] = []
        async with self._in_index() as connection:
            few = query.filter is not None and await self._keeps_few(connection, index, query.filter)
            # An index gives up where few of the vectors near by match; then there is little to compare.
            for distance in (one_by_one,) if few else (by_index, one_by_one):
                rows = await connection.fetch(
                    f"SELECT id, -(embedding <#> {asked}) FROM {_table(index)} WHERE {where} "
                    f"ORDER BY {distance}, id LIMIT $2",
                    *params,
                )
                if len(rows) == query.limit:
                    break
        # The lists of IVFFlat are read one after the other.
        return sorted((Hit(str(row[0]), row[1]) for row in rows), key=lambda hit: (-hit.score, hit.id))

    async def search_keywords(self, index: Index, query: KeywordQuery) -> list[Hit]:
        params: list[object] = [" | ".join(map(_lexeme, query.words)), query.limit]
        where = _where(query.filter, params)
        rows: list[Any] = []
        async with self._in_index() as connection:
            rows = await connection.fetch(
                f"SELECT id, ts_rank(words, $1::text::tsquery) AS score FROM {_table(index)} "
                f"WHERE words @@ $1::text::tsquery AND {where} ORDER BY score DESC, id LIMIT $2",
                *params,
            )
        return [Hit(str(row[0]), row[1]) for row in rows]

    async def _keeps_few(self, connection: Any, index: Index, wanted: Filter) -> bool:
        """Whether so few chunks match that to compare them all is less than an index would look at."""
        params: list[object] = []
        matching = f"SELECT 1 FROM {_table(index)} WHERE {_where(wanted, params)} LIMIT {FEW_CHUNKS + 1}"
        count: int = await connection.fetchval(f"SELECT count(*) FROM ({matching}) AS found", *params)
        return count <= FEW_CHUNKS

    async def _index_vectors(self, connection: Any, index: Index) -> None:
        if index.dimension > INDEXED_DIMENSIONS_MAX:
            return
        match self.config.vector_index:
            case HNSWIndex(m=m, ef_construction=ef):
                method, settings = "hnsw", f"m = {m}, ef_construction = {max(ef, 2 * m)}"
            case IVFFlatIndex(nlist=lists):
                method, settings = "ivfflat", f"lists = {lists}"
        await connection.execute(
            f"CREATE INDEX IF NOT EXISTS {_part(index, 'embedding')} ON {_table(index)} "
            f"USING {method} (embedding vector_{self._metric}_ops) WITH ({settings})"
        )

    async def _index_vectors_once_filled(self, connection: Any, index: Index, wanted: IVFFlatIndex) -> None:
        if await connection.fetchval("SELECT to_regclass($1)", _part(index, "embedding")) is not None:
            return
        enough = wanted.nlist * IVFFLAT_ROWS_PER_LIST
        counted = f"SELECT count(*) FROM (SELECT 1 FROM {_table(index)} LIMIT {enough}) AS found"
        if await connection.fetchval(counted) == enough:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
                await self._index_vectors(connection, index)

    @asynccontextmanager
    async def _in_index(self) -> AsyncIterator[Any]:
        """A connection for what does nothing where the index does not exist."""
        import asyncpg

        async with self._connected() as connection:
            try:
                yield connection
            except asyncpg.UndefinedTableError:
                return

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        """A connection; what goes wrong with it, or meanwhile, is one of our errors."""
        import asyncpg

        pool = self._pool
        if pool is None:
            raise ProviderError(f"Provider '{self.name}' is not open.")
        await pool
        try:
            async with pool.acquire(timeout=self.config.connect_timeout) as connection:
                try:
                    yield connection
                except TimeoutError:
                    raise ProviderTimeout(f"Provider '{self.name}' did not answer in time.") from None
        except TimeoutError:
            raise ProviderUnreachable(f"Provider '{self.name}' gave no connection in time.") from None
        except asyncpg.PostgresError as error:
            raise meaning_of(error.sqlstate or "", self.name) from error
        except asyncpg.DataError as error:  # of the driver: what it cannot encode
            raise InvalidRequest(NOT_TEXT) from error
        except (OSError, asyncpg.InterfaceError) as error:
            raise ProviderUnreachable(f"Provider '{self.name}' could not be reached: {reason_of(error)}.") from None


async def _keep_as_it_is(connection: Any) -> None:
    """Nothing is changed on a connection that the next one must not find; a reset costs a round trip."""


def _table(index: Index) -> str:
    return f'"{_stem(index)}"'


def _part(index: Index, name: str) -> str:
    return f'"{_stem(index)}_{name}"'


def _stem(index: Index) -> str:
    """PostgreSQL cuts names at 63 bytes."""
    short = (
        index.id if len(index.id) <= INDEX_NAME_MAX else hashlib.sha256(index.id.encode()).hexdigest()[:INDEX_NAME_MAX]
    )
    return f"ls_vectors_{short}".replace('"', '""')


def _floats(vector: bytes) -> array[float]:
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return floats


def _where(wanted: Filter | None, params: list[object]) -> str:
    return "true" if wanted is None else condition(wanted, "attributes", params)


def _json(attributes: Attributes) -> str:
    return msgspec.json.encode(attributes).decode()


def _lexeme(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"

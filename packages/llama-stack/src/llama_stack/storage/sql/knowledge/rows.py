"""What the statements of this package share: values by JSON, records of rows, pages, texts that can be kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Row
from llama_stack.storage.sql.knowledge.records import (
    AttachedFile,
    ChunkRecord,
    FileCounts,
    StoreRecord,
)
from llama_stack.storage.sql.parameters import is_owned
from llama_stack.storage.sql.tables import CHUNK_SETS, CHUNKS, STORE_FILES
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES
from llama_stack_api.errors import InvalidRequest, NotFound
from llama_stack_api.paging import LIMIT_MAX, Order

STATUSES: Final = ("in_progress", "completed", "failed", "cancelled")
_NEVER_STORED = re.compile("[\0\ud800-\udfff]")

OWNED = is_owned(STORES)
"""Part of every statement that an owner's request runs: for anyone else, the store does not exist."""
OF_STORE = sa.bindparam("of_store", type_=sa.Text)
NOW = sa.bindparam("now", type_=sa.Float(53))
VISIBLE = (*OWNED, STORES.c.id == OF_STORE, STORES.c.state != "deleted")
LIVE = (
    STORES.c.id == OF_STORE,
    STORES.c.state == "live",
    sa.or_(STORES.c.expires_at.is_(None), STORES.c.expires_at > NOW),
)

STORE: Final = (
    *(
        STORES.c[name]
        for name in (
            "id", "tenant", "owner", "created_at", "name", "description", "metadata", "expires_after_days",
            "last_active_at", "expires_at", "state", "provider", "index_id", "embedding_model", "embedding_dimension",
            "version",
        )
    ),
    *(STORES.c[f"files_{status}"] for status in STATUSES),
    STORES.c.usage_bytes,
)  # fmt: skip
FILE: Final = tuple(STORE_FILES.c)
SEEN = CHUNK_SETS.c.removed_at.is_(None)
_OF_CHUNK = sa.and_(CHUNK_SETS.c.number == CHUNKS.c.chunk_set, SEEN)
ATTRIBUTES = sa.select(CHUNK_SETS.c.attributes).where(_OF_CHUNK).correlate(CHUNKS).scalar_subquery().label("attributes")
"""Of a chunk; NULL: it is removed, nobody sees it, and is there only until it is swept. It is no join, so that whoever
has chunks by an index looks up their sets, and never the other way round."""
CHUNK: Final = (
    *(
        CHUNKS.c[name]
        for name in ("id", "document", "ordinal", "text", "context", "start", "end", "page", "tokens", "extra",
                     "digest")
    ),
    ATTRIBUTES,
)  # fmt: skip
SEEN_CHUNKS = CHUNKS.join(CHUNK_SETS, _OF_CHUNK)


def store_of(row: Row, now: float) -> StoreRecord:
    """From the columns `STORE`."""
    store_id, tenant, owner, created_at, name, description, metadata, days, active_at, expires_at, state = row[:11]
    provider, index_id, model, dimension, version, *counts, usage_bytes = row[11:]
    if state == "emptied" or (state == "live" and expires_at is not None and expires_at <= now):
        state = "expired"
    pairs = msgspec.json.decode(metadata, type=dict[str, str])
    about = (name, description, pairs, days, active_at, expires_at, state)
    index = (provider, index_id, model, dimension, version)
    return StoreRecord(store_id, tenant, owner, created_at, *about, *index, FileCounts(*counts), usage_bytes)


def file_of(row: Row) -> AttachedFile:
    """From the columns `FILE`."""
    store, file, attached_at, attachment, filename, status, code, message, attributes, chunking, *rest = row
    decoded = decode(attributes), decode(chunking)
    return AttachedFile(store, file, attached_at, attachment, filename, status, code, message, *decoded, *rest)


def is_seen(row: Row) -> bool:
    """Of the columns `CHUNK`."""
    return row[-1] is not None


def chunk_of(row: Row, embedding: bytes | None = None) -> ChunkRecord:
    """From the columns `CHUNK`."""
    chunk_id, document, ordinal, text, context, start, end, page_, tokens, extra, digest, attributes = row
    place = (document, ordinal, text, context, start, end, page_, tokens)
    others = None if extra is None else decode(extra)
    return ChunkRecord(chunk_id, *place, decode(attributes), others, digest, embedding)


def decode(text: str) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(text)
    return decoded


def encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


def strings(database: Database, name: str) -> sa.Select[Any]:
    """The strings of the JSON array that the parameter `name` is: for IN, however many there are."""
    array = sa.bindparam(name, type_=sa.Text)
    if database.shared:
        from sqlalchemy.dialects.postgresql import JSONB

        members = sa.func.jsonb_array_elements_text(sa.cast(array, JSONB)).table_valued("value", name=f"{name}_values")
    else:
        members = sa.func.json_each(array).table_valued("value", name=f"{name}_values")
    return sa.select(members.c.value)


def one_of(database: Database, column: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
    """Whether a column is among those strings: by an index of it, also of a table with no statistics yet."""
    values = strings(database, name)
    return column == sa.any_(sa.func.array(values.scalar_subquery())) if database.shared else column.in_(values)


def objects(database: Database, name: str, columns: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.FromClause:
    """The JSON array of objects that the parameter `name` is, as a table."""
    array = sa.bindparam(name, type_=sa.Text)
    if database.shared:
        from sqlalchemy.dialects.postgresql import JSONB

        typed = [sa.column(column, type_) for column, type_ in columns.items()]
        table = sa.func.jsonb_to_recordset(sa.cast(array, JSONB)).table_valued(*typed)
        return table.render_derived(name=name, with_types=True)
    value = sa.func.json_each(array).table_valued("value", name=f"{name}_values").c.value
    members = (
        sa.type_coerce(sa.func.json_extract(value, f"$.{name}"), type_).label(name) for name, type_ in columns.items()
    )
    return sa.select(*members).subquery(name)


def checked_text(value: str, param: str) -> str:
    """A client's, which can be refused."""
    if _NEVER_STORED.search(value):
        raise InvalidRequest(f"{param} holds a character that cannot be stored (NUL or a lone surrogate)", param=param)
    return value


def checked_attributes(attributes: Mapping[str, str | float | bool]) -> str:
    for key, value in attributes.items():
        checked_text(key, "attributes")
        if isinstance(value, str):
            checked_text(value, "attributes")
        elif value - value != 0:
            raise InvalidRequest(f"the attribute {key!r} is no finite number", param="attributes")
    return encode(dict(attributes))


def cleaned_text(text: str) -> str:
    """A document's, which cannot: character for character, so that spans stay true."""
    return _NEVER_STORED.sub("\ufffd", text)


def is_id(value: str) -> bool:
    """Whether it may be one of ours at all; what else is asked for is not there."""
    return 0 < len(value) <= 256 and not _NEVER_STORED.search(value)


def missing_store(store_id: str) -> NotFound:
    return NotFound(f"there is no vector store {store_id[:100]!r}", param="vector_store_id")


def missing_file(file_id: str) -> NotFound:
    return NotFound(f"there is no file {file_id[:100]!r} in this vector store", param="file_id")


def check_limit(limit: int) -> None:
    if not 1 <= limit <= LIMIT_MAX:
        raise InvalidRequest(f"limit is 1 to {LIMIT_MAX}, not {limit}", param="limit")


def page(
    query: sa.Select[Any],
    keys: Sequence[sa.ColumnElement[Any]],
    *,
    order: Order,
    limit: int,
    after: Row | None,
    before: Row | None,
) -> sa.Select[Any]:
    """Up to `limit` and one more, by `keys`, from behind `after` and up to, without, `before`; if only `before` is
    given: those right before it, the nearest first (`in_order` turns them round)."""
    place = sa.tuple_(*keys)
    ascending = order == "asc"
    for cursor, behind in ((after, True), (before, False)):
        if cursor is not None:
            there = sa.tuple_(*(sa.literal(value, key.type) for value, key in zip(cursor, keys, strict=True)))
            query = query.where(place > there if ascending is behind else place < there)
    if before is not None and after is None:
        ascending = not ascending
    return query.order_by(*(key if ascending else key.desc() for key in keys)).limit(limit + 1)


def in_order(rows: Sequence[Row], limit: int, *, after: Row | None, before: Row | None) -> Sequence[Row]:
    kept = rows[:limit]
    return kept[::-1] if before is not None and after is None else kept

# ruff: noqa: S608 - what is put into SQL is the number of an index, from which its tables are named

"""Changes of the file. Each function is one transaction, on the connection that writes."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from llama_stack.providers._shared.sqlite_vectors.file import transaction
from llama_stack.providers._shared.sqlite_vectors.filters import stored
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.ports.vector_io import Attributes, Index, IndexedChunk

if TYPE_CHECKING:
    import apsw


def number_of(connection: apsw.Connection, index: Index) -> int | None:
    return _number(connection.execute("SELECT number FROM indexes WHERE id = ?", (index.id,)))


def create_index(connection: apsw.Connection, index: Index) -> int:
    """Its number, whether it was there or not."""
    with transaction(connection):
        known = number_of(connection, index)
        number = _create_index(connection, index) if known is None else known
    return number


def _create_index(connection: apsw.Connection, index: Index) -> int:
    connection.execute("INSERT INTO indexes (id, dimension) VALUES (?, ?)", (index.id, index.dimension))
    number = connection.last_insert_rowid()
    connection.execute(
        f"CREATE VIRTUAL TABLE vectors_{number} USING vec0("
        f"embedding float[{int(index.dimension)}] distance_metric=cosine)"
    )
    # Words are normalised already: whatever is not a space belongs to one.
    connection.execute(
        f"CREATE VIRTUAL TABLE words_{number} USING fts5(words, content='', contentless_delete=1, "
        "tokenize=\"unicode61 remove_diacritics 0 categories 'L* M* N* P* S* Z* C*' separators ' '\")"
    )
    return number


def delete_index(connection: apsw.Connection, index: Index) -> None:
    with transaction(connection):
        number = number_of(connection, index)
        if number is not None:
            connection.execute(f"DROP TABLE vectors_{number}")
            connection.execute(f"DROP TABLE words_{number}")
            connection.execute("DELETE FROM chunks WHERE index_number = ?", (number,))
            connection.execute("DELETE FROM indexes WHERE number = ?", (number,))


def upsert_chunks(connection: apsw.Connection, index: Index, chunks: Sequence[IndexedChunk]) -> None:
    number = create_index(connection, index)
    chunks = list({chunk.id: chunk for chunk in chunks}.values())
    vectors = [direction(chunk.vector, index.dimension) for chunk in chunks]
    with transaction(connection):
        known = (_number_of_chunk(connection, number, chunk.id) for chunk in chunks)
        _remove(connection, number, [found for found in known if found is not None])
        for chunk, vector in zip(chunks, vectors, strict=True):
            connection.execute(
                "INSERT INTO chunks (index_number, id, document, set_number, has_direction) VALUES (?, ?, ?, ?, ?)",
                (number, chunk.id, chunk.document, _set_of(connection, number, chunk.attributes), vector is not None),
            )
            rowid = connection.last_insert_rowid()
            if vector is not None:
                connection.execute(f"INSERT INTO vectors_{number} (rowid, embedding) VALUES (?, ?)", (rowid, vector))
            connection.execute(f"INSERT INTO words_{number} (rowid, words) VALUES (?, ?)", (rowid, chunk.words))


def delete_document(connection: apsw.Connection, index: Index, document: str) -> None:
    with transaction(connection):
        number = number_of(connection, index)
        if number is not None:
            chosen = "SELECT number FROM chunks WHERE index_number = ? AND document = ?"
            _remove(connection, number, _numbers(connection.execute(chosen, (number, document))))


def set_attributes(connection: apsw.Connection, index: Index, document: str, attributes: Attributes) -> None:
    with transaction(connection):
        number = number_of(connection, index)
        if number is None:
            return
        which = (number, document)
        chosen = "SELECT DISTINCT set_number FROM chunks WHERE index_number = ? AND document = ?"
        before = _numbers(connection.execute(chosen, which))
        if before:
            connection.execute(
                "UPDATE chunks SET set_number = ? WHERE index_number = ? AND document = ?",
                (_set_of(connection, number, attributes), *which),
            )
            _forget_sets(connection, before)


def direction(vector: bytes, dimension: int) -> bytes | None:
    """The vector at length 1; None if it has no direction, or no finite length."""
    if len(vector) != 4 * dimension:
        raise InvalidRequest(f"a vector has {len(vector) / 4:g} numbers; the vectors of this store have {dimension}")
    numbers = struct.unpack(f"<{dimension}f", vector)
    length = math.hypot(*numbers)
    if not math.isfinite(length) or length == 0:
        return None
    return struct.pack(f"<{dimension}f", *[number / length for number in numbers])


def _number_of_chunk(connection: apsw.Connection, index_number: int, id: str) -> int | None:
    chosen = "SELECT number FROM chunks WHERE index_number = ? AND id = ?"
    return _number(connection.execute(chosen, (index_number, id)))


def _number(found: Iterable[Sequence[Any]]) -> int | None:
    return next(iter(_numbers(found)), None)


def _numbers(found: Iterable[Sequence[Any]]) -> list[int]:
    return [int(row[0]) for row in found]


def _remove(connection: apsw.Connection, index_number: int, numbers: Sequence[int]) -> None:
    sets: set[int] = set()
    for number in numbers:
        connection.execute(f"DELETE FROM vectors_{index_number} WHERE rowid = ?", (number,))
        connection.execute(f"DELETE FROM words_{index_number} WHERE rowid = ?", (number,))
        left = _number(connection.execute("DELETE FROM chunks WHERE number = ? RETURNING set_number", (number,)))
        assert left is not None
        sets.add(left)
    _forget_sets(connection, sets)


def _set_of(connection: apsw.Connection, index_number: int, attributes: Attributes) -> int:
    content = json.dumps(dict(attributes), sort_keys=True)
    chosen = "SELECT number FROM sets WHERE index_number = ? AND content = ?"
    known = _number(connection.execute(chosen, (index_number, content)))
    if known is not None:
        return known
    connection.execute("INSERT INTO sets (index_number, content) VALUES (?, ?)", (index_number, content))
    number = connection.last_insert_rowid()
    connection.executemany(
        "INSERT INTO attributes (set_number, key, kind, value) VALUES (?, ?, ?, ?)",
        [(number, key, *stored(value)) for key, value in attributes.items()],
    )
    return number


def _forget_sets(connection: apsw.Connection, numbers: Iterable[int]) -> None:
    """Those of them that no chunk has any more."""
    connection.executemany(
        "DELETE FROM sets WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM chunks WHERE set_number = ?1)",
        [(number,) for number in numbers],
    )

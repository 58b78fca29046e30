"""The file: its schema, and connections to it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import apsw

BUSY_TIMEOUT_MS: Final = 10_000
SCHEMA_VERSION: Final = 1

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_size_limit = 67108864",
)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS indexes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- names the tables of its vectors and words
    id TEXT NOT NULL UNIQUE,
    dimension INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS sets (  -- of attributes; chunks with the same ones share one
    number INTEGER PRIMARY KEY,
    index_number INTEGER NOT NULL REFERENCES indexes ON DELETE CASCADE,
    content TEXT NOT NULL,  -- as JSON, by which it is found again
    UNIQUE (index_number, content)
);
CREATE TABLE IF NOT EXISTS attributes (
    set_number INTEGER NOT NULL REFERENCES sets ON DELETE CASCADE,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    value NOT NULL,  -- without a type: as it was given
    PRIMARY KEY (set_number, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attributes_by_value ON attributes (key, kind, value);
CREATE TABLE IF NOT EXISTS chunks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- the rowid of its vector and its words
    index_number INTEGER NOT NULL REFERENCES indexes ON DELETE CASCADE,
    id TEXT NOT NULL,
    document TEXT NOT NULL,
    set_number INTEGER NOT NULL REFERENCES sets,
    has_direction INTEGER NOT NULL,  -- 0: its vector is all zeros, and is not kept
    UNIQUE (index_number, id)
);
CREATE INDEX IF NOT EXISTS chunks_by_document ON chunks (index_number, document);
CREATE INDEX IF NOT EXISTS chunks_by_set ON chunks (set_number);
CREATE INDEX IF NOT EXISTS chunks_without_direction ON chunks (index_number, id) WHERE NOT has_direction;
"""


def prepare(path: Path) -> None:
    """The file with its schema, readable by its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = connect(path)
    try:
        with transaction(connection):
            (found,) = connection.execute("PRAGMA user_version").fetchone() or (0,)
            if found not in (0, SCHEMA_VERSION):
                raise RuntimeError(f"{path} is of another version ({found}) of this server; give db_path another file")
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    finally:
        connection.close()


@contextlib.contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """One that writes from its beginning: one that reads first is refused when another process wrote meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def snapshot(connection: apsw.Connection) -> Iterator[None]:
    """All reads within see the file as it is at the first of them."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def connect(path: Path) -> apsw.Connection:
    import apsw
    import sqlite_vec

    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.enable_load_extension(False)
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    return connection

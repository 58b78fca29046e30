"""Which schema a database has, found out without opening it for service: nothing is made, migrated or locked."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from llama_stack.storage.errors import StoreRefused
from llama_stack.storage.sql.migrate import HEAD, stored_version
from llama_stack.storage.sql.postgres import PostgresBackend, connect_to, driver_errors
from llama_stack.storage.sql.tables import METADATA, VERSION_TABLE


class SchemaState(StrEnum):
    EMPTY = "empty"
    """It gets its tables when it is first opened."""
    CURRENT = "current"
    OLDER = "older"
    """It is migrated when it is next opened."""
    NEWER = "newer"
    """A newer server wrote it; this one refuses it."""
    FOREIGN = "foreign"
    """Somebody else made tables with our names; it is refused."""


@dataclass(frozen=True, slots=True)
class Schema:
    """`version` is the database's revision, None if it has none of ours."""

    state: SchemaState
    version: str | None


def schema_of_sqlite(path: Path) -> Schema:
    """Of a file that is there. `StoreRefused` if it cannot be read, or is no database."""
    # A file without a log beside it is read as it is; reading one with a log needs its shared memory.
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True)) as connection:
            version = stored_version(connection)
            named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except sqlite3.Error as error:
        raise StoreRefused(f"cannot read the database {path}: {error}") from None
    return _schema(version, {str(name) for (name,) in named})


async def schema_of_postgres(config: PostgresBackend) -> Schema:
    """`StoreUnavailable` if it does not answer, `StoreRefused` if it lets us not in."""
    import asyncpg

    with driver_errors(config):
        try:
            connection = await connect_to(config)
        except asyncpg.PostgresError as error:
            if (error.sqlstate or "")[:2] in ("28", "3D"):  # credentials, no such database
                raise StoreRefused(f"PostgreSQL at {config.host}:{config.port} refuses: {error}") from None
            raise
        try:
            rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
            named = {str(row[0]) for row in rows}
            ours = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608 — a constant
            versions = await connection.fetch(ours) if VERSION_TABLE in named else []
        finally:
            connection.terminate()
    return _schema(str(versions[0][0]) if versions else None, named)


def _schema(version: str | None, tables: set[str]) -> Schema:
    if version is None:
        return Schema(SchemaState.FOREIGN if tables & set(METADATA.tables) else SchemaState.EMPTY, None)
    if version == HEAD:
        return Schema(SchemaState.CURRENT, version)
    return Schema(SchemaState.NEWER if version > HEAD else SchemaState.OLDER, version)

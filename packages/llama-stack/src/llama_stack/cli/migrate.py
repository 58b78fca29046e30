"""`migrate`: brings the databases of a config to the schema of this server, before servers of this version start."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from llama_stack.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llama_stack.config import RunConfig
    from llama_stack.storage.sql.open import SqlBackendConfig
    from llama_stack.storage.sql.schema_state import Schema


def migrate(
    config: Annotated[
        str | None, typer.Argument(metavar="DISTRO|FILE", help="A file, or a distribution's name. Default: starter.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail if a database is not at this server's schema.")
    ] = False,
) -> None:
    """Bring the SQL databases of a config to this server's schema.

    A server does so itself when it starts; where many start at a time, run this before, as a job of its own. An older
    server cannot use a database afterwards: make a backup first.
    """
    from llama_stack.config import load_config

    loaded = load_config(config, environ=os.environ)
    behind = asyncio.run(_all(loaded.config, check=check))
    if behind:
        raise Failure(f"not at this server's schema: {', '.join(behind)}", "Run `llama stack migrate` without --check")


async def _all(config: RunConfig, *, check: bool) -> list[str]:
    """The names of the backends that are not at our schema, after what was done about it."""
    behind = []
    for name, backend in _sql_backends(config):
        schema = await _schema(backend)
        if check:
            print(f"storage.backends.{name}: {_described(schema)}")
            behind += [] if schema.state == "current" else [name]
        else:
            await _migrate(backend)
            print(f"storage.backends.{name}: {_changed(schema, await _schema(backend))}")
    return behind


def _sql_backends(config: RunConfig) -> Iterator[tuple[str, SqlBackendConfig]]:
    from llama_stack.config.storage import SqlPostgresBackend, SqlSqliteBackend

    used = {reference.backend for reference in config.storage.stores.references().values()}
    for name, backend in config.storage.backends.items():
        if name in used and isinstance(backend, SqlPostgresBackend | SqlSqliteBackend):
            yield name, backend


async def _schema(backend: SqlBackendConfig) -> Schema:
    from llama_stack.config.storage import SqlSqliteBackend
    from llama_stack.storage.sql.schema_state import Schema, SchemaState, schema_of_postgres, schema_of_sqlite

    if not isinstance(backend, SqlSqliteBackend):
        return await schema_of_postgres(backend)
    return schema_of_sqlite(backend.db_path) if backend.db_path.exists() else Schema(SchemaState.EMPTY, None)


async def _migrate(backend: SqlBackendConfig) -> None:
    from llama_stack.storage.sql.open import open_sql

    database = await open_sql(backend)
    await database.close()


def _described(schema: Schema) -> str:
    return f"{schema.state}, schema {schema.version}" if schema.version else str(schema.state)


def _changed(before: Schema, after: Schema) -> str:
    if before.version == after.version:
        return f"schema {after.version}, as before"
    return f"schema {before.version or 'none'} → {after.version}"

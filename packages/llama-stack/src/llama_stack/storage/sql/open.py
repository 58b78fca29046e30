"""From a SQL backend's configuration to an open database."""

from __future__ import annotations

from collections.abc import Callable

from llama_stack.config.storage import SqlPostgresBackend, SqlSqliteBackend
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.writer import QUEUE_MAX

SqlBackendConfig = SqlSqliteBackend | SqlPostgresBackend


async def open_sql(
    config: SqlBackendConfig,
    *,
    read_only: bool = False,
    queue_max: int = QUEUE_MAX,
    setting: str = "storage.stores.inference.max_write_queue_size",
    on_depth: Callable[[int], None] | None = None,
) -> Database:
    """The database, migrated and open; the caller closes it.

    `queue_max` writes may wait on SQLite; `setting` names what raises that, in the error of whoever waits too long;
    `on_depth` is told how many wait. `read_only` is for tools beside a running server.
    Raises `StoreInUse` (another process serves this file), `StoreRefused`, `StoreUnavailable`.
    """
    database = _make(config, read_only, queue_max, setting, on_depth)
    try:
        await database.open()
    except BaseException:
        await database.close()
        raise
    return database


def _make(
    config: SqlBackendConfig, read_only: bool, queue_max: int, setting: str, on_depth: Callable[[int], None] | None
) -> Database:
    if isinstance(config, SqlSqliteBackend):
        from llama_stack.storage.sql.sqlite import SqliteDatabase

        return SqliteDatabase(
            config.db_path, read_only=read_only, queue_max=queue_max, setting=setting, on_depth=on_depth
        )
    from llama_stack.storage.sql.postgres import PostgresDatabase

    return PostgresDatabase(config, read_only=read_only)

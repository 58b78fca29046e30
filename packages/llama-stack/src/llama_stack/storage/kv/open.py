"""From a KV backend's configuration to the backend."""

from __future__ import annotations

from llama_stack.config.storage import KVPostgresBackend, KVRedisBackend, KVSqliteBackend
from llama_stack.storage.errors import StoreRefused
from llama_stack.storage.kv.base import KVBackend

KVBackendConfig = KVSqliteBackend | KVRedisBackend | KVPostgresBackend


async def open_kv(config: KVBackendConfig) -> KVBackend:
    """The backend, opened; the caller closes it. Each library is imported only by who uses it."""
    backend = _make(config)
    try:
        await backend.open()
    except BaseException:
        await backend.close()
        raise
    return backend


def _make(config: KVBackendConfig) -> KVBackend:
    match config:
        case KVSqliteBackend():
            from llama_stack.storage.kv.sqlite import SqliteKV

            return SqliteKV(config.db_path, server=config.namespace)
        case KVPostgresBackend():
            from llama_stack.storage.kv.postgres import PostgresKV

            return PostgresKV(config)
        case KVRedisBackend():
            try:
                from llama_stack.storage.kv.redis import RedisKV
            except ImportError:
                raise StoreRefused("Redis needs the package redis: pip install 'llama-stack[redis]'") from None
            return RedisKV(config)

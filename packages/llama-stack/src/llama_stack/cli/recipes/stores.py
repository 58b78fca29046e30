"""The `storage` sections that recipes choose from, as they stand in run configs."""

from __future__ import annotations

from collections.abc import Mapping

from llama_stack.cli.recipes.recipe import Storage

_POSTGRES = """\
storage:
  backends:
    kv_default:
      type: kv_postgres
      host: ${{env.POSTGRES_HOST:=localhost}}
      port: ${{env.POSTGRES_PORT:=5432}}
      db: ${{env.POSTGRES_DB:=llamastack}}
      user: ${{env.POSTGRES_USER:=llamastack}}
      password: ${{env.POSTGRES_PASSWORD:=}}
      ssl_mode: ${{env.POSTGRES_SSL_MODE:=}}
      ca_cert_path: ${{env.POSTGRES_CA_CERT_PATH:=}}
    sql_default:
      type: sql_postgres
      host: ${{env.POSTGRES_HOST:=localhost}}
      port: ${{env.POSTGRES_PORT:=5432}}
      db: ${{env.POSTGRES_DB:=llamastack}}
      user: ${{env.POSTGRES_USER:=llamastack}}
      password: ${{env.POSTGRES_PASSWORD:=}}
      ssl_mode: ${{env.POSTGRES_SSL_MODE:=}}
      ca_cert_path: ${{env.POSTGRES_CA_CERT_PATH:=}}
      pool_size: ${{env.POSTGRES_POOL_SIZE:=10}}
      max_overflow: ${{env.POSTGRES_MAX_OVERFLOW:=20}}
"""
_REDIS = """\
    # Left out without REDIS_URL; PostgreSQL then serves for the shared state too.
    kv_redis:
      type: ${{env.REDIS_URL:+kv_redis}}
      url: ${{env.REDIS_URL:=}}
  stores:
    shared:
      namespace: shared
      backend: ${{env.REDIS_URL:+kv_redis}}
"""
_SQLITE = """\
# Without a `storage` section state is kept in SQLite files, in SQLITE_STORE_DIR or ~/.llama/distributions/{name}.
"""

STORAGE: Mapping[Storage, str] = {
    Storage.SQLITE: _SQLITE,
    Storage.POSTGRES: _POSTGRES,
    Storage.POSTGRES_REDIS: _POSTGRES + _REDIS,
}

"""`storage`: where state is kept. Backends are connections; stores say which backend each kind of data goes to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, SecretStr, Tag

from llama_stack.config.section import Section, UserPath

StoreKind = Literal["kv", "sql"]
Port = Annotated[int, Field(ge=1, le=65535)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)]

KV_DEFAULT = "kv_default"
SQL_DEFAULT = "sql_default"


class KVSqliteBackend(Section):
    type: Literal["kv_sqlite"] = "kv_sqlite"
    db_path: UserPath
    """File of the database; its directory is made when needed."""
    namespace: str | None = None
    """Put before every key, so that several servers can share one store."""


class KVRedisBackend(Section):
    type: Literal["kv_redis"] = "kv_redis"
    url: SecretStr | None = None
    """`redis://…`, `rediss://…` or `unix://…`; wins over host, port, db, username and password."""
    host: str = "localhost"
    port: Port = 6379
    db: int = Field(default=0, ge=0)
    username: str | None = None
    password: SecretStr | None = None
    tls: bool = False
    namespace: str | None = None
    """Put before every key, so that several servers can share one store."""


class _Postgres(Section):
    host: str = "localhost"
    port: Port = 5432
    db: str = "llamastack"
    user: str
    password: SecretStr | None = None
    ssl_mode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    ca_cert_path: UserPath | None = None
    pool_size: int = Field(default=10, ge=1, le=1000)
    """Connections that a worker keeps open."""
    max_overflow: int = Field(default=20, ge=0, le=1000)
    """Connections that a worker may open beyond `pool_size` under load."""
    pool_recycle: int = Field(default=-1, ge=-1)
    """Seconds after which a connection is replaced; -1: never."""
    pool_pre_ping: bool = True
    """Test a connection before use, so that a restarted database costs no request."""


class KVPostgresBackend(_Postgres):
    type: Literal["kv_postgres"] = "kv_postgres"
    table_name: Identifier = "llamastack_kvstore"
    namespace: str | None = None
    """Put before every key, so that several servers can share one store."""


class SqlSqliteBackend(Section):
    type: Literal["sql_sqlite"] = "sql_sqlite"
    db_path: UserPath
    """File of the database; its directory is made when needed."""
    pool_pre_ping: bool = True
    """Accepted for compatibility; a file needs no test."""


class SqlPostgresBackend(_Postgres):
    type: Literal["sql_postgres"] = "sql_postgres"


StorageBackend = Annotated[
    KVSqliteBackend | KVRedisBackend | KVPostgresBackend | SqlSqliteBackend | SqlPostgresBackend,
    Field(discriminator="type"),
]


class KVStoreReference(Section):
    namespace: str = Field(min_length=1)
    backend: str = KV_DEFAULT


class SqlStoreReference(Section):
    table_name: Identifier
    """Kept for compatibility; our tables have a prefix and names of their own."""
    backend: str = SQL_DEFAULT


class QueuedSqlStoreReference(SqlStoreReference):
    max_write_queue_size: int = Field(default=10000, ge=1)
    """Writes that may wait; beyond it requests wait too."""
    num_writers: int = Field(default=4, ge=1)
    """Kept for compatibility; one writer batches all writes."""
    max_age_seconds: float | None = Field(default=None, gt=0)
    """How long rows are kept; None: for ever."""


def _reference_kind(value: Any) -> StoreKind:
    if isinstance(value, dict):
        return "sql" if "table_name" in value else "kv"
    return kind_of_reference(value)


StoreReference = KVStoreReference | SqlStoreReference
EitherReference = Annotated[
    Annotated[KVStoreReference, Tag("kv")] | Annotated[SqlStoreReference, Tag("sql")],
    Discriminator(_reference_kind),
]


def kind_of_reference(reference: StoreReference) -> StoreKind:
    return "kv" if isinstance(reference, KVStoreReference) else "sql"


def kind_of_backend(backend: StorageBackend) -> StoreKind:
    return "kv" if backend.type.startswith("kv_") else "sql"


class StoresConfig(Section):
    """Where each kind of data goes. A store that names no backend goes to the default one of its kind."""

    metadata: KVStoreReference = KVStoreReference(namespace="registry")
    inference: QueuedSqlStoreReference = QueuedSqlStoreReference(table_name="inference_store")
    conversations: SqlStoreReference = SqlStoreReference(table_name="openai_conversations")
    responses: QueuedSqlStoreReference = QueuedSqlStoreReference(table_name="openai_responses")
    prompts: EitherReference = KVStoreReference(namespace="prompts")
    connectors: EitherReference = KVStoreReference(namespace="connectors")
    shared: KVStoreReference = KVStoreReference(namespace="shared")
    """Short-lived state that workers and nodes share: limits, breakers, the version of the routing table."""

    def references(self) -> dict[str, StoreReference]:
        """Every store's reference, by the store's name."""
        return {name: getattr(self, name) for name in type(self).model_fields}


class StorageConfig(Section):
    backends: dict[str, StorageBackend] = Field(default_factory=dict)
    """By name. Without any, `kv_default` and `sql_default` are SQLite files in the distribution's directory."""
    stores: StoresConfig = Field(default_factory=StoresConfig)

    def fill_defaults(self, directory: Path) -> None:
        """Give stores that the file leaves open a backend of their kind; without any backend, SQLite in `directory`."""
        if not self.backends:
            self.backends = {
                KV_DEFAULT: KVSqliteBackend(db_path=directory / "kvstore.db"),
                SQL_DEFAULT: SqlSqliteBackend(db_path=directory / "sql_store.db"),
            }
        updates = {}
        for name, reference in self.stores.references().items():
            if "backend" in reference.model_fields_set or reference.backend in self.backends:
                continue
            kind = kind_of_reference(reference)
            chosen = next((key for key, value in self.backends.items() if kind_of_backend(value) == kind), None)
            if chosen is not None:
                updates[name] = reference.model_copy(update={"backend": chosen})
        self.stores = self.stores.model_copy(update=updates)

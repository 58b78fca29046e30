"""Connectors that were registered over HTTP: a tenant's, seen by all of the tenant and by nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Row
from llama_stack.storage.sql.tables import CONNECTORS as TABLE

_RECORD = (TABLE.c.id, TABLE.c.owner, TABLE.c.created_at, TABLE.c.document, TABLE.c.secrets)
_OF_TENANT = TABLE.c.tenant == sa.bindparam("of_tenant")
_THIS = (_OF_TENANT, TABLE.c.id == sa.bindparam("of_id"))


@dataclass(frozen=True, slots=True)
class StoredConnector:
    """`document` is JSON, `secrets` are sealed by whoever stores them, `created_at` is in Unix seconds."""

    id: str
    owner: str
    created_at: float
    document: bytes
    secrets: bytes | None = None


class ConnectorStore:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = database.prepare(
            database.insert(TABLE)
            .values({column: sa.bindparam(f"new_{column}") for column in TABLE.c.keys()})  # noqa: SIM118
            .on_conflict_do_nothing()
            .returning(TABLE.c.id)
        )
        self._delete = database.prepare(sa.delete(TABLE).where(*_THIS).returning(TABLE.c.id))

    async def add(self, tenant: str, connector: StoredConnector) -> bool:
        """False if the tenant has one of this id."""
        row = {
            "new_tenant": tenant,
            "new_id": connector.id,
            "new_owner": connector.owner,
            "new_created_at": connector.created_at,
            "new_document": connector.document.decode(),
            "new_secrets": connector.secrets,
        }
        (written,) = await self._database.write((self._insert, row), durable=True)
        return bool(written.rows)

    async def get(self, tenant: str, connector_id: str) -> StoredConnector | None:
        if not _possible(connector_id):
            return None
        rows = await self._database.read(sa.select(*_RECORD).where(*_THIS), _this(tenant, connector_id))
        return _stored(rows[0]) if rows else None

    async def all(self, tenant: str) -> list[StoredConnector]:
        """The tenant's, by id."""
        rows = await self._database.read(sa.select(*_RECORD).where(_OF_TENANT), {"of_tenant": tenant})
        return sorted(map(_stored, rows), key=lambda connector: connector.id)

    async def delete(self, tenant: str, connector_id: str) -> bool:
        """False if the tenant has none of this id."""
        if not _possible(connector_id):
            return False
        (written,) = await self._database.write((self._delete, _this(tenant, connector_id)), durable=True)
        return bool(written.rows)


def _possible(connector_id: str) -> bool:
    return connector_id.isascii() and "\0" not in connector_id


def _this(tenant: str, connector_id: str) -> dict[str, Any]:
    return {"of_tenant": tenant, "of_id": connector_id}


def _stored(row: Row) -> StoredConnector:
    connector_id, owner, created_at, document, secrets = row
    return StoredConnector(
        connector_id, owner, float(created_at), document.encode(), None if secrets is None else bytes(secrets)
    )

"""Whose a store is. A registered store is there for everybody, as registered models are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from llama_stack.storage.sql.knowledge.records import StoreRecord
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack_api.errors import InvalidRequest, PermissionDenied
from llama_stack_api.principal import ANONYMOUS, Principal

MANAGERS: Final = frozenset({"admin", "operator"})
OWNER: Final = ANONYMOUS
"""Of registered stores: where no authentication is configured, whoever asks, to whom they are like any other."""


class StoreAccess:
    """`registered` are the ids of the run config. Everybody may read and search these stores; to change one takes the
    role `operator` or `admin`, where callers are authenticated."""

    def __init__(self, stores: VectorStoreTable, registered: Collection[str] = ()) -> None:
        self._stores = stores
        self._registered = frozenset(registered)

    def reader(self, principal: Principal, store_id: str) -> Principal:
        """Whose the store is for someone who reads it."""
        return OWNER if store_id in self._registered else principal

    def writer(self, principal: Principal, store_id: str) -> Principal:
        """The same for someone who changes it; `PermissionDenied` if they may not."""
        if store_id in self._registered:
            if principal.authenticated and MANAGERS.isdisjoint(principal.attributes.get("roles", ())):
                raise PermissionDenied(
                    f"The vector store {store_id!r} is of the run config; only an operator or admin may change it."
                )
            return OWNER
        return principal

    def attacher(self, principal: Principal, store_id: str) -> Principal:
        """The same for someone who attaches files: a file and its store have one owner."""
        owner = self.writer(principal, store_id)
        if owner != principal:
            raise InvalidRequest(
                f"The vector store {store_id!r} is of the run config, and files belong to their owners: insert chunks "
                "by /v1/vector-io/insert, or attach the file to a vector store of yours.",
                param="vector_store_id",
            )
        return owner

    async def live(self, principal: Principal, store_id: str) -> StoreRecord:
        """The store of this owner. `NotFound` if there is none, `InvalidRequest` if it has expired."""
        store = await self._stores.get(principal, store_id)
        if store.state == "expired":
            raise InvalidRequest(
                f"The vector store {store_id!r} has expired and its files are gone from it; make a new one.",
                param="vector_store_id",
                code="vector_store_expired",
            )
        return store

    def refuse_registered(self, store_id: str) -> None:
        if store_id in self._registered:
            raise InvalidRequest(
                f"The vector store {store_id!r} is of the run config: take it out of "
                "registered_resources.vector_stores there.",
                param="vector_store_id",
            )

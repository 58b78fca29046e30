"""Attaching any number of files in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Params, Prepared
from llama_stack.storage.sql.knowledge.removal import Removal, lock
from llama_stack.storage.sql.knowledge.rows import LIVE, NOW, OF_STORE, OWNED, encode, objects
from llama_stack.storage.sql.tables import FILE_BATCH_FILES, FILE_BATCHES, STORE_FILES
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES

_GIVEN: Final = {name: sa.Text() for name in ("file", "attachment", "filename", "attributes", "chunking")}
_BATCH = sa.bindparam("batch", type_=sa.Text)
_THIS = (*OWNED, *LIVE)


class Attaching:
    """Its statements go by the table `given`, a JSON array with an object for each file."""

    def __init__(self, database: Database) -> None:
        prepare = database.prepare
        given = objects(database, "given", _GIVEN)
        self._lock = prepare(lock(*_THIS))
        replaced = _replaced(given)
        self._removal = Removal(database, replaced)
        own = STORE_FILES.c.store == OF_STORE
        self._replace = prepare(sa.delete(STORE_FILES).where(own, STORE_FILES.c.file.in_(replaced)))
        self._insert = prepare(_insert(database, given))
        self._count = prepare(_count(given))
        batch = sa.select(_BATCH, STORES.c.id, NOW, sa.false()).where(*_THIS)
        self._batch = prepare(sa.insert(FILE_BATCHES).from_select([column.name for column in FILE_BATCHES.c], batch))
        files = sa.select(FILE_BATCHES.c.id, given.c.file).where(FILE_BATCHES.c.id == _BATCH)
        self._batch_files = prepare(sa.insert(FILE_BATCH_FILES).from_select(["batch", "file"], files))

    def steps(
        self, store_id: str, given: Sequence[Mapping[str, str]], params: Mapping[str, Any]
    ) -> list[tuple[Prepared, Params]]:
        """The first gives a row if the store is there, the principal's and live; else the others do nothing."""
        all_params = {**params, "given": encode(given)}
        batch = [self._batch, self._batch_files] if params["batch"] is not None else []
        return [
            (self._lock, all_params),
            *self._removal.steps(store_id, params["now"], all_params),
            *((step, all_params) for step in (self._replace, self._insert, self._count, *batch)),
        ]


def _replaced(given: sa.FromClause) -> sa.Select[Any]:
    """Files that are attached already, but not so that they could stay."""
    active = STORE_FILES.c.status.in_([sa.literal("completed"), sa.literal("in_progress")])
    stays = sa.and_(active, STORE_FILES.c.chunking == given.c.chunking)
    replaced = _attached(given, sa.not_(stays))
    return sa.select(given.c.file).where(replaced, sa.exists(sa.select(STORES.c.id).where(*_THIS)))


def _attached(given: sa.FromClause, how: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """By EXISTS: of a join, SQLite might read all that is given again for each file of the store."""
    this = (STORE_FILES.c.store == OF_STORE, STORE_FILES.c.file == given.c.file)
    return sa.exists(sa.select(STORE_FILES.c.file).where(*this, how).correlate(given))


def _insert(database: Database, given: sa.FromClause) -> sa.Executable:
    row = {
        "store": STORES.c.id,
        "attached_at": NOW,
        "status": sa.literal("in_progress", sa.Text),
        "usage_bytes": sa.literal_column("0"),
        "chunks_done": sa.literal_column("0"),
        **{name: given.c[name] for name in _GIVEN},
    }
    rows = sa.select(*row.values()).select_from(STORES.join(given, sa.true())).where(*_THIS)
    statement: sa.Executable = database.insert(STORE_FILES).from_select(list(row), rows).on_conflict_do_nothing()
    return statement


def _count(given: sa.FromClause) -> sa.Executable:
    new = _attached(given, STORE_FILES.c.attachment == given.c.attachment)
    added = sa.select(sa.func.count()).select_from(given).where(new).scalar_subquery()
    counted = STORES.c.files_in_progress + added
    return sa.update(STORES).where(*_THIS).values(files_in_progress=counted)

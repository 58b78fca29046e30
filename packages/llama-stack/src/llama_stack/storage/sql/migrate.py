"""Bringing a database to the schema of this server, when it opens and under a lock, by alembic's revisions.

Alembic is imported only where tables have to change: the usual start reads one version row, and an empty database gets
the tables as they are now. A test holds that to be what the revisions lead to.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa

from llama_stack.storage.errors import StoreRefused
from llama_stack.storage.sql.sqlite_file import connect
from llama_stack.storage.sql.tables import VERSION, VERSION_TABLE, create_tables, our_tables

HEAD = "0005"
"""The newest revision; a test holds it against the files."""
MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x6C735F73716C
"""Key of PostgreSQL's advisory lock ("ls_sql")."""


def migrate_sqlite(path: Path) -> None:
    """Upgrade a file in one transaction that shuts other writers out; nothing is left of a failed one."""
    connection = connect(path)
    try:
        _check_full_text(connection, path)
        if stored_version(connection) == HEAD:
            return
        engine = sa.create_engine(
            "sqlite://", creator=lambda: connection, poolclass=sa.StaticPool, isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as session:
            session.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                _upgrade(session, str(path))
            except BaseException:
                session.exec_driver_sql("ROLLBACK")
                raise
            session.exec_driver_sql("COMMIT")
    finally:
        connection.close()


def _check_full_text(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone() is None:
        raise StoreRefused(
            f"cannot open {path}: the SQLite {sqlite3.sqlite_version} of this Python has no FTS5, which keyword search "
            "needs; use a Python whose sqlite3 has it (that of python.org or of a Linux distribution), or PostgreSQL"
        )


def migrate_postgres(connection: sa.Connection) -> None:
    """Upgrade within the open transaction; of several servers that start together, one does it."""
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
    _upgrade(connection, _name(connection))


def check_postgres(connection: sa.Connection) -> None:
    """For a reader beside the server: refuses any schema but ours."""
    version = _version(connection)
    check_version(version, _name(connection))
    if version != HEAD:
        raise StoreRefused(f"{_name(connection)} is of an older server; start the server once to bring it up to date")


def stored_version(connection: sqlite3.Connection) -> str | None:
    """The revision of a SQLite file; None if it has none of ours."""
    known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    if connection.execute(known, (VERSION_TABLE,)).fetchone() is None:
        return None
    row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608 — a constant
    return str(row[0]) if row else None


def check_version(version: str | None, name: str) -> None:
    """Revisions are numbered, so a higher one than ours is from a newer server."""
    if version is not None and version > HEAD:
        raise StoreRefused(
            f"the database {name} has schema {version}, written by a newer server; this one knows {HEAD}. "
            "Run the newer server, or restore a backup made before the upgrade"
        )


def _upgrade(connection: sa.Connection, name: str) -> None:
    version = _version(connection)
    if version == HEAD:
        return
    check_version(version, name)
    if version is None and (foreign := our_tables(connection)):
        raise StoreRefused(
            f"the database {name} has tables named {', '.join(sorted(foreign))} that this server did not make "
            f"({VERSION_TABLE} has no row); use another database"
        )
    if version is None:
        create_tables(connection)
        VERSION.create(connection)
        connection.execute(VERSION.insert().values(version_num=HEAD))
    else:
        run_revisions(connection)


def run_revisions(connection: sa.Connection) -> None:
    """All revisions that the database has not seen."""
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(MIGRATIONS))
    context = MigrationContext.configure(
        connection,
        opts={
            "version_table": VERSION_TABLE,
            "fn": lambda present, _context: script._upgrade_revs("head", present),
        },
    )
    with Operations.context(context):
        context.run_migrations()


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 — a constant


def _name(connection: sa.Connection) -> str:
    return str(connection.engine.url.database)

"""The tables, made in a database or found there."""

from __future__ import annotations

import sqlalchemy as sa

from llama_stack.storage.sql.tables.knowledge import KEYWORD_INDEX
from llama_stack.storage.sql.tables.metadata import METADATA, SET


def create_tables(connection: sa.Connection) -> None:
    """All of `METADATA`, in a database that has none of them."""
    for index in (index for table in METADATA.tables.values() for index in table.indexes if SET in index.info):
        # Said only here: an index that names a dialect loads it, and PostgreSQL's takes as long as the rest of SQL.
        index.dialect_kwargs[f"{connection.dialect.name}_where"] = index.info[SET].is_not(None)
    METADATA.create_all(connection)
    for statement in KEYWORD_INDEX[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def our_tables(connection: sa.Connection) -> set[str]:
    """The tables of `METADATA` that are in the database, whoever made them."""
    return set(sa.inspect(connection).get_table_names()) & set(METADATA.tables)

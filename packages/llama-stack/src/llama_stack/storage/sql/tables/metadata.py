"""What all tables are declared in."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, Index, MetaData

METADATA: Final = MetaData()

SET: Final = "set"
"""Of an index's `info`: the column that must have a value for a row to be in it."""


def index_where_set(name: str, *columns: Column[Any], set_: Column[Any]) -> Index:
    """An index of the rows in which a column has a value, for columns that few rows use."""
    return Index(name, *columns, info={SET: set_})

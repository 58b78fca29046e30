"""Filters over attributes as SQL."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database
from llama_stack_api.base import Scalar
from llama_stack_api.filters import ComparisonFilter, Filter

_ORDERS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_NEVER_STORED = re.compile("[\0\ud800-\udfff]")
_NO_PATH = re.compile(r'["\\\x00-\x1f]|^$')
"""Keys that SQLite's JSON paths cannot name as they stand in the JSON text."""
_FALSE = sa.false()
CHAIN_MAX: Final = 100


def where(wanted: Filter, column: sa.ColumnElement[str], database: Database) -> sa.ColumnElement[bool]:
    """Whether the JSON object in `column` matches: TRUE or FALSE, never NULL, just as `llama_stack_api.filters.matches`
    says."""
    if not isinstance(wanted, ComparisonFilter):
        join = sa.and_ if wanted.type == "and" else sa.or_
        return _joined(join, [where(each, column, database) for each in wanted.filters])
    if _NEVER_STORED.search(wanted.key):
        return sa.true() if wanted.type in ("ne", "nin") else _FALSE
    attribute = (_PostgresAttribute if database.shared else _SqliteAttribute)(column, wanted.key)
    if wanted.type in ("eq", "in", "ne", "nin"):
        choices = wanted.value if isinstance(wanted.value, list) else [wanted.value]
        equal = sa.func.coalesce(_is_one_of(attribute, choices), _FALSE)
        return sa.not_(equal) if wanted.type in ("ne", "nin") else equal
    return sa.func.coalesce(_ordered(attribute, wanted), _FALSE)


def _joined(
    join: Callable[..., sa.ColumnElement[bool]], parts: Sequence[sa.ColumnElement[bool]]
) -> sa.ColumnElement[bool]:
    """SQLite takes a chain of conditions for a tree as deep as it is long, and refuses 1000 levels: so, in groups.
    A function around each keeps SQLAlchemy from making one chain of them again."""
    groups = [parts[start : start + CHAIN_MAX] for start in range(0, len(parts), CHAIN_MAX)]
    if len(groups) == 1:
        return join(*parts)
    return _joined(join, [sa.func.coalesce(join(*group), _FALSE) for group in groups])


class _SqliteAttribute:
    """An attribute as text, number and boolean; each is NULL where it is of another kind."""

    def __init__(self, column: sa.ColumnElement[str], key: str) -> None:
        kind: sa.ColumnElement[Any]
        value: sa.ColumnElement[Any]
        if _NO_PATH.search(key):
            members = sa.func.json_each(column).table_valued("key", "atom", "type")
            this = members.c.key == sa.literal(key, sa.Text)
            kind, value = (
                sa.select(found).where(this).correlate_except(members).scalar_subquery()
                for found in (members.c.type, members.c.atom)
            )
        else:
            path = sa.literal(f'$."{key}"', sa.Text)
            kind, value = sa.func.json_type(column, path), sa.func.json_extract(column, path)
        self.text: sa.ColumnElement[Any] = sa.case((kind == "text", value))
        self.number: sa.ColumnElement[Any] = sa.case((kind.in_(["integer", "real"]), value))
        self._kind = kind

    def is_flag(self, value: bool) -> sa.ColumnElement[bool]:
        return self._kind == ("true" if value else "false")

    def number_of(self, value: float) -> sa.ColumnElement[Any]:
        """Read from text as the stored one is: what is equal there is equal here."""
        text = sa.literal(repr(value), sa.Text)
        if isinstance(value, int) and -(2**63) <= value < 2**63:
            return sa.cast(text, sa.Integer)
        return sa.cast(text, sa.REAL)


class _PostgresAttribute:
    def __init__(self, column: sa.ColumnElement[str], key: str) -> None:
        from sqlalchemy.dialects.postgresql import JSONB

        member = sa.cast(column, JSONB)[sa.literal(key, sa.Text)]
        kind, value = sa.func.jsonb_typeof(member), member.astext
        self.text: sa.ColumnElement[Any] = sa.case((kind == "string", value)).collate("C")  # by code point
        self.number: sa.ColumnElement[Any] = sa.case((kind == "number", sa.cast(value, sa.Numeric)))
        self._flag = sa.case((kind == "boolean", value))

    def is_flag(self, value: bool) -> sa.ColumnElement[bool]:
        return self._flag == ("true" if value else "false")

    def number_of(self, value: float) -> sa.ColumnElement[Any]:
        return sa.cast(sa.literal(repr(value), sa.Text), sa.Numeric)


def _is_one_of(attribute: _SqliteAttribute | _PostgresAttribute, values: Sequence[Scalar]) -> sa.ColumnElement[bool]:
    flags = {value for value in values if isinstance(value, bool)}
    texts = [value for value in values if isinstance(value, str) and not _NEVER_STORED.search(value)]
    numbers = [value for value in values if not isinstance(value, bool | str)]
    found = [attribute.is_flag(value) for value in flags]
    if texts:
        found.append(attribute.text.in_([sa.literal(value, sa.Text) for value in texts]))
    if numbers:
        found.append(attribute.number.in_([attribute.number_of(value) for value in numbers]))
    return sa.or_(_FALSE, *found)


def _ordered(attribute: _SqliteAttribute | _PostgresAttribute, wanted: ComparisonFilter) -> sa.ColumnElement[bool]:
    value = wanted.value
    if isinstance(value, bool | list):
        return _FALSE
    if isinstance(value, str):
        order, text = _storable(wanted.type, value)
        return _ORDERS[order](attribute.text, sa.literal(text, sa.Text))  # type: ignore[no-any-return]
    return _ORDERS[wanted.type](attribute.number, attribute.number_of(value))  # type: ignore[no-any-return]


def _storable(order: str, value: str) -> tuple[str, str]:
    """A comparison with a text that has no character that is never stored, and means the same for all that are."""
    found = _NEVER_STORED.search(value)
    if found is None:
        return order, value
    before = value[: found.start()]
    above = order in ("gt", "gte")
    if found[0] == "\0":  # just behind `before`
        return ("gt" if above else "lte"), before
    return ("gte" if above else "lt"), before + "\ue000"  # where surrogates end

"""What a store sees of SQL: statements prepared once, reads, and writes that are one transaction each."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa

if TYPE_CHECKING:  # a dialect is loaded by the database that speaks it
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

Params = Mapping[str, Any]
Query = sa.Select[Any]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """What runs without SQLAlchemy. Where parameters go by position, `names` says in which order; `returns` is whether
    it gives rows."""

    sql: str
    defaults: Params
    names: tuple[str, ...] = ()
    returns: bool = False


class Prepared:
    """A write that a store makes again and again: made once by `Database.prepare`, run with parameters by `write`.

    It is compiled when it is first run: a server has a hundred of them, and a start should not wait for all.
    """

    def __init__(self, statement: sa.Executable, compile: Callable[[sa.Executable], Compiled]) -> None:
        self._statement = statement
        self._compile = compile

    @cached_property
    def compiled(self) -> Compiled:
        return self._compile(self._statement)


@dataclass(frozen=True, slots=True)
class Written:
    """What one statement did: the rows that it touched, and those that its RETURNING gave."""

    count: int
    rows: Sequence[Row]


class Database(ABC):
    """An open database. Errors: `StoreUnavailable` if it is away, `Overloaded` if too many writes wait,
    `Conflict` if a write breaks a constraint."""

    shared: ClassVar[bool]
    """Whether several processes may serve from it at once."""

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def read(self, query: Query, params: Params | None = None) -> Sequence[Row]: ...

    def prepare(self, statement: sa.Executable) -> Prepared:
        return Prepared(statement, self._compile)

    @abstractmethod
    def _compile(self, statement: sa.Executable) -> Compiled: ...

    @abstractmethod
    async def write(self, *steps: tuple[Prepared, Params], durable: bool = False) -> list[Written]:
        """Run the steps in order as one transaction: all of them, or none. Returns once it is committed.

        What is committed survives a crash of the process; `durable`, a power cut too.
        """
        ...

    async def listen(self, channel: str, heard: Callable[[str], None]) -> None:
        """Call `heard` with what other processes send to `channel` (NOTIFY), until cancelled or `StoreUnavailable`.

        Only where the database is `shared`; elsewhere there is nobody to hear.
        """
        await asyncio.Event().wait()

    @abstractmethod
    def insert(self, table: sa.Table) -> SqliteInsert | PostgresInsert:
        """The dialect's own insert, which knows ON CONFLICT."""
        ...

    @abstractmethod
    def json_has(self, column: sa.ColumnElement[str], key: str, value: str) -> sa.ColumnElement[bool]:
        """Whether the JSON object in `column` has the string `value` under `key`."""
        ...

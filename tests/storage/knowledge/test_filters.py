"""Filters in SQL mean what `llama_stack_api.filters.matches` says, over every SQL backend."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.knowledge.filters import where
from llama_stack.storage.sql.open import open_sql
from llama_stack_api.filters import ComparisonFilter, CompoundFilter, Filter, matches
from tests.support.databases import Postgres

KEYS = ["a", "b", "a.b", 'quo"te', "back\\slash", "ключ", "🦙", " ", "", "a'b", "$", "[0]", "new\nline", "x" * 64]
TEXTS = ["", "a", "b", "aa", "A", "é", "e\u0301", "\uffff", "🦙", "1", "true", "null", 'q"', "\\", "\n", "zz", "ß"]
NUMBERS: list[int | float] = [0, -0.0, 1, 1.0, -1, 0.1, 0.30000000000000004, 2**53, 2**53 - 1, 1e308, 5e-324, 1.5, 10]

numbers = st.one_of(
    st.sampled_from(NUMBERS),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
)
stored_texts = st.one_of(
    st.sampled_from(TEXTS), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
)
asked_texts = st.one_of(stored_texts, st.sampled_from(["a\0", "\0", "a\0b", "a\ud800", "\udfff", "a\0\ud800"]))
keys = st.sampled_from(KEYS)
scalars = st.one_of(st.booleans(), numbers, asked_texts)
attributes = st.dictionaries(keys, st.one_of(st.booleans(), numbers, stored_texts), max_size=4)
rows = st.lists(attributes, min_size=1, max_size=6)
comparisons = st.one_of(
    st.builds(
        ComparisonFilter.model_construct,
        type=st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]),
        key=st.one_of(keys, st.just("a\0")),
        value=scalars,
    ),
    st.builds(
        ComparisonFilter.model_construct,
        type=st.sampled_from(["in", "nin"]),
        key=keys,
        value=st.lists(scalars, max_size=3),
    ),
)
filters: st.SearchStrategy[Filter] = st.recursive(
    comparisons,
    lambda inner: st.builds(
        CompoundFilter.model_construct,
        type=st.sampled_from(["and", "or"]),
        filters=st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=4,
)


class Asked:
    """Runs a filter over rows that are given with the query: nothing needs to be stored."""

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._loop = loop

    def __call__(self, wanted: Filter, given_rows: list[dict[str, Any]]) -> list[bool]:
        texts = [msgspec.json.encode(row).decode() for row in given_rows]
        given_ = sa.union_all(
            *(
                sa.select(sa.literal(number, sa.Integer).label("number"), sa.literal(text, sa.Text).label("attributes"))
                for number, text in enumerate(texts)
            )
        ).subquery()
        query = sa.select(given_.c.number, where(wanted, given_.c.attributes, self._database))
        found: dict[int, Any] = dict(self._loop.run_until_complete(self._database.read(query)))
        assert None not in found.values()
        return [bool(found[number]) for number in range(len(texts))]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    loop = asyncio.new_event_loop()
    if request.param == "sqlite":
        path: Path = tmp_path_factory.mktemp("filters") / "sql.db"
        database = loop.run_until_complete(open_sql(SqlSqliteBackend(db_path=path)))
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        database = loop.run_until_complete(open_sql(postgres.sql_backend(postgres.create_database())))
    yield Asked(database, loop)
    loop.run_until_complete(database.close())
    loop.close()


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(wanted=filters, given_rows=rows)
def test_means_the_same(asked: Asked, wanted: Filter, given_rows: list[dict[str, Any]]) -> None:
    assert asked(wanted, given_rows) == [matches(wanted, row) for row in given_rows]


@pytest.mark.parametrize("type_", ["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"])
def test_every_kind_against_every_other(asked: Asked, type_: Any) -> None:
    values: list[Any] = [*TEXTS, *NUMBERS, True, False, "a\0", "a\ud800"]
    given_rows: list[dict[str, Any]] = [{"k": value} for value in values[:-2]] + [{}, {"other": 1}]
    for value in values:
        wanted = ComparisonFilter.model_construct(
            type=type_, key="k", value=[value] if type_ in ("in", "nin") else value
        )
        assert asked(wanted, given_rows) == [matches(wanted, row) for row in given_rows], value


@pytest.mark.parametrize("key", KEYS)
def test_keys(asked: Asked, key: str) -> None:
    given_rows: list[dict[str, Any]] = [{key: "v"}, {key: 1}, {key + "x": "v"}, {"v": key}, {}]
    wanted = ComparisonFilter(type="eq", key=key, value="v")
    assert asked(wanted, given_rows) == [True, False, False, False, False]

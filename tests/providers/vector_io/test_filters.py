"""Every provider filters as `llama_stack_api.filters.matches` does."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llama_stack_api.ports.vector_io import KeywordIndex
from tests.providers.vector_io.suite import Site, chunk, filter_of

pytestmark = pytest.mark.anyio

STRINGS = (
    "",
    " ",
    "a",
    "A",
    "ab",
    "é",
    "e\u0301",
    "ß",
    "1",
    "1.0",
    "true",
    "null",
    "日本",
    "\uffff",
    "😀",
    "a'b",
    'a"b',
)
NUMBERS = (0, -0.0, 1, 1.0, 1.5, -1, 0.1, 2, 10, 9, 2**53 - 1, -(2**53) + 1, 1e-9, 1e300, 1700000000)
VALUES: tuple[str | float | bool, ...] = (*STRINGS, *NUMBERS, True, False)
KEYS = ("a", "A", "b", "größe", "日本", "a.b", "a b", "it's", 'q"q', "$in", "id", "document", "vector", "a\\b", "%")

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)
whole = st.integers(-(2**53) + 1, 2**53 - 1)
fraction = st.floats(allow_nan=False, allow_infinity=False)
value = st.one_of(st.sampled_from(VALUES), st.sampled_from(VALUES), text, whole, fraction, st.booleans())
key = st.sampled_from(KEYS)
attributes = st.dictionaries(key, value, max_size=4)
comparison = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]), "key": key, "value": value}
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["in", "nin"]), "key": key, "value": st.lists(value, max_size=4)},
    ),
)
filters: st.SearchStrategy[dict[str, Any]] = st.recursive(
    comparison,
    lambda inner: st.fixed_dictionaries(
        {"type": st.sampled_from(["and", "or"]), "filters": st.lists(inner, min_size=1, max_size=3)}
    ),
    max_leaves=6,
)


@settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(population=st.lists(attributes, min_size=1, max_size=25), wanted=st.lists(filters, min_size=1, max_size=8))
async def test_any_filter_over_any_attributes(
    site: Site, population: list[dict[str, Any]], wanted: list[dict[str, Any]]
) -> None:
    index = await site.index()
    chunks = [
        chunk(n, document=f"file-{n}", words="word", attributes=attributes) for n, attributes in enumerate(population)
    ]
    await site.insert(index, chunks)
    for each in wanted:
        parsed = filter_of(each)
        expected = site.rows.matching(index, parsed)
        assert await site.found(index, parsed) == expected
        if isinstance(site.provider, KeywordIndex):
            assert {hit.id for hit in await site.with_words(index, "word", filter=parsed)} == expected
    await site.delete_index(index)


async def test_every_operator_with_every_kind_of_value(site: Site) -> None:
    index = await site.index()
    chunks = [chunk(n, document=f"file-{n}", attributes={"a": value}) for n, value in enumerate(VALUES)]
    await site.insert(index, [*chunks, chunk(len(VALUES), document="without")])
    for operator, value in itertools.product(
        ["eq", "ne", "gt", "gte", "lt", "lte"], ["a", "", "😀", "1", 1, 1.5, True]
    ):
        wanted = filter_of({"type": operator, "key": "a", "value": value})
        assert await site.found(index, wanted) == site.rows.matching(index, wanted), wanted
    for operator, values in itertools.product(["in", "nin"], [[], ["a"], [1, "1"], [True], [0, False], list(VALUES)]):
        wanted = filter_of({"type": operator, "key": "a", "value": values})
        assert await site.found(index, wanted) == site.rows.matching(index, wanted), wanted


async def test_deeply_nested(site: Site) -> None:
    index = await site.index()
    await site.insert(index, [chunk(n, document=f"file-{n}", attributes={"n": n, "s": str(n)}) for n in range(30)])
    wanted: dict[str, Any] = {"type": "gte", "key": "n", "value": 3}
    for depth in range(12):
        side = (
            {"type": "lt", "key": "n", "value": 20 - depth} if depth % 2 else {"type": "eq", "key": "s", "value": "25"}
        )
        wanted = {"type": "and" if depth % 2 else "or", "filters": [wanted, side]}
    parsed = filter_of(wanted)
    expected = site.rows.matching(index, parsed)
    assert 0 < len(expected) < 30
    assert await site.found(index, parsed) == expected


async def test_a_filter_of_many_values(site: Site) -> None:
    index = await site.index()
    await site.insert(index, [chunk(n, document=f"file-{n}", attributes={"n": n}) for n in range(50)])
    wanted = filter_of({"type": "in", "key": "n", "value": list(range(10, 500))})
    assert await site.found(index, wanted) == site.rows.matching(index, wanted)

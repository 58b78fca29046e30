"""Whose turn it is: tenants share a worker's places, whatever each has queued."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.runs.claims import TENANTS_MAX, shared_out
from llama_stack.runs.journal import Journal
from llama_stack.runs.limits import RunLimits
from llama_stack.runs.model import NewRun
from llama_stack.storage.sql.database import Database
from llama_stack_api.principal import Principal

pytestmark = pytest.mark.anyio


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)


async def queue(journal: Journal, tenant: str, count: int, kind: str = "toy") -> None:
    for _ in range(count):
        await journal.create(Principal("someone", tenant), NewRun(kind, b""))


async def take(journal: Journal, count: int, busy: dict[str, int] | None = None) -> list[str]:
    claims = await journal.claim(["toy"], "w", lease_s=60, count_max=count, busy=busy or {})
    return sorted(claim.run.tenant for claim in claims)


async def test_places_are_shared_out(journal: Journal) -> None:
    for tenant, count in (("big", 20), ("small", 1), ("two", 2)):
        await queue(journal, tenant, count)
    await queue(journal, "else", 5, kind="other")
    assert await take(journal, 6) == ["big", "big", "big", "small", "two", "two"]
    assert await take(journal, 4) == ["big"] * 4
    assert await take(journal, 20) == ["big"] * 13
    assert await take(journal, 1) == []


async def test_single_places_go_round(journal: Journal) -> None:
    for tenant in ("a", "b", "c"):
        await queue(journal, tenant, 10)
    taken = [(await take(journal, 1))[0] for _ in range(6)]
    assert sorted(taken[:3]) == sorted(taken[3:]) == ["a", "b", "c"]
    await queue(journal, "late", 1)
    assert "late" in [(await take(journal, 1))[0] for _ in range(4)]


async def test_who_has_least_comes_first(journal: Journal) -> None:
    for tenant in ("a", "b"):
        await queue(journal, tenant, 10)
    assert await take(journal, 3, {"a": 5, "b": 1}) == ["b", "b", "b"]
    assert await take(journal, 4, {"a": 3, "b": 1}) == ["a", "b", "b", "b"]


async def test_many_tenants_all_get_their_turn(journal: Journal) -> None:
    tenants = [f"t{number:02}" for number in range(2 * TENANTS_MAX + 3)]
    for tenant in tenants:
        await queue(journal, tenant, 2)
    taken: Counter[str] = Counter()
    while sum(taken.values()) < len(tenants):
        taken.update(await take(journal, 5))
    assert set(taken.values()) == {1}


async def test_a_tenant_may_be_held_to_fewer_places(database: Database) -> None:
    journal = Journal(database, RunLimits(concurrent_per_tenant_max=3))
    for tenant in ("a", "b"):
        await queue(journal, tenant, 10)
    assert await take(journal, 16) == ["a"] * 3 + ["b"] * 3
    assert await take(journal, 16, {"a": 3, "b": 2}) == ["b"]
    assert await take(journal, 16, {"a": 3, "b": 3}) == []


async def test_tenants_that_have_all_they_may_hide_nobody(database: Database) -> None:
    journal = Journal(database, RunLimits(concurrent_per_tenant_max=1))
    tenants = [f"t{number:02}" for number in range(2 * TENANTS_MAX)]
    for tenant in tenants:
        await queue(journal, tenant, 2)
    busy: dict[str, int] = {}
    looks = 0
    while len(busy) < len(tenants):
        busy |= dict.fromkeys(await take(journal, 3, busy), 1)
        looks += 1
    assert looks <= len(tenants)
    assert await take(journal, 3, busy) == []


@given(
    places=st.integers(0, 20),
    ready=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9)),
    busy=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9)),
)
def test_shares_are_as_even_as_they_can_be(places: int, ready: dict[str, int], busy: dict[str, int]) -> None:
    shares = shared_out(places, ready, busy)
    assert sum(shares.values()) == min(places, sum(ready.values()))
    assert all(0 < share <= ready[tenant] for tenant, share in shares.items())
    for tenant, count in ready.items():
        if shares.get(tenant, 0) < count:  # who could have had more has no less than another who got something
            assert all(
                busy.get(tenant, 0) + shares.get(tenant, 0) >= busy.get(other, 0) + share - 1
                for other, share in shares.items()
            )

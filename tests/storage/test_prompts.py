"""Prompt templates, over every SQL backend."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from llama_stack.config.stored import PromptsConfig
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.prompts import PromptStore
from llama_stack.storage.sql.tables import PROMPT_VERSIONS
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound
from llama_stack_api.principal import Principal
from llama_stack_api.prompts import Prompt

pytestmark = pytest.mark.anyio

ALICE = Principal(id="alice", tenant="acme")
BOB = Principal(id="bob", tenant="acme")
OTHER_ALICE = Principal(id="alice", tenant="umbrella")
UNKNOWN = "pmpt_" + "0" * 48


@pytest.fixture
def store(database: Database) -> PromptStore:
    ticks = itertools.count()
    return PromptStore(database, clock=lambda: float(next(ticks)))


async def test_create_and_get(store: PromptStore) -> None:
    made = await store.create(ALICE, "Grüße, {{name}}! 🦙", ["name"])
    assert made == Prompt(
        prompt_id=made.prompt_id, prompt="Grüße, {{name}}! 🦙", version=1, variables=["name"], is_default=True
    )
    assert await store.get(ALICE, made.prompt_id) == made
    assert await store.get(ALICE, made.prompt_id, 1) == made


async def test_versions(store: PromptStore) -> None:
    prompt_id = (await store.create(ALICE, "one", [])).prompt_id
    second = await store.update(ALICE, prompt_id, 1, "two {{x}}", ["x"], default=True)
    assert (second.version, second.is_default, second.variables) == (2, True, ["x"])
    third = await store.update(ALICE, prompt_id, 2, "three", [], default=False)
    assert (third.version, third.is_default) == (3, False)
    assert (await store.get(ALICE, prompt_id)).prompt == "two {{x}}"
    versions = await store.versions(ALICE, prompt_id)
    assert [(each.version, each.prompt, each.is_default) for each in versions] == [
        (1, "one", False),
        (2, "two {{x}}", True),
        (3, "three", False),
    ]
    assert (await store.set_default(ALICE, prompt_id, 1)).is_default
    assert (await store.get(ALICE, prompt_id)).prompt == "one"
    assert [each.prompt for each in await store.list(ALICE)] == ["one"]


@pytest.mark.parametrize("stale", [1, 2, 4, 2**31 - 2])
async def test_a_stale_update_is_a_conflict_that_changes_nothing(store: PromptStore, stale: int) -> None:
    prompt_id = (await store.create(ALICE, "one", [])).prompt_id
    await store.update(ALICE, prompt_id, 1, "two", [], default=True)
    await store.update(ALICE, prompt_id, 2, "three", [], default=True)
    with pytest.raises(Conflict, match=f"latest version is 3, not {stale}") as raised:
        await store.update(ALICE, prompt_id, stale, "lost", [], default=True)
    assert raised.value.param == "version"
    assert [each.prompt for each in await store.versions(ALICE, prompt_id)] == ["one", "two", "three"]
    assert (await store.get(ALICE, prompt_id)).prompt == "three"


async def test_of_updates_at_once_one_wins(store: PromptStore) -> None:
    prompt_id = (await store.create(ALICE, "one", [])).prompt_id
    results = await asyncio.gather(
        *(store.update(ALICE, prompt_id, 1, f"by {number}", [], default=True) for number in range(8)),
        return_exceptions=True,
    )
    won = [result for result in results if isinstance(result, Prompt)]
    assert len(won) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 7
    assert list(await store.versions(ALICE, prompt_id))[1:] == won


async def test_versions_that_are_not_there(store: PromptStore) -> None:
    prompt_id = (await store.create(ALICE, "one", [])).prompt_id
    for version in (2, 2**31 - 2):
        with pytest.raises(NotFound, match=f"no version {version}") as raised:
            await store.get(ALICE, prompt_id, version)
        assert raised.value.param == "version"
        with pytest.raises(NotFound, match=f"no version {version}"):
            await store.set_default(ALICE, prompt_id, version)
    for version in (0, -1, 2**31, 2**70):
        with pytest.raises(InvalidRequest, match="numbered from 1"):
            await store.get(ALICE, prompt_id, version)
    assert (await store.get(ALICE, prompt_id)).is_default


async def test_delete(store: PromptStore, database: Database) -> None:
    prompt_id = (await store.create(ALICE, "one", [])).prompt_id
    kept = await store.create(ALICE, "kept", [])
    await store.update(ALICE, prompt_id, 1, "two", [], default=True)
    await store.delete(ALICE, prompt_id)
    with pytest.raises(NotFound):
        await store.get(ALICE, prompt_id)
    assert await store.list(ALICE) == [kept]
    assert await database.read(sa.select(PROMPT_VERSIONS.c.prompt)) == [(kept.prompt_id,)]


@pytest.mark.parametrize("principal", [BOB, OTHER_ALICE], ids=["owner", "tenant"])
async def test_others_see_nothing(store: PromptStore, principal: Principal) -> None:
    prompt_id = (await store.create(ALICE, "mine", [])).prompt_id
    operations: list[Callable[[str], Awaitable[object]]] = [
        lambda of: store.get(principal, of),
        lambda of: store.get(principal, of, 1),
        lambda of: store.get(principal, of, 2),
        lambda of: store.versions(principal, of),
        lambda of: store.update(principal, of, 1, "theirs", [], default=True),
        lambda of: store.update(principal, of, 7, "theirs", [], default=True),
        lambda of: store.set_default(principal, of, 1),
        lambda of: store.delete(principal, of),
    ]
    for operation in operations:
        messages = []
        for of in (prompt_id, UNKNOWN, "pmpt_é\0"):
            with pytest.raises(NotFound) as raised:
                await operation(of)
            messages.append(raised.value.message.replace(repr(of), ""))
        assert len(set(messages)) == 1, "an id of another owner is like one that never was"
    assert await store.list(principal) == []
    assert [each.prompt for each in await store.versions(ALICE, prompt_id)] == ["mine"]


async def test_limits(database: Database) -> None:
    store = PromptStore(database, limits=PromptsConfig(prompts_max=2, versions_max=2, chars_max=10))
    prompt_id = (await store.create(ALICE, "one", [])).prompt_id
    await store.create(ALICE, "other", [])
    with pytest.raises(InvalidRequest, match=r"2 prompts.*prompts_max"):
        await store.create(ALICE, "third", [])
    await store.create(BOB, "theirs", [])
    assert len(await store.list(ALICE)) == 2
    await store.update(ALICE, prompt_id, 1, "two", [], default=True)
    with pytest.raises(InvalidRequest, match="versions_max"):
        await store.update(ALICE, prompt_id, 2, "three", [], default=True)
    for text in ("x" * 11, "a\0", "\ud800"):
        with pytest.raises(InvalidRequest) as raised:
            await store.create(ALICE, text, [])
        assert raised.value.param == "prompt"
        with pytest.raises(InvalidRequest):
            await store.update(ALICE, prompt_id, 2, text, [], default=True)
    assert len(await store.versions(ALICE, prompt_id)) == 2

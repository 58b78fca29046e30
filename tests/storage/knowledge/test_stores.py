"""Vector stores: their records, expiry and removal, over every SQL backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from llama_stack.storage.sql.knowledge.batches import new_batch_id
from llama_stack.storage.sql.knowledge.records import FileCounts
from llama_stack.storage.sql.tables import METADATA
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound
from llama_stack_api.principal import Principal
from tests.storage.knowledge.tables import ALICE, BOB, OTHER_ALICE, KnowledgeTables

pytestmark = pytest.mark.anyio
DAY = 86_400.0


async def test_create_get_update(tables: KnowledgeTables) -> None:
    store = await tables.store(metadata={"a": "b"}, description="about")
    assert store.id.startswith("vs_")
    assert (store.tenant, store.owner, store.index_id, store.state) == ("acme", "alice", store.id, "live")
    assert (store.name, store.description, store.metadata) == ("docs", "about", {"a": "b"})
    assert (store.version, store.counts, store.usage_bytes, store.expires_at) == (0, FileCounts(), 0, None)
    assert await tables.stores.get(ALICE, store.id) == store
    changed = await tables.stores.update(ALICE, store.id, changes={"name": None, "expires_after_days": 2})
    assert (changed.name, changed.metadata, changed.expires_after_days) == (None, {"a": "b"}, 2)
    assert changed.expires_at == pytest.approx(store.last_active_at + 2 * DAY)
    again = await tables.stores.update(ALICE, store.id, changes={"metadata": {}, "expires_after_days": None})
    assert (again.metadata, again.expires_at) == ({}, None)


async def test_an_index_belongs_to_one_store(tables: KnowledgeTables) -> None:
    configured = await tables.store(id="vs-mine")
    assert configured.index_id == "vs_mine"
    await tables.store(index_id="elsewhere")
    for given in ({"id": "vs-mine", "index_id": "x"}, {"index_id": "elsewhere"}, {"index_id": "vs_mine"}):
        with pytest.raises(Conflict):
            await tables.store(BOB, **given)


async def test_lists_by_cursor(tables: KnowledgeTables) -> None:
    made = [(await tables.store(name=str(number))).id for number in range(5)]
    await tables.store(BOB)
    await tables.stores.delete(ALICE, made[2])
    kept = [made[0], made[1], made[3], made[4]]
    page = await tables.stores.list(ALICE, order="asc", limit=3)
    assert ([store.id for store in page.items], page.has_more) == (kept[:3], True)
    page = await tables.stores.list(ALICE, order="asc", after=kept[2])
    assert ([store.id for store in page.items], page.has_more) == (kept[3:], False)
    page = await tables.stores.list(ALICE, before=kept[0], limit=2)
    assert ([store.id for store in page.items], page.has_more) == ([kept[2], kept[1]], True)
    for cursor in ("after", "before"):
        with pytest.raises(NotFound) as raised:
            await tables.stores.list(ALICE, **{cursor: made[2]})  # type: ignore[arg-type]
        assert raised.value.param == cursor


async def test_expiry(tables: KnowledgeTables) -> None:
    store = await tables.store(expires_after_days=1)
    other = await tables.store()
    await tables.ingest(store, "file-1", ["one"])
    await tables.stores.touch(store)
    tables.now += 3600
    await tables.stores.touch(store)
    touched = await tables.stores.get(ALICE, store.id)
    assert touched.last_active_at == pytest.approx(store.last_active_at + 3600, abs=1)
    assert touched.expires_at == pytest.approx(touched.last_active_at + DAY)
    assert await tables.stores.expire_due() == 0
    tables.now += DAY
    assert (await tables.stores.get(ALICE, store.id)).state == "expired"
    assert await tables.stores.expire_due() == 1
    assert [each.id for each in await tables.stores.removable()] == [store.id]
    while not await tables.stores.remove_slice(store.id):
        pass
    assert await tables.stores.removable() == []
    expired = await tables.stores.get(ALICE, store.id)
    assert (expired.state, expired.counts, expired.usage_bytes) == ("expired", FileCounts(), 0)
    assert (await tables.stores.get(ALICE, other.id)).state == "live"
    assert (await tables.stores.delete(ALICE, store.id)).id == store.id
    assert await tables.stores.remove_slice(store.id)


async def test_deleting_in_slices(tables: KnowledgeTables) -> None:
    store, kept = await tables.store(), await tables.store()
    await tables.ingest(kept, "file-1", ["kept one"])
    for number in range(3):
        await tables.ingest(store, f"file-{number}", [f"{number} {other}" for other in range(10)])
    await tables.attach(store, "file-9", batch=new_batch_id())
    await tables.files.set_attributes(ALICE, store.id, "file-1", {"x": 1})
    assert not await tables.stores.remove_slice(store.id, 4), "it is not deleted"
    assert await tables.counted(store.id) == await tables.recount(store.id)
    await tables.stores.delete(ALICE, store.id)
    for operation in (tables.stores.get, tables.stores.delete, tables.files.list):
        with pytest.raises(NotFound):
            await operation(ALICE, store.id)
    assert await tables.stores.list(ALICE, limit=1) == await tables.stores.list(ALICE)
    slices = 1
    while not await tables.stores.remove_slice(store.id, 4):
        slices += 1
    assert slices >= 8
    left = {
        name: (await tables.database.read(sa.select(sa.func.count()).select_from(METADATA.tables[name])))[0][0]
        for name in METADATA.tables
        if name.startswith(("ls_vector", "ls_chunk"))
    }
    assert {name: count for name, count in left.items() if count} == {
        "ls_vector_stores": 1,
        "ls_vector_store_files": 1,
        "ls_chunks": 1,
        "ls_chunk_sets": 1,
        "ls_chunk_words": 1,
    }
    assert await tables.counted(kept.id) == await tables.recount(kept.id)


@pytest.mark.parametrize("principal", [BOB, OTHER_ALICE], ids=["owner", "tenant"])
async def test_others_see_nothing(tables: KnowledgeTables, principal: Principal) -> None:
    store = await tables.store()
    stores = tables.stores
    operations: list[Callable[[str], Awaitable[object]]] = [
        lambda of: stores.get(principal, of),
        lambda of: stores.update(principal, of, changes={"name": "theirs"}),
        lambda of: stores.delete(principal, of),
    ]
    for operation in operations:
        messages = []
        for of in (store.id, "vs_unknown", "vs_é\0", "", "x" * 1000):
            with pytest.raises(NotFound) as raised:
                await operation(of)
            messages.append(raised.value.message.replace(repr(of[:100]), ""))
        assert len(set(messages)) == 1
    assert (await stores.list(principal)).items == []
    assert await stores.get(ALICE, store.id) == store


async def test_texts_that_cannot_be_stored(tables: KnowledgeTables) -> None:
    for given in ({"name": "a\0"}, {"description": "\ud800"}, {"metadata": {"a": "\0"}}):
        with pytest.raises(InvalidRequest):
            await tables.store(**given)
    store = await tables.store()
    with pytest.raises(InvalidRequest):
        await tables.stores.update(ALICE, store.id, changes={"name": "\0"})

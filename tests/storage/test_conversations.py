"""Conversations, over every SQL backend."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from llama_stack.config.stored import ConversationsConfig
from llama_stack.storage.sql.conversations import ConversationStore, StoredItem, is_item_id
from llama_stack.storage.sql.database import Database, Params, Prepared, Row, Written
from llama_stack.storage.sql.sqlite import SqliteDatabase
from llama_stack.storage.sql.tables import CONVERSATION_ITEMS, CONVERSATIONS
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge
from llama_stack_api.paging import Order
from llama_stack_api.principal import Principal

pytestmark = pytest.mark.anyio

ALICE = Principal(id="alice", tenant="acme")
BOB = Principal(id="bob", tenant="acme")
OTHER_ALICE = Principal(id="alice", tenant="umbrella")
UNKNOWN = "conv_" + "0" * 48


@pytest.fixture
def store(database: Database) -> ConversationStore:
    return ConversationStore(database, clock=lambda: 1234.5)


def items(*names: str) -> list[StoredItem]:
    return [StoredItem(name, b'{"item":"%s"}' % name.encode()) for name in names]


async def listed(
    store: ConversationStore, conversation: str, *, after: str | None = None, limit: int = 20, order: Order = "asc"
) -> list[str]:
    page = await store.list_items(ALICE, conversation, after=after, limit=limit, order=order)
    return [item.id for item in page.items]


async def counted(database: Database, conversation: str) -> tuple[int, int]:
    ((count, size),) = await database.read(
        sa.select(CONVERSATIONS.c.item_count, CONVERSATIONS.c.byte_count).where(CONVERSATIONS.c.id == conversation)
    )
    return count, size


async def test_create_get_update_delete(store: ConversationStore, database: Database) -> None:
    made = await store.create(ALICE, metadata={"topic": "ünï"}, items=items("a", "b"))
    assert is_item_id(made.id)
    assert len(made.id) == 53
    assert (made.created_at, made.metadata) == (1234.5, {"topic": "ünï"})
    assert await store.get(ALICE, made.id) == made
    assert (await store.update(ALICE, made.id, {"k": "v"})).metadata == {"k": "v"}
    assert (await store.get(ALICE, made.id)).metadata == {"k": "v"}
    assert await listed(store, made.id) == ["a", "b"]
    await store.delete(ALICE, made.id)
    with pytest.raises(NotFound, match=made.id):
        await store.get(ALICE, made.id)
    with pytest.raises(NotFound):
        await store.get_item(ALICE, made.id, "a")
    assert await database.read(sa.select(CONVERSATION_ITEMS.c.id)) == []


async def test_an_empty_conversation(store: ConversationStore) -> None:
    made = await store.create(ALICE)
    page = await store.list_items(ALICE, made.id)
    assert (made.metadata, page.items, page.has_more) == ({}, [], False)
    assert await store.position(ALICE, made.id) == 0
    assert await store.entries(ALICE, made.id, upto=0) == []
    await store.add_items(ALICE, made.id, [])
    await store.append(ALICE, made.id, "resp_1", [])
    assert await listed(store, made.id) == []


async def test_items(store: ConversationStore, database: Database) -> None:
    conversation = (await store.create(ALICE)).id
    await store.add_items(ALICE, conversation, items("a", "b"))
    await store.add_items(ALICE, conversation, [StoredItem("c", b"\x00\xff")])
    assert await store.get_item(ALICE, conversation, "c") == StoredItem("c", b"\x00\xff")
    assert await counted(database, conversation) == (3, 26)
    assert await store.delete_item(ALICE, conversation, "b") == await store.get(ALICE, conversation)
    assert await listed(store, conversation) == ["a", "c"]
    assert await counted(database, conversation) == (2, 14)
    for missing in ("b", "never", "", "a\0", "\ud800", "x" * 300):
        with pytest.raises(NotFound, match="no item"):
            await store.get_item(ALICE, conversation, missing)
        with pytest.raises(NotFound, match="no item"):
            await store.delete_item(ALICE, conversation, missing)
    assert await counted(database, conversation) == (2, 14)


async def test_items_are_found_in_whichever_conversation(store: ConversationStore) -> None:
    first, second = (await store.create(ALICE, items=items("a", "b"))).id, (await store.create(ALICE)).id
    await store.add_items(ALICE, second, items("b", *(f"n{number}" for number in range(150))))
    found = await store.find_items(ALICE, ["a", "b", *(f"n{number}" for number in range(150)), "never"])
    assert sorted(item.id for item in found) == sorted(["a", "b", "b", *(f"n{number}" for number in range(150))])
    assert await store.find_items(ALICE, ["a"]) == items("a")
    assert await store.find_items(ALICE, []) == []
    for stranger in (BOB, OTHER_ALICE):
        assert await store.find_items(stranger, ["a", "b"]) == []
    await store.delete(ALICE, first)
    assert await store.find_items(ALICE, ["a"]) == []


async def test_pages(store: ConversationStore) -> None:
    names = [f"i-{number}" for number in range(7)]
    conversation = (await store.create(ALICE, items=items(*names))).id
    orders: dict[Order, list[str]] = {"asc": names, "desc": names[::-1]}
    for order, expected in orders.items():
        for limit in (1, 2, 3, 6, 7, 8):
            seen: list[str] = []
            has_more = True
            while has_more:
                page = await store.list_items(
                    ALICE, conversation, after=seen[-1] if seen else None, limit=limit, order=order
                )
                assert 1 <= len(page.items) <= limit
                seen += [item.id for item in page.items]
                has_more = page.has_more
            assert seen == expected
    assert await listed(store, conversation, after="i-6") == []
    assert await listed(store, conversation, after="i-0", order="desc") == []


async def test_a_page_is_stable_under_what_is_added(store: ConversationStore) -> None:
    conversation = (await store.create(ALICE, items=items("a", "b", "c"))).id
    first = await store.list_items(ALICE, conversation, limit=2)
    await store.add_items(ALICE, conversation, items("d"))
    rest = await store.list_items(ALICE, conversation, limit=2, after=first.items[-1].id)
    assert [item.id for item in (*first.items, *rest.items)] == ["c", "b", "a"]
    assert not rest.has_more


async def test_pages_that_cannot_be(store: ConversationStore) -> None:
    conversation = (await store.create(ALICE, items=items("a"))).id
    for limit in (0, -1, 101):
        with pytest.raises(InvalidRequest, match="1 to 100"):
            await store.list_items(ALICE, conversation, limit=limit)
    for after in ("never", "", "a\0"):
        with pytest.raises(InvalidRequest) as raised:
            await store.list_items(ALICE, conversation, after=after)
        assert raised.value.param == "after"


@pytest.mark.parametrize("principal", [BOB, OTHER_ALICE], ids=["owner", "tenant"])
async def test_others_see_nothing(store: ConversationStore, principal: Principal) -> None:
    conversation = (await store.create(ALICE, items=items("a"))).id
    operations: list[Callable[[str], Awaitable[object]]] = [
        lambda of: store.get(principal, of),
        lambda of: store.update(principal, of, {"mine": "now"}),
        lambda of: store.delete(principal, of),
        lambda of: store.add_items(principal, of, items("x")),
        lambda of: store.add_items(principal, of, []),
        lambda of: store.append(principal, of, "resp_1", items("x")),
        lambda of: store.append(principal, of, "resp_1", []),
        lambda of: store.list_items(principal, of),
        lambda of: store.list_items(principal, of, after="a"),
        lambda of: store.get_item(principal, of, "a"),
        lambda of: store.delete_item(principal, of, "a"),
        lambda of: store.position(principal, of),
        lambda of: store.entries(principal, of, upto=9),
    ]
    for operation in operations:
        messages = []
        for of in (conversation, UNKNOWN, "conv_é\0"):
            with pytest.raises(NotFound) as raised:
                await operation(of)
            messages.append(raised.value.message.replace(repr(of), ""))
        assert len(set(messages)) == 1, "an id of another owner is like one that never was"
    assert (await store.get(ALICE, conversation)).metadata == {}
    assert await listed(store, conversation) == ["a"]
    assert await store.position(ALICE, conversation) == 1


async def test_what_a_turn_reads(store: ConversationStore) -> None:
    conversation = (await store.create(ALICE, items=items("a", "b"))).id
    position = await store.position(ALICE, conversation)
    await store.add_items(ALICE, conversation, items("c"))
    bodies = [item.body for item in items("a", "b", "c")]
    assert await store.entries(ALICE, conversation, upto=position) == bodies[:2]
    assert await store.entries(ALICE, conversation, upto=await store.position(ALICE, conversation)) == bodies


async def test_a_response_may_be_added_again(store: ConversationStore, database: Database) -> None:
    conversation = (await store.create(ALICE, items=items("a"))).id
    for _ in range(3):
        await store.append(ALICE, conversation, "resp_1", items("in", "out"))
    await store.append(ALICE, conversation, "resp_2", items("a", "in", "b"))
    assert await listed(store, conversation) == ["a", "in", "out", "b"], "what is sent back is there already"
    assert (await counted(database, conversation))[0] == 4
    rows = await database.read(sa.select(CONVERSATION_ITEMS.c.run).order_by(CONVERSATION_ITEMS.c.position))
    assert [run for (run,) in rows] == [None, "resp_1", "resp_1", "resp_2"]


async def test_nothing_is_lost_where_a_client_uses_an_id_again(store: ConversationStore, database: Database) -> None:
    """One that counts its messages from 0 in each turn, for example."""
    conversation = (await store.create(ALICE, items=[StoredItem("0", b"first")])).id
    for number, run_id in enumerate(["resp_1", "resp_2"]):
        turn = [StoredItem("0", b"question %d" % number), StoredItem(f"answer-{number}", b"answer")]
        await store.append(ALICE, conversation, run_id, turn)
        await store.append(ALICE, conversation, run_id, turn)
    assert await listed(store, conversation) == ["0", "item_resp_1_0", "answer-0", "item_resp_2_0", "answer-1"]
    bodies = await store.entries(ALICE, conversation, upto=await store.position(ALICE, conversation))
    assert bodies == [b"first", b"question 0", b"answer", b"question 1", b"answer"]
    assert (await store.get_item(ALICE, conversation, "item_resp_2_0")).body == b"question 1"
    assert (await counted(database, conversation))[0] == 5


async def test_an_id_is_used_once_by_clients(store: ConversationStore, database: Database) -> None:
    conversation = (await store.create(ALICE, items=items("a"))).id
    before = await counted(database, conversation)
    for names in (("b", "a"), ("c", "c")):
        with pytest.raises(Conflict, match="one of these ids"):
            await store.add_items(ALICE, conversation, items(*names))
    with pytest.raises(Conflict, match="one of these ids"):
        await store.create(BOB, items=items("c", "c"))
    assert await listed(store, conversation) == ["a"]
    assert await counted(database, conversation) == before
    other = (await store.create(ALICE, items=items("a"))).id
    assert await listed(store, other) == ["a"], "ids belong to their conversation"


async def test_ids_that_cannot_be_kept(store: ConversationStore) -> None:
    conversation = (await store.create(ALICE)).id
    for name in ("", "a b", "a\0", "é", "x" * 257):
        with pytest.raises(InvalidRequest) as raised:
            await store.add_items(ALICE, conversation, [*items("ok"), StoredItem(name, b"")])
        assert raised.value.param == "items[1].id"
    assert await listed(store, conversation) == []
    odd = [StoredItem("a\0", b"1"), StoredItem("x" * 300, b"2")]
    for _ in range(2):
        await store.append(ALICE, conversation, "resp_1", odd)
    assert await listed(store, conversation) == ["item_resp_1_0", "item_resp_1_1"], "a response is not lost for it"


async def test_limits(database: Database) -> None:
    limits = ConversationsConfig(items_max=3, bytes_max=100, item_bytes_max=50)
    store = ConversationStore(database, limits=limits)
    conversation = (await store.create(ALICE, items=items("a", "b"))).id
    with pytest.raises(InvalidRequest, match="items_max") as raised:
        await store.add_items(ALICE, conversation, items("c", "d"))
    assert raised.value.code == "conversation_full"
    assert await listed(store, conversation) == ["a", "b"], "all or none"
    await store.add_items(ALICE, conversation, items("c"))
    with pytest.raises(InvalidRequest, match="items_max"):
        await store.position(ALICE, conversation)
    await store.append(ALICE, conversation, "resp_1", items("late"))
    assert await listed(store, conversation) == ["a", "b", "c", "late"], "a turn that began is not lost"
    await store.delete_item(ALICE, conversation, "late")
    await store.delete_item(ALICE, conversation, "a")
    assert await store.position(ALICE, conversation) > 0, "there is room again"
    with pytest.raises(PayloadTooLarge, match="item_bytes_max") as too_large:
        await store.add_items(ALICE, conversation, [StoredItem("big", b"x" * 51)])
    assert too_large.value.param == "items[0]"
    with pytest.raises(PayloadTooLarge):
        await store.create(ALICE, items=[StoredItem("big", b"x" * 51)])
    with pytest.raises(InvalidRequest, match="items_max"):
        await store.create(ALICE, items=items("a", "b", "c", "d"))
    full = (await store.create(ALICE, items=[StoredItem("x", b"x" * 50), StoredItem("y", b"y" * 48)])).id
    with pytest.raises(InvalidRequest, match="bytes_max"):
        await store.add_items(ALICE, full, items("z"))
    assert await counted(database, full) == (2, 98)


async def test_metadata_limits(store: ConversationStore) -> None:
    conversation = (await store.create(ALICE)).id
    for metadata in ({f"k{n}": "" for n in range(17)}, {"k" * 65: ""}, {"k": "v" * 513}, {"k": "\0"}):
        with pytest.raises(InvalidRequest, match="metadata"):
            await store.create(ALICE, metadata=metadata)
        with pytest.raises(InvalidRequest, match="metadata"):
            await store.update(ALICE, conversation, metadata)


async def test_concurrent_appends_are_whole_and_in_one_order(store: ConversationStore, database: Database) -> None:
    """Of turns that end together each is in one piece, all are there, and a page that was read stays as it was."""
    conversation = (await store.create(ALICE)).id

    async def turn(number: int) -> None:
        names = [f"{number}-{part}" for part in range(3)]
        await store.append(ALICE, conversation, f"resp_{number}", items(*names))
        await store.append(ALICE, conversation, f"resp_{number}", items(*names))

    seen: list[str] = []

    async def read() -> None:
        while len(seen) < 60:
            seen.extend(await listed(store, conversation, after=seen[-1] if seen else None, limit=100))

    async with asyncio.timeout(60):
        await asyncio.gather(read(), *(turn(number) for number in range(20)))
    assert seen == await listed(store, conversation, limit=100), "whoever read along has missed nothing"
    turns = [seen[start].partition("-")[0] for start in range(0, 60, 3)]
    assert sorted(map(int, turns)) == list(range(20))
    assert seen == [f"{number}-{part}" for number in turns for part in range(3)]
    assert (await counted(database, conversation))[0] == 60


async def test_an_item_is_deleted_once_however_many_ask(store: ConversationStore, database: Database) -> None:
    names = [f"i-{number}" for number in range(10)]
    conversation = (await store.create(ALICE, items=items(*names))).id
    results = await asyncio.gather(
        *(store.delete_item(ALICE, conversation, name) for name in names[:5] for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(result, NotFound) for result in results) == 10
    assert sum(not isinstance(result, BaseException) for result in results) == 5
    assert await listed(store, conversation) == names[5:]
    assert await counted(database, conversation) == (5, sum(len(item.body) for item in items(*names[5:])))


class Explaining(SqliteDatabase):
    """Notes how SQLite carries each statement out."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path
        self.plan: list[str] = []

    async def read(self, query: sa.Select[Any], params: Params | None = None) -> Sequence[Row]:
        compiled = self.prepare(query).compiled
        self._explain(compiled.sql, {**compiled.defaults, **(params or {})})
        return await super().read(query, params)

    async def write(self, *steps: tuple[Prepared, Params], durable: bool = False) -> list[Written]:
        for prepared, params in steps:
            self._explain(prepared.compiled.sql, {**prepared.compiled.defaults, **params})
        return await super().write(*steps, durable=durable)

    def _explain(self, sql: str, params: Params) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            self.plan += [str(row[-1]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", dict(params))]


async def test_every_statement_finds_its_rows_by_index(tmp_path: Path) -> None:
    """So that a page, an item or an addition costs the same, however long the conversation is."""
    database = Explaining(tmp_path / "sql.db")
    await database.open()
    store = ConversationStore(database)
    conversation = (await store.create(ALICE, items=items("a", "b"))).id
    await store.list_items(ALICE, conversation, after="a", order="asc")
    await store.list_items(ALICE, conversation)
    await store.get_item(ALICE, conversation, "a")
    await store.add_items(ALICE, conversation, items("c"))
    await store.append(ALICE, conversation, "resp_1", items("d"))
    await store.entries(ALICE, conversation, upto=await store.position(ALICE, conversation))
    await store.delete_item(ALICE, conversation, "a")
    await store.delete(ALICE, conversation)
    await database.close()
    assert len(database.plan) > 15
    assert [step for step in database.plan if step.startswith("SCAN") or "TEMP B-TREE" in step] == []

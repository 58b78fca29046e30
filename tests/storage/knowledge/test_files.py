"""Files of vector stores: attaching, ending, detaching, and the store's counters, over every SQL backend."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from llama_stack.storage.sql.knowledge.batches import new_batch_id
from llama_stack.storage.sql.knowledge.files import ATTACH_MAX
from llama_stack.storage.sql.knowledge.records import Attachment, FileCounts, NewAttachment
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound
from llama_stack_api.principal import Principal
from tests.storage.knowledge.tables import ALICE, BOB, CHUNKING, OTHER_ALICE, KnowledgeTables, chunks, of

pytestmark = pytest.mark.anyio


async def test_a_file_from_attaching_to_detaching(tables: KnowledgeTables) -> None:
    store = await tables.store()
    (file,) = await tables.attach(store, "file-1")
    assert (file.status, file.run, file.chunks_done, file.usage_bytes) == ("in_progress", None, 0, 0)
    assert (file.filename, file.attributes, file.chunking) == ("file-1.txt", {"lang": "en"}, CHUNKING)
    assert await tables.files.set_run(store.id, of(file), "run-1")
    made = chunks(file, ["one two", "three"])
    assert await tables.chunks.add(store.id, made, attachment=of(file), usage_bytes=100, words=["one two", "three"])
    there = await tables.files.get(ALICE, store.id, "file-1")
    assert (there.run, there.chunks_done, there.usage_bytes) == ("run-1", 2, 100)
    assert await tables.files.complete(store.id, of(file))
    assert not await tables.files.complete(store.id, of(file)), "it is complete already"
    after = await tables.stores.get(ALICE, store.id)
    assert (after.counts, after.usage_bytes, after.version) == (FileCounts(completed=1), 100, 1)
    gone = await tables.files.detach(ALICE, store.id, "file-1")
    assert gone.status == "completed"
    after = await tables.stores.get(ALICE, store.id)
    assert (after.counts, after.usage_bytes, after.version) == (FileCounts(), 0, 2)
    assert await tables.chunks.found(store.id, [each.id for each in made]) == {}
    assert await tables.counted(store.id) == await tables.recount(store.id)
    for operation in (tables.files.get, tables.files.detach, tables.files.cancel):
        with pytest.raises(NotFound, match="no file 'file-1'"):
            await operation(ALICE, store.id, "file-1")


async def test_attaching_again(tables: KnowledgeTables) -> None:
    store = await tables.store()
    first = await tables.ingest(store, "file-1", ["one", "two"])
    (same,) = await tables.attach(store, "file-1")
    assert (same.attachment, same.status) == (first.attachment, "completed")
    new = NewAttachment("file-1", "file-1.txt", {"lang": "de"}, CHUNKING)
    (attributed,) = await tables.files.attach(ALICE, store.id, [new])
    assert (attributed.attachment, attributed.attributes) == (first.attachment, {"lang": "de"})
    found = await tables.chunks.of_document(store.id, "file-1")
    assert [each.attributes for each in found] == [{"lang": "de"}] * 2
    other = NewAttachment("file-1", "file-1.txt", {}, {"type": "auto"})
    (anew,) = await tables.files.attach(ALICE, store.id, [other])
    assert (anew.status, anew.chunks_done, anew.usage_bytes) == ("in_progress", 0, 0)
    assert anew.attachment != first.attachment
    assert await tables.chunks.of_document(store.id, "file-1") == []
    assert not await tables.files.fail(store.id, of(first), "server_error", "late"), "of the attachment before"
    assert await tables.counted(store.id) == await tables.recount(store.id)
    pending = await tables.changes.pending_of(store.id, "file-1")
    assert [change.attributes for change in pending] == [{"lang": "de"}, None]


async def test_a_failure_takes_the_chunks_with_it(tables: KnowledgeTables) -> None:
    store = await tables.store()
    file = await tables.ingest(store, "file-1", ["one", "two"], complete=False)
    assert await tables.files.fail(store.id, of(file), "invalid_file", "broken\0")
    failed = await tables.files.get(ALICE, store.id, "file-1")
    assert (failed.status, failed.error_code, failed.error_message) == ("failed", "invalid_file", "broken\ufffd")
    assert (failed.chunks_done, failed.usage_bytes) == (0, 0)
    assert await tables.chunks.of_document(store.id, "file-1") == []
    assert not await tables.chunks.add(store.id, chunks(file, ["late"]), attachment=of(file), words=["late"])
    assert await tables.counted(store.id) == await tables.recount(store.id)
    (again,) = await tables.attach(store, "file-1")
    assert (again.status, again.error_code) == ("in_progress", None), "what failed is tried again"


async def test_lists_by_cursor(tables: KnowledgeTables) -> None:
    store = await tables.store()
    await tables.attach(store, "file-b", "file-a")
    await tables.attach(store, "file-c")
    await tables.ingest(store, "file-d", ["x"])
    for order, names in (("asc", ["a", "b", "c", "d"]), ("desc", ["d", "c", "b", "a"])):
        files = [f"file-{name}" for name in names]
        first = await tables.files.list(ALICE, store.id, limit=2, order=order)  # type: ignore[arg-type]
        assert ([file.file for file in first.items], first.has_more) == (files[:2], True)
        rest = await tables.files.list(ALICE, store.id, after=files[1], order=order)  # type: ignore[arg-type]
        assert ([file.file for file in rest.items], rest.has_more) == (files[2:], False)
        back = await tables.files.list(ALICE, store.id, before=files[3], limit=2, order=order)  # type: ignore[arg-type]
        assert ([file.file for file in back.items], back.has_more) == (files[1:3], True)
    completed = await tables.files.list(ALICE, store.id, status="completed")
    assert [file.file for file in completed.items] == ["file-d"]
    with pytest.raises(NotFound) as raised:
        await tables.files.list(ALICE, store.id, after="file-x")
    assert raised.value.param == "after"
    with pytest.raises(InvalidRequest):
        await tables.files.list(ALICE, store.id, limit=101)


async def test_batches(tables: KnowledgeTables) -> None:
    store = await tables.store()
    batch = new_batch_id()
    one, two, three = await tables.attach(store, "file-1", "file-2", "file-3", batch=batch)
    await tables.attach(store, "file-4")
    assert await tables.files.complete(store.id, of(one))
    assert await tables.chunks.add(store.id, chunks(two, ["x y"]), attachment=of(two), usage_bytes=5, words=["x y"])
    made = await tables.batches.get(ALICE, store.id, batch)
    assert (made.counts, made.cancelled) == (FileCounts(in_progress=2, completed=1), False)
    cancelled = await tables.batches.cancel(ALICE, store.id, batch)
    assert (cancelled.counts, cancelled.cancelled) == (FileCounts(completed=1, cancelled=2), True)
    assert not await tables.files.complete(store.id, of(three))
    listed = await tables.files.list(ALICE, store.id, batch=batch, status="cancelled", order="asc")
    assert [file.file for file in listed.items] == ["file-2", "file-3"]
    assert await tables.counted(store.id) == await tables.recount(store.id)
    versions = [change.version for change in await tables.changes.pending()]
    assert len(versions) == len(set(versions)) == 2, "each change has a version of its own"
    assert await tables.batches.forget(tables.now + 1) == 1
    with pytest.raises(NotFound, match="no file batch"):
        await tables.batches.get(ALICE, store.id, batch)


async def test_what_is_to_be_started(tables: KnowledgeTables) -> None:
    store, other = await tables.store(), await tables.store(BOB)
    one, two = await tables.attach(store, "file-1", "file-2")
    (three,) = await tables.attach(other, "file-3")
    assert await tables.files.set_run(store.id, of(one), "run-1")
    waiting = await tables.files.unstarted()
    assert [(file.file, of_.id) for file, of_ in waiting] == [("file-2", store.id), ("file-3", other.id)]
    await tables.files.cancel(ALICE, store.id, "file-2")
    assert not await tables.files.set_run(store.id, of(two), "run-2")
    await tables.stores.delete(BOB, other.id)
    assert await tables.files.unstarted() == []
    assert not await tables.files.complete(other.id, of(three))


async def test_many_at_once(tables: KnowledgeTables) -> None:
    store = await tables.store()
    names = [f"file-{number}" for number in range(ATTACH_MAX)]
    files = await tables.attach(store, *names, batch=new_batch_id())
    assert [file.file for file in files] == names
    assert (await tables.stores.get(ALICE, store.id)).counts == FileCounts(in_progress=ATTACH_MAX)
    with pytest.raises(InvalidRequest, match=str(ATTACH_MAX)):
        await tables.attach(store, *names, "one-more")


async def test_a_deleted_file_goes_from_all_stores_of_its_tenant(tables: KnowledgeTables) -> None:
    mine, second, foreign = await tables.store(), await tables.store(), await tables.store(OTHER_ALICE)
    for store in (mine, second, foreign):
        await tables.ingest(store, "file-1", [f"in {store.id}"])
    assert sorted(await tables.files.detach_everywhere("acme", "file-1")) == sorted([mine.id, second.id])
    assert await tables.chunks.of_document(mine.id, "file-1") == []
    assert len(await tables.chunks.of_document(foreign.id, "file-1")) == 1
    for store in (mine, second, foreign):
        assert await tables.counted(store.id) == await tables.recount(store.id)


@pytest.mark.parametrize("principal", [BOB, OTHER_ALICE], ids=["owner", "tenant"])
async def test_others_see_nothing(tables: KnowledgeTables, principal: Principal) -> None:
    store = await tables.store()
    batch = new_batch_id()
    await tables.attach(store, "file-1", batch=batch)
    files, batches = tables.files, tables.batches
    operations: list[Callable[[str], Awaitable[object]]] = [
        lambda of_: files.attach(principal, of_, [NewAttachment("file-2", "x")]),
        lambda of_: files.attach(principal, of_, [NewAttachment("file-1", "x", {}, {"type": "auto"})]),
        lambda of_: files.get(principal, of_, "file-1"),
        lambda of_: files.list(principal, of_),
        lambda of_: files.list(principal, of_, after="file-1"),
        lambda of_: files.cancel(principal, of_, "file-1"),
        lambda of_: files.set_attributes(principal, of_, "file-1", {"a": 1}),
        lambda of_: files.detach(principal, of_, "file-1"),
        lambda of_: batches.get(principal, of_, batch),
        lambda of_: batches.cancel(principal, of_, batch),
    ]
    before = await tables.files.get(ALICE, store.id, "file-1")
    for operation in operations:
        messages = []
        for of_ in (store.id, "vs_unknown", "vs_\0"):
            with pytest.raises(NotFound) as raised:
                await operation(of_)
            messages.append(raised.value.message.replace(repr(of_), ""))
        assert len(set(messages)) == 1, "a store of another owner is like one that never was"
    assert await tables.files.get(ALICE, store.id, "file-1") == before
    assert await tables.counted(store.id) == await tables.recount(store.id)
    assert await tables.changes.pending() == []


async def test_an_expired_store_takes_no_files(tables: KnowledgeTables) -> None:
    store = await tables.store(expires_after_days=1)
    (file,) = await tables.attach(store, "file-1")
    tables.now += 86_500
    with pytest.raises(Conflict, match="expired"):
        await tables.attach(store, "file-2")
    assert not await tables.chunks.add(store.id, chunks(file, ["x"]), attachment=of(file))
    assert not await tables.files.complete(store.id, of(file))


@pytest.mark.parametrize("seed", range(3))
async def test_counters_under_races(tables: KnowledgeTables, seed: int) -> None:
    """Whatever tasks do at once to the same files, the counters are those of the rows."""
    choose = random.Random(seed)
    store = await tables.store()
    names = [f"file-{number}" for number in range(4)]
    known: dict[str, Attachment] = {}
    files = tables.files

    async def attach(name: str, number: int) -> None:
        chunking = CHUNKING if number % 2 else {"number": number}
        for file in await files.attach(ALICE, store.id, [NewAttachment(name, name, {}, chunking)]):
            known[name] = of(file)

    async def add(name: str, number: int) -> None:
        texts = [f"word{number} other", "third"]
        made = chunks(await files.get(ALICE, store.id, name), texts, first=choose.randrange(3))
        await tables.chunks.add(store.id, made, attachment=last(name), usage_bytes=20, words=texts)

    async def cancel_batch(_: str, __: int) -> None:
        batch = new_batch_id()
        await tables.attach(store, *names, batch=batch)
        await tables.batches.cancel(ALICE, store.id, batch)

    def last(name: str) -> Attachment:
        return known.get(name, Attachment(name, "none"))

    actions: list[Callable[[str, int], Awaitable[object]]] = [
        *(attach, attach, add, add, cancel_batch),
        lambda name, _: files.complete(store.id, last(name)),
        lambda name, _: files.fail(store.id, last(name), "server_error", "x"),
        lambda name, _: files.cancel(ALICE, store.id, name),
        lambda name, _: files.detach(ALICE, store.id, name),
    ]

    async def work(worker: int) -> None:
        for number in range(25):
            with suppress(NotFound):  # detached by another
                await choose.choice(actions)(choose.choice(names), worker * 100 + number)

    await asyncio.gather(*(work(worker) for worker in range(6)))
    assert await tables.counted(store.id) == await tables.recount(store.id)
    await asyncio.gather(*(tables.files.detach_everywhere("acme", name) for name in names))
    assert await tables.counted(store.id) == (FileCounts(), 0, 0, 0)

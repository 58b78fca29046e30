"""What was left behind is put right: runs that ended without a word, changes that no provider has confirmed, files that
nobody has begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llama_stack.rag import dispatcher
from llama_stack.rag.dispatcher import Dispatcher
from llama_stack.rag.job import KIND
from llama_stack.rag.upkeep import LOST
from llama_stack.runs.limits import RunLimits
from llama_stack.runs.model import NewRun
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.knowledge.records import Attachment
from llama_stack_api.errors import Overloaded, ProviderUnreachable
from tests.support.embedding import HashingEmbedder
from tests.support.ingesting import CALL, OWNER, Ingesting, ingesting

pytestmark = pytest.mark.anyio

TEXT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Ingesting]:
    async with ingesting(database, tmp_path, HashingEmbedder()) as site:
        yield site


@pytest.fixture
async def idle(database: Database, tmp_path: Path) -> AsyncIterator[Ingesting]:
    """Nothing that is attached is begun."""
    async with ingesting(database, tmp_path, HashingEmbedder(), dispatches=False) as site:
        yield site


async def test_what_a_provider_was_not_told_it_is_told_later(site: Ingesting) -> None:
    store = await site.new_store()
    await site.attach(store, {"one": TEXT, "two": TEXT})
    await site.settled(store)
    await site.tables.files.detach(OWNER, store.id, "one")
    await site.tables.files.set_attributes(OWNER, store.id, "two", {"year": 2.0})
    site.index.failures.append(ProviderUnreachable("away"))
    assert await site.upkeep.tell_pending(100) == 1
    assert await site.upkeep.tell_pending(100) == 1
    assert await site.upkeep.tell_pending(100) == 0
    assert site.index.ids(store.index_id, "one") == set()
    assert site.index.attributes(store.index_id, "two") == [{"year": 2.0}]
    assert await site.tables.changes.pending() == []


async def test_files_whose_runs_have_ended_fail(idle: Ingesting) -> None:
    store = await idle.new_store()
    files = await idle.attach(store, {"lost": TEXT, "cancelled": TEXT, "going": TEXT})
    runs = {}
    for file in files:
        new = NewRun("nobody's", b"", background=True)
        runs[file.file] = (await idle.engine.start(OWNER, new)).run.id
        assert await idle.tables.files.set_run(store.id, Attachment(file.file, file.attachment), runs[file.file])
    await idle.engine.delete(OWNER, runs["lost"])
    await idle.engine.cancel(OWNER, runs["cancelled"])
    assert await idle.upkeep.fail_abandoned(2) == 2
    assert await idle.upkeep.fail_abandoned(2) == 1
    found = await idle.files(store)
    assert {name: file.status for name, file in found.items()} == {
        "lost": "failed",
        "cancelled": "failed",
        "going": "in_progress",
    }
    assert found["lost"].error_message == found["cancelled"].error_message == LOST


async def test_a_run_that_cannot_go_on_fails_its_file(database: Database, tmp_path: Path) -> None:
    embeddings = HashingEmbedder()
    stuck = asyncio.Event()
    embeddings.before = stuck.wait  # type: ignore[assignment]
    async with ingesting(database, tmp_path, embeddings, limits=RunLimits(wall_time_s=0.05)) as site:
        store = await site.new_store()
        await site.attach(store, {"slow": TEXT})
        file = (await site.settled(store))["slow"]
        assert (file.status, file.error_code) == ("failed", "server_error")
        assert "server.runs.wall_time_s" in (file.error_message or "")


async def test_a_cancelled_run_fails_its_file(database: Database, tmp_path: Path) -> None:
    embeddings = HashingEmbedder()
    reached = asyncio.Event()

    async def hang() -> None:
        reached.set()
        await asyncio.Event().wait()

    embeddings.before = hang
    async with ingesting(database, tmp_path, embeddings) as site:
        store = await site.new_store()
        await site.attach(store, {"slow": TEXT})
        await reached.wait()
        run = (await site.files(store))["slow"].run
        assert run is not None
        await site.engine.cancel(OWNER, run)
        assert (await site.settled(store))["slow"].error_message == "The ingestion was cancelled."


async def test_what_nobody_has_begun_is_begun_by_the_next(database: Database, tmp_path: Path) -> None:
    async with ingesting(database, tmp_path, HashingEmbedder(), dispatches=False) as site:
        store = await site.new_store()
        await site.attach(store, {f"file{number}": TEXT for number in range(20)})
    async with ingesting(database, tmp_path, HashingEmbedder()) as site:
        files = await site.settled(store)
        assert {file.status for file in files.values()} == {"completed"}
        assert len({file.run for file in files.values()}) == 20


async def test_no_more_runs_are_started_than_may_wait(idle: Ingesting) -> None:
    store = await idle.new_store()
    site = idle
    few = Dispatcher(site.engine, site.tables.files, sealer=None, alone=True, started_max=2)
    few.open()
    await site.attach(store, {f"file{number}": TEXT for number in range(12)})
    await few.begin(CALL, store, list((await site.files(store)).values()))
    files = await site.settled(store)
    assert {file.status for file in files.values()} == {"completed"}
    await few.close()


async def test_a_full_queue_is_no_failure(database: Database, tmp_path: Path) -> None:
    limits = RunLimits(queued_per_tenant_max=1)
    async with ingesting(database, tmp_path, HashingEmbedder(), limits=limits, at_once=1) as site:
        store = await site.new_store()
        await site.attach(store, {f"file{number}": TEXT for number in range(5)})
        assert {file.status for file in (await site.settled(store)).values()} == {"completed"}


async def test_too_many_files_are_refused(idle: Ingesting, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await idle.new_store()
    monkeypatch.setattr(dispatcher, "WAITING_MAX", 3)
    await idle.attach(store, {"one": TEXT, "two": TEXT})
    idle.dispatcher.check_room()
    await idle.attach(store, {"three": TEXT})
    with pytest.raises(Overloaded):
        idle.dispatcher.check_room()


async def test_a_file_that_goes_before_it_is_begun_has_no_run_left(idle: Ingesting) -> None:
    store = await idle.new_store()
    await idle.attach(store, {"one": TEXT})
    await idle.tables.files.cancel(OWNER, store.id, "one")
    idle.dispatcher.open()
    async with asyncio.timeout(10):
        while not (runs := (await idle.engine.journal.list_runs(OWNER, KIND))[0]):
            await asyncio.sleep(0.01)
    assert (await idle.engine.wait(OWNER, runs[0].id)).status in ("cancelled", "completed")
    assert await idle.chunks(store, "one") == []

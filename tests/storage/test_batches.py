"""Batches and their lines, over every SQL backend."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from llama_stack.runs.journal import Commit, Journal
from llama_stack.runs.model import NewRun, Outcome
from llama_stack.storage.sql.batch_records import BatchRecord, LineResult, LineUsage, NewLine
from llama_stack.storage.sql.batch_removal import BatchRemoval
from llama_stack.storage.sql.batches import BatchTable
from llama_stack.storage.sql.database import Database
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound
from llama_stack_api.principal import Principal

pytestmark = pytest.mark.anyio

ALICE = Principal(id="alice", tenant="acme")
BOB = Principal(id="bob", tenant="acme")
OTHER_ALICE = Principal(id="alice", tenant="umbrella")
DAY_S = 24 * 3600.0
_NUMBERS = itertools.count()


class Store:
    def __init__(self, database: Database) -> None:
        # Rows of other tests are in the database too: sweeps look at all of them.
        self.number = next(_NUMBERS)
        self.now = self.start = 1_000_000.0 + self.number * 1000 * DAY_S
        self.database = database
        self.batches = BatchTable(database, clock=lambda: self.now)
        self.removal = BatchRemoval(database, clock=lambda: self.now)
        self.principal = Principal(id=f"alice-{self.number}", tenant="acme")
        self._numbers = itertools.count()

    async def create(self, lines: int = 0, **changes: object) -> BatchRecord:
        """A batch in progress, if it has lines."""
        self.now += 1
        number = f"{self.number}-{next(self._numbers)}"
        batch = BatchRecord(
            id=f"batch_{number}",
            tenant=self.principal.tenant,
            owner=self.principal.id,
            api="openai",
            endpoint="/v1/chat/completions",
            status="validating",
            run=f"run_{number}",
            created_at=self.now,
            expires_at=self.now + DAY_S,
        )
        created = await self.batches.create(replace(batch, **changes))  # type: ignore[arg-type]
        if lines:
            new = [NewLine(line, f"id-{line}", b'{"line":%d}' % line) for line in range(lines)]
            await self.batches.add_lines(created.batch.id, new)
            await self.batches.begin(created.batch.id, total=lines, model="m")
        return await self.read(created.batch.id)

    async def read(self, batch_id: str) -> BatchRecord:
        found = await self.batches.find(batch_id)
        assert found is not None
        return found

    async def listed(self, **params: object) -> tuple[list[str], bool]:
        page = await self.batches.list(self.principal, "openai", **params)  # type: ignore[arg-type]
        return [batch.id for batch in page.items], page.has_more


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


def answered(line: int, outcome: str = "succeeded", body: bytes = b"{}") -> LineResult:
    return LineResult(line, outcome, 200, f"req-{line}", body, LineUsage(10, 1, 5, 2))  # type: ignore[arg-type]


async def test_a_batch_is_its_owners(store: Store) -> None:
    batch = await store.create(2)
    assert await store.batches.get(store.principal, "openai", batch.id) == batch
    for other in (BOB, OTHER_ALICE):
        with pytest.raises(NotFound):
            await store.batches.get(other, "openai", batch.id)
        with pytest.raises(NotFound):
            await store.batches.request_cancel(other, "openai", batch.id)
        with pytest.raises(NotFound):
            await store.batches.delete(other, "openai", batch.id)
        assert not (await store.batches.list(other, "openai", limit=10)).items
    with pytest.raises(NotFound):
        await store.batches.get(store.principal, "anthropic", batch.id)
    for impossible in ("batch_\0", "bätch"):
        with pytest.raises(NotFound):
            await store.batches.get(store.principal, "openai", impossible)


async def test_one_idempotency_key_is_one_batch(store: Store) -> None:
    first = await store.create(idempotency_key="k")
    again = await store.batches.create(replace(first, id="batch_other", run="run_other"))
    assert (again.batch, again.new) == (first, False)
    of_other_api = await store.batches.create(replace(first, id=f"msgbatch_{store.number}", run="r", api="anthropic"))
    assert of_other_api.new
    await store.batches.end(first.id, "failed")
    await store.batches.delete(store.principal, "openai", first.id)
    assert (await store.batches.create(replace(first, id=f"batch_new_{store.number}"))).new


async def test_pages_go_both_ways(store: Store) -> None:
    ids = [(await store.create()).id for _ in range(5)][::-1]
    assert await store.listed(limit=2) == (ids[:2], True)
    assert await store.listed(limit=2, after=ids[1]) == (ids[2:4], True)
    assert await store.listed(limit=2, after=ids[3]) == (ids[4:], False)
    assert await store.listed(limit=2, before=ids[3]) == (ids[1:3], True)
    assert await store.listed(limit=2, before=ids[2]) == (ids[:2], False)
    with pytest.raises(InvalidRequest) as refused:
        await store.listed(limit=2, after="batch_none")
    assert refused.value.param == "after"


async def test_lines_are_taken_in_order_until_they_are_settled(store: Store) -> None:
    batch = await store.create(5)
    assert (batch.status, batch.total, batch.model) == ("in_progress", 5, "m")
    assert [line.line for line in await store.batches.take(batch.id, limit=3)] == [0, 1, 2]
    await store.batches.settle(batch.id, [answered(1), answered(3, "errored")])
    left = await store.batches.take(batch.id, after_line=0, limit=10)
    assert [(line.line, line.custom_id, line.request) for line in left] == [
        (2, "id-2", b'{"line":2}'),
        (4, "id-4", b'{"line":4}'),
    ]
    settled = await store.batches.results(batch.id, limit=10)
    assert [(line.line, line.outcome, line.request_id) for line in settled] == [
        (1, "succeeded", "req-1"),
        (3, "errored", "req-3"),
    ]
    assert [line.line for line in await store.batches.results(batch.id, after_line=1, limit=10)] == [3]


async def test_lines_that_are_added_again_stay_as_they_are(store: Store) -> None:
    batch = await store.create(2)
    await store.batches.settle(batch.id, [answered(0)])
    await store.batches.add_lines(batch.id, [NewLine(line, "other", b"other") for line in range(3)])
    assert [line.custom_id for line in await store.batches.take(batch.id, limit=9)] == ["id-1", "other"]
    assert [line.custom_id for line in await store.batches.results(batch.id, limit=9)] == ["id-0"]


async def test_a_line_is_settled_once_and_counted_once(store: Store) -> None:
    batch = await store.create(3)
    await store.batches.settle(batch.id, [answered(0, body=b"first"), answered(0, "errored", b"second")])
    await store.batches.settle(batch.id, [answered(0, "errored", b"third"), answered(1, "errored")])
    after = await store.read(batch.id)
    assert (after.succeeded, after.errored, after.total) == (1, 1, 3)
    usage = (after.input_tokens, after.cached_tokens, after.output_tokens, after.reasoning_tokens)
    assert usage == (20, 2, 10, 4)
    assert (await store.batches.results(batch.id, limit=1))[0].body == b"first"


async def test_many_who_settle_the_same_lines_count_each_once(store: Store) -> None:
    batch = await store.create(20)

    async def settle(number: int) -> None:
        for line in range(20):
            await store.batches.settle(batch.id, [answered((line + number * 5) % 20)])

    await asyncio.gather(*(settle(number) for number in range(4)))
    after = await store.read(batch.id)
    assert (after.succeeded, after.total, after.output_tokens) == (20, 20, 100)


async def test_the_rest_is_settled_in_slices(store: Store) -> None:
    batch = await store.create(5)
    await store.batches.settle(batch.id, [answered(1)])
    assert await store.batches.settle_rest(batch.id, "expired", limit=3) == 3
    assert await store.batches.settle_rest(batch.id, "canceled", limit=3) == 1
    assert await store.batches.settle_rest(batch.id, "expired", limit=3) == 0
    after = await store.read(batch.id)
    assert (after.succeeded, after.expired, after.canceled) == (1, 3, 1)
    outcomes = [line.outcome for line in await store.batches.results(batch.id, limit=9)]
    assert outcomes == ["expired", "succeeded", "expired", "expired", "canceled"]


async def test_a_batch_goes_through_its_states_once(store: Store) -> None:
    batch = await store.create(1)
    assert batch.in_progress_at == store.now
    store.now += 5
    await store.batches.finalize(batch.id)
    assert (await store.batches.request_cancel(store.principal, "openai", batch.id)).status == "finalizing"
    with pytest.raises(Conflict):
        await store.batches.delete(store.principal, "openai", batch.id)
    assert await store.batches.end(batch.id, "completed", output_file="file-1", results_kept_s=10)
    store.now += 5
    assert not await store.batches.end(batch.id, "failed", output_file="file-2")
    ended = await store.read(batch.id)
    assert (ended.status, ended.output_file, ended.ended_at) == ("completed", "file-1", store.now - 5)
    assert (ended.finalizing_at, ended.results_expire_at) == (store.now - 5, store.now + 5)


@pytest.mark.parametrize("begun", [False, True])
async def test_what_is_cancelled_stays_so(store: Store, *, begun: bool) -> None:
    batch = await store.create(1 if begun else 0)
    cancelled = await store.batches.request_cancel(store.principal, "openai", batch.id)
    assert (cancelled.status, cancelled.cancelling_at) == ("cancelling", store.now)
    await store.batches.begin(batch.id, total=1, model=None)
    await store.batches.finalize(batch.id)
    store.now += 1
    assert await store.batches.request_cancel(store.principal, "openai", batch.id) == await store.read(batch.id)
    after = await store.read(batch.id)
    assert (after.status, after.total, after.finalizing_at) == ("cancelling", 1, None)


async def sweep(store: Store, limit: int) -> Sequence[int]:
    removed = [await store.removal.remove_lines(limit)]
    while removed[-1]:
        removed.append(await store.removal.remove_lines(limit))
    return removed


async def test_results_go_in_slices_and_the_batch_stays(store: Store) -> None:
    batch, other = await store.create(5), await store.create(2)
    await store.batches.end(batch.id, "completed", results_kept_s=DAY_S)
    assert await sweep(store, 2) == [0]
    store.now += DAY_S
    assert await sweep(store, 2) == [2, 2, 1, 0]
    after = await store.read(batch.id)
    assert (after.archived_at, after.results_expire_at, after.total) == (store.now, None, 5)
    assert len(await store.batches.take(other.id, limit=9)) == 2


async def test_deleted_batches_are_gone_at_once_and_removed_in_slices(store: Store) -> None:
    batch = await store.create(5)
    await store.batches.end(batch.id, "completed", results_kept_s=DAY_S)
    await store.batches.delete(store.principal, "openai", batch.id)
    with pytest.raises(NotFound):
        await store.batches.get(store.principal, "openai", batch.id)
    assert await store.listed(limit=10) == ([], False)
    assert await sweep(store, 4) == [4, 1, 0]
    assert await store.batches.find(batch.id) is None


async def test_batches_that_ended_long_ago_are_removed(store: Store) -> None:
    old, new, going = await store.create(1), await store.create(1), await store.create(1)
    await store.batches.end(old.id, "completed")
    store.now += DAY_S
    await store.batches.end(new.id, "completed")
    while await store.removal.remove_ended(store.now - 1, 2):
        pass
    assert await store.listed(limit=10) == ([going.id, new.id], False)


async def test_batches_that_nobody_carries_out_fail(store: Store) -> None:
    journal = Journal(store.database)
    going, ended, without = await store.create(1), await store.create(1), await store.create()
    for batch in (going, ended):
        await journal.create(store.principal, NewRun("batch", b"", background=True, id=batch.run))
    (claim,) = [
        claim for claim in await journal.claim(("batch",), "me", lease_s=60, count_max=100) if claim.run.id == ended.run
    ]
    await journal.commit(Commit(claim.run.id, claim.run.fence, outcome=Outcome()))
    store.now += 60
    late = await store.create()
    while await store.removal.fail_stranded(store.now - 30, '[{"code":"server_error"}]', 2):
        pass
    states = {batch.id: (await store.read(batch.id)).status for batch in (going, ended, without, late)}
    assert states == {going.id: "in_progress", ended.id: "failed", without.id: "failed", late.id: "validating"}
    assert (await store.read(ended.id)).errors == '[{"code":"server_error"}]'

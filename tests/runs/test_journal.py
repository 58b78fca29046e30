"""The journal in SQL: who sees a run, who may write to it, and what is left after each change of hands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa

from llama_stack.runs.errors import Fenced, RunLimitExceeded
from llama_stack.runs.journal import Commit, Journal
from llama_stack.runs.limits import RunLimits
from llama_stack.runs.model import Claim, Closing, NewRun, Outcome, Run, RunError, RunStatus, Step, StepStatus
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.tables import RUN_DOCUMENTS
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound, Overloaded
from llama_stack_api.principal import Principal

pytestmark = pytest.mark.anyio

ALICE = Principal(id="alice", tenant="acme")
BOB = Principal(id="bob", tenant="acme")
OTHER_ALICE = Principal(id="alice", tenant="umbrella")


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(database: Database, clock: Clock) -> Journal:
    return Journal(database, RunLimits(queued_per_tenant_max=5, retention_s=100), clock)


def step(number: int, key: str, *, idempotent: bool = False) -> Step:
    return Step(number, key, "tool", StepStatus.STARTED, idempotent, b'{"q":1}')


async def claimed(journal: Journal, holder: str = "w1", payload: bytes = b"do") -> Claim:
    await journal.create(ALICE, NewRun("toy", payload))
    (claim,) = await journal.claim(["toy"], holder, lease_s=10)
    return claim


def adding(run: Run, first: int, *events: bytes, **more: object) -> Commit:
    return replace(Commit(run.id, run.fence, first, events), **more)  # type: ignore[arg-type]


async def goodbye(_run: Run, next_event: int) -> Closing:
    return Closing([b"bye %d" % next_event], b"partial")


async def log(journal: Journal, run: Run, next_event: int = 0) -> list[tuple[int, bytes]]:
    events: list[tuple[int, bytes]] = []
    while page := await journal.events(ALICE, run.id, next_event):
        events += page
        next_event = page[-1].number + 1
    return events


async def test_a_run_from_its_creation_to_its_end(journal: Journal, clock: Clock) -> None:
    parent = (await journal.create(ALICE, NewRun("parent", b""))).run.id
    new = NewRun("toy", b"\x00payload", background=True, parent=parent, label="m")
    created = await journal.create(ALICE, new)
    assert created.new
    assert await journal.get(ALICE, created.run.id) == created.run
    clock.now += 1
    (claim,) = await journal.claim(["other", "toy"], "w1", lease_s=10)
    assert claim.payload == b"\x00payload"
    run = claim.run
    assert (run.id, run.status, run.fence, run.attempts) == (created.run.id, "running", 1, 1)
    assert (run.parent, run.label) == (parent, "m")
    assert run.started_at == clock.now
    assert await journal.claim(["toy"], "w2", lease_s=10) == []

    await journal.commit(adding(run, 0, b"a", b"b", begun=[step(0, "s")]))
    done = replace(step(0, "s"), status=StepStatus.DONE, result=b"42")
    await journal.commit(adding(run, 2, b"c", ended=[done]))
    assert (await journal.replay(run)).steps == [done]
    clock.now += 1
    error = RunError("length", "Zu läng 🦙")
    await journal.commit(adding(run, 3, b"d", outcome=Outcome(RunStatus.INCOMPLETE, b"\xffresult", error)))
    ended = await journal.get(ALICE, run.id)
    assert (ended.status, ended.ended_at, ended.error) == ("incomplete", clock.now, error)
    assert await journal.document(ALICE, run.id, "payload") == b"\x00payload"
    assert await journal.document(ALICE, run.id, "result") == b"\xffresult"
    assert await log(journal, run) == [(0, b"a"), (1, b"b"), (2, b"c"), (3, b"d")]
    assert await log(journal, run, 2) == [(2, b"c"), (3, b"d")]
    with pytest.raises(Fenced):
        await journal.commit(adding(run, 4, b"late"))
    assert await journal.claim(["toy"], "w2", lease_s=10) == []


async def test_what_is_not_ones_own_does_not_exist(journal: Journal) -> None:
    claim = await claimed(journal)
    await journal.commit(adding(claim.run, 0, b"secret"))
    for stranger in (BOB, OTHER_ALICE):
        assert await journal.events(stranger, claim.run.id, 0) == []
        assert await journal.document(stranger, claim.run.id, "payload") is None
        assert await journal.list_runs(stranger, "toy") == ([], False)
        for request in (
            journal.get(stranger, claim.run.id),
            journal.cancel(stranger, claim.run.id),
            journal.retention.delete(stranger, claim.run.id),
        ):
            with pytest.raises(NotFound):
                await request
    with pytest.raises(NotFound):
        await journal.get(ALICE, "run_\0")
    assert (await journal.get(ALICE, claim.run.id)).status == "running"


async def test_one_idempotency_key_is_one_run(journal: Journal) -> None:
    new = NewRun("toy", b"x", idempotency_key="k")
    created = await asyncio.gather(*(journal.create(ALICE, new) for _ in range(20)))
    assert len({each.run.id for each in created}) == 1
    assert [each.new for each in created].count(True) == 1
    others = [
        await journal.create(BOB, new),
        await journal.create(OTHER_ALICE, new),
        await journal.create(ALICE, replace(new, kind="other")),
        await journal.create(ALICE, replace(new, idempotency_key="l")),
    ]
    assert len({each.run.id for each in (created[0], *others)}) == 5
    held = await asyncio.gather(
        *(journal.create(ALICE, replace(new, idempotency_key="h"), holder="w", lease_s=9) for _ in range(20))
    )
    assert [each.new for each in held].count(True) == 1
    assert {each.run.fence for each in held} == {1}
    with pytest.raises(Conflict, match="already"):
        await journal.create(ALICE, NewRun("toy", b"", id=held[0].run.id))


async def test_a_run_that_waits_is_found_by_its_key_though_it_was_given_an_id(journal: Journal) -> None:
    new = NewRun("toy", b"first", idempotency_key="k", id="run_named", secrets=b"sealed")
    first = await journal.create(ALICE, new)
    again = await journal.create(ALICE, replace(new, payload=b"second"))
    assert (again.run.id, again.new) == (first.run.id, False)
    (claim,) = await journal.claim(["toy"], "w", lease_s=9)
    assert claim.payload == b"first"
    with pytest.raises(Conflict, match="already"):
        await journal.create(BOB, replace(new, idempotency_key="other"))


async def test_the_queue_of_a_tenant_is_bounded(journal: Journal) -> None:
    for _ in range(5):
        await journal.create(ALICE, NewRun("toy", b""))
    with pytest.raises(Overloaded, match=r"server\.runs\.queued_per_tenant_max"):
        await journal.create(BOB, NewRun("toy", b""))
    await journal.create(OTHER_ALICE, NewRun("toy", b""))
    await journal.create(BOB, NewRun("toy", b""), holder="w", lease_s=1)
    await journal.claim(["toy"], "w", lease_s=1)
    await journal.create(BOB, NewRun("toy", b""))
    with pytest.raises(RunLimitExceeded, match=r"server\.runs\.payload_bytes_max"):
        await journal.create(ALICE, NewRun("toy", b"x" * (64 * 1024 * 1024 + 1)))


async def test_claims_share_out_what_is_ready(journal: Journal, clock: Clock) -> None:
    late = await journal.create(ALICE, NewRun("toy", b"", not_before=clock.now + 5))
    ids = set()
    for _ in range(4):
        ids.add((await journal.create(ALICE, NewRun("toy", b""))).run.id)
        clock.now += 0.1
    await journal.create(OTHER_ALICE, NewRun("else", b""))
    claims = await asyncio.gather(*(journal.claim(["toy"], f"w{n}", lease_s=60, count_max=2) for n in range(4)))
    taken = [claim.run.id for each in claims for claim in each]
    while len(taken) < 4:  # who finds a row locked passes over it, and may come home with less
        taken += [claim.run.id for claim in await journal.claim(["toy"], "w", lease_s=60, count_max=2)]
    assert sorted(taken) == sorted(ids)
    clock.now += 5
    (claim,) = await journal.claim(["toy"], "w", lease_s=60)
    assert claim.run.id == late.run.id


async def test_a_lease_that_ends_is_taken_over_and_the_old_worker_fenced(journal: Journal, clock: Clock) -> None:
    old = (await claimed(journal, "w1")).run
    mate = (await claimed(journal, "w1")).run
    await journal.commit(adding(old, 0, b"a", begun=[step(0, "charge"), step(1, "look", idempotent=True)]))
    clock.now += 9
    assert await journal.renew("w1", lease_s=10) == {old.id: 1, mate.id: 1}
    clock.now += 9
    assert await journal.claim(["toy"], "w2", lease_s=10) == []
    clock.now += 2
    (claim,) = await journal.claim(["toy"], "w2", lease_s=10)
    new = claim.run
    stale, other = (old, mate) if new.id == old.id else (mate, old)
    assert (new.fence, new.attempts) == (2, 2)
    assert await journal.renew("w1", lease_s=10) == {other.id: 1}
    for commit in (
        adding(stale, 1, b"stale"),
        adding(stale, 1, begun=[step(2, "more")]),
        adding(stale, 1, ended=[replace(step(0, "charge"), status=StepStatus.DONE, result=b"1")]),
        adding(stale, 1, outcome=Outcome(result=b"stale")),
    ):
        with pytest.raises(Fenced):
            await journal.commit(commit)
    with pytest.raises(Fenced):
        await journal.release(stale.id, stale.fence)
    first = 1 if other.id == old.id else 0
    assert await journal.commit_many([adding(stale, 1, b"stale"), adding(other, first, b"mate")]) == {stale.id}
    assert (await log(journal, other))[-1] == (first, b"mate")
    assert b"stale" not in dict(await log(journal, stale)).values()
    assert await journal.document(ALICE, stale.id, "result") is None


async def test_a_step_in_flight_is_interrupted_unless_it_may_be_repeated(journal: Journal, clock: Clock) -> None:
    run = (await claimed(journal)).run
    begun = [step(0, "charge"), step(1, "look", idempotent=True), step(2, "done")]
    await journal.commit(adding(run, 0, b"a", begun=begun))
    await journal.commit(adding(run, 1, ended=[replace(begun[2], status=StepStatus.DONE, result=b"r")]))
    clock.now += 11
    (claim,) = await journal.claim(["toy"], "w2", lease_s=10)
    replay = await journal.replay(claim.run)
    assert [(each.key, each.status) for each in replay.steps] == [
        ("charge", "interrupted"),
        ("look", "started"),
        ("done", "done"),
    ]
    assert replay.next_event == 1
    assert replay.log_bytes > 0
    await journal.commit(adding(claim.run, 1, begun=[begun[1]]))
    await journal.commit(adding(claim.run, 1, ended=[replace(begun[1], status=StepStatus.DONE, result=b"seen")]))
    assert [each.result for each in (await journal.replay(claim.run)).steps] == [None, b"seen", b"r"]


async def test_cancel_ends_a_run_with_its_last_words(journal: Journal) -> None:
    run = (await claimed(journal)).run
    await journal.commit(adding(run, 0, b"a", b"b"))
    cancelled = await journal.cancel(ALICE, run.id, goodbye)
    assert (cancelled.status, cancelled.fence) == ("cancelled", 3)
    assert await log(journal, run) == [(0, b"a"), (1, b"b"), (2, b"bye 2")]
    assert await journal.document(ALICE, run.id, "result") == b"partial"
    with pytest.raises(Fenced):
        await journal.commit(adding(run, 2, b"late"))
    assert await journal.cancel(ALICE, run.id, goodbye) == cancelled
    queued = (await journal.create(ALICE, NewRun("toy", b""))).run
    assert (await journal.cancel(ALICE, queued.id)).status == "cancelled"
    assert await journal.claim(["toy"], "w", lease_s=1) == []


async def test_cancel_among_a_stream_of_events_leaves_no_gap(journal: Journal) -> None:
    run = (await claimed(journal)).run

    async def write() -> None:
        for number in range(10_000):
            await journal.commit(adding(run, number, b"e"))

    writing = asyncio.create_task(write())
    while not await journal.events(ALICE, run.id, 3):
        await asyncio.sleep(0)
    await journal.cancel(ALICE, run.id, goodbye)
    with pytest.raises(Fenced):
        await writing
    events = await log(journal, run)
    assert [number for number, _ in events] == list(range(len(events)))
    assert events[-1][1] == b"bye %d" % (len(events) - 1)


async def test_release_gives_the_attempt_back(journal: Journal) -> None:
    run = (await claimed(journal)).run
    await journal.release(run.id, run.fence)
    assert (await journal.get(ALICE, run.id)).status == "queued"
    (claim,) = await journal.claim(["toy"], "w2", lease_s=10)
    assert (claim.run.attempts, claim.run.fence) == (1, 3)
    with pytest.raises(Fenced):
        await journal.commit(adding(run, 0, b"late"))


async def test_the_runs_of_a_dead_holder_are_free_at_once(journal: Journal) -> None:
    dead, alive = (await claimed(journal, "dead")).run, (await claimed(journal, "alive")).run
    assert await journal.free(lambda holder: holder == "dead") == 1
    assert [claim.run.id for claim in await journal.claim(["toy"], "w", lease_s=10, count_max=5)] == [dead.id]
    assert await journal.renew("alive", lease_s=10) == {alive.id: 1}


async def test_delete_leaves_nothing(journal: Journal) -> None:
    run = (await claimed(journal)).run
    await journal.commit(adding(run, 0, b"a", begun=[step(0, "s")]))
    await journal.retention.delete(ALICE, run.id)
    with pytest.raises(Fenced):
        await journal.commit(adding(run, 1, b"late"))
    with pytest.raises(NotFound):
        await journal.get(ALICE, run.id)
    assert await journal.events(ALICE, run.id, 0) == []
    assert await journal.next_event(run.id) == 0
    assert (await journal.replay(run)).steps == []


async def test_lists_by_pages(journal: Journal, clock: Clock) -> None:
    parent = (await journal.create(ALICE, NewRun("parent", b""), holder="w", lease_s=1)).run.id
    ids = []
    for number in range(5):
        clock.now += number % 2  # some are of the same moment
        new = NewRun("toy", b"%d" % number, parent=parent if number % 2 else None, label="m" if number > 2 else None)
        ids.append((await journal.create(ALICE, new)).run.id)
    await journal.create(ALICE, NewRun("other", b""), holder="w", lease_s=1)
    runs, more = await journal.list_runs(ALICE, "toy", limit=3, order="asc")
    rest, end = await journal.list_runs(ALICE, "toy", limit=3, order="asc", after=runs[-1].id)
    assert (more, end) == (True, False)
    assert sorted(run.id for run in [*runs, *rest]) == sorted(ids)
    assert [run.created_at for run in [*runs, *rest]] == sorted(run.created_at for run in [*runs, *rest])
    backwards, _ = await journal.list_runs(ALICE, "toy", limit=100)
    assert backwards == [*runs, *rest][::-1]
    children, _ = await journal.list_runs(ALICE, "toy", parent=parent)
    assert {run.id for run in children} == {ids[1], ids[3]}
    labelled, _ = await journal.list_runs(ALICE, "toy", label="m")
    assert {run.id for run in labelled} == {ids[3], ids[4]}
    with pytest.raises(InvalidRequest, match="1 to 100"):
        await journal.list_runs(ALICE, "toy", limit=101)
    with pytest.raises(NotFound):
        await journal.list_runs(BOB, "toy", after=ids[0])


async def test_the_sweep_takes_what_ended_long_ago(journal: Journal, clock: Clock) -> None:
    run, running = (await claimed(journal)).run, (await claimed(journal)).run
    await journal.commit(adding(run, 0, b"a", outcome=Outcome()))
    clock.now += 99
    assert await journal.retention.sweep(10) == 0
    clock.now += 2
    assert await journal.retention.sweep(10) == 1
    with pytest.raises(NotFound):
        await journal.get(ALICE, run.id)
    assert (await journal.get(ALICE, running.id)).status == "running"


async def test_a_large_commit_is_several_rows(journal: Journal) -> None:
    run = (await claimed(journal)).run
    events = [b"x" * 100_000] * 20 + [b"y"] * 3000
    await journal.commit(adding(run, 0, *events))
    assert [data for _, data in await log(journal, run)] == events
    for start in (3, 6, 19, 20, 1500, 3019):
        assert [number for number, _ in await log(journal, run, start)] == list(range(start, 3020))
    assert len(await journal.events(ALICE, run.id, 0)) < 20


async def kept(database: Database, run: Run) -> list[str]:
    """The documents of a run that are stored."""
    of_run = RUN_DOCUMENTS.c.run == run.id
    return sorted(name for (name,) in await database.read(sa.select(RUN_DOCUMENTS.c.name).where(of_run), {}))


async def test_secrets_go_with_the_end_of_their_run(journal: Journal, database: Database, clock: Clock) -> None:
    created = await journal.create(ALICE, NewRun("toy", b"do", secrets=b"sealed"))
    (claim,) = await journal.claim(["toy"], "w1", lease_s=10)
    assert (claim.payload, claim.secrets) == (b"do", b"sealed")
    clock.now += 11  # the worker is gone, and another one takes over
    (again,) = await journal.claim(["toy"], "w2", lease_s=10)
    assert again.secrets == b"sealed"
    with pytest.raises(Fenced):
        await journal.commit(adding(claim.run, 0, outcome=Outcome(), erases=True))
    assert await kept(database, created.run) == ["payload", "secrets"]
    await journal.commit(adding(again.run, 0, b"end", outcome=Outcome(RunStatus.FAILED, b"why"), erases=True))
    assert await kept(database, created.run) == ["payload", "result"]


@pytest.mark.parametrize("held", [False, True])
async def test_secrets_go_when_a_run_is_cancelled(journal: Journal, database: Database, held: bool) -> None:
    holder = "w1" if held else None
    for secrets in (b"sealed", b""):
        run = (await journal.create(ALICE, NewRun("toy", b"do", secrets=secrets), holder=holder, lease_s=10)).run
        assert (await journal.cancel(ALICE, run.id, goodbye)).status is RunStatus.CANCELLED
        assert await kept(database, run) == ["payload", "result"]


async def test_secrets_go_when_a_run_is_deleted(journal: Journal, database: Database) -> None:
    run = (await journal.create(ALICE, NewRun("toy", b"do", secrets=b"sealed"), holder="w1", lease_s=10)).run
    await journal.create(ALICE, NewRun("toy", b"child", parent=run.id))
    await journal.retention.delete(ALICE, run.id)
    assert await kept(database, run) == []

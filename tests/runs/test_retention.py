"""What stays of a run that others go on from, and when it goes."""

from __future__ import annotations

import asyncio
import random

import pytest
import sqlalchemy as sa

from llama_stack.runs.engine import RunEngine
from llama_stack.runs.errors import EventsExpired, Fenced, RunLimitExceeded
from llama_stack.runs.journal import Commit, Journal
from llama_stack.runs.limits import RunLimits
from llama_stack.runs.model import NewRun, Outcome, Run, Step, StepStatus
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.tables import RUN_DOCUMENTS, RUN_EVENTS, RUN_STEPS, RUNS
from llama_stack_api.errors import NotFound, Overloaded
from llama_stack_api.principal import Principal
from tests.runs.test_journal import ALICE, BOB, OTHER_ALICE, Clock

pytestmark = pytest.mark.anyio

RETENTION_S = 100
LIMITS = RunLimits(retention_s=RETENTION_S, chain_runs_max=5, chain_bytes_max=100)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(database: Database, clock: Clock) -> Journal:
    return Journal(database, LIMITS, clock)


async def ended(journal: Journal, parent: str | None = None, turn: bytes = b"turn", owner: Principal = ALICE) -> Run:
    """A run of one event and one step, with a result and a document."""
    created = await journal.create(owner, NewRun("toy", b"payload", parent=parent), holder="w", lease_s=10)
    run = created.run
    step = Step(0, "s", "tool", StepStatus.STARTED, False, b"{}")
    outcome = Outcome(result=b"result of " + run.id.encode(), documents={"turn": turn})
    await journal.commit(Commit(run.id, run.fence, 0, [b"event"], begun=[step]))
    await journal.commit(Commit(run.id, run.fence, 1, [b"end"], outcome=outcome))
    return run


async def chain_of(journal: Journal, length: int) -> list[Run]:
    runs: list[Run] = []
    for number in range(length):
        runs.append(await ended(journal, runs[-1].id if runs else None, b"turn %d" % number))
    return runs


async def left(database: Database, run: Run) -> set[str]:
    """What the tables have of a run: `run`, `events`, `steps`, and the names of documents."""
    found = {
        str(name) for (name,) in await database.read(sa.select(RUN_DOCUMENTS.c.name).where(_of(RUN_DOCUMENTS, run)))
    }
    for what, table in (("events", RUN_EVENTS), ("steps", RUN_STEPS)):
        if await database.read(sa.select(table.c.run).where(_of(table, run))):
            found.add(what)
    if await database.read(sa.select(RUNS.c.id).where(RUNS.c.id == run.id)):
        found.add("run")
    return found


def _of(table: sa.Table, run: Run) -> sa.ColumnElement[bool]:
    of_run: sa.ColumnElement[bool] = table.c.run == run.id
    return of_run


ALL = {"run", "events", "steps", "payload", "result", "turn"}


async def test_documents_are_there_with_the_end(journal: Journal) -> None:
    run = await ended(journal)
    assert await journal.document(ALICE, run.id, "turn") == b"turn"
    assert await journal.document(ALICE, run.id, "result") == b"result of " + run.id.encode()
    assert await journal.document(ALICE, run.id, "other") is None
    assert await journal.document(BOB, run.id, "turn") is None
    cancelled = (await journal.create(ALICE, NewRun("toy", b""))).run
    with pytest.raises(Fenced):
        await journal.commit(Commit(cancelled.id, 7, 0, outcome=Outcome(documents={"turn": b"stale"})))
    assert await journal.document(ALICE, cancelled.id, "turn") is None


async def test_documents_are_found_by_how_ids_begin(journal: Journal) -> None:
    """As in the order of bytes, whatever collation the database has."""
    for own_id in ("toy_0aff", "toy_0af0", "toy_0ae0", "toy_0b00", "toyx_0aff", "to_0aff"):
        run = (await journal.create(ALICE, NewRun("toy", b"", id=own_id))).run
        await journal.commit(Commit(run.id, run.fence, 0, outcome=Outcome(documents={"turn": own_id.encode()})))
    assert sorted(await journal.documents(ALICE, "toy_0af", "turn")) == [b"toy_0af0", b"toy_0aff"]
    assert await journal.documents(ALICE, "toy_0af", "other") == []
    for stranger in (BOB, OTHER_ALICE):
        assert await journal.documents(stranger, "toy_0af", "turn") == []
    await journal.retention.delete(ALICE, "toy_0aff")
    assert await journal.documents(ALICE, "toy_0af", "turn") == [b"toy_0af0"]


async def test_a_chain_is_read_from_its_root(journal: Journal) -> None:
    runs = await chain_of(journal, 4)
    branch = await ended(journal, runs[1].id, b"branch")
    silent = (await journal.create(ALICE, NewRun("toy", b"", parent=branch.id))).run
    ids = [run.id for run in runs]
    assert await journal.chain(ALICE, ids[3], "turn") == [(ids[n], b"turn %d" % n) for n in range(4)]
    expected = [(ids[0], b"turn 0"), (ids[1], b"turn 1"), (branch.id, b"branch")]
    assert await journal.chain(ALICE, branch.id, "turn") == expected
    assert await journal.chain(ALICE, silent.id, "turn") == expected
    for stranger in (BOB, OTHER_ALICE):
        with pytest.raises(NotFound):
            await journal.chain(stranger, ids[3], "turn")
    with pytest.raises(NotFound):
        await journal.chain(ALICE, "run_0", "turn")


async def test_a_chain_is_bounded(journal: Journal) -> None:
    runs = await chain_of(journal, 6)
    assert len(await journal.chain(ALICE, runs[4].id, "turn")) == 5
    with pytest.raises(RunLimitExceeded, match=r"server\.runs\.chain_runs_max"):
        await journal.chain(ALICE, runs[5].id, "turn")
    large = await ended(journal, turn=b"x" * 60)
    assert await journal.chain(ALICE, large.id, "turn") == [(large.id, b"x" * 60)]
    larger = await ended(journal, large.id, turn=b"x" * 41)
    with pytest.raises(RunLimitExceeded, match=r"server\.runs\.chain_bytes_max"):
        await journal.chain(ALICE, larger.id, "turn")


async def test_only_ones_own_run_can_be_gone_on_from(journal: Journal) -> None:
    mine, theirs = await ended(journal), await ended(journal, owner=BOB)
    for held in ({"holder": "w", "lease_s": 1.0}, {}):
        for parent in (theirs.id, "run_0"):
            with pytest.raises(NotFound, match=parent):
                await journal.create(ALICE, NewRun("toy", b"", parent=parent), **held)  # type: ignore[arg-type]
    for _ in range(3):
        await journal.create(ALICE, NewRun("toy", b"", parent=mine.id))
    journal.limits = LIMITS.model_copy(update={"queued_per_tenant_max": 3})
    with pytest.raises(Overloaded):
        await journal.create(ALICE, NewRun("toy", b"", parent=mine.id))


async def test_a_deleted_run_that_others_go_on_from_stays_for_them_alone(journal: Journal, database: Database) -> None:
    root, middle, leaf = await chain_of(journal, 3)
    await journal.retention.delete(ALICE, middle.id)
    assert await left(database, middle) == {"run", "turn"}
    with pytest.raises(NotFound):
        await journal.get(ALICE, middle.id)
    for request in (journal.cancel(ALICE, middle.id), journal.retention.delete(ALICE, middle.id)):
        with pytest.raises(NotFound):
            await request
    with pytest.raises(NotFound):
        await journal.create(ALICE, NewRun("toy", b"", parent=middle.id))
    assert await journal.events(ALICE, middle.id, 0) == []
    assert await journal.document(ALICE, middle.id, "turn") is None
    assert {run.id for run in (await journal.list_runs(ALICE, "toy"))[0]} == {root.id, leaf.id}
    for run_id, length in ((leaf.id, 3), (middle.id, 2)):  # what was created before goes on from the hidden run itself
        assert [body for _, body in await journal.chain(ALICE, run_id, "turn")] == [
            b"turn %d" % n for n in range(length)
        ]

    assert await journal.retention.sweep(10) == 0
    await journal.retention.delete(ALICE, leaf.id)
    assert await left(database, leaf) == set()
    assert await left(database, middle) == {"run", "turn"}
    assert await journal.retention.sweep(10) == 1
    assert await left(database, middle) == set()
    assert await left(database, root) == ALL


async def test_a_run_that_executes_is_fenced_when_it_is_hidden(journal: Journal) -> None:
    parent = (await journal.create(ALICE, NewRun("toy", b"", idempotency_key="k"), holder="w", lease_s=9)).run
    await ended(journal, parent.id)
    await journal.retention.delete(ALICE, parent.id)
    with pytest.raises(Fenced):
        await journal.commit(Commit(parent.id, parent.fence, 0, [b"late"]))
    assert await journal.renew("w", lease_s=9) == {}
    again = await journal.create(ALICE, NewRun("toy", b"", idempotency_key="k"))
    assert again.new


async def test_what_expired_stays_for_what_goes_on_from_it(journal: Journal, database: Database, clock: Clock) -> None:
    runs = await chain_of(journal, 3)
    clock.now += RETENTION_S / 2
    leaf = await ended(journal, runs[-1].id, b"turn 3")
    clock.now += RETENTION_S / 2 + 1
    assert await journal.retention.sweep(10) == 3
    assert await journal.retention.sweep(10) == 0, "what is hidden is not looked at again and again"
    for run in runs:
        assert await left(database, run) == {"run", "turn"}
    assert len(await journal.chain(ALICE, leaf.id, "turn")) == 4
    clock.now += RETENTION_S
    assert await journal.retention.sweep(2) == 2
    assert await left(database, leaf) == await left(database, runs[2]) == set()
    assert await journal.retention.sweep(10) == 2
    assert [await left(database, run) for run in runs] == [set()] * 3


async def test_no_forest_leaves_anything_behind(journal: Journal, database: Database, clock: Clock) -> None:
    """Trees that grow, are deleted from and expire in any order: what lives has its whole chain, all else goes."""
    chance = random.Random(7)
    journal.limits = LIMITS.model_copy(update={"chain_runs_max": 100, "chain_bytes_max": 10_000})
    alive: dict[str, list[str]] = {}
    for _ in range(60):
        choice = chance.random()
        if choice < 0.6 or not alive:
            parent = chance.choice([None, *alive]) if alive else None
            run = await ended(journal, parent)
            alive[run.id] = [*(alive[parent] if parent else []), run.id]
        elif choice < 0.85:
            doomed = chance.choice(list(alive))
            del alive[doomed]
            await journal.retention.delete(ALICE, doomed)
        else:
            await journal.retention.sweep(chance.randint(1, 4))
        for run_id, ancestors in alive.items():
            assert [id_ for id_, _ in await journal.chain(ALICE, run_id, "turn")] == ancestors
    needed = {id_ for ancestors in alive.values() for id_ in ancestors}
    await journal.retention.sweep(1000)
    assert {id_ for (id_,) in await database.read(sa.select(RUNS.c.id))} == needed
    clock.now += RETENTION_S + 1
    assert await journal.retention.sweep(1000) >= len(needed)
    assert await database.read(sa.select(RUNS.c.id)) == []


async def test_deletes_and_children_at_the_same_time(journal: Journal, database: Database) -> None:
    """A child is refused, or its parent's document is there for it; and nothing is forgotten."""
    for _ in range(10):
        parent = await ended(journal)
        made = await asyncio.gather(
            *(ended(journal, parent.id) for _ in range(3)),
            journal.retention.delete(ALICE, parent.id),
            *(ended(journal, parent.id) for _ in range(3)),
            return_exceptions=True,
        )
        children = [child for child in made if isinstance(child, Run)]
        assert all(isinstance(other, NotFound) for other in made if not isinstance(other, Run) and other is not None)
        for child in children:
            assert [id_ for id_, _ in await journal.chain(ALICE, child.id, "turn")] == [parent.id, child.id]
        await asyncio.gather(
            journal.retention.sweep(10), *(journal.retention.delete(ALICE, child.id) for child in children)
        )
        await journal.retention.sweep(10)
        assert await database.read(sa.select(RUNS.c.id)) == []


async def test_lists_with_documents(journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    for _ in range(4):
        clock.now += 1
        runs.append(await ended(journal))
    clock.now += 1
    waiting = (await journal.create(ALICE, NewRun("toy", b"", label="m"))).run
    page, more = await journal.list_documents(ALICE, "toy", "result", limit=3)
    assert more
    assert page[0] == (waiting, None)
    assert [(run.id, body) for run, body in page[1:]] == [
        (run.id, b"result of " + run.id.encode()) for run in (runs[3], runs[2])
    ]
    rest, more = await journal.list_documents(ALICE, "toy", "result", limit=3, after=page[-1][0].id)
    assert ([run.id for run, _ in rest], more) == ([runs[1].id, runs[0].id], False)
    rising, _ = await journal.list_documents(ALICE, "toy", "result", order="asc")
    assert [run.id for run, _ in rising] == [*(run.id for run in runs), waiting.id]
    assert await journal.list_documents(ALICE, "toy", "result", label="m") == ([(waiting, None)], False)
    assert await journal.list_documents(BOB, "toy", "result") == ([], False)
    monkeypatch.setattr("llama_stack.runs.reader.LIST_BYTES_MAX", 150)
    page, more = await journal.list_documents(ALICE, "toy", "result", order="asc")
    assert ([run.id for run, _ in page], more) == ([runs[0].id, runs[1].id], True)
    monkeypatch.setattr("llama_stack.runs.reader.LIST_BYTES_MAX", 1)
    page, more = await journal.list_documents(ALICE, "toy", "result", order="asc", after=runs[0].id)
    assert ([run.id for run, _ in page], more) == ([runs[1].id], True)


async def test_a_log_may_be_kept_shorter_than_its_run(database: Database, clock: Clock) -> None:
    limits = LIMITS.model_copy(update={"events_retention_s": 10})
    engine = RunEngine(database, [], limits=limits, clock=clock, claims=False)
    journal = engine.journal
    old = await ended(journal)
    clock.now += 9
    young = await ended(journal)
    clock.now += 2
    assert await journal.retention.sweep_logs(10) == 1
    assert await journal.retention.sweep_logs(10) == 0
    assert await left(database, old) == ALL - {"events", "steps"}
    assert await left(database, young) == ALL
    with pytest.raises(EventsExpired) as raised:
        await anext(engine.tail(ALICE, old.id))
    assert (raised.value.code, raised.value.status) == ("events_expired", 404)
    assert (await engine.wait(ALICE, old.id)).result == b"result of " + old.id.encode()
    events = [event.data async for page in engine.tail(ALICE, young.id) for event in page]
    assert events == [b"event", b"end"]
    with pytest.raises(NotFound) as strange:
        await anext(engine.tail(BOB, old.id))
    assert strange.value.code == "not_found"

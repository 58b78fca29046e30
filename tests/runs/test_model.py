"""The journal against a model of it: whatever workers, owners and time do, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule, run_state_machine_as_test

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.runs.errors import Fenced
from llama_stack.runs.journal import Commit, Journal
from llama_stack.runs.limits import RunLimits
from llama_stack.runs.model import Claim, Closing, NewRun, Outcome, Run, RunStatus, Step, StepStatus
from llama_stack.storage.sql.open import SqlBackendConfig, open_sql
from llama_stack_api.errors import NotFound
from llama_stack_api.principal import Principal
from tests.support.databases import Postgres

OWNERS = [Principal("a", "t"), Principal("b", "t"), Principal("a", "u")]
LEASE_S = 10.0
T = TypeVar("T")


@dataclass
class Known:
    """What a run should be."""

    run_id: str
    owner: Principal
    status: str = "queued"
    fence: int = 0
    attempts: int = 0
    ready_at: float | None = 0.0
    holder: str | None = None
    events: list[bytes] = field(default_factory=list)
    steps: dict[str, Step] = field(default_factory=dict)


class Machine(RuleBasedStateMachine):
    """A claim is a run and the fence that a worker was given; it goes on being used after it is stale."""

    journal: Journal
    runner: asyncio.Runner

    ids = Bundle("ids")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.journal.clock = lambda: self.now
        self.known: dict[str, Known] = {}
        while left := self.do(self.journal.claim(["toy"], "nobody", lease_s=1e9, count_max=1000)):
            for each in left:
                self.do(self.journal.retention.delete(Principal(each.run.owner, each.run.tenant), each.run.id))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        for known in self.known.values():
            if known.status != "deleted":
                self.check(known)
                self.do(self.journal.retention.delete(known.owner, known.run_id))

    def check(self, known: Known) -> None:
        run = self.do(self.journal.get(known.owner, known.run_id))
        assert (run.status, run.fence, run.attempts) == (known.status, known.fence, known.attempts)
        events = self.do(self.journal.events(known.owner, known.run_id, 0))
        assert [event.number for event in events] == list(range(len(known.events)))
        assert [event.data for event in events] == known.events
        for stranger in OWNERS:
            if stranger != known.owner:
                assert self.do(self.journal.events(stranger, known.run_id, 0)) == []

    def held(self, claim: Run) -> Known | None:
        known = self.known[claim.id]
        return known if known.status != "deleted" and known.fence == claim.fence else None

    def commit(self, claim: Run, commit: Commit) -> Known | None:
        known = self.held(claim)
        if known is None:
            with pytest.raises(Fenced):
                self.do(self.journal.commit(commit))
        else:
            self.do(self.journal.commit(commit))
            known.events += commit.events
        return known

    def commit_of(self, claim: Run, events: list[bytes], **more: Any) -> Commit:
        return Commit(claim.id, claim.fence, len(self.known[claim.id].events), events, **more)

    @rule(target=ids, owner=st.sampled_from(OWNERS), delay=st.sampled_from([0.0, 5.0]))
    def create(self, owner: Principal, delay: float) -> str:
        created = self.do(self.journal.create(owner, NewRun("toy", b"p", not_before=self.now + delay)))
        self.known[created.run.id] = Known(created.run.id, owner, ready_at=self.now + delay)
        return created.run.id

    @rule(target=claims, holder=st.sampled_from(["w1", "w2"]), count=st.integers(1, 3))
    def claim(self, holder: str, count: int) -> Any:
        ready = [each for each in self.known.values() if each.ready_at is not None and each.ready_at <= self.now]
        claims = self.do(self.journal.claim(["toy"], holder, lease_s=LEASE_S, count_max=count))
        assert len(claims) == min(count, len(ready))
        self.check_shares(claims, ready)
        for each in claims:
            known = self.known[each.run.id]
            known.status, known.holder, known.ready_at = "running", holder, self.now + LEASE_S
            known.fence, known.attempts = known.fence + 1, known.attempts + 1
            assert (each.run.fence, each.run.attempts, each.payload) == (known.fence, known.attempts, b"p")
        return multiple(*(each.run for each in claims))

    def check_shares(self, claims: list[Claim], ready: list[Known]) -> None:
        """Tenants get the same, as far as they have something, and each what has waited longest."""
        shares: dict[str, int] = {}
        for tenant in {each.owner.tenant for each in ready}:
            oldest = sorted(each.ready_at or 0.0 for each in ready if each.owner.tenant == tenant)
            taken = [self.known[each.run.id].ready_at or 0.0 for each in claims if each.run.tenant == tenant]
            assert sorted(taken) == oldest[: len(taken)]
            shares[tenant] = len(taken)
            if len(taken) < len(oldest):
                assert max(shares.values()) <= len(taken) + 1

    @rule(holder=st.sampled_from(["w1", "w2"]))
    def renew(self, holder: str) -> None:
        held = {each.run_id: each.fence for each in self.known.values() if each.holder == holder}
        assert self.do(self.journal.renew(holder, lease_s=LEASE_S)) == held
        for run_id in held:
            self.known[run_id].ready_at = self.now + LEASE_S

    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(claim=claims, count=st.integers(1, 3))
    def emit(self, claim: Run, count: int) -> None:
        self.commit(claim, self.commit_of(claim, [b"e%d" % claim.fence] * count))

    @rule(some=st.lists(claims, min_size=1, max_size=4))
    def emit_together(self, some: list[Run]) -> None:
        some = list({claim.id: claim for claim in some}.values())
        fenced = self.do(self.journal.commit_many([self.commit_of(claim, [b"m"]) for claim in some]))
        assert fenced == {claim.id for claim in some if self.held(claim) is None}
        for claim in some:
            if claim.id not in fenced:
                self.known[claim.id].events.append(b"m")

    @rule(claim=claims, key=st.sampled_from("xyz"), idempotent=st.booleans())
    def begin(self, claim: Run, key: str, idempotent: bool) -> None:
        known = self.known[claim.id]
        step = known.steps.get(key)
        if step is None:
            step = Step(len(known.steps), key, "tool", StepStatus.STARTED, idempotent, b"i")
        elif step.status is not StepStatus.STARTED or not step.idempotent:
            return  # as `Steps` sees to
        if self.commit(claim, self.commit_of(claim, [b"begin"], begun=[step])):
            known.steps[key] = step

    @rule(claim=claims, key=st.sampled_from("xyz"), failed=st.booleans())
    def end(self, claim: Run, key: str, failed: bool) -> None:
        step = self.known[claim.id].steps.get(key)
        if step is not None and step.status is StepStatus.STARTED:
            status = StepStatus.FAILED if failed else StepStatus.DONE
            ended = replace(step, status=status, result=b"r%d" % claim.fence)
            known = self.commit(claim, self.commit_of(claim, [b"end"], ended=[ended]))
            if known is not None:
                known.steps[key] = ended

    @rule(claim=claims)
    def replay(self, claim: Run) -> None:
        known = self.held(claim)
        if known is not None:
            for key, step in known.steps.items():
                if step.status is StepStatus.STARTED and not step.idempotent:
                    known.steps[key] = replace(step, status=StepStatus.INTERRUPTED)
            replay = self.do(self.journal.replay(claim))
            assert list(replay.steps) == sorted(known.steps.values(), key=lambda step: step.number)
            assert replay.next_event == len(known.events)

    @rule(claim=claims, status=st.sampled_from([RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.INCOMPLETE]))
    def finish(self, claim: Run, status: RunStatus) -> None:
        known = self.commit(claim, self.commit_of(claim, [b"last"], outcome=Outcome(status, b"result")))
        if known is not None:
            self.ended(known, status)
            assert self.do(self.journal.document(known.owner, known.run_id, "result")) == b"result"

    def ended(self, known: Known, status: str) -> None:
        known.status, known.fence, known.ready_at, known.holder = status, known.fence + 1, None, None

    @rule(claim=consumes(claims), failed=st.booleans())
    def release(self, claim: Run, failed: bool) -> None:
        known = self.held(claim)
        work = self.journal.release(claim.id, claim.fence, retry_in_s=3.0 if failed else None)
        if known is None:
            with pytest.raises(Fenced):
                self.do(work)
        else:
            self.do(work)
            known.status, known.fence, known.holder = "queued", known.fence + 1, None
            known.ready_at, known.attempts = self.now + 3.0 * failed, known.attempts - (not failed)

    @rule(run_id=ids)
    def cancel(self, run_id: str) -> None:
        known = self.known[run_id]

        async def bye(_run: Run, next_event: int) -> Closing:
            return Closing([b"bye %d" % next_event])

        if known.status == "deleted":
            with pytest.raises(NotFound):
                self.do(self.journal.cancel(known.owner, run_id, bye))
            return
        run = self.do(self.journal.cancel(known.owner, run_id, bye))
        if known.status in ("queued", "running"):
            known.events.append(b"bye %d" % len(known.events))
            known.fence += 1  # off its worker's hands, then ended
            self.ended(known, "cancelled")
        assert run.status == known.status

    @rule(run_id=consumes(ids))
    def delete(self, run_id: str) -> None:
        known = self.known[run_id]
        self.do(self.journal.retention.delete(known.owner, run_id))
        known.status, known.ready_at, known.holder = "deleted", None, None

    @rule(run_id=ids)
    def look(self, run_id: str) -> None:
        self.check(self.known[run_id])


@pytest.fixture(params=["sqlite", "postgres"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[type[Machine]]:
    backend: SqlBackendConfig
    if request.param == "sqlite":
        backend = SqlSqliteBackend(db_path=tmp_path / "runs.db")
    else:
        server: Postgres = request.getfixturevalue("postgres")
        backend = server.sql_backend(server.create_database())
    with asyncio.Runner() as runner:
        database = runner.run(open_sql(backend))
        journal = Journal(database, RunLimits())
        yield type("MachineOnDatabase", (Machine,), {"journal": journal, "runner": runner})
        runner.run(database.close())


def test_the_journal_does_what_its_model_does(machine: type[Machine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

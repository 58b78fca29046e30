"""The journal: runs, their steps and events in SQL. Whoever asks for a run gives the principal; what is not theirs is
`NotFound`. Whoever writes for a run gives the fence of the claim; if the run has changed hands since, it is `Fenced`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from llama_stack.runs.claims import Claims
from llama_stack.runs.errors import Fenced
from llama_stack.runs.limits import RunLimits, check_limit, setting
from llama_stack.runs.model import (
    Claim,
    Closing,
    Created,
    Event,
    LastWords,
    NewRun,
    Outcome,
    Replay,
    Run,
    RunStatus,
    Step,
    StepStatus,
)
from llama_stack.runs.observer import RunObserver, Unobserved
from llama_stack.runs.reader import RunReader, this
from llama_stack.runs.retention import Retention
from llama_stack.storage.sql.database import Database, Params, Prepared, Row
from llama_stack.storage.sql.parameters import owned
from llama_stack.storage.sql.runs import EVENTS_PER_ROW_MAX, RUN, SECRETS, RunStatements
from llama_stack_api.errors import Conflict, Overloaded
from llama_stack_api.principal import Principal

ROW_BYTES_MAX = 256 * 1024
CANCEL_TRIES_MAX = 3
SEIZED_S = 10.0
"""How long whoever cancels a run may take; after that it goes on, as if he had never come."""


@dataclass(slots=True)
class Commit:
    """What one transaction adds to a run: events from `first` on, steps that begin or end, and perhaps its end."""

    run_id: str
    fence: int
    first: int = 0
    events: Sequence[bytes] = ()
    begun: Sequence[Step] = ()
    ended: Sequence[Step] = ()
    outcome: Outcome | None = None
    erases: bool = False
    """The run has secrets, which go with its end."""

    @property
    def durable(self) -> bool:
        """Whether it must survive a power cut: intents and results of what cannot be repeated, ends."""
        return self.outcome is not None or any(not step.idempotent for step in (*self.begun, *self.ended))


class Journal(RunReader):
    def __init__(
        self,
        database: Database,
        limits: RunLimits | None = None,
        clock: Callable[[], float] = time.time,
        observer: RunObserver | None = None,
    ) -> None:
        super().__init__(database, limits or RunLimits())
        self.clock = clock
        self.observer = observer or Unobserved()
        self.retention = Retention(database, self._now)
        self._statements = RunStatements(database)
        self._claims = Claims(database, self._statements, self._now)
        self._many = asyncio.Lock()  # on PostgreSQL, two of ours that each lock many runs could wait for each other

    def _now(self) -> float:
        return self.clock()

    async def create(
        self, principal: Principal, new: NewRun, *, holder: str | None = None, lease_s: float = 0.0
    ) -> Created:
        """Queue a run, or with `holder` claim it at once. The same idempotency key gives the same run again.

        `Overloaded` if the tenant has too many queued, `RunLimitExceeded` if the payload is too large, `NotFound` if
        there is no such parent."""
        check_limit(
            self.limits, "payload_bytes_max", len(new.payload), f"the run's payload has {len(new.payload)} bytes"
        )
        run = self.new_run(principal, new, held=holder is not None)
        params = _row(run, new, holder, run.created_at + lease_s if holder else new.not_before or run.created_at)
        statement = self._statements.create_held if holder else self._statements.create_queued
        limit = {} if holder else {"queued_max": self.limits.queued_per_tenant_max}
        given = {"payload": new.payload} | ({SECRETS: new.secrets} if new.secrets else {})
        documents = ({**_held(run.id, run.fence), "new_name": name, "new_body": body} for name, body in given.items())
        created, *_ = await self._database.write(
            (statement, {**params, **limit}),
            *((self._statements.given_document, each) for each in documents),
            durable=holder is None,
        )
        if created.rows:
            return Created(run, new=True)
        return Created(await self._existing(principal, new), new=False)

    def new_run(self, principal: Principal, new: NewRun, *, held: bool) -> Run:
        now = self.clock()
        return Run(
            id=new.id or f"run_{secrets.token_hex(24)}",
            tenant=principal.tenant,
            owner=principal.id,
            kind=new.kind,
            status=RunStatus.RUNNING if held else RunStatus.QUEUED,
            background=new.background,
            parent=new.parent,
            fence=1 if held else 0,
            attempts=1 if held else 0,
            created_at=now,
            updated_at=now,
            started_at=now if held else None,
            label=new.label,
        )

    async def _existing(self, principal: Principal, new: NewRun) -> Run:
        if new.idempotency_key is not None:
            params = {**owned(principal), "of_kind": new.kind, "of_key": new.idempotency_key}
            rows = await self._database.read(self._statements.by_key, params)
            if rows:
                return Run.of(rows[0])
        if new.id is not None and await self._database.read(self._statements.payload_of, {"of_run": new.id}):
            raise Conflict(f"there is a run with the id {new.id!r} already")
        if new.parent is not None:
            await self.get(principal, new.parent)
        raise Overloaded(
            f"{self.limits.queued_per_tenant_max} runs are queued for this tenant; a larger "
            f"{setting('queued_per_tenant_max')} lets more wait",
            retry_after_s=1.0,
        )

    async def cancel(
        self,
        principal: Principal,
        run_id: str,
        last_words: LastWords | None = None,
    ) -> Run:
        """End it as `cancelled` and fence its worker off; a run that has ended stays as it is.

        `last_words` gives the events that close its log and the result that its owner then reads."""
        for _ in range(CANCEL_TRIES_MAX):
            # Off its worker's hands first, so that the log stands still while it gets its last words.
            params = {**this(principal, run_id), "new_ready_at": self.clock() + SEIZED_S}
            (seized,) = await self._database.write((self._statements.seize, params))
            if not seized.rows:
                return await self.get(principal, run_id)
            run = Run.of(seized.rows[0])
            first = await self.next_event(run_id)
            closing = await last_words(run, first) if last_words else Closing()
            outcome = Outcome(RunStatus.CANCELLED, closing.result, documents=closing.documents)
            erases = bool((await self.claim_of(run)).secrets)
            commit = Commit(run_id, run.fence, first, closing.events, outcome=outcome, erases=erases)
            writes = self._writes([commit], self._statements.events)
            *_, written = await self._database.write(*writes, durable=True)
            if written.rows:
                self.ended(run, RunStatus.CANCELLED)
                return Run.of(written.rows[0][: len(RUN)])
        raise Conflict(f"the run {run_id} changes too fast to be cancelled; try again")

    async def claim(
        self,
        kinds: Sequence[str],
        holder: str,
        *,
        lease_s: float,
        count_max: int = 1,
        busy: Mapping[str, int] = MappingProxyType({}),
    ) -> list[Claim]:
        """Take runs that wait, or whose lease is over: tenants in turn, of each the longest waiting first.

        `busy` says how many runs of a tenant the holder executes already."""
        tenant_max = self.limits.concurrent_per_tenant_max
        runs = await self._claims.take(
            kinds, holder, lease_s=lease_s, count_max=count_max, busy=busy, tenant_max=tenant_max
        )
        runs.sort(key=lambda run: (run.created_at, run.id))
        return [await self.claim_of(run) for run in runs]

    async def claim_of(self, run: Run) -> Claim:
        """For whoever holds the run."""
        rows = await self._database.read(self._statements.given_to, {"of_run": run.id})
        given = {name: bytes(body) for name, body in rows}
        return Claim(run, given.get("payload", b""), given.get(SECRETS, b""))

    async def renew(self, holder: str, *, lease_s: float) -> dict[str, int]:
        """Extend all leases of a holder; the runs that it has, with their fences."""
        params = {"of_holder": holder, "new_ready_at": self.clock() + lease_s}
        async with self._many:
            (written,) = await self._database.write((self._statements.renew, params))
        return dict(written.rows)

    async def release(self, run_id: str, fence: int, *, retry_in_s: float | None = None) -> None:
        """Give a run back unfinished. The attempt does not count, unless it failed and is to be made again later."""
        now, given_back = self.clock(), int(retry_in_s is None)
        params = {"now": now, "new_ready_at": now + (retry_in_s or 0.0), "given_back": given_back}
        (written,) = await self._database.write((self._statements.release, {**_held(run_id, fence), **params}))
        if not written.rows:
            raise Fenced(run_id)

    async def free(self, is_dead: Callable[[str], bool]) -> int:
        """End the leases of holders that are dead; how many runs that frees."""
        freed = 0
        for (holder,) in await self._database.read(self._statements.holders):
            if is_dead(holder):
                params = {"of_holder": holder, "now": self.clock()}
                (written,) = await self._database.write((self._statements.free, params))
                freed += len(written.rows)
        return freed

    async def replay(self, run: Run) -> Replay:
        """What a claimed run has behind it. Steps in flight that must not be repeated are `interrupted` from now on."""
        params = {**_held(run.id, run.fence), "now": self.clock()}
        await self._database.write((self._statements.interrupt_steps, params), durable=True)
        of_run = {"of_run": run.id}
        steps = [_step(row) for row in await self._database.read(self._statements.steps_of, of_run)]
        ((log_bytes,),) = await self._database.read(self._statements.log_bytes, of_run)
        return Replay(steps, await self.next_event(run.id), int(log_bytes))

    async def next_event(self, run_id: str) -> int:
        rows = await self._database.read(self._statements.last_event, {"of_run": run_id})
        return int(rows[0][0]) + 1 if rows else 0

    async def commit(self, commit: Commit) -> None:
        """Add to a claimed run, in one transaction. Raises `Fenced`."""
        writes = self._writes([commit], self._statements.events)
        began = time.perf_counter()
        written = await self._database.write(*writes, durable=commit.durable)
        self.observer.committed(len(commit.events), time.perf_counter() - began)
        if not all(result.rows for result in written):
            raise Fenced(commit.run_id)

    async def commit_many(self, commits: Sequence[Commit]) -> set[str]:
        """Add to several runs in one transaction; returns those that are fenced, the rest is committed."""
        writes = self._writes(commits, self._statements.events_of_many)
        async with self._many:
            began = time.perf_counter()
            written = await self._database.write(*writes, durable=any(commit.durable for commit in commits))
        self.observer.committed(sum(len(commit.events) for commit in commits), time.perf_counter() - began)
        held = {row[0] for result in written for row in result.rows}
        return {commit.run_id for commit in commits} - held

    async def waiting(self) -> int:
        """How many runs could execute and have no worker, counted to `WAITING_MAX`."""
        ((count,),) = await self._database.read(self._statements.waiting, {"now": self.clock()})
        return int(count)

    def ended(self, run: Run, status: RunStatus) -> None:
        """A run that was claimed, or seized, has ended; for whoever counts."""
        self.observer.run_ended(run.kind, status, self.clock() - (run.started_at or run.created_at))

    async def log(self, run: Run) -> AsyncIterator[Event]:
        """The whole log, for whoever acts for the run."""
        owner = Principal(id=run.owner, tenant=run.tenant)
        next_event = 0
        while page := await self.events(owner, run.id, next_event):
            for event in page:
                yield event
            next_event = page[-1].number + 1

    async def fence_of(self, run_id: str) -> int | None:
        """For whoever holds the run, or held it."""
        rows = await self._database.read(self._statements.fence_of, {"of_run": run_id})
        return int(rows[0][0]) if rows else None

    def _writes(self, commits: Sequence[Commit], events: Prepared) -> list[tuple[Prepared, Params]]:
        """The statements of one transaction; each gives the id of the run whose fence held.

        An end is the last of its run, for after it the fence is another one.
        """
        rows: list[dict[str, Any]] = []
        others: list[tuple[Prepared, Params]] = []
        for commit in commits:
            held = _held(commit.run_id, commit.fence)
            rows += ({**held, **row} for row in _event_rows(commit))
            others += ((self._statements.begin_step, {**held, **self._begun(step)}) for step in commit.begun)
            others += ((self._statements.end_step, {**held, **self._ended(step)}) for step in commit.ended)
            if commit.outcome is not None:
                others += ((self._statements.document, {**held, **each}) for each in _documents(commit.outcome))
                others += [(self._statements.erase_secrets, held)] * commit.erases
                others.append((self._statements.finish, {**held, **self._ending(commit.outcome)}))
        if rows and self._database.shared:
            return [(events, _arrays(rows)), *others]
        return [*((events, row) for row in rows), *others]

    def _ending(self, outcome: Outcome) -> dict[str, Any]:
        now, kept, log_kept = self.clock(), self.limits.retention_s, self.limits.events_retention_s
        return {
            "new_status": str(outcome.status),
            "new_error": msgspec.json.encode(outcome.error).decode() if outcome.error else None,
            "new_expires_at": now + kept if kept else None,
            "new_events_expire_at": now + log_kept if log_kept else None,
            "now": now,
        }

    def _begun(self, step: Step) -> dict[str, Any]:
        return {
            "new_key": step.key,
            "new_number": step.number,
            "new_kind": step.kind,
            "new_status": str(StepStatus.STARTED),
            "new_idempotent": step.idempotent,
            "new_intent": step.intent,
            "new_started_at": self.clock(),
        }

    def _ended(self, step: Step) -> dict[str, Any]:
        return {
            "of_key": step.key,
            "new_status": str(step.status),
            "new_result": step.result,
            "new_ended_at": self.clock(),
        }


def _held(run_id: str, fence: int) -> dict[str, Any]:
    return {"of_run": run_id, "of_fence": fence}


def _row(run: Run, new: NewRun, holder: str | None, ready_at: float) -> dict[str, Any]:
    return {
        "new_id": run.id,
        "new_tenant": run.tenant,
        "new_owner": run.owner,
        "new_kind": run.kind,
        "new_status": str(run.status),
        "new_background": run.background,
        "new_parent": run.parent,
        "new_idempotency_key": new.idempotency_key,
        "new_fence": run.fence,
        "new_attempts": run.attempts,
        "new_holder": holder,
        "new_ready_at": ready_at,
        "new_created_at": run.created_at,
        "new_updated_at": run.updated_at,
        "new_started_at": run.started_at,
        "new_ended_at": None,
        "new_expires_at": None,
        "new_error": None,
        "new_label": new.label,
        "new_hidden_at": None,
        "new_events_expire_at": None,
        "new_events_expired": None,
    }


def _documents(outcome: Outcome) -> Iterator[dict[str, Any]]:
    if outcome.result is not None:
        yield {"new_name": "result", "new_body": outcome.result}
    for name, body in outcome.documents.items():
        yield {"new_name": name, "new_body": body}


def _step(row: Row) -> Step:
    number, key, kind, status, idempotent, intent, result = row
    return Step(
        number,
        key,
        kind,
        StepStatus(status),
        bool(idempotent),
        bytes(intent),
        None if result is None else bytes(result),
    )


def _event_rows(commit: Commit) -> Iterator[dict[str, Any]]:
    """The events as rows of bounded length and size, so that a page of rows is bounded too."""
    start = size = 0
    for index, event in enumerate(commit.events):
        if index > start and (size + len(event) > ROW_BYTES_MAX or index - start == EVENTS_PER_ROW_MAX):
            yield _event_row(commit, start, index)
            start, size = index, 0
        size += len(event)
    if start < len(commit.events):
        yield _event_row(commit, start, len(commit.events))


def _event_row(commit: Commit, start: int, end: int) -> dict[str, Any]:
    return {
        "new_first": commit.first + start,
        "new_last": commit.first + end - 1,
        "new_body": msgspec.msgpack.encode(commit.events[start:end]),
    }


def _arrays(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = {"new_runs": "of_run", "new_fences": "of_fence"}
    names |= {f"new_{name}s": f"new_{name}" for name in ("first", "last", "body")}
    return {array: [row[name] for row in rows] for array, name in names.items()}

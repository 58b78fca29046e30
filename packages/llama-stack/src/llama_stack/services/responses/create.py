"""Creating a response: a run is started, then somebody streams it, waits for it, or neither (in the background).

stored, stream       tail the log: a client that hangs up leaves, the run goes on
stored               wait for its end
stored, background   the queued response at once, or the log with `stream`
not stored           the same over an ephemeral run, which is cancelled when its one reader leaves
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from llama_stack.agent.entries import Entry
from llama_stack.agent.ids import RESPONSE, random_id
from llama_stack.agent.response import ResponseJson, response_json
from llama_stack.agent.turn import KIND, Turn
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.model import Created, Event, NewRun, Outcome, Run, RunStatus
from llama_stack.runs.secrets import Sealer, seal_secrets
from llama_stack.services.responses.drafts import Drafts, digest_of
from llama_stack.services.responses.events import KEEP_ALIVE_S, blocks_of
from llama_stack.services.responses.failures import failure_of
from llama_stack.services.responses.reading import StoredResponses
from llama_stack_api.errors import Conflict, NotFound, ProviderTimeout
from llama_stack_api.openai.responses.request import ResponseRequest
from llama_stack_api.principal import Call, Principal

_encode = msgspec.json.Encoder().encode
_decode_turn = msgspec.json.Decoder(Turn).decode


@dataclass(frozen=True, slots=True)
class _New:
    turn: Turn
    run: NewRun


@dataclass(frozen=True, slots=True)
class Followed:
    """`events` come in batches, an empty one as a sign of life. `context` is all that comes before the output of a
    response that is not stored."""

    events: AsyncGenerator[Sequence[Event], None]
    context: Sequence[Entry] = ()


class ResponseCreation:
    """`keep_alive_s`: how often a stream without news says that it lives."""

    def __init__(
        self,
        engine: RunEngine,
        drafts: Drafts,
        stored: StoredResponses,
        sealer: Sealer,
        *,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self._engine = engine
        self._drafts = drafts
        self._stored = stored
        self._sealer = sealer
        self._keep_alive_s = keep_alive_s

    async def create(
        self, request: ResponseRequest, call: Call, *, idempotency_key: str | None = None
    ) -> bytes | AsyncGenerator[bytes, None]:
        """The response as JSON, or blocks of its events if the request streams.

        A key gives the response that it gave before (`Conflict` if that was asked for something else). It has no
        meaning for what is not stored. What fails before it had any output raises the error; later it is a response
        that says so.
        """
        new = await self._new(request, call, idempotency_key)
        if request.stream:
            return blocks_of(await self._followed(new, call))
        if not new.turn.request["store"]:
            return await self._unstored(new, call)
        created = await self._start(new, call)
        if not created.run.background:
            return _reply(created.run, new.turn, await self._end(call, created.run))
        if not created.new:
            return await self._stored.get(created.run.id, call)
        return _encode(response_json(new.turn, created.run.id, status=RunStatus.QUEUED.value))

    async def follow(self, request: ResponseRequest, call: Call, before: Sequence[Entry] | None = None) -> Followed:
        """The same for whoever wants events as they are. The request streams. `before` are the entries of the response
        that it goes on from, where that is kept by the caller and not here."""
        new = await self._new(request, call, None, before)
        context = () if new.turn.request["store"] else await self._context(new.turn, call)
        return Followed(await self._followed(new, call), context)

    async def ready(self, request: ResponseRequest, call: Call, before: Sequence[Entry] | None = None) -> Followed:
        """A response that says nothing: it is checked, and can be gone on from. It is kept by the caller alone."""
        new = await self._new(request, call, None, before)
        return Followed(_empty(new), await self._context(new.turn, call))

    async def _context(self, turn: Turn, call: Call) -> list[Entry]:
        return [*await self._drafts.history.before(call.principal, turn), *turn.input]

    async def _start(self, new: _New, call: Call) -> Created:
        created = await self._engine.start(call.principal, new.run)
        if not created.new:
            await self._check_same(call.principal, created.run, new.turn.digest)
        return created

    async def _followed(self, new: _New, call: Call) -> AsyncGenerator[Sequence[Event], None]:
        if new.turn.request["store"]:
            return self._tail(call.principal, (await self._start(new, call)).run)
        run = self._engine.start_ephemeral(call.principal, new.run, streamed=True)
        return self._until_left(call.principal, run, self._tail(call.principal, run))

    async def _new(
        self, request: ResponseRequest, call: Call, key: str | None, before: Sequence[Entry] | None = None
    ) -> _New:
        run_id = random_id(RESPONSE)
        draft = await self._drafts.draft(request, call, before=before, response_id=run_id)
        turn = draft.turn
        if key is not None:
            turn.digest = digest_of(request)
        run = NewRun(
            KIND,
            _encode(turn),
            background=turn.request["background"],
            idempotency_key=key,
            parent=turn.previous,
            id=run_id,
            label=turn.request["model"],
            secrets=seal_secrets(self._sealer, draft.secrets, run_id),
        )
        return _New(turn, run)

    async def _check_same(self, principal: Principal, run: Run, digest: str) -> None:
        payload = await self._engine.journal.document(principal, run.id, "payload")
        if payload is None or _decode_turn(payload).digest != digest:
            raise Conflict(
                "The Idempotency-Key was used before with another request; use a new one.",
                code="idempotency_key_reused",
            )

    def _tail(self, principal: Principal, run: Run) -> AsyncGenerator[Sequence[Event], None]:
        return self._engine.tail(principal, run.id, idle_s=self._keep_alive_s)

    async def _unstored(self, new: _New, call: Call) -> bytes:
        run = self._engine.start_ephemeral(call.principal, new.run, streamed=False)
        ended = False
        try:
            outcome = await self._end(call, run, stored=False)
            ended = True
        finally:
            if not ended:
                await self._abandon(call.principal, run)
        return _reply(run, new.turn, outcome)

    async def _until_left(
        self, principal: Principal, run: Run, batches: AsyncGenerator[Sequence[Event], None]
    ) -> AsyncGenerator[Sequence[Event], None]:
        """The events of a run that lives no longer than its reader."""
        ended = False
        try:
            async for events in batches:
                yield events
            ended = True
        finally:
            await batches.aclose()
            if not ended:
                await self._abandon(principal, run)

    async def _abandon(self, principal: Principal, run: Run) -> None:
        with suppress(NotFound):  # it ended just now
            await self._engine.cancel(principal, run.id)

    async def _end(self, call: Call, run: Run, *, stored: bool = True) -> Outcome:
        try:
            async with asyncio.timeout_at(call.deadline) as limit:
                return await self._engine.wait(call.principal, run.id)
        except TimeoutError:
            if not limit.expired():
                raise
            rest = f"It goes on; GET /v1/responses/{run.id} has it once it is done" if stored else "It was cancelled"
            raise ProviderTimeout(
                f"The response {run.id} was not done in time. {rest}. server.limits.request_timeout_s raises that "
                "limit; a stream, or 'background', has none.",
                code="request_timeout",
            ) from None


async def _empty(new: _New) -> AsyncGenerator[Sequence[Event], None]:
    assert new.run.id is not None
    rendered = ResponseJson(new.turn, new.run.id)
    started, done = rendered.encode("in_progress"), rendered.encode("completed", completed_at=new.turn.created_at)
    kinds = (("created", started), ("in_progress", started), ("completed", done))
    yield [Event(at, rendered.event(f"response.{kind}", at, body)) for at, (kind, body) in enumerate(kinds)]


def _reply(run: Run, turn: Turn, outcome: Outcome) -> bytes:
    body = outcome.result or _encode(response_json(turn, run.id, status=outcome.status.value, error=outcome.error))
    if outcome.status is RunStatus.FAILED:
        failure = failure_of(msgspec.json.decode(body), outcome.error)
        if failure is not None:
            raise failure
    return body

"""Responses as a kind of runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from llama_stack.agent import closing
from llama_stack.agent.emitter import Emitter
from llama_stack.agent.entries import Entry
from llama_stack.agent.fold import Fold
from llama_stack.agent.generation import Generator
from llama_stack.agent.guardrails import Guardrails, Standing
from llama_stack.agent.loop import Loop
from llama_stack.agent.ports import AgentMetrics, Attachments, History, Model, Shields
from llama_stack.agent.record import Record
from llama_stack.agent.redacted_input import redact
from llama_stack.agent.response import ResponseJson
from llama_stack.agent.seals import Seals
from llama_stack.agent.state import Settings, State
from llama_stack.agent.toolbox import Toolbox
from llama_stack.agent.tools.base import Bound, ToolContext, ToolKind
from llama_stack.agent.tools.deferral import brought
from llama_stack.agent.turn import KIND, TURN, Turn, TurnSecrets
from llama_stack.config.responses import AgentLimits
from llama_stack.runs.handle import Ending, RunHandle
from llama_stack.runs.model import Closing, Outcome, RunStatus
from llama_stack.runs.secrets import Sealer, call_of, open_secrets, with_attributes
from llama_stack_api.errors import InvalidRequest, LlamaStackError, NotFound
from llama_stack_api.principal import Call, Principal

STATUS: Final[Mapping[RunStatus, str]] = {
    RunStatus.COMPLETED: "completed",
    RunStatus.INCOMPLETE: "incomplete",
    RunStatus.FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class _Response:
    """One response that is carried out here."""

    run: RunHandle
    turn: Turn
    json: ResponseJson
    emitter: Emitter
    principal: Principal
    thoughts: list[Entry]
    """What the model had finished of an answer that was cut off."""


class ResponseKind:
    """`tools` are the kinds of tools that there are; a tool of a request that none of them answers is left out.

    Without `shields`, a request that names guardrails fails; without a `sealer`, so does one that carries credentials.
    The shields of `standing` are asked whatever a request names.
    """

    name = KIND

    def __init__(
        self,
        *,
        model: Model,
        history: History,
        tools: Sequence[ToolKind] = (),
        shields: Shields | None = None,
        standing: Standing | None = None,
        sealer: Sealer | None = None,
        attachments: Attachments | None = None,
        limits: AgentLimits | None = None,
        metrics: AgentMetrics | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._model = model
        self._history = history
        self._tools = {each: kind for kind in tools for each in kind.types}
        self._shields = shields
        self._standing = standing or Standing()
        self._sealer = sealer
        self._attachments = attachments
        self._limits = limits or AgentLimits()
        self._metrics = metrics
        self._clock = clock

    async def execute(self, run: RunHandle) -> Outcome:
        response = await self._begun(run)
        secrets = open_secrets(self._sealer, run.secrets, run.run.id, TurnSecrets)
        before = await self._before(response)
        state = State(
            Settings.of(
                response.turn.request,
                self._limits,
                tools_told=response.turn.tools_told,
                context_length=response.turn.context_length,
            ),
            before,
            response.turn.input,
            self._bound(response, before),
            response_id=run.run.id,
        )
        loop = self._loop(response, state, secrets)
        finish = await loop.until_finished()
        if self._metrics is not None:
            self._metrics.response_done(STATUS[finish.status], state.rounds)
        body = response.json.encode(
            STATUS[finish.status],
            [entry.item for entry in state.output],
            usage=state.usage,
            reason=finish.reason,
            error=finish.error,
            service_tier=state.service_tier,
            completed_at=int(self._clock()) if finish.status is RunStatus.COMPLETED else None,
        )
        entries = [*response.turn.input, *state.output]
        if response.turn.conversation is not None and finish.status is not RunStatus.FAILED:
            await self._remember(response, entries)
        event = response.json.event(f"response.{STATUS[finish.status]}", run.next_event, body)
        documents = {TURN: msgspec.json.encode(entries)} if run.stored else {}
        return Outcome(finish.status, body, finish.error, [event], documents)

    async def redact(self, turn: Turn, call: Call) -> None:
        """Puts what shields leave of the input of a new turn in its place. What they cannot judge now, the run asks
        them about."""
        guardrails = self._guardrails(turn.request, call)
        if guardrails is not None:
            with suppress(LlamaStackError):
                await redact(turn, guardrails, Seals(self._sealer, call.principal).unseal)

    async def close(self, ending: Ending) -> Closing:
        return await closing.close(ending, self._metrics)

    async def _begun(self, run: RunHandle) -> _Response:
        """With its first events in the log, and ends for what an earlier attempt has left open there."""
        turn = msgspec.json.decode(run.payload, type=Turn)
        rendered = ResponseJson(turn, run.run.id)
        fold = await Fold.of(run.log()) if run.next_event else Fold()
        emitter = Emitter(run, frozenset(turn.request.get("include") or ()), fold)
        if not fold.events:
            _begin(run, rendered)
        known = Record.of(run.steps.replayed).known
        emitter.end_interrupted(known)
        principal = with_attributes(run.principal, turn.attributes)
        return _Response(run, turn, rendered, emitter, principal, list(map(Entry, fold.finished(known))))

    async def _remember(self, response: _Response, entries: Sequence[Entry]) -> None:
        try:
            await self._history.add(response.principal, response.turn, response.run.run.id, entries)
        except NotFound as error:  # it was deleted meanwhile, which is no failure of the response
            logging.getLogger(__name__).warning("%s is not added to its conversation: %s", response.run.run.id, error)

    async def _before(self, response: _Response) -> list[Entry]:
        turn = response.turn
        if turn.previous is None and turn.conversation is None:
            return []
        return await self._history.before(response.principal, turn)

    def _bound(self, response: _Response, before: Sequence[Entry]) -> list[Bound]:
        entries = [*before, *response.turn.input]
        listed: set[str] = set()
        found = []
        tools = response.turn.request.get("tools") or []
        for tool in [*tools, *brought(entries, tools)]:
            kind = self._tools.get(tool.get("type", ""))
            bound = kind.bind(tool, entries) if kind is not None else Bound()
            if bound.listing is not None and bound.listing.key in listed:
                continue
            if bound.listing is not None:
                listed.add(bound.listing.key)
            found.append(bound)
        return found

    def _loop(self, response: _Response, state: State, secrets: TurnSecrets) -> Loop:
        run, turn, emitter = response.run, response.turn, response.emitter
        call = call_of(response.principal, secrets, request_id=turn.request_id, deadline=run.deadline)
        guardrails = self._guardrails(turn.request, call)
        context = ToolContext(
            call=call,
            include=frozenset(turn.request.get("include") or ()),
            secrets=secrets.servers,
            told=turn.tools_told,
        )
        generator = Generator(
            turn=turn,
            model=self._model,
            call=call,
            emitter=emitter,
            seals=Seals(self._sealer, response.principal),
            limits=self._limits,
            attachments=self._attachments,
            guardrails=guardrails,
            thoughts=response.thoughts,
        )
        toolbox = Toolbox(run, emitter, context, self._limits, guardrails, self._metrics)
        return Loop(run, state, emitter, generator, toolbox, guardrails)

    def _guardrails(self, request: Mapping[str, Any], call: Call) -> Guardrails | None:
        named = request.get("guardrails") or ()
        ids = [each if isinstance(each, str) else each["type"] for each in named]
        if not ids and not self._standing:
            return None
        if self._shields is None:
            raise InvalidRequest("this server has no shields for guardrails", param="guardrails")
        return Guardrails(self._shields, ids, call, standing=self._standing)


def _begin(run: RunHandle, response: ResponseJson) -> None:
    if run.run.background:
        queued = response.encode("queued")
        for kind in ("response.created", "response.queued"):
            run.recorder.emit(response.event(kind, run.next_event, queued))
    started = response.encode("in_progress")
    if not run.run.background:
        run.recorder.emit(response.event("response.created", run.next_event, started))
    run.recorder.emit(response.event("response.in_progress", run.next_event, started))

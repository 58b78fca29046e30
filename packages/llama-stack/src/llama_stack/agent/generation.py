"""One call of the model: streamed through the assembler into the log, watched over by guardrails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec

from llama_stack.agent.attribution import passages_of
from llama_stack.agent.chat.assembler import Assembler
from llama_stack.agent.chat.messages import chat_messages
from llama_stack.agent.chat.request import chat_request
from llama_stack.agent.citations import Citations
from llama_stack.agent.compaction import say, summary_messages
from llama_stack.agent.effects import Ask
from llama_stack.agent.emitter import Emitter
from llama_stack.agent.entries import Entry, Event
from llama_stack.agent.guarded import GuardedEvents, Refused
from llama_stack.agent.guardrails import Guardrails
from llama_stack.agent.outgoing import Outgoing
from llama_stack.agent.ports import Attachments, Model, Violation
from llama_stack.agent.redacted_input import redacted
from llama_stack.agent.seals import Seals
from llama_stack.agent.state import only_first
from llama_stack.agent.turn import Generated, ServerCall, Turn, Usage, total
from llama_stack.config.responses import AgentLimits
from llama_stack_api.errors import LlamaStackError, ProviderError
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call


class StreamBroken(Exception):
    """In the middle; `error` is why."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(error)
        self.error = error


@dataclass(slots=True)
class Generator:
    """Asks the model on behalf of one response."""

    turn: Turn
    model: Model
    call: Call
    emitter: Emitter
    seals: Seals
    limits: AgentLimits
    attachments: Attachments | None = None
    guardrails: Guardrails | None = None
    thoughts: list[Entry] = field(default_factory=list)
    """Finished in answers that then broke off, here or before a crash: they belong to the next answer."""
    _inlined: dict[int, tuple[Entry, Entry]] = field(default_factory=dict)

    async def generate(self, ask: Ask) -> Generated:
        """Events are sent as they come, the last ones without a pause before this returns: whoever journals the result
        at once has both in the log, or neither. Raises what the model's provider raised."""
        request = await self._request(ask)
        tries_left = self.limits.stream_retries
        while True:
            try:
                return await self._stream(ask, request)
            except StreamBroken as broken:
                if not tries_left:
                    raise broken.error from broken
                tries_left -= 1
                logging.getLogger(__name__).warning("a model's stream broke and is tried again: %s", broken.error)

    async def _request(self, ask: Ask) -> ChatCompletionRequest:
        entries = await self.with_attachments(ask.entries)
        instructions = self.turn.request.get("instructions")
        messages = chat_messages(
            entries,
            instructions=instructions,
            unseal=self.seals.unseal,
            reasoning_context=(self.turn.request.get("reasoning") or {}).get("context"),
            tools_told=self.turn.tools_told,
        )
        return chat_request(self.turn.request, messages, ask.choice, max_tokens=ask.max_tokens)

    async def with_attachments(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """The entries as a model is shown them. Each is fetched once in a run."""
        if self.attachments is None:
            return entries
        fresh = [entry for entry in entries if id(entry) not in self._inlined]
        inlined = await self._passing(fresh, await self.attachments.inline(fresh, self.call)) if fresh else []
        self._inlined |= {id(entry): (entry, whole) for entry, whole in zip(fresh, inlined, strict=True)}
        return [self._inlined[id(entry)][1] for entry in entries]

    async def _passing(self, entries: Sequence[Entry], inlined: Sequence[Entry]) -> Sequence[Entry]:
        """What guardrails leave of files that are shown as text: the rest they have seen before."""
        if self.guardrails is None or inlined == entries:
            return inlined
        return await redacted(inlined, self.guardrails, self.seals.unseal)

    async def _stream(self, ask: Ask, request: ChatCompletionRequest) -> Generated:
        shown = _Shown(self, ask)
        stream = await self.model.stream(request, self.call)
        try:
            async with aclosing(stream):
                async for block in stream:
                    if block:
                        await shown.feed(block)
                        if shown.refused:
                            break
            generated = await shown.finish()
        except LlamaStackError as error:
            if not shown.begun:
                raise
            shown.cut()
            if isinstance(error, ProviderError):
                raise StreamBroken(error) from error
            raise
        return msgspec.structs.replace(generated, entries=[*self.take_thoughts(), *generated.entries])

    def take_thoughts(self) -> list[Entry]:
        taken, self.thoughts = self.thoughts, []
        return taken

    async def summarise(self, thought: str) -> tuple[str, Usage | None]:
        """Of reasoning; empty if it cannot be had, for the response does not depend on it."""
        detail = (self.turn.request.get("reasoning") or {}).get("summary") or "auto"
        messages = summary_messages(thought, detail)
        try:
            return await say(
                self.model, self.turn.request["model"], messages, self.call, tokens_max=self.limits.summary_tokens_max
            )
        except LlamaStackError as error:
            logging.getLogger(__name__).warning("reasoning is not summarised: %s", error)
            return "", None

    @property
    def coalesce(self) -> bool:
        return not self.turn.request.get("stream") and not self.turn.request.get("background")

    @property
    def summarises(self) -> bool:
        reasoning: dict[str, Any] = self.turn.request.get("reasoning") or {}
        return bool(reasoning.get("summary") or reasoning.get("generate_summary"))


class _Shown:
    """What of one stream has been sent."""

    def __init__(self, of: Generator, ask: Ask) -> None:
        self._of = of
        self._first_only = of.turn.request.get("parallel_tool_calls") is False
        self._usage: Usage | None = None  # of summaries
        rails = of.guardrails
        seal = of.seals.seal_thought if of.seals.available else None
        self._guarded = GuardedEvents(rails, seal) if rails is not None and rails.checks_output else None
        self._outgoing = Outgoing(of.emitter, first_only=self._first_only)
        self._refusal: list[Event] = []
        self.begun = False
        self.refused = False
        self.assembler = Assembler(
            {tool.name: tool for tool in (*ask.tools, *ask.choice.offered)},
            citations=_citing(ask.entries, numbered=of.turn.tools_told),
            coalesce=of.coalesce,
            seal=seal,
            summarize=of.summarises,
            response_id=of.emitter.response_id,
            # Tokens of calls, and tokens that might have been, are in no text that shields are shown.
            logprobs=self._guarded is None,
        )

    async def feed(self, block: bytes) -> None:
        await self._show(self.assembler.feed(block))
        await self._summarise()
        await self._of.emitter.room()

    def cut(self) -> None:
        self._of.thoughts += map(Entry, self._outgoing.finished)
        events = self.assembler.cut()
        self._outgoing.cut(self._guarded.cut(events) if self._guarded is not None else events)

    async def finish(self) -> Generated:
        if not self.refused:
            await self._show(self.assembler.finish())
            await self._summarise()
        self._outgoing.send(self._refusal)
        self._outgoing.finish()
        generated = self.assembler.generated
        generated = msgspec.structs.replace(generated, usage=total(generated.usage, self._usage))
        for entry in generated.entries:
            item = entry.item if self._guarded is None else self._guarded.shown(entry.item)
            entry.item = self._outgoing.renamed(item)
        generated.calls = [await self._passing(call) for call in generated.calls]
        return only_first(generated) if self._first_only else generated

    async def _passing(self, made: ServerCall) -> ServerCall:
        """With arguments as guardrails leave them. One that they block is blocked when it is to run."""
        rails = self._of.guardrails
        left = made.call if rails is None or not rails.checks_output else await rails.arguments(made.call)
        return made if isinstance(left, Violation) else ServerCall(made.item_id, left)

    async def _summarise(self) -> None:
        while self.assembler.pending_summary is not None and not self.refused:
            text, usage = await self._of.summarise(self.assembler.pending_summary)
            self._usage = total(self._usage, usage)
            await self._show(self.assembler.summary(text))

    async def _show(self, events: Sequence[Event]) -> None:
        if not events:
            return
        self.begun = True
        if self._guarded is not None:
            events = await self._checked(events, self._guarded)
        self._outgoing.send(events)

    async def _checked(self, events: Sequence[Event], guarded: GuardedEvents) -> list[Event]:
        checked: list[Event] = []
        try:
            await guarded.feed(events, checked)
        except Refused as refused:
            self.refused = True
            said = self.assembler.refuse(refused.message, refused.shown, refused.item_id, place=refused.place)
            self._refusal = guarded.all_shown(said)
        return checked


def _citing(entries: Sequence[Entry], *, numbered: bool) -> Callable[[], Citations] | None:
    """`numbered`: the passages of a search are shown under numbers, which mean something if it is the only one."""
    lists = [entry.sources for entry in entries if entry.sources]
    if not lists:
        return None
    sources, passages = [source for each in lists for source in each], passages_of(entries)
    return lambda: Citations(sources, numbered=numbered and len(lists) == 1, passages=passages)

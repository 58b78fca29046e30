"""The loop of a response: carries out what `state` decides, each effect a journalled step."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import msgspec

from llama_stack.agent.chat.messages import chat_messages
from llama_stack.agent.compaction import compact
from llama_stack.agent.effects import Ask, Compact, Effect, Finish, ListTools, RunTools
from llama_stack.agent.emitter import Emitter
from llama_stack.agent.entries import Entry
from llama_stack.agent.generation import Generator
from llama_stack.agent.guarded import refusal
from llama_stack.agent.guardrails import CANNOT, Guardrails
from llama_stack.agent.ids import derived_id
from llama_stack.agent.ports import Violation
from llama_stack.agent.state import State
from llama_stack.agent.together import together
from llama_stack.agent.toolbox import Toolbox
from llama_stack.agent.turn import Compacted, Generated
from llama_stack.runs.errors import StepFailed
from llama_stack.runs.handle import RunHandle


@dataclass(slots=True)
class Loop:
    """One attempt at a response. In a second one, steps give what they gave in the first, and events that are in the
    log are not sent again."""

    run: RunHandle
    state: State
    emitter: Emitter
    generator: Generator
    toolbox: Toolbox
    guardrails: Guardrails | None = None
    _shown: int = 0

    async def until_finished(self) -> Finish:
        await self._check_input()
        while True:
            self._show_rest()
            await self.emitter.room()
            effect = self.state.next()
            if isinstance(effect, Finish):
                self.state.output += self.generator.take_thoughts()  # of an answer that never came
                return effect
            await self._carry_out(effect)

    async def _carry_out(self, effect: Effect) -> None:
        match effect:
            case ListTools():
                await self._list(effect)
            case Ask():
                await self._ask(effect)
            case RunTools():
                await self._run_tools(effect)
            case Compact():
                await self._compact(effect)

    def _show_rest(self) -> None:
        """Items that had no events of their own: approval requests, compactions, what tools brought along."""
        for entry in self.state.output[self._shown :]:
            if not self.emitter.is_done(entry.item["id"]):
                self.emitter.whole(entry.item)
        self._shown = len(self.state.output)

    async def _check_input(self) -> None:
        if self.guardrails is None:
            return
        guardrails, turn = self.guardrails, self.generator.turn

        async def effect() -> bytes:
            instructions = turn.request.get("instructions")
            shown = await self.generator.with_attachments(turn.input)
            if turn.checked and shown == turn.input:
                return msgspec.json.encode(None)
            messages = chat_messages(shown, instructions=instructions, unseal=self.generator.seals.unseal)
            left = await guardrails.input(messages)
            if isinstance(left, Violation):
                return msgspec.json.encode(left.message)
            return msgspec.json.encode(None if left == messages else CANNOT)

        try:
            result = await self.run.steps.run_step("guard:input", "guard", idempotent=True, intent=b"", effect=effect)
        except StepFailed as error:
            self.state.failed(error.failure)
            return
        message = msgspec.json.decode(result, type=str | None)
        if message is not None:
            item, events = refusal(derived_id("message", self.run.run.id, "refusal"), message)
            self.state.refused(Entry(item))
            self.emitter.open({**item, "status": "in_progress", "content": []}, events)
            self.emitter.close(item)

    async def _list(self, effect: ListTools) -> None:
        items = [self.toolbox.opened_listing(listing) for listing in effect.listings]
        entries = await together(
            [self.toolbox.list_tools(listing, item) for listing, item in zip(effect.listings, items, strict=True)]
        )
        self.state.listed({listing.key: entry for listing, entry in zip(effect.listings, entries, strict=True)})

    async def _ask(self, ask: Ask) -> None:
        made: list[Generated] = []

        async def effect() -> bytes:
            made.append(await self.generator.generate(ask))
            return msgspec.json.encode(made[0])

        try:
            result = await self.run.steps.run_step(
                f"model:{ask.number}", "model", idempotent=True, intent=b"", effect=effect
            )
        except StepFailed as error:
            self.state.failed(error.failure)
        else:
            self.state.answered(made[0] if made else msgspec.json.decode(result, type=Generated))

    async def _run_tools(self, effect: RunTools) -> None:
        items = [self.toolbox.opened(planned) for planned in effect.calls]
        deferred = [tool for tool in self.state.tools if tool.deferred]
        results = await together(
            [
                self.toolbox.call(planned, item, deferred, effect.room)
                for planned, item in zip(effect.calls, items, strict=True)
            ]
        )
        self.state.ran({planned.item_id: result for planned, result in zip(effect.calls, results, strict=True)})

    async def _compact(self, effect: Compact) -> None:
        generator, key = self.generator, f"compact:{effect.number}"

        async def summarise() -> bytes:
            entry, usage = await compact(
                generator.model,
                generator.turn.request["model"],
                effect.entries,
                instructions=generator.turn.request.get("instructions"),
                call=generator.call,
                seals=generator.seals,
                item_id=derived_id("compaction", self.run.run.id, key),
                tokens_max=generator.limits.summary_tokens_max,
            )
            return msgspec.json.encode(Compacted(entry, usage))

        try:
            result = await self.run.steps.run_step(key, "model", idempotent=True, intent=b"", effect=summarise)
        except StepFailed as error:
            logging.getLogger(__name__).warning("the context of %s is not compacted: %s", self.run.run.id, error)
            self.state.not_compacted(error.failure)
        else:
            compacted = msgspec.json.decode(result, type=Compacted)
            self.state.compacted(compacted.entry, compacted.usage)

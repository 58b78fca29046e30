"""Tools that run: each a journalled step with a deadline; whatever goes wrong is an item that the model sees."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import msgspec

from llama_stack.agent.effects import Changed, Planned, Ran
from llama_stack.agent.emitter import Emitter
from llama_stack.agent.entries import Entry, Item, ModelCall
from llama_stack.agent.guardrails import Guardrails
from llama_stack.agent.ids import derived_id
from llama_stack.agent.ports import AgentMetrics, Violation
from llama_stack.agent.readable import text_in
from llama_stack.agent.tools.base import BoundTool, Listing, ServerTool, ToolContext, ToolResult
from llama_stack.agent.tools.errors import DefinitionChanged
from llama_stack.agent.turn import ToolDone
from llama_stack.config.responses import AgentLimits, setting
from llama_stack.runs.errors import StepFailed, StepInterrupted
from llama_stack.runs.handle import RunHandle
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.principal import Call

RESULT_BLOCKED: Final = "The tool's result was blocked"
T = TypeVar("T")


@dataclass(slots=True)
class Toolbox:
    """Runs the tools of one response. `context` is what all of them get."""

    run: RunHandle
    emitter: Emitter
    context: ToolContext
    limits: AgentLimits
    guardrails: Guardrails | None = None
    metrics: AgentMetrics | None = None
    _places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.limits.tools_parallel_max)

    def opened_listing(self, listing: Listing) -> Item:
        item = listing.opened(derived_id("mcp_list_tools", self.run.run.id, listing.key))
        self.emitter.open(item, listing.announced())
        return item

    async def list_tools(self, listing: Listing, item: Item) -> Entry:
        async def effect() -> bytes:
            try:
                return self._encoded(await self._listed(listing, item), "the tools of the server have")
            except LlamaStackError as error:
                return msgspec.json.encode(Entry({**item, "tools": [], "error": error.message}))

        result = await self.run.steps.run_step(
            f"list:{listing.key}", "mcp_list_tools", idempotent=True, intent=b"", effect=effect
        )
        entry = msgspec.json.decode(result, type=Entry)
        self.emitter.close(entry.item, listing.concluded(entry))
        return entry

    async def _listed(self, listing: Listing, item: Item) -> Entry:
        timeout_s = self.limits.tool_timeout_s
        with _boundary("the listing of tools", timeout_s, self.limits):
            async with asyncio.timeout(timeout_s):
                return await listing.run(item, replace(self.context, call=self._call(timeout_s)))

    def opened(self, planned: Planned) -> Item:
        runner = _runner(planned.tool)
        item = runner.opened(planned.call, planned.item_id)
        if planned.approval is not None:
            item["approval_request_id"] = planned.approval
        self.emitter.open(item, runner.announced(planned.call, item))
        return item

    async def call(self, planned: Planned, item: Item, deferred: Sequence[BoundTool], room: int | None = None) -> Ran:
        """Its end is shown once its result is journalled."""
        tool = _runner(planned.tool)
        async with self._places:
            done = await self._journalled(planned, item, tool, replace(self.context, deferred=deferred, room=room))
        if done.pin is not None:
            self.emitter.close({**item, "status": "incomplete"})
            return Changed(done.pin)
        self.emitter.close(done.entries[0].item, tool.concluded(done.entries[0]))
        await self.emitter.room()
        return done.entries

    async def _journalled(self, planned: Planned, item: Item, tool: ServerTool, context: ToolContext) -> ToolDone:
        key = f"tool:{planned.item_id}"
        context = replace(
            context,
            call=self._call(self._timeout_s(tool)),
            idempotency_key=self.run.steps.idempotency_key(key),
            approved_pin=planned.approved_pin,
        )

        async def effect() -> bytes:
            return self._encoded(await self._measured(planned, item, tool, context), "the tool's result has")

        intent = msgspec.json.encode(planned.call)
        try:
            result = await self.run.steps.run_step(
                key, tool.kind, idempotent=tool.idempotent, intent=intent, effect=effect
            )
        except StepFailed as error:
            return _done(tool.failed(planned.call, item, error))
        except StepInterrupted:
            return _done(tool.failed(planned.call, item, StepInterrupted(planned.call.name)))
        return msgspec.json.decode(result, type=ToolDone)

    async def _measured(self, planned: Planned, item: Item, tool: ServerTool, context: ToolContext) -> ToolDone:
        started, outcome = time.perf_counter(), "ok"
        try:
            done = await self._guarded(planned, item, tool, context)
            outcome = _outcome(done)
            return done
        except LlamaStackError as error:
            outcome = error.code or "error"
            raise
        finally:
            if self.metrics is not None:
                self.metrics.tool_done(tool.kind, outcome, time.perf_counter() - started)

    async def _guarded(self, planned: Planned, item: Item, tool: ServerTool, context: ToolContext) -> ToolDone:
        call = planned.call
        if self.guardrails is not None:
            call = _passed(await self.guardrails.arguments(call), "The call was blocked")
            planned = replace(planned, call=call)
        try:
            result = await self._run(planned, item, tool, context)
        except DefinitionChanged as changed:
            return ToolDone(pin=changed.pin)
        except LlamaStackError as error:
            # What went wrong is told to the model, often in the words of the tool.
            if self.guardrails is not None:
                left = _passed(await self.guardrails.result(call, error.message), "The tool's error was blocked")
                error.message = str(left)
            raise
        if self.guardrails is not None and result.entry.shown:
            result = replace(result, entry=await self._result_left(result.entry, call, self.guardrails))
        return _done(result)

    async def _result_left(self, entry: Entry, call: ModelCall, rails: Guardrails) -> Entry:
        """What was redacted for the model is redacted in the item too."""
        left = _passed(await rails.result(call, entry.shown or ""), RESULT_BLOCKED)
        if left == entry.shown:
            return entry
        told: list[Item] = [{name: entry.item[name] for name in ("output", "results") if entry.item.get(name)}]
        kept = await rails.texts(told, _as_message)
        return msgspec.structs.replace(entry, shown=left, item=entry.item | _passed(kept, RESULT_BLOCKED)[0])

    async def _run(self, planned: Planned, item: Item, tool: ServerTool, context: ToolContext) -> ToolResult:
        timeout_s = self._timeout_s(tool)
        with _boundary(f"the tool {tool.kind}", timeout_s, self.limits):
            async with asyncio.timeout(timeout_s):
                return await tool.run(planned.call, item, context)

    def _encoded(self, found: ToolDone | Entry, what: str) -> bytes:
        encoded = msgspec.json.encode(found)
        limit = self.limits.tool_result_bytes_max
        if len(encoded) > limit:
            raise LlamaStackError(
                f"{what} {len(encoded)} bytes: the limit is {limit} ({setting('tool_result_bytes_max')})",
                code="tool_result_too_large",
            )
        return encoded

    def _timeout_s(self, tool: ServerTool) -> float:
        return min(tool.timeout_s, self.limits.tool_timeout_s)

    def _call(self, timeout_s: float) -> Call:
        deadline = min(self.run.deadline, asyncio.get_running_loop().time() + timeout_s)
        return replace(self.context.call, deadline=deadline)


def _runner(tool: BoundTool) -> ServerTool:
    assert tool.runner is not None, "only what the server runs is planned"
    return tool.runner


@contextmanager
def _boundary(what: str, timeout_s: float, limits: AgentLimits) -> Iterator[None]:
    """Of a tool's own code: what it raises is a `LlamaStackError`."""
    try:
        yield
    except LlamaStackError:
        raise
    except TimeoutError:
        named = f" ({setting('tool_timeout_s')})" if timeout_s == limits.tool_timeout_s else ""
        raise LlamaStackError(f"the tool took longer than {timeout_s:g} s{named}", code="tool_timeout") from None
    except Exception as error:
        logging.getLogger(__name__).error("%s failed", what, exc_info=error)
        raise LlamaStackError("the tool failed by an error of the server", code="tool_error") from error


def _outcome(done: ToolDone) -> str:
    """For the metrics: a tool may have failed without an error of ours, and its item says so."""
    if done.pin is not None:
        return DefinitionChanged.default_code
    item = done.entries[0].item
    if item.get("status") != "failed":
        return "ok"
    error = item.get("error")
    return str(error["type"]) if isinstance(error, dict) and "type" in error else "error"


def _as_message(told: list[Item]) -> list[Item]:
    return [{"role": "user", "content": text_in(told)}]


def _done(result: ToolResult) -> ToolDone:
    return ToolDone([result.entry, *result.more])


def _passed(left: Violation | T, what: str) -> T:
    if isinstance(left, Violation):
        raise LlamaStackError(f"{what} by the shield {left.shield_id}: {left.message}", code="guardrail_violation")
    return left

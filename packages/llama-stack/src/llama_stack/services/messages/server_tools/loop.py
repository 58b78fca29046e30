"""One message, for which the model is asked as often as it calls tools of this server.

    ask ──► events go out as they come; calls of our tools as `server_tool_use` or `mcp_tool_use`
     ▲          │ no such call, or the answer was cut off ──► end
     │          ▼
     │      run the tools; results go out as blocks
     │          │ a call of the client's tool too ──► end: `tool_use`, results included
     │          │ asked `rounds_max` times ──► end: `pause_turn`
     └──────────┘

A message that is no stream is the same stream, collected.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

from llama_stack.config.messages import MessagesConfig
from llama_stack.services.messages.chat import Events, Json, Opened
from llama_stack.services.messages.collected import Collected
from llama_stack.services.messages.server_tools.kept import shown_results
from llama_stack.services.messages.server_tools.tool import UNAVAILABLE, ServerTool, ToolFailed
from llama_stack.services.messages.server_tools.toolbox import Toolbox
from llama_stack.services.streams import begun
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.principal import Call

log: Final = logging.getLogger(__name__)

PING_S: Final = 10.0
"""How long a stream may be silent while tools run."""

Step = Callable[[Json], Awaitable[Opened]]


@dataclass(frozen=True, slots=True)
class Use:
    """A tool that the model has called. `block` is what the client sees, at its place in the message."""

    tool: ServerTool
    block: Json


class ToolLoop:
    """`step` asks the model once."""

    def __init__(self, box: Toolbox, step: Step, config: MessagesConfig, call: Call) -> None:
        self._box = box
        self._step = step
        self._config = config
        self._call = call
        self._free = asyncio.Semaphore(config.tools_concurrent_max)

    async def open(self, request: Json) -> Opened:
        """The message's events, once the model has begun to answer. `request` is as for chat."""
        request = {**request, "tools": list(self._box.definitions)}
        request.pop("mcp_servers", None)
        first = await self._step(request)
        return Opened(await begun(self._events(request, first)), first.provider_id, first.model)

    async def _events(self, request: Json, opened: Opened) -> Events:
        """The first list is empty: it is taken before the stream is handed out."""
        turn = _Turn(self._box)
        try:
            yield []
            for rounds_left in reversed(range(self._config.rounds_max)):
                turn.begin()
                async for events in opened.events:
                    yield turn.relayed(events)
                uses = turn.uses()
                if not uses:
                    break
                async with aclosing(self._run(uses, turn)) as results:
                    async for events in results:
                        yield events
                if turn.calls_client():
                    break
                if not rounds_left:
                    turn.reason = "pause_turn"
                    break
                opened = await self._step(_next_request(request, turn))
            yield turn.ending()
        finally:
            await opened.events.aclose()

    async def _run(self, uses: list[Use], turn: _Turn) -> AsyncGenerator[list[Json], None]:
        """Together; results in the order of the calls, and signs of life until they are there."""
        tasks = [asyncio.create_task(self._result(use)) for use in uses]
        try:
            for use, task in zip(uses, tasks, strict=True):
                while not (await asyncio.wait([task], timeout=PING_S))[0]:
                    yield [{"type": "ping"}]
                yield turn.result(use, task.result())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _result(self, use: Use) -> Json:
        async with self._free:
            return await self._ran(use)

    async def _ran(self, use: Use) -> Json:
        limit = asyncio.get_running_loop().time() + self._config.tool_timeout_s
        call = replace(self._call, deadline=min(limit, self._call.deadline or limit))
        try:
            async with asyncio.timeout_at(limit):
                return await use.tool.result(use.block, call)
        except (LlamaStackError, ToolFailed) as error:
            return use.tool.failure(use.block, error)
        except TimeoutError:
            return use.tool.failure(use.block, ToolFailed(UNAVAILABLE))
        except Exception:  # a task's boundary: what a tool does wrong does not end the message
            log.exception("the tool %s failed", use.tool.name)
            return use.tool.failure(use.block, ToolFailed(UNAVAILABLE))


def _next_request(request: Json, turn: _Turn) -> Json:
    """What was asked, and what came of it. A tool that had to be called has been: now the model is free."""
    again = {name: value for name, value in request.items() if name != "tool_choice"}
    choice = request.get("tool_choice")
    if choice and choice.get("type") in ("auto", "none"):
        again["tool_choice"] = choice
    said = {"role": "assistant", "content": turn.told}
    return {**again, "messages": [*request["messages"], said]}


class _Turn:
    """What went out so far. `told` is the same for the model: its own names of tools, and results as text."""

    def __init__(self, box: Toolbox) -> None:
        self.told: list[Json] = []
        self.reason: str | None = None
        self._box = box
        self._index = 0
        self._round = Collected()
        self._uses: dict[int, ServerTool] = {}
        self._usage: Json = {}
        self._counts: dict[str, int] = {}
        self._begun = False

    def begin(self) -> None:
        """The model is asked, once more."""
        self._round = Collected()
        self._uses = {}

    def relayed(self, events: list[Json]) -> list[Json]:
        """A round's events as the client gets them: under indices that go on, and without its beginning and end."""
        out = []
        for event in events:
            match event["type"]:
                case "content_block_start":
                    event = self._started(event)
                case "message_start" | "ping" if not self._begun:
                    out.append(event)
            self._round.feed([event])
            if "index" in event:
                out.append({**event, "index": self._index + event["index"]})
        return out

    def uses(self) -> list[Use]:
        """The calls of our tools in the round, which is over."""
        self._begun = True
        content = self._round.content
        self._add_usage(self._round.message["usage"])
        self._index += len(content)
        self.told += [
            {**block, "name": self._uses[place].name} if place in self._uses else block
            for place, block in enumerate(content)
        ]
        if self._round.message["stop_reason"] != "tool_use":
            return []
        return [Use(tool, content[place]) for place, tool in self._uses.items()]

    def calls_client(self) -> bool:
        return any(block["type"] == "tool_use" for block in self._round.content)

    def result(self, use: Use, block: Json) -> list[Json]:
        """The events of a tool's result."""
        told = {"content": [dict(block)]}
        shown_results(told)
        self.told += told["content"]
        if use.tool.counter is not None:
            self._counts[use.tool.counter] = self._counts.get(use.tool.counter, 0) + 1
        self._box.heard(block)
        index, self._index = self._index, self._index + 1
        return [
            {"type": "content_block_start", "index": index, "content_block": block},
            {"type": "content_block_stop", "index": index},
        ]

    def ending(self) -> list[Json]:
        message = self._round.message
        delta = {name: message.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
        if self.reason is not None:
            delta["stop_reason"] = self.reason
        usage = self._usage
        if self._counts:
            usage = {**usage, "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0, **self._counts}}
        return [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]

    def _started(self, event: Json) -> Json:
        block = event["content_block"]
        tool = self._box.tool(block.get("name")) if block["type"] == "tool_use" else None
        if tool is None:
            return event
        self._uses[event["index"]] = tool
        return {**event, "content_block": tool.use()}

    def _add_usage(self, usage: Json) -> None:
        for name, value in usage.items():
            self._usage[name] = _sum(self._usage.get(name), value)


def _sum(before: Any, value: Any) -> Any:
    return before + value if isinstance(before, int) and isinstance(value, int) else value

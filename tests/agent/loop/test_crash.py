"""Servers that die at every point of a response with five tool calls: it ends as if nothing had happened, or says which
call was interrupted; no call that must not happen twice does; the log is one that a client can follow."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from llama_stack.agent.entries import Entry, ModelCall
from llama_stack.agent.ids import new_id
from llama_stack.agent.kind import ResponseKind
from llama_stack.agent.tools.base import ToolContext
from llama_stack.agent.turn import Turn
from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.runs import recorder as recorders
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.handle import Ending, RunHandle
from llama_stack.runs.limits import RunTimings
from llama_stack.runs.model import Closing, Event, NewRun, Outcome, Step
from llama_stack.runs.recorder import SqlRecorder
from llama_stack.storage.errors import StoreUnavailable
from llama_stack.storage.sql.open import open_sql
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.principal import Call
from tests.support.agent import ALICE, Remembered, ScriptedModel, checked, payload, turn
from tests.support.agent_tools import Listings, OpenSeal, Toolset, WordShield
from tests.support.upstream_replies import Say, Tool

pytestmark = pytest.mark.anyio

ONCE = ("pay", "send", "book")
AGAIN = ("look", "find")
THOUGHT = "reasoning"
TOOLS = [{"type": "mcp", "server_label": "toys", "name": name, "idempotent": name in AGAIN} for name in (*ONCE, *AGAIN)]


def script(body: dict[str, Any]) -> Say:
    match sum(message["role"] == "tool" for message in body["messages"]):
        case 0:
            tools = (Tool("pay", {"sum": 5}, "call_1"), Tool("look", {}, "call_2"), Tool("send", {}, "call_3"))
            return Say("First this", tools=tools, reasoning="I think")
        case 3:
            return Say(tools=(Tool("find", {"what": "hotel"}, "call_1"), Tool("book", {}, "call_2")))
        case _:
            return Say("All of it is done", reasoning="Well then")


class Death:
    """Comes after so many operations of the recorder, tool or model; then nothing is written any more."""

    def __init__(self, after: int | None) -> None:
        self.count = 0
        self.recorder: SqlRecorder | None = None
        self._after = after

    def comes_closer(self) -> None:
        self.count += 1
        if self.count == self._after and self.recorder is not None:
            self.recorder.lose(StoreUnavailable("killed"))
        if self.recorder is not None and self.recorder.lost:
            raise self.recorder.lost


@dataclass
class MortalRecorder:
    """`eager`: whatever may be committed is, before the next thing happens."""

    real: SqlRecorder
    death: Death
    eager: bool

    @property
    def next_event(self) -> int:
        return self.real.next_event

    @property
    def lost(self) -> LlamaStackError | None:
        return self.real.lost

    def emit(self, event: bytes) -> int:
        self.death.comes_closer()
        return self.real.emit(event)

    async def room(self) -> None:
        if self.eager:
            await self.real.flush()
        await self.real.room()

    async def begin(self, step: Step) -> None:
        self.death.comes_closer()
        await self.real.begin(step)
        await self.room()
        self.death.comes_closer()

    async def end(self, step: Step) -> None:
        self.death.comes_closer()
        await self.real.end(step)
        await self.room()
        self.death.comes_closer()

    async def flush(self) -> None:
        await self.real.flush()

    async def finish(self, outcome: Outcome) -> None:
        await self.real.finish(outcome)

    async def release(self, *, failed: bool) -> None:
        await self.real.release(failed=failed)

    def log(self) -> AsyncIterator[Event]:
        return self.real.log()


@dataclass
class MortalKind:
    """Responses whose attempts die, each at its own point."""

    kind: ResponseKind
    eager: bool
    points: dict[str, list[int]] = field(default_factory=dict)
    death: Death = field(default_factory=lambda: Death(None))
    name = "response"

    async def execute(self, run: RunHandle) -> Outcome:
        points = self.points.get(run.run.id)
        self.death = Death(points.pop(0) if points else None)
        assert isinstance(run.recorder, SqlRecorder)
        self.death.recorder = run.recorder
        recorder: Any = MortalRecorder(run.recorder, self.death, self.eager)
        steps = copy.copy(run.steps)
        steps._recorder = recorder
        outcome = await self.kind.execute(replace(run, recorder=recorder, steps=steps))
        self.death.comes_closer()
        return outcome

    async def close(self, ending: Ending) -> Closing:
        return await self.kind.close(ending)


class Scenario:
    def __init__(self, engine: RunEngine, kind: MortalKind, calls: list[str], history: Remembered) -> None:
        self.engine = engine
        self.kind = kind
        self.calls = calls
        self.history = history

    async def run(self, deaths: Sequence[int], asked: Turn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The events and the entries of a response whose attempts die at these points."""
        self.calls.clear()
        run_id = new_id("resp")
        self.kind.points[run_id] = list(deaths)
        await self.engine.start(ALICE, NewRun("response", payload(asked), id=run_id))
        seen: list[bytes] = []
        async with asyncio.timeout(10):
            async for events in self.engine.tail(ALICE, run_id):
                seen += [event.data for event in events]
        run = await self.engine.journal.get(ALICE, run_id)
        assert [event.data async for event in self.engine.journal.log(run)] == seen
        entries = await self.engine.journal.document(ALICE, run_id, "turn")
        added = [entry.item["id"] for entry in self.history.added.get(run_id, [])]
        if asked.conversation is not None:
            assert added == [entry["item"]["id"] for entry in json.loads(entries or b"")]
        return checked(seen), json.loads(entries or b"")


@pytest.fixture(params=["eager", "lazy"])
async def scenario(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scenario]:
    monkeypatch.setattr(recorders, "RETRY_S", 0.001)
    database = await open_sql(SqlSqliteBackend(db_path=tmp_path / "runs.db"))
    tools, history = Toolset(), Remembered()
    kind = MortalKind(
        ResponseKind(model=ScriptedModel(script), history=history, tools=[tools]), eager=request.param == "eager"
    )

    async def effect(call: ModelCall, context: ToolContext) -> str:
        kind.death.comes_closer()
        await asyncio.sleep(0)
        kind.death.comes_closer()
        return f"did {call.name}"

    tools.effects = dict.fromkeys((*ONCE, *AGAIN), effect)
    engine = RunEngine(database, [kind], timings=RunTimings(poll_s=0.002, batch_s=0.001, drain_s=0.1))
    await engine.open()
    yield Scenario(engine, kind, tools.calls, history)
    await engine.close()
    await database.close()


def _last_thoughts(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what was thought for an answer that was then cut off, which is followed by what was thought again."""
    after = [*output[1:], {"type": None}]
    return [
        item for item, next_one in zip(output, after, strict=True) if not item["type"] == next_one["type"] == THOUGHT
    ]


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "id"}


async def _undisturbed(scenario: Scenario, asked: Turn) -> tuple[list[dict[str, Any]], int]:
    events, _ = await scenario.run([], asked)
    assert sorted(scenario.calls) == ["book {}", 'find {"what": "hotel"}', "look {}", 'pay {"sum": 5}', "send {}"]
    return events[-1]["response"]["output"], scenario.kind.death.count


async def _check(scenario: Scenario, deaths: Sequence[int], asked: Turn, expected: list[dict[str, Any]]) -> int:
    """How many calls were interrupted."""
    events, entries = await scenario.run(deaths, asked)
    names = [call.split()[0] for call in scenario.calls]
    assert all(names.count(name) <= 1 for name in ONCE), f"killed at {deaths}: {names}"
    output = events[-1]["response"]["output"]
    assert events[-1]["type"] == "response.completed"
    assert [entry["item"] for entry in entries][1:] == output
    output = _last_thoughts(output)
    assert len(output) == len(expected)
    interrupted = 0
    for item, wanted in zip(output, expected, strict=True):
        if item["type"] == "mcp_call" and item["status"] == "failed":
            assert item["name"] in ONCE
            assert "interrupted by a crash" in item["error"]["content"][0]["text"]
            interrupted += 1
        else:
            assert _plain(item) == _plain(wanted), f"killed at {deaths}"
    return interrupted


async def test_a_death_at_every_point(scenario: Scenario) -> None:
    asked = turn("Do it all", tools=TOOLS)
    expected, points = await _undisturbed(scenario, asked)
    assert points > 60
    interrupted = [await _check(scenario, [point], asked, expected) for point in range(1, points + 1)]
    assert 0 < sum(interrupted) < points


@pytest.mark.parametrize("seed", range(8))
async def test_several_deaths(scenario: Scenario, seed: int) -> None:
    asked = turn("Do it all", tools=TOOLS, parallel_tool_calls=True)
    asked.conversation = "conv_1"
    expected, points = await _undisturbed(scenario, asked)
    rng = random.Random(seed)
    for _ in range(4):
        await _check(scenario, [rng.randint(1, points) for _ in range(rng.randint(2, 4))], asked, expected)


# --- everything else that a response may do


def full_script(body: dict[str, Any]) -> Say:
    messages = body["messages"]
    if "too long" in str(messages[-1]["content"]):
        return Say("SUMMARY", prompt_tokens=10)
    if messages[0]["role"] == "system":
        return Say("In short")
    if "Summary of the conversation" in str(messages):
        return Say("Over to you", reasoning="Enough", tools=(Tool("callers", {"n": [1, 2]}, "call_1"),))
    return Say("Asking", reasoning="Hm", tools=(Tool("shop_tool", {"n": 1}, "call_1"),), prompt_tokens=5000)


class MortalShield(WordShield):
    def __init__(self, kind: list[MortalKind]) -> None:
        super().__init__(("never",))
        self._kind = kind

    async def check(self, shield_ids: Sequence[str], messages: Sequence[dict[str, Any]], call: Call) -> Any:
        self._kind[0].death.comes_closer()
        return await super().check(shield_ids, messages, call)


@pytest.mark.parametrize("eager", [True, False])
async def test_a_death_at_every_point_of_everything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eager: bool
) -> None:
    """A listing, an approved call, guardrails, summaries of reasoning, a compaction, a call of the caller's."""
    monkeypatch.setattr(recorders, "RETRY_S", 0.001)
    database = await open_sql(SqlSqliteBackend(db_path=tmp_path / "runs.db"))
    tools = Toolset({name: lambda call, context: f"did {call.name}" for name in ("shop_tool", "pay")})
    request = {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "shop", "name": "shop_tool"}
    history = Remembered([Entry(request | {"arguments": "{}"}, ModelCall("call_0", "shop_tool", "{}"))])
    mortal: list[MortalKind] = []
    options: dict[str, Any] = {"tools": [Listings(tools, asyncio.Barrier(1))], "shields": MortalShield(mortal)}
    kind = ResponseKind(model=ScriptedModel(full_script), history=history, sealer=OpenSeal(), **options)
    mortal.append(MortalKind(kind, eager))
    engine = RunEngine(database, mortal, timings=RunTimings(poll_s=0.002, batch_s=0.001, drain_s=0.1))
    await engine.open()
    scenario = Scenario(engine, mortal[0], tools.calls, history)
    approval = {"type": "mcp_approval_response", "id": "mcpa_1", "approval_request_id": "mcpr_1", "approve": True}
    asked = turn(
        Entry(approval),
        "Go!",
        tools=[{"type": "mcp", "server_label": "shop"}, {"type": "function", "name": "callers"}],
        guardrails=["s1"],
        reasoning={"summary": "auto"},
        context_management=[{"type": "compaction", "compact_threshold": 3000}],
    )
    asked.previous = "resp_0"
    events, _ = await scenario.run([], asked)
    expected, points = events[-1]["response"]["output"], scenario.kind.death.count
    assert [item["type"] for item in expected] == [
        "mcp_list_tools", "mcp_call", "reasoning", "message", "mcp_call", "compaction", "reasoning", "message",
        "function_call",
    ]  # fmt: skip
    for point in range(1, points + 1):
        events, entries = await scenario.run([point], asked)
        output = events[-1]["response"]["output"]
        assert [entry["item"]["id"] for entry in entries][2:] == [item["id"] for item in output]
        shapes = [_shape(item) for item in _last_thoughts(output)]
        assert shapes == [_shape(item) for item in expected], f"killed at {point}"
    await engine.close()
    await database.close()


def _shape(item: dict[str, Any]) -> dict[str, Any]:
    """But for ids: that of the call is another one if the first was shown before the crash."""
    return {name: value for name, value in item.items() if name not in ("id", "call_id")}

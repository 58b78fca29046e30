"""Responses on a real engine over SQLite, with everything of the agent but its ports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llama_stack.agent.ids import new_id
from llama_stack.agent.kind import ResponseKind
from llama_stack.agent.tools.base import ToolKind
from llama_stack.agent.turn import Turn
from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.limits import RunTimings
from llama_stack.runs.model import NewRun
from llama_stack.storage.sql.open import open_sql
from tests.support.agent import ALICE, Remembered, Script, ScriptedModel, checked, payload
from tests.support.agent_tools import Toolset
from tests.support.upstream_replies import Say


@dataclass
class Ended:
    """A response with all that it left."""

    response: dict[str, Any]
    events: list[dict[str, Any]]
    turn: list[dict[str, Any]]
    model: ScriptedModel
    engine: RunEngine

    @property
    def types(self) -> list[str]:
        return [event["type"].removeprefix("response.") for event in self.events]

    @property
    def output(self) -> list[dict[str, Any]]:
        output: list[dict[str, Any]] = self.response["output"]
        return output

    @property
    def text(self) -> str:
        return "".join(part.get("text", "") for part in self.output[-1]["content"])


Respond = Callable[..., Awaitable[Ended]]


@pytest.fixture
async def respond(tmp_path: Path) -> AsyncIterator[Respond]:
    """`await respond(turn, script, tools=…, background=…, …)`; further options are those of `ResponseKind`."""
    async with AsyncExitStack() as exits, asyncio.timeout(30):
        database = await open_sql(SqlSqliteBackend(db_path=tmp_path / "runs.db"))
        exits.push_async_callback(database.close)

        async def one(
            turn: Turn,
            script: Script | list[Say | Exception],
            *,
            tools: ToolKind | None = None,
            background: bool = False,
            run_id: str | None = None,
            secrets: bytes = b"",
            **options: Any,
        ) -> Ended:
            model = ScriptedModel(script)
            ports: dict[str, Any] = {"model": model, "history": Remembered(), "tools": [tools or Toolset()]}
            kind = ResponseKind(**ports | options)
            engine = RunEngine(database, [kind], timings=RunTimings(poll_s=0.01, drain_s=0.1))
            await engine.open()
            exits.push_async_callback(engine.close)
            new = NewRun("response", payload(turn), id=run_id or new_id("resp"), background=background, secrets=secrets)
            run = (await engine.start(ALICE, new)).run
            outcome = await engine.wait(ALICE, run.id)
            log = [event.data async for event in engine.journal.log(await engine.journal.get(ALICE, run.id))]
            events = checked(log)
            assert outcome.result is not None
            assert json.loads(outcome.result) == events[-1]["response"]
            entries = await engine.journal.document(ALICE, run.id, "turn")
            return Ended(events[-1]["response"], events, json.loads(entries or b"[]"), model, engine)

        yield one

"""A kind of runs for tests: five steps, some with effects that must not happen twice, written to a file outside."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

from llama_stack.runs.errors import StepInterrupted
from llama_stack.runs.handle import Ending, RunHandle
from llama_stack.runs.model import Closing, Outcome, RunStatus
from llama_stack_api.errors import LlamaStackError

STEPS = (("plan", True), ("charge", False), ("look", True), ("send", False), ("answer", True))
"""Key, and whether it may happen twice."""


class Toy:
    """Runs its steps in order. `reached` is told each point at which a process may die: `before charge`, …

    The payload is a JSON object: `fail` names a step that fails, `events` (3) is how many each step emits, `pause`
    names a step that waits for `resume`.
    """

    name = "toy"

    def __init__(self, effects: Path, reached: Callable[[str], None] = lambda point: None) -> None:
        self._effects = effects
        self._reached = reached
        self.resume = asyncio.Event()
        self.paused = asyncio.Event()
        self.cancelled: list[str] = []

    async def execute(self, run: RunHandle) -> Outcome:
        asked = json.loads(run.payload)
        results = {}
        try:
            for key, idempotent in STEPS:
                results[key] = await self._step(run, key, idempotent, asked)
        except asyncio.CancelledError:
            self.cancelled.append(run.run.id)
            raise
        return Outcome(result=json.dumps(results).encode(), events=[b"%d end" % run.next_event])

    async def _step(self, run: RunHandle, key: str, idempotent: bool, asked: dict[str, object]) -> str:
        async def effect() -> bytes:
            self._reached(f"before {key}")
            with self._effects.open("a") as log:
                log.write(f"{run.run.id} {key}\n")
            self._reached(f"amid {key}")
            for _ in range(int(str(asked.get("events", 3)))):
                await run.emit(b"%d %s" % (run.next_event, key.encode()))
            if asked.get("pause") == key:
                self.paused.set()
                await self.resume.wait()
            if asked.get("fail") == key:
                raise LlamaStackError(f"{key} fails", code="toy_failure")
            self._reached(f"after {key}")
            return f"did {key}".encode()

        try:
            return (await run.steps.run_step(key, "tool", idempotent=idempotent, intent=b"{}", effect=effect)).decode()
        except StepInterrupted as interrupted:
            await run.emit(b"%d interrupted %s" % (run.next_event, key.encode()))
            return f"interrupted {interrupted.key}"

    async def close(self, ending: Ending) -> Closing:
        so_far = len([event async for event in ending.log()])
        assert ending.outcome.status in (RunStatus.CANCELLED, RunStatus.FAILED)
        words = b"%d closed %s after %d" % (ending.replay.next_event, ending.outcome.status.encode(), so_far)
        return Closing([words], json.dumps([step.key for step in ending.replay.steps]).encode())


def effects_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def die() -> None:
    os.kill(os.getpid(), 9)

"""What the agent costs, in CPU ms of the process: `python -m tests.bench.agent [--profile]`. Not a test.

The model is a port that yields a canned stream, the store is SQLite, nobody speaks HTTP. `python -m tests.runs.bench`
says what of it is the journal's.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from llama_stack.agent.ids import new_id
from llama_stack.agent.kind import ResponseKind
from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.model import NewRun
from llama_stack.storage.sql.open import open_sql
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call
from tests.support.agent import ALICE, Remembered, payload, turn

RUNS = 400
CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'  # noqa: E501
USAGE = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":50,"total_tokens":59}}\n\ndata: [DONE]\n\n'  # noqa: E501


class Canned:
    """Fifty words in `blocks` reads of the network."""

    def __init__(self, blocks: int) -> None:
        words = [CHUNK % (b'{"content":" word"}', b"null")] * 50
        size = len(words) // blocks
        self._blocks = [b"".join(words[at : at + size]) for at in range(0, len(words), size)]
        self._blocks += [CHUNK % (b"{}", b'"stop"') + USAGE]

    async def stream(self, params: ChatCompletionRequest, call: Call) -> AsyncGenerator[bytes, None]:
        return self._stream()

    async def _stream(self) -> AsyncGenerator[bytes, None]:
        for block in self._blocks:
            yield block


async def _respond(engine: RunEngine, *, stored: bool, stream: bool) -> None:
    new = NewRun("response", payload(turn("Say fifty words", stream=stream)), id=new_id("resp"))
    if stored:
        run_id = (await engine.start(ALICE, new)).run.id
    else:
        run_id = engine.start_ephemeral(ALICE, new, streamed=stream).id
    if stream:
        async for _ in engine.tail(ALICE, run_id):
            pass
    else:
        await engine.wait(ALICE, run_id)


async def measure(engine: RunEngine, *, stored: bool, stream: bool, concurrency: int) -> float:
    left = iter(range(RUNS))

    async def client() -> None:
        for _ in left:
            await _respond(engine, stored=stored, stream=stream)

    started = time.process_time()
    await asyncio.gather(*(client() for _ in range(concurrency)))
    return (time.process_time() - started) / RUNS * 1000


async def main(profile: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        database = await open_sql(SqlSqliteBackend(db_path=Path(directory) / "runs.db"))
        for blocks in (1, 10):
            engine = RunEngine(database, [ResponseKind(model=Canned(blocks), history=Remembered())])
            await engine.open()
            await measure(engine, stored=True, stream=True, concurrency=16)
            for stored in (False, True):
                for stream in (False, True):
                    cost = await measure(engine, stored=stored, stream=stream, concurrency=16)
                    print(f"{blocks:3} reads, stored {stored!s:5} streamed {stream!s:5} {cost:.2f} CPU ms")
            await engine.close()
        if profile:
            engine = RunEngine(database, [ResponseKind(model=Canned(1), history=Remembered())])
            await engine.open()
            profiler = cProfile.Profile()
            profiler.enable()
            await measure(engine, stored=False, stream=False, concurrency=16)
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(35)
            await engine.close()
        await database.close()


if __name__ == "__main__":
    asyncio.run(main("--profile" in sys.argv))

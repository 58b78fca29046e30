"""What the journal costs, in CPU ms of this process: `python -m tests.runs.bench`. Not a test."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.handle import Ending, RunHandle
from llama_stack.runs.model import Closing, NewRun, Outcome
from llama_stack.storage.sql.open import SqlBackendConfig, open_sql
from llama_stack_api.principal import Principal
from tests.support.databases import Postgres, postgres

OWNER = Principal("alice", "acme")
EVENT = b'{"type":"response.output_text.delta","item_id":"msg_1234567890","delta":" word","sequence_number":%d}'
PAUSE_S = 0.026
RUNS = 160


class Reply:
    """One model step of `batches` times `events` events, as an upstream would send them."""

    name = "reply"

    def __init__(self, batches: int, events: int, pause_s: float) -> None:
        self._shape = (batches, events, pause_s)

    async def execute(self, run: RunHandle) -> Outcome:
        batches, events, pause_s = self._shape

        async def effect() -> bytes:
            for _ in range(batches):
                for _ in range(events):
                    await run.emit(EVENT % run.next_event)
                await asyncio.sleep(pause_s)
            return b"text" * 50

        result = await run.steps.run_step("model:0", "model", idempotent=True, intent=b"{}", effect=effect)
        return Outcome(result=result, events=[EVENT % run.next_event])

    async def close(self, ending: Ending) -> Closing:
        return Closing()


async def _follow(engine: RunEngine, stored: bool, streamed: bool) -> int:
    new = NewRun("reply", b"x" * 2000)
    if stored:
        run_id = (await engine.start(OWNER, new)).run.id
    else:
        run_id = engine.start_ephemeral(OWNER, new, streamed=streamed).id
    if not streamed:
        await engine.wait(OWNER, run_id)
        return 0
    return sum([len(events) async for events in engine.tail(OWNER, run_id)])


async def _many(engine: RunEngine, concurrency: int, stored: bool, streamed: bool) -> float:
    """CPU ms a run."""
    runs = RUNS if concurrency > 1 else RUNS // 4
    waiting = iter(range(runs))

    async def client() -> None:
        for _ in waiting:
            await _follow(engine, stored, streamed)

    started = time.process_time()
    await asyncio.gather(*(client() for _ in range(concurrency)))
    return (time.process_time() - started) / runs * 1000


@asynccontextmanager
async def _engine(backend: SqlBackendConfig, kind: Reply) -> AsyncIterator[RunEngine]:
    database = await open_sql(backend)
    engine = RunEngine(database, [kind])
    await engine.open()
    yield engine
    await engine.close()
    await database.close()


async def measure(name: str, backend: SqlBackendConfig) -> None:
    async with _engine(backend, Reply(5, 10, PAUSE_S)) as engine:
        await _many(engine, 16, True, True)
        for concurrency in (1, 16):
            base = await _many(engine, concurrency, False, True)
            streamed = await _many(engine, concurrency, True, True)
            plain = await _many(engine, concurrency, True, False)
            print(
                f"{name}, {concurrency:2} at once: stored and streamed {streamed:.2f}, stored {plain:.2f}, "
                f"not stored {base:.2f} CPU ms a run of 51 events"
            )
    for events in (10_000, 100_000):
        async with _engine(backend, Reply(events // 100, 100, 0)) as engine:
            started, cpu = time.perf_counter(), time.process_time()
            count = await _follow(engine, True, True)
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
            print(f"{name}, one stream of {count} events: {count / wall:,.0f} a second, {cpu / count * 1e6:.1f} CPU µs")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure("SQLite", SqlSqliteBackend(db_path=Path(directory) / "runs.db")))
    servers = postgres.__wrapped__()  # type: ignore[attr-defined]  # the fixture's own function
    server: Postgres = next(servers)
    try:
        asyncio.run(measure("PostgreSQL", server.sql_backend(server.create_database())))
    finally:
        servers.close()


if __name__ == "__main__":
    main()

"""A batch gets its run, with what its request carried for providers."""

from __future__ import annotations

from collections.abc import Collection
from secrets import token_hex

import msgspec

from llama_stack.runs.engine import RunEngine
from llama_stack.runs.model import NewRun
from llama_stack.runs.secrets import Sealer, Secrets, attributes_of, carried, seal_secrets
from llama_stack.services.batches.job import KIND, Job
from llama_stack.storage.sql.batch_records import BatchRecord
from llama_stack.storage.sql.batches import BatchTable
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.principal import Call


class BatchStarter:
    """`forwarded` are the names (lower case) of the request headers that some provider passes on."""

    def __init__(self, batches: BatchTable, engine: RunEngine, sealer: Sealer, forwarded: Collection[str]) -> None:
        self._batches = batches
        self._engine = engine
        self._sealer = sealer
        self._forwarded = frozenset(forwarded)

    async def start(self, batch: BatchRecord, call: Call) -> None:
        """Once: where the run is there already, nothing changes. `Overloaded` if too many of them wait: then the batch
        is gone, unless it has a key, with which it is asked for again."""
        job = Job(batch.id, attributes_of(call.principal), call.request_id)
        secrets = Secrets(**carried(call, self._forwarded))
        new = NewRun(
            KIND,
            msgspec.json.encode(job),
            background=True,
            idempotency_key=batch.id,
            id=batch.run,
            secrets=seal_secrets(self._sealer, secrets, batch.run),
        )
        try:
            await self._engine.start(call.principal, new)
        except LlamaStackError:
            if batch.idempotency_key is None:
                await self._batches.withdraw(batch.id)
            raise


def new_run_id() -> str:
    return f"run_{token_hex(24)}"

"""The engine of runs, with the kinds of work that it carries out: responses, the ingestion of files, batches."""

from __future__ import annotations

from dataclasses import dataclass

from llama_stack.rag.job import KIND as INGESTION
from llama_stack.runs.engine import RunEngine
from llama_stack.services.batches.job import KIND as BATCH
from llama_stack.stack.batches import ENDURANCE, Batching, batching
from llama_stack.stack.foundation import Foundation
from llama_stack.stack.inference import InferenceParts
from llama_stack.stack.knowledge import Knowledge, knowledge
from llama_stack.stack.responses import Agent, Parts, agent_of
from llama_stack.stack.runs import open_runs
from llama_stack.stack.stored import StoredParts


@dataclass(frozen=True, slots=True)
class Work:
    """Each kind with what there is of it before its service, which needs the engine. `parts` are those of `agent`."""

    parts: Parts
    agent: Agent
    knowledge: Knowledge
    batching: Batching
    engine: RunEngine


async def open_work(base: Foundation, inference: InferenceParts, stored: StoredParts) -> Work:
    """From here on, runs of other processes that are gone are taken up too."""
    config = base.config
    known = knowledge(
        config,
        inference=inference.router,
        models=inference.models,
        providers=inference.providers,
        database=base.database,
        files=stored.files,
        parser=stored.processors,
        sealer=base.sealer,
        metrics=base.metrics,
    )
    parts = _parts(base, inference, stored, known)
    agent = agent_of(config, parts, base.database)
    batches = batching(config.server, stored.files, base.database, base.sealer)
    places = {
        INGESTION: config.vector_stores.file_batch_params.max_concurrent_files_per_batch,
        BATCH: config.server.batches.concurrent_max,
    }
    engine = await open_runs(
        config.server.runs,
        base.database,
        [agent.kind, known.kind, batches.kind],
        places,
        {BATCH: ENDURANCE},
        base.metrics,
        base.exits,
    )
    return Work(parts, agent, known, batches, engine)


def _parts(base: Foundation, inference: InferenceParts, stored: StoredParts, known: Knowledge) -> Parts:
    return Parts(
        inference=inference.router,
        models=inference.models,
        providers=inference.providers,
        conversations=stored.conversations,
        prompts=stored.prompts,
        connectors=stored.connectors,
        files=stored.files.attached,
        vector_stores=known.searches,
        shields=inference.safety.shields,
        standing=inference.safety.responses,
        mcp=base.mcp,
        egress=base.egress,
        sealer=base.sealer,
        metrics=base.metrics,
    )

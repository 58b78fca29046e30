"""Vector stores: their providers, the search in them, and the ingestion of files as a kind of runs."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from llama_stack.config.model import RunConfig
from llama_stack.rag.contextual import ContextWriter
from llama_stack.rag.dispatcher import Dispatcher
from llama_stack.rag.embed import Embedder
from llama_stack.rag.ingest import IngestionKind, Tables
from llama_stack.rag.ports import Parser
from llama_stack.rag.upkeep import IngestionUpkeep
from llama_stack.routing.models import ModelTable
from llama_stack.routing.opening import OpenProvider
from llama_stack.runs.engine import RunEngine
from llama_stack.security.sealing import KeySealer
from llama_stack.services.files.service import FileService
from llama_stack.services.inference import InferenceRouter
from llama_stack.services.vector_stores.access import StoreAccess
from llama_stack.services.vector_stores.attaching import Attaching
from llama_stack.services.vector_stores.batches import FileBatches
from llama_stack.services.vector_stores.content import FileContent
from llama_stack.services.vector_stores.embedding import EmbeddingChoice
from llama_stack.services.vector_stores.files import FileUses, StoreFiles
from llama_stack.services.vector_stores.ports import RoutedCompletions, RoutedEmbeddings, RoutedReranking
from llama_stack.services.vector_stores.providers import VectorProviders
from llama_stack.services.vector_stores.raw import RawChunks
from llama_stack.services.vector_stores.registered import register_stores
from llama_stack.services.vector_stores.search import FileSearches, SearchModels, StoreSearch
from llama_stack.services.vector_stores.service import VectorStoreService
from llama_stack.services.vector_stores.stores import VectorStores
from llama_stack.services.vector_stores.upkeep import StoreUpkeep
from llama_stack.stack.files import FileParts
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.knowledge.batches import FileBatchTable
from llama_stack.storage.sql.knowledge.changes import StoreChanges
from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.files import AttachedFileTable
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack.storage.sql.knowledge.words import SqlKeywordIndex
from llama_stack.telemetry.metrics import Metrics
from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError
from llama_stack_api.ports.vector_io import FollowsRows

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What there is before the runs: who searches, and the kind of runs that ingests."""

    tables: Tables
    providers: VectorProviders
    embeddings: RoutedEmbeddings
    access: StoreAccess
    search: StoreSearch
    kind: IngestionKind

    @property
    def searches(self) -> FileSearches | None:
        """For the agent; None where no vector stores are served."""
        return FileSearches(self.search) if self.providers else None


def knowledge(
    config: RunConfig,
    *,
    inference: InferenceRouter,
    models: ModelTable,
    providers: Sequence[OpenProvider],
    database: Database,
    files: FileParts,
    parser: Parser,
    sealer: KeySealer,
    metrics: Metrics,
) -> Knowledge:
    settings = config.vector_stores
    tables = Tables(
        stores=VectorStoreTable(database),
        files=AttachedFileTable(database),
        chunks=ChunkTable(database),
        changes=StoreChanges(database),
    )
    opened = {each.id: each.impl for each in providers if each.api == Api.vector_io}
    for impl in opened.values():
        if isinstance(impl, FollowsRows):
            impl.follow(tables.changes)
    indexes = VectorProviders(opened, default=settings.default_provider_id, row_keywords=SqlKeywordIndex(database))
    embeddings, completions = RoutedEmbeddings(inference, models), RoutedCompletions(inference)
    access = StoreAccess(tables.stores, [entry.vector_store_id for entry in config.registered_resources.vector_stores])
    search = StoreSearch(
        access,
        tables.stores,
        tables.chunks,
        indexes,
        SearchModels(embeddings, completions, RoutedReranking(inference)),
        settings,
        metrics.vectors,
    )
    kind = IngestionKind(
        tables=tables,
        contents=files.local,
        parser=parser,
        embedder=Embedder(embeddings, tables.chunks),
        contexts=ContextWriter(
            completions, document_tokens_max=settings.contextual_retrieval_params.max_document_tokens
        ),
        indexes=indexes,
        sealer=sealer,
        metrics=metrics.vectors,
    )
    return Knowledge(tables, indexes, embeddings, access, search, kind)


async def open_vector_stores(
    config: RunConfig,
    made: Knowledge,
    *,
    engine: RunEngine,
    models: ModelTable,
    files: FileService,
    database: Database,
    sealer: KeySealer,
    forwarded: Collection[str],
    metrics: Metrics,
    exits: AsyncExitStack,
) -> VectorStoreService:
    """From here on, attached files are ingested, and what is gone is removed."""
    tables, providers, settings = made.tables, made.providers, config.vector_stores
    batches = FileBatchTable(database)
    dispatcher = Dispatcher(engine, tables.files, sealer=sealer, alone=not database.shared, forwarded=forwarded)
    attaching = Attaching(tables.files, tables.changes, providers, files, made.embeddings, dispatcher, settings)
    upkeep = StoreUpkeep(tables.stores, tables.chunks, batches, tables.changes, providers, metrics.vectors)
    uses = FileUses(tables.files, attaching)
    files.uses.append(uses)
    try:
        await register_stores(config.registered_resources.vector_stores, tables.stores, providers)
    except ProviderError as error:
        log.warning("a registered vector store has no index yet: %s", error)
    for background in (dispatcher, upkeep, IngestionUpkeep(engine, tables.files, tables.changes, providers)):
        background.open()
        exits.push_async_callback(background.close)
    attached = StoreFiles(made.access, tables.files, attaching)
    choice = EmbeddingChoice(models, made.embeddings, settings.default_embedding_model)
    return VectorStoreService(
        stores=VectorStores(made.access, tables.stores, providers, choice, attaching, metrics.vectors, upkeep.removed),
        files=attached,
        batches=FileBatches(made.access, batches, attached, attaching),
        content=FileContent(made.access, tables.files, tables.chunks),
        search=made.search,
        raw=RawChunks(made.access, tables.chunks, providers, made.search, settings.limits, metrics.vectors),
    )

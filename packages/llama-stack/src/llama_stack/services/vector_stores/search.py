"""Search: in one store, as the API has it, or for the tool file_search in several at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import msgspec
from pydantic import ValidationError

from llama_stack.agent.tools.file_search import FileHit
from llama_stack.config.vector_stores import VectorStoreLimits, VectorStoresConfig
from llama_stack.rag.embed import Embedder, Space
from llama_stack.rag.ports import CompletionPort, EmbeddingPort, RerankPort
from llama_stack.rag.rank import Mode, ranking_plan
from llama_stack.rag.rewrite import rewritten
from llama_stack.rag.search import Engine, Found, Place, Search, search
from llama_stack.services.vector_stores.access import StoreAccess
from llama_stack.services.vector_stores.providers import VectorProviders
from llama_stack.services.vector_stores.shown import place_of
from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.records import StoreRecord
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack_api.base import WireModel
from llama_stack_api.errors import ContextLengthExceeded, InvalidRequest
from llama_stack_api.filters import ComparisonFilter, Filter
from llama_stack_api.ports.vector_io import Index
from llama_stack_api.principal import Call
from llama_stack_api.vector_io import OpenAISearchVectorStoreRequest, SearchRankingOptions

RESULTS_DEFAULT: Final = 10
SECTION: Final = "vector_stores.limits"


class SearchMetrics(Protocol):
    def searched(self, provider: str, mode: str, duration_s: float) -> None:
        """Without the time that the embedding of the queries took."""
        ...


@dataclass(frozen=True, slots=True)
class SearchModels:
    embeddings: EmbeddingPort
    completions: CompletionPort
    reranker: RerankPort


class StoreSearch:
    def __init__(
        self,
        access: StoreAccess,
        stores: VectorStoreTable,
        chunks: ChunkTable,
        providers: VectorProviders,
        models: SearchModels,
        config: VectorStoresConfig,
        metrics: SearchMetrics,
    ) -> None:
        self._access = access
        self._stores = stores
        self._chunks = chunks
        self._providers = providers
        self._models = models
        self._config = config
        self._metrics = metrics

    async def search(self, store_id: str, request: OpenAISearchVectorStoreRequest, call: Call) -> bytes:
        """The page of results, as JSON."""
        store = await self.store(store_id, call)
        wanted = self.wanted(
            request.query,
            filter_=request.filters,
            results_max=request.max_num_results or RESULTS_DEFAULT,
            ranking=request.ranking_options,
            mode=request.search_mode,
        )
        if request.rewrite_query:
            params = self._config.rewrite_query_params
            queries = await rewritten(wanted.queries, params, self._models.completions, call)
            wanted = replace(wanted, queries=queries)
        (found,) = await self.found([store], wanted, call)
        return _page(wanted.queries, found)

    async def store(self, store_id: str, call: Call) -> StoreRecord:
        """The store, which is in use from now on."""
        store = await self.live(store_id, call)
        await self._stores.touch(store)
        return store

    async def live(self, store_id: str, call: Call) -> StoreRecord:
        return await self._access.live(self._access.reader(call.principal, store_id), store_id)

    def wanted(
        self,
        query: str | Sequence[str],
        *,
        filter_: Filter | None,
        results_max: int,
        ranking: SearchRankingOptions | None,
        mode: Mode | None = None,
    ) -> Search:
        """The search that a request asks for, over what the run config says. `InvalidRequest` says what it must not."""
        defaults = self._config.chunk_retrieval_params
        if mode is None:
            mode = "hybrid" if ranking and ranking.hybrid_search else defaults.default_search_mode
        if filter_ is not None:
            _check_size(filter_, self._config.limits)
        return Search(
            queries=_queries(query, self._config.limits),
            mode=mode,
            ranking=ranking_plan(ranking, self._config),
            results_max=results_max,
            filter=filter_,
            multiplier=defaults.chunk_multiplier,
        )

    async def found(self, stores: Sequence[StoreRecord], wanted: Search, call: Call) -> list[list[Found]]:
        """What each store has. The queries are embedded once for all stores that have the same model."""
        models = dict.fromkeys((store.embedding_model, store.embedding_dimension) for store in stores)
        if wanted.mode == "keyword":
            vectors: list[Sequence[bytes]] = [()] * len(models)
        else:
            asked = (self._embedded(model, size, wanted.queries, call) for model, size in models)
            vectors = list(await asyncio.gather(*asked))
        by_model = dict(zip(models, vectors, strict=True))
        return await asyncio.gather(
            *(
                self._in(store, wanted, by_model[store.embedding_model, store.embedding_dimension], call)
                for store in stores
            )
        )

    async def _embedded(self, model: str, dimension: int, queries: Sequence[str], call: Call) -> Sequence[bytes]:
        embeddings = self._models.embeddings
        try:
            return await embeddings.embed(model, queries, dimensions=dimension, call=call)
        except ContextLengthExceeded:  # as long chunks are, so that they can be compared
            embedder = Embedder(embeddings, _NothingKnown())
            embedded = await embedder.embed(Space(call.principal.tenant, model, dimension), queries, call)
            return [each.vector for each in embedded]

    async def _in(self, store: StoreRecord, wanted: Search, vectors: Sequence[bytes], call: Call) -> list[Found]:
        started = time.perf_counter()
        place = Place(store.id, Index(store.index_id, store.embedding_dimension), store.version)
        engine = Engine(
            vectors=self._providers.index_of(store.provider),
            keywords=self._providers.keywords_of(store.provider),
            rows=self._chunks,
            reranker=self._models.reranker,
        )
        found = await search(place, wanted, vectors, engine, call)
        self._metrics.searched(store.provider, wanted.mode, time.perf_counter() - started)
        return found


class _NothingKnown:
    """Queries are not stored."""

    async def known_embeddings(self, digests: Collection[str]) -> Mapping[str, bytes]:
        return {}


class _ToolOptions(WireModel):
    filters: Filter | None = None
    ranking_options: SearchRankingOptions | None = None


class FileSearches:
    """`agent.tools.file_search.VectorStores`: several stores at once."""

    def __init__(self, search: StoreSearch) -> None:
        self._search = search

    async def check_known(self, vector_store_ids: Sequence[str], call: Call) -> None:
        """`NotFound` for a store that the caller does not have, `InvalidRequest` for one that has expired."""
        for store_id in dict.fromkeys(vector_store_ids):
            await self._search.live(store_id, call)

    async def search(
        self,
        vector_store_ids: Sequence[str],
        query: str,
        *,
        filters: Mapping[str, Any] | None,
        results_max: int,
        ranking_options: Mapping[str, Any] | None,
        call: Call,
    ) -> list[FileHit]:
        try:
            options = _ToolOptions.model_validate({"filters": filters, "ranking_options": ranking_options})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise InvalidRequest(f"{place}: {first['msg']}", param="tools") from None
        wanted = self._search.wanted(
            query, filter_=options.filters, results_max=results_max, ranking=options.ranking_options
        )
        store_ids = list(dict.fromkeys(vector_store_ids))
        stores = await asyncio.gather(*(self._search.store(store_id, call) for store_id in store_ids))
        by_store = await self._search.found(stores, wanted, call)
        together = sorted((found for each in by_store for found in each), key=lambda found: -found.score)
        # A file that is in two of the stores is found in both.
        distinct = {(found.row.chunk.document, found.row.chunk.text): found for found in reversed(together)}
        return [_hit(found) for found in reversed(distinct.values())][:results_max]


def _hit(found: Found) -> FileHit:
    chunk = found.row.chunk
    return FileHit(
        file_id=chunk.document,
        filename=filename_of(found),
        text=chunk.text,
        score=found.score,
        attributes=chunk.attributes,
        chunk_id=chunk.id,
        page=chunk.page,
        start=chunk.start,
        end=chunk.end,
        next_pages=(chunk.extra or {}).get("next_pages") or (),
    )


def filename_of(found: Found) -> str:
    """Of a chunk that a client made: what its metadata says, or else its document."""
    said = found.row.filename or found.row.chunk.attributes.get("filename")
    return said if isinstance(said, str) else found.row.chunk.document


def _page(queries: Sequence[str], found: Sequence[Found]) -> bytes:
    return msgspec.json.encode(
        {
            "object": "vector_store.search_results.page",
            "search_query": queries,
            "data": [_result(each) for each in found],
            "has_more": False,
            "next_page": None,
        }
    )


def _result(found: Found) -> dict[str, Any]:
    chunk = found.row.chunk
    return {
        "file_id": chunk.document,
        "filename": filename_of(found),
        "score": found.score,
        "attributes": chunk.attributes,
        "content": [{"type": "text", "text": chunk.text, "chunk_metadata": place_of(chunk)}],
    }


def _queries(query: str | Sequence[str], limits: VectorStoreLimits) -> tuple[str, ...]:
    queries = tuple(dict.fromkeys([query] if isinstance(query, str) else query))
    if len(queries) > limits.queries_max:
        raise InvalidRequest(
            f"A search has at most {limits.queries_max} queries; {SECTION}.queries_max raises the limit.", param="query"
        )
    for each in queries:
        if not each.strip():
            raise InvalidRequest("A query must have some text.", param="query")
        if len(each) > limits.query_chars_max:
            raise InvalidRequest(
                f"A query has at most {limits.query_chars_max} characters; {SECTION}.query_chars_max raises the limit.",
                param="query",
            )
    return queries


def _check_size(wanted: Filter, limits: VectorStoreLimits) -> None:
    compared = list(_comparisons(wanted))
    values = sum(len(each.value) if isinstance(each.value, list) else 1 for each in compared)
    for name, what, number in (
        ("filter_comparisons_max", "comparisons", len(compared)),
        ("filter_values_max", "values", values),
    ):
        if number > getattr(limits, name):
            raise InvalidRequest(
                f"A filter has at most {getattr(limits, name)} {what}; {SECTION}.{name} raises the limit.",
                param="filters",
            )


def _comparisons(wanted: Filter) -> Iterator[ComparisonFilter]:
    if isinstance(wanted, ComparisonFilter):
        yield wanted
    else:
        for each in wanted.filters:
            yield from _comparisons(each)

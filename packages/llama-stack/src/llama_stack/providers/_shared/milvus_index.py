"""Vector indexes as Milvus's collections, wherever Milvus runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from llama_stack.providers._shared.health import HEALTH_TIMEOUT_S, health_of
from llama_stack.providers._shared.threads import Threads
from llama_stack.providers._shared.unit_vectors import unit_vector
from llama_stack.providers._shared.vector_engine import TIES, nearest, no_such_index
from llama_stack.providers._shared.vector_filters.attribute_values import AttributeValues
from llama_stack.providers._shared.vector_filters.milvus import expression, fields_of, of_document
from llama_stack_api.errors import (
    LlamaStackError,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderTimeout,
    ProviderUnreachable,
)
from llama_stack_api.ports.vector_io import Attributes, Hit, Index, IndexedChunk, VectorQuery
from llama_stack_api.provider import HealthResponse, ProviderContext

if TYPE_CHECKING:
    from pymilvus import MilvusClient

R = TypeVar("R")
ROWS_MAX = 1000
NUMBERS_MAX = 1_000_000
"""Rows, and components of their vectors, in one request."""
HITS_MAX = 16_384
"""Milvus gives no more."""
TAGS_MAX = 1024
DIMENSION_MIN = 2


class MilvusIndex:
    """The port `VectorIndex` over a client, which blocks and so is used in threads."""

    threads_max: ClassVar[int] = 8

    def __init__(self, context: ProviderContext, timeout_s: float) -> None:
        self.name = context.provider_id
        self._timeout_s = timeout_s
        self._values = AttributeValues(context.kv, ordered={"number"})
        self._threads = Threads(context.provider_id, threads_max=self.threads_max)
        self._client: MilvusClient | None = None
        self._loaded: set[str] = set()

    def connect(self) -> MilvusClient:
        """In a thread; a failure is of Milvus or one of our errors."""
        raise NotImplementedError

    async def open(self) -> None:
        self._threads.open()

    async def close(self) -> None:
        await self._threads.run(self.disconnect)
        await self._threads.close()

    def disconnect(self) -> None:
        client, self._client = self._client, None
        self._loaded.clear()
        if client is not None:
            client.close()

    async def health(self) -> HealthResponse:
        return await health_of(self._run(lambda client: client.list_collections(timeout=HEALTH_TIMEOUT_S)))

    async def create_index(self, index: Index) -> None:
        await self._run(lambda client: self._create(client, index))

    async def delete_index(self, index: Index) -> None:
        await self._run(lambda client: client.drop_collection(_collection(index), timeout=self._timeout_s))
        await self._values.forget(index)

    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        await self._values.remember(index, (chunk.attributes for chunk in chunks))
        size = max(1, min(ROWS_MAX, NUMBERS_MAX // index.dimension))
        for start in range(0, len(chunks), size):
            rows = [
                {"id": each.id, "vector": _vector(each.vector), **fields_of(each.document, each.attributes)}
                for each in chunks[start : start + size]
            ]
            await self._upsert(index, rows)

    async def _upsert(self, index: Index, rows: list[dict[str, Any]]) -> None:
        await self._run(lambda client: client.upsert(_collection(index), rows, timeout=self._timeout_s))

    async def delete_document(self, index: Index, document: str) -> None:
        def delete(client: MilvusClient) -> None:
            if self._exists(client, index):
                client.delete(_collection(index), filter=of_document(document), timeout=self._timeout_s)

        await self._run(delete)

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None:
        await self._values.remember(index, [attributes])
        fields = fields_of(document, attributes)

        def change(client: MilvusClient) -> None:
            """Milvus changes rows only by writing them whole."""
            if not self._exists(client, index):
                return
            pages = client.query_iterator(
                _collection(index),
                batch_size=ROWS_MAX,
                filter=of_document(document),
                output_fields=["id", "vector"],
                timeout=self._timeout_s,
                consistency_level="Strong",
            )
            rows = []
            while page := pages.next():
                rows += page
            pages.close()
            size = max(1, min(ROWS_MAX, NUMBERS_MAX // index.dimension))
            for start in range(0, len(rows), size):
                changed = [{"id": row["id"], "vector": row["vector"], **fields} for row in rows[start : start + size]]
                client.upsert(_collection(index), changed, timeout=self._timeout_s)

        await self._run(change)

    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        wanted = await self._values.resolve(index, query.filter)
        if wanted is False:
            return []

        def search(client: MilvusClient) -> list[Hit]:
            if not self._exists(client, index):
                return []
            found = client.search(
                _collection(index),
                data=[_vector(query.vector)],
                anns_field="vector",
                filter=expression(wanted),
                limit=min(query.limit + TIES, HITS_MAX),
                timeout=self._timeout_s,
                consistency_level="Strong",
            )
            return [Hit(str(hit["id"]), float(hit["distance"])) for hit in found[0]]

        hits = await self._run(search)
        return nearest(hits, query.limit)

    def _exists(self, client: MilvusClient, index: Index) -> bool:
        """If it does, it is loaded: since Milvus began, nobody may have done that yet."""
        name = _collection(index)
        if not client.has_collection(name, timeout=self._timeout_s):
            self._loaded.discard(name)
            return False
        if name not in self._loaded and client.list_indexes(name, timeout=self._timeout_s):
            client.load_collection(name, timeout=self._timeout_s)
            self._loaded.add(name)
        return True

    def _create(self, client: MilvusClient, index: Index) -> None:
        from pymilvus import DataType, MilvusException

        name = _collection(index)
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("document", DataType.VARCHAR, max_length=64)
        schema.add_field("tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=TAGS_MAX, max_length=64)
        schema.add_field("numbers", DataType.JSON)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=max(index.dimension, DIMENSION_MIN))
        if not self._exists(client, index):
            try:
                client.create_collection(name, schema=schema, consistency_level="Strong", timeout=self._timeout_s)
            except MilvusException:
                if not self._exists(client, index):  # unless somebody else was faster
                    raise
        # The inner product, of vectors of length one: the cosine, also where a vector has no direction.
        wanted = client.prepare_index_params()
        wanted.add_index("vector", index_type="AUTOINDEX", metric_type="IP")
        if not client.list_indexes(name, timeout=self._timeout_s):
            # Not waited for, by which the library would sleep half a second; loading waits for what it needs.
            client.create_index(name, wanted, timeout=self._timeout_s, sync=False)
        client.load_collection(name, timeout=self._timeout_s)
        self._loaded.add(name)

    async def _run(self, work: Callable[[MilvusClient], R]) -> R:
        def attempt() -> R:
            from grpc import RpcError
            from pymilvus import MilvusException

            try:
                if self._client is None:
                    self._client = self.connect()
                return work(self._client)
            except MilvusException as error:
                raise _meaning(self.name, error.code, str(error.message)) from None
            except RpcError as error:
                raise _meaning(self.name, error.code().name, "") from None

        return await self._threads.run(attempt)


def _collection(index: Index) -> str:
    """Milvus's names begin with a letter."""
    return f"ls_{index.id}"


def _vector(vector: bytes) -> list[float]:
    """Milvus knows no vectors of one dimension."""
    values = unit_vector(vector)
    return values + [0.0] * (DIMENSION_MIN - len(values))


def _meaning(name: str, code: object, message: str) -> LlamaStackError:
    """Milvus tells a refused token and a deadline by words only."""
    named, words = f"Provider '{name}'", message.lower()
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED") or "auth check failure" in words or "unauthenticated" in words:
        return ProviderRejectedCredentials(f"{named} refused the credentials. Check its token.")
    if code == "DEADLINE_EXCEEDED" or "deadline exceeded" in words or "timeout" in words:
        return ProviderTimeout(f"{named} did not answer in time.")
    if code in (2, "UNAVAILABLE"):
        return ProviderUnreachable(f"{named} could not be reached.")
    if code == 100:
        return no_such_index(name)
    return ProviderError(f"{named} failed (code {code}).")

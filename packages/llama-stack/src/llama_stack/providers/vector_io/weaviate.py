"""Weaviate by its REST API and GraphQL: one collection for each store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from llama_stack.net.config import NetworkConfig
from llama_stack.providers._shared.addresses import checked_address
from llama_stack.providers._shared.engine_http import EngineHttp
from llama_stack.providers._shared.health import health_of
from llama_stack.providers._shared.unit_vectors import unit_vector
from llama_stack.providers._shared.vector_engine import TIES, nearest, no_such_index
from llama_stack.providers._shared.vector_filters.attribute_values import AttributeValues
from llama_stack.providers._shared.vector_filters.tagged import tags
from llama_stack.providers._shared.vector_filters.weaviate import of_document, where
from llama_stack.providers._shared.weaviate_query import get_query
from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError
from llama_stack_api.ports.vector_io import Attributes, Hit, Index, IndexedChunk, KeywordQuery, VectorQuery
from llama_stack_api.provider import HealthResponse, ProviderContext, provider

NUMBERS_MAX = 500_000
"""Components of the vectors in one request: about 10 MB as JSON."""
HITS_MAX = 10_000
"""Weaviate gives no more hits, and deletes no more objects at once."""
PAGE = 200


class WeaviateConfig(BaseModel):
    # A key that is all digits reaches us as a number when it comes from the environment.
    model_config = ConfigDict(extra="allow", defer_build=True, coerce_numbers_to_str=True, hide_input_in_errors=True)

    weaviate_cluster_url: str = "localhost:8080"
    """An address, or a host and port, which are then reached by http."""
    weaviate_api_key: SecretStr | None = None
    timeout: float = Field(default=30.0, gt=0)
    """Seconds that one request may take."""
    network: NetworkConfig | None = None
    persistence: dict[str, Any] | None = None
    """Accepted for compatibility: what this provider keeps beside Weaviate goes to the server's own KV store."""

    @field_validator("weaviate_cluster_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        checked_address(_address(url))
        return url

    @property
    def base_url(self) -> str:
        return _address(self.weaviate_cluster_url)


@provider(
    api=Api.vector_io,
    type="remote::weaviate",
    description="A Weaviate server: vectors, filters and full text.",
    config=WeaviateConfig,
    sample={
        "weaviate_cluster_url": "${env.WEAVIATE_CLUSTER_URL:=localhost:8080}",
        "weaviate_api_key": "${env.WEAVIATE_API_KEY:=}",
    },
    turned_on_by="WEAVIATE_CLUSTER_URL",
)
class Weaviate:
    def __init__(self, config: WeaviateConfig, context: ProviderContext) -> None:
        self.name = context.provider_id
        key = config.weaviate_api_key.get_secret_value() if config.weaviate_api_key else ""
        headers = {"Authorization": SecretStr(f"Bearer {key}")} if key else {}
        self._http = EngineHttp(context.http(config.network), self.name, config.base_url, headers, config.timeout)
        self._values = AttributeValues(context.kv)

    async def health(self) -> HealthResponse:
        return await health_of(self._http.ask("GET", "/v1/meta"))

    async def create_index(self, index: Index) -> None:
        if await self._exists(index):
            return
        body = {
            "class": _collection(index),
            "vectorizer": "none",
            "vectorIndexType": "hnsw",
            # Of vectors of length one: the cosine, also where a vector has no direction.
            "vectorIndexConfig": {"distance": "dot"},
            "invertedIndexConfig": {"stopwords": {"preset": "none"}},
            "properties": [
                {"name": "document", "dataType": ["text"], "tokenization": "field", "indexSearchable": False},
                {"name": "tags", "dataType": ["text[]"], "tokenization": "field", "indexSearchable": False},
                {"name": "words", "dataType": ["text"], "tokenization": "whitespace", "indexFilterable": False},
            ],
        }
        status, _ = await self._http.ask("POST", "/v1/schema", body, accept=[422])
        if status == 422 and not await self._exists(index):  # unless somebody else was faster
            raise ProviderError(f"Provider '{self.name}' did not make an index.")

    async def delete_index(self, index: Index) -> None:
        await self._http.ask("DELETE", f"/v1/schema/{_collection(index)}", accept=[400, 404])
        await self._values.forget(index)

    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        if chunks and not await self._exists(index):  # which would be made, with properties as Weaviate guesses them
            raise no_such_index(self.name)
        await self._values.remember(index, (chunk.attributes for chunk in chunks))
        size = max(1, NUMBERS_MAX // index.dimension)
        for start in range(0, len(chunks), size):
            objects = [
                {
                    "class": _collection(index),
                    "id": chunk.id,
                    "vector": unit_vector(chunk.vector),
                    "properties": {"document": chunk.document, "words": chunk.words, "tags": tags(chunk.attributes)},
                }
                for chunk in chunks[start : start + size]
            ]
            await self._write(objects)

    async def delete_document(self, index: Index, document: str) -> None:
        if not await self._exists(index):
            return
        match = {"class": _collection(index), "where": of_document(document)}
        while True:
            _, reply = await self._http.ask("DELETE", "/v1/batch/objects", {"match": match, "output": "minimal"})
            results = reply["results"]
            if results["failed"]:
                raise ProviderError(f"Provider '{self.name}' did not delete all that it should.")
            if results["matches"] <= results["successful"] and results["matches"] < results["limit"]:
                return

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None:
        """Weaviate changes objects one by one, or by writing them whole."""
        await self._values.remember(index, [attributes])
        async for found in self._objects(index, document):
            await self._write(
                [
                    {
                        "class": _collection(index),
                        "id": each["_additional"]["id"],
                        "vector": each["_additional"]["vector"],
                        "properties": {"document": document, "words": each["words"], "tags": tags(attributes)},
                    }
                    for each in found
                ]
            )

    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        wanted = await self._values.resolve(index, query.filter)
        if wanted is False:
            return []
        arguments = {
            "nearVector": {"vector": unit_vector(query.vector)},
            "where": where(wanted),
            "limit": min(query.limit + TIES, HITS_MAX),
        }
        found = await self._get(index, arguments, "_additional { id distance }")
        hits = [Hit(each["_additional"]["id"], -each["_additional"]["distance"]) for each in found]
        return nearest(hits, query.limit)

    async def search_keywords(self, index: Index, query: KeywordQuery) -> list[Hit]:
        wanted = await self._values.resolve(index, query.filter)
        if wanted is False:
            return []
        arguments = {
            "bm25": {"query": " ".join(query.words), "properties": ["words"]},
            "where": where(wanted),
            "limit": min(query.limit, HITS_MAX),
        }
        found = await self._get(index, arguments, "_additional { id score }")
        return [Hit(each["_additional"]["id"], float(each["_additional"]["score"])) for each in found]

    async def _objects(self, index: Index, document: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Those of a document, page by page, in the order of their ids."""
        for offset in range(0, HITS_MAX, PAGE):
            order = [{"path": ["_id"], "order": "asc"}]
            arguments = {"where": of_document(document), "limit": PAGE, "offset": offset, "sort": order}
            found = await self._get(index, arguments, "words _additional { id vector }")
            if found:
                yield found
            if len(found) < PAGE:
                return

    async def _write(self, objects: list[dict[str, Any]]) -> None:
        _, reply = await self._http.ask("POST", "/v1/batch/objects", {"objects": objects})
        if any(each.get("result", {}).get("errors") for each in reply):
            raise ProviderError(f"Provider '{self.name}' did not take a chunk.")

    async def _get(self, index: Index, arguments: dict[str, Any], fields: str) -> list[dict[str, Any]]:
        query = get_query(_collection(index), arguments, fields)
        status, reply = await self._http.ask("POST", "/v1/graphql", {"query": query}, accept=[422])
        if status == 422 or reply.get("errors"):
            # A collection that does not exist is an error like any other.
            if not await self._exists(index):
                return []
            raise ProviderError(f"Provider '{self.name}' refused a search.")
        found: list[dict[str, Any]] = reply["data"]["Get"][_collection(index)]
        return found

    async def _exists(self, index: Index) -> bool:
        status, _ = await self._http.ask("GET", f"/v1/schema/{_collection(index)}", accept=[404])
        return status != 404


def _collection(index: Index) -> str:
    """Weaviate's names begin with a capital letter."""
    return f"Ls_{index.id}"


def _address(url: str) -> str:
    return url if "://" in url else f"http://{url}"

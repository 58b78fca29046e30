"""Elasticsearch by its REST API: exact filters, full text, and nearest neighbours in one index for each store."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from llama_stack.net.config import NetworkConfig
from llama_stack.providers._shared.addresses import checked_address
from llama_stack.providers._shared.engine_http import EngineHttp
from llama_stack.providers._shared.health import health_of
from llama_stack.providers._shared.unit_vectors import unit_vector
from llama_stack.providers._shared.vector_engine import TIES, nearest, no_such_index
from llama_stack.providers._shared.vector_filters.attribute_values import AttributeValues
from llama_stack.providers._shared.vector_filters.elasticsearch import PROPERTIES, fields_of, of_document, query_of
from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError
from llama_stack_api.ports.vector_io import Attributes, Hit, Index, IndexedChunk, KeywordQuery, VectorQuery
from llama_stack_api.provider import HealthResponse, ProviderContext, provider

NUMBERS_MAX = 500_000
"""Components of the vectors in one request: about 10 MB as JSON, of the 100 that Elasticsearch takes."""
HITS_MAX = 10_000
"""Elasticsearch looks at no more candidates, and gives no more hits."""
CANDIDATES_MIN = 100
CONFLICTS_MAX = 5
_CHANGE = "ctx._source.tags = params.tags; ctx._source.attributes = params.attributes"


class ElasticsearchConfig(BaseModel):
    # A key that is all digits reaches us as a number when it comes from the environment.
    model_config = ConfigDict(extra="allow", defer_build=True, coerce_numbers_to_str=True, hide_input_in_errors=True)

    elasticsearch_url: str = "http://localhost:9200"
    elasticsearch_api_key: SecretStr | None = None
    """An API key in its encoded form; or else `user` and `password`."""
    user: str | None = None
    password: SecretStr | None = None
    timeout: float = Field(default=30.0, gt=0)
    """Seconds that one request may take."""
    network: NetworkConfig | None = None
    persistence: dict[str, Any] | None = None
    """Accepted for compatibility: all that this provider keeps is in Elasticsearch."""

    @field_validator("elasticsearch_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        return checked_address(url)

    def authorization(self) -> dict[str, SecretStr]:
        if self.elasticsearch_api_key is not None and self.elasticsearch_api_key.get_secret_value():
            return {"Authorization": SecretStr(f"ApiKey {self.elasticsearch_api_key.get_secret_value()}")}
        if self.user and self.password is not None:
            pair = f"{self.user}:{self.password.get_secret_value()}".encode()
            return {"Authorization": SecretStr(f"Basic {base64.b64encode(pair).decode()}")}
        return {}


@provider(
    api=Api.vector_io,
    type="remote::elasticsearch",
    description="Elasticsearch 8.11 or later: vectors, filters and full text.",
    config=ElasticsearchConfig,
    sample={
        "elasticsearch_url": "${env.ELASTICSEARCH_URL:=http://localhost:9200}",
        "elasticsearch_api_key": "${env.ELASTICSEARCH_API_KEY:=}",
    },
    turned_on_by="ELASTICSEARCH_URL",
)
class Elasticsearch:
    def __init__(self, config: ElasticsearchConfig, context: ProviderContext) -> None:
        self.name = context.provider_id
        client = context.http(config.network)
        self._http = EngineHttp(client, self.name, config.elasticsearch_url, config.authorization(), config.timeout)
        self._values = AttributeValues(context.kv, ordered={"string", "number"})

    async def health(self) -> HealthResponse:
        return await health_of(self._http.ask("GET", "/"))

    async def create_index(self, index: Index) -> None:
        if await self._exists(index):
            return
        vector = {
            "type": "dense_vector",
            "dims": index.dimension,
            "index": True,
            # Of vectors of length one: the cosine, also where a vector has no direction.
            "similarity": "max_inner_product",
            # Whole numbers, not the quantised ones of the default: scores are those of the vectors.
            "index_options": {"type": "hnsw", "m": 16, "ef_construction": 100},
        }
        text = {"document": {"type": "keyword"}, "words": {"type": "text", "analyzer": "whitespace"}}
        mappings = {"dynamic": "strict", "properties": {**text, "vector": vector, **PROPERTIES}}
        status, _ = await self._http.ask("PUT", _path(index), {"mappings": mappings}, accept=[400])
        if status == 400 and not await self._exists(index):  # unless somebody else was faster
            raise ProviderError(f"Provider '{self.name}' did not make an index for {index.dimension} dimensions.")

    async def delete_index(self, index: Index) -> None:
        await self._http.ask("DELETE", _path(index), accept=[404])

    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        if chunks and not await self._exists(index):  # which would be made, with fields as Elasticsearch guesses them
            raise no_such_index(self.name)
        size = max(1, NUMBERS_MAX // index.dimension)
        for start in range(0, len(chunks), size):
            lines: list[dict[str, Any]] = []
            for chunk in chunks[start : start + size]:
                lines += [{"index": {"_id": chunk.id}}, _source(chunk)]
            _, reply = await self._http.ask("POST", f"{_path(index)}/_bulk?refresh=true", lines, lines=True)
            if reply["errors"]:
                raise ProviderError(f"Provider '{self.name}' did not take a chunk: {_first_error(reply)}")

    async def delete_document(self, index: Index, document: str) -> None:
        await self._by_query(index, "_delete_by_query", {"query": of_document(document)})

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None:
        script = {"lang": "painless", "source": _CHANGE, "params": fields_of(attributes)}
        await self._by_query(index, "_update_by_query", {"query": of_document(document), "script": script})

    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        wanted = await self._values.resolve(index, query.filter)
        if wanted is False:
            return []
        count = min(query.limit + TIES, HITS_MAX)
        knn = {
            "field": "vector",
            "query_vector": unit_vector(query.vector),
            "k": count,
            "num_candidates": min(max(count, CANDIDATES_MIN), HITS_MAX),
            "filter": query_of(wanted),
        }
        hits = await self._search(index, {"knn": knn, "size": count, "_source": False})
        return nearest((Hit(hit.id, _cosine(hit.score)) for hit in hits), query.limit)

    async def search_keywords(self, index: Index, query: KeywordQuery) -> list[Hit]:
        wanted = await self._values.resolve(index, query.filter)
        if wanted is False:
            return []
        words = {"match": {"words": {"query": " ".join(query.words), "operator": "or"}}}
        both = {"bool": {"must": [words], "filter": query_of(wanted)}}
        return await self._search(index, {"query": both, "size": min(query.limit, HITS_MAX), "_source": False})

    async def _search(self, index: Index, body: dict[str, Any]) -> list[Hit]:
        status, reply = await self._http.ask("POST", f"{_path(index)}/_search", body, accept=[404])
        return [] if status == 404 else [Hit(hit["_id"], hit["_score"]) for hit in reply["hits"]["hits"]]

    async def _exists(self, index: Index) -> bool:
        status, _ = await self._http.ask("HEAD", _path(index), accept=[404])
        return status != 404

    async def _by_query(self, index: Index, operation: str, body: dict[str, Any]) -> None:
        """Changes what a search finds; once more where something else changed one of those meanwhile."""
        for _ in range(CONFLICTS_MAX):
            status, _ = await self._http.ask(
                "POST", f"{_path(index)}/{operation}?refresh=true", body, accept=[404, 409]
            )
            if status != 409:
                return
        raise ProviderError(f"Provider '{self.name}' could not make a change: others kept changing the same chunks.")


def _path(index: Index) -> str:
    """Elasticsearch's names are in lower case."""
    plain = index.id == index.id.lower()
    return f"/ls_{index.id if plain else hashlib.sha256(index.id.encode()).hexdigest()}"


def _source(chunk: IndexedChunk) -> dict[str, Any]:
    vector = unit_vector(chunk.vector)
    return {"document": chunk.document, "words": chunk.words, "vector": vector, **fields_of(chunk.attributes)}


def _cosine(score: float) -> float:
    """Elasticsearch's scores are above 0: an inner product from 0 on is raised by one, one below becomes a fraction."""
    return score - 1 if score >= 1 else 1 - 1 / score


def _first_error(reply: Any) -> str:
    errors = (item["index"]["error"]["type"] for item in reply["items"] if "error" in item["index"])
    return next(errors, "unknown")

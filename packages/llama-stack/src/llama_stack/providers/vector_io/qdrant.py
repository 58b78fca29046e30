"""Qdrant: a server of its own behind its REST API, or the library's local mode in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from llama_stack.net.config import NetworkConfig
from llama_stack.providers._shared.addresses import checked_address
from llama_stack.providers._shared.engine_http import EngineHttp
from llama_stack.providers._shared.health import health_of
from llama_stack.providers._shared.qdrant_index import QdrantIndex
from llama_stack.providers._shared.vector_engine import ThreadClient, no_such_index
from llama_stack.providers._shared.vector_filters.qdrant import INDEXED_FIELDS
from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError
from llama_stack_api.ports.vector_io import Hit
from llama_stack_api.provider import HealthResponse, ProviderContext, provider

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


class QdrantConfig(BaseModel):
    # A key that is all digits reaches us as a number when it comes from the environment.
    model_config = ConfigDict(extra="allow", defer_build=True, coerce_numbers_to_str=True, hide_input_in_errors=True)

    url: str | None = None
    """Where its REST API answers. None: `host`, `port`, `https` and `prefix` say it."""
    host: str = "localhost"
    port: int = Field(default=6333, ge=1, le=65535)
    https: bool = False
    prefix: str = ""
    api_key: SecretStr | None = None
    timeout: float = Field(default=30.0, gt=0)
    """Seconds that one request may take."""
    network: NetworkConfig | None = None
    persistence: dict[str, Any] | None = None
    """Accepted for compatibility: what this provider keeps beside Qdrant goes to the server's own KV store."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        return checked_address(url) if url else None

    @property
    def base_url(self) -> str:
        if self.url:
            return self.url
        scheme = "https" if self.https else "http"
        return f"{scheme}://{self.host}:{self.port}/{self.prefix.strip('/')}".rstrip("/")


@provider(
    api=Api.vector_io,
    type="remote::qdrant",
    description="A Qdrant server, by its REST API.",
    config=QdrantConfig,
    sample={"url": "${env.QDRANT_URL:=http://localhost:6333}", "api_key": "${env.QDRANT_API_KEY:=}"},
    turned_on_by="QDRANT_URL",
)
class RemoteQdrant(QdrantIndex):
    def __init__(self, config: QdrantConfig, context: ProviderContext) -> None:
        super().__init__(context.kv)
        key = {"api-key": config.api_key} if config.api_key else {}
        client = context.http(config.network)
        self._http = EngineHttp(client, context.provider_id, config.base_url, key, config.timeout)

    async def health(self) -> HealthResponse:
        return await health_of(self._http.ask("GET", "/collections"))

    async def create_collection(self, name: str, dimension: int) -> None:
        status, _ = await self._http.ask("GET", _path(name), accept=[404])
        if status == 404:
            vectors = {"size": dimension, "distance": "Cosine"}
            # 409: somebody else was faster.
            await self._http.ask("PUT", _path(name), {"vectors": vectors}, accept=[409])
        for field, schema in INDEXED_FIELDS.items():
            body = {"field_name": field, "field_schema": schema}
            await self._http.ask("PUT", f"{_path(name)}/index?wait=true", body)

    async def delete_collection(self, name: str) -> None:
        await self._http.ask("DELETE", _path(name), accept=[404])

    async def upsert(self, name: str, points: list[dict[str, Any]]) -> None:
        await self._http.ask("PUT", f"{_path(name)}/points?wait=true", {"points": points})

    async def delete(self, name: str, chosen: dict[str, Any]) -> None:
        await self._http.ask("POST", f"{_path(name)}/points/delete?wait=true", {"filter": chosen}, accept=[404])

    async def set_payload(self, name: str, payload: dict[str, Any], chosen: dict[str, Any]) -> None:
        body = {"payload": payload, "filter": chosen}
        await self._http.ask("POST", f"{_path(name)}/points/payload?wait=true", body, accept=[404])

    async def query(self, name: str, body: dict[str, Any]) -> list[Hit]:
        status, reply = await self._http.ask("POST", f"{_path(name)}/points/query", body, accept=[404])
        return [] if status == 404 else [Hit(point["id"], point["score"]) for point in reply["result"]["points"]]


class InlineQdrantConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True)

    path: Path | None = None
    """The directory of its collections. None: one of the provider's own."""
    persistence: dict[str, Any] | None = None
    """Accepted for compatibility."""


@provider(
    api=Api.vector_io,
    type="inline::qdrant",
    description="Qdrant's local mode in this process: for one worker, and up to about 20,000 chunks in a store.",
    config=InlineQdrantConfig,
    pip_packages=("qdrant-client>=1.14,<2",),
)
class InlineQdrant(QdrantIndex):
    """All goes on in one thread: the library's collections may be used by one at a time."""

    def __init__(self, config: InlineQdrantConfig, context: ProviderContext) -> None:
        super().__init__(context.kv)
        self._path = (config.path or context.state_dir / "qdrant").expanduser()
        self._name = context.provider_id
        self._client = ThreadClient(context.provider_id, self._connect)

    async def open(self) -> None:
        self._client.open()

    async def close(self) -> None:
        await self._client.close()

    async def health(self) -> HealthResponse:
        return await health_of(self._client.run(lambda client: client.get_collections()))

    async def create_collection(self, name: str, dimension: int) -> None:
        def create(client: QdrantClient) -> None:
            from qdrant_client.models import Distance, VectorParams

            if not client.collection_exists(name):
                client.create_collection(name, VectorParams(size=dimension, distance=Distance.COSINE))

        await self._client.run(create)

    async def delete_collection(self, name: str) -> None:
        await self._client.run(lambda client: client.delete_collection(name))

    async def upsert(self, name: str, points: list[dict[str, Any]]) -> None:
        def write(client: QdrantClient) -> None:
            from qdrant_client.models import PointStruct

            if not client.collection_exists(name):
                raise no_such_index(self._name)
            client.upsert(name, [PointStruct.model_construct(**point) for point in points])

        await self._client.run(write)

    async def delete(self, name: str, chosen: dict[str, Any]) -> None:
        def remove(client: QdrantClient) -> None:
            from qdrant_client.models import Filter, FilterSelector

            if client.collection_exists(name):
                client.delete(name, FilterSelector(filter=Filter.model_validate(chosen)))

        await self._client.run(remove)

    async def set_payload(self, name: str, payload: dict[str, Any], chosen: dict[str, Any]) -> None:
        def change(client: QdrantClient) -> None:
            from qdrant_client.models import Filter, FilterSelector

            if client.collection_exists(name):
                client.set_payload(name, payload, FilterSelector(filter=Filter.model_validate(chosen)))

        await self._client.run(change)

    async def query(self, name: str, body: dict[str, Any]) -> list[Hit]:
        def search(client: QdrantClient) -> list[Hit]:
            from qdrant_client.models import Filter

            if not client.collection_exists(name):
                return []
            chosen = Filter.model_validate(body["filter"]) if "filter" in body else None
            found = client.query_points(
                name, body["query"], query_filter=chosen, limit=body["limit"], with_payload=False
            )
            return [Hit(str(point.id), point.score) for point in found.points]

        return await self._client.run(search)

    def _connect(self) -> QdrantClient:
        from qdrant_client import QdrantClient

        if self._is_taken():
            raise ProviderError(
                f"The files of provider '{self._name}' are open in another process. Qdrant's local mode is for one "
                "worker; more need remote::qdrant."
            )
        return QdrantClient(path=str(self._path))

    def _is_taken(self) -> bool:
        """Asked before the library does, which leaves the file that it could not lock open."""
        import fcntl

        lock = self._path / ".lock"
        if not lock.exists():
            return False
        with lock.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def _path(name: str) -> str:
    return f"/collections/{quote(name, safe='')}"

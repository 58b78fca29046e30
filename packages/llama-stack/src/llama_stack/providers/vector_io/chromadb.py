"""Chroma: a server of its own behind its REST API, or the library in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from llama_stack.net.config import NetworkConfig
from llama_stack.providers._shared.addresses import checked_address
from llama_stack.providers._shared.chroma_index import CONFIGURATION, ChromaIndex
from llama_stack.providers._shared.engine_http import EngineHttp
from llama_stack.providers._shared.health import health_of
from llama_stack.providers._shared.vector_engine import ThreadClient
from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError
from llama_stack_api.provider import HealthResponse, ProviderContext, provider

if TYPE_CHECKING:
    from chromadb.api.client import Client

R = TypeVar("R")
COLLECTIONS_KNOWN_MAX = 10_000


class ChromaConfig(BaseModel):
    # A key that is all digits reaches us as a number when it comes from the environment.
    model_config = ConfigDict(extra="allow", defer_build=True, coerce_numbers_to_str=True, hide_input_in_errors=True)

    url: str = "http://localhost:8000"
    api_key: SecretStr | None = None
    """Sent as `x-chroma-token`."""
    tenant: str = "default_tenant"
    database: str = "default_database"
    timeout: float = Field(default=30.0, gt=0)
    """Seconds that one request may take."""
    network: NetworkConfig | None = None
    persistence: dict[str, Any] | None = None
    """Accepted for compatibility: what this provider keeps beside Chroma goes to the server's own KV store."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        return checked_address(url)


@provider(
    api=Api.vector_io,
    type="remote::chromadb",
    description="A Chroma server, by version 2 of its REST API.",
    config=ChromaConfig,
    sample={"url": "${env.CHROMADB_URL:=http://localhost:8000}", "api_key": "${env.CHROMADB_API_KEY:=}"},
    turned_on_by="CHROMADB_URL",
)
class RemoteChroma(ChromaIndex):
    def __init__(self, config: ChromaConfig, context: ProviderContext) -> None:
        super().__init__(context.provider_id, context.kv)
        key = {"x-chroma-token": config.api_key} if config.api_key else {}
        client = context.http(config.network)
        self._http = EngineHttp(client, self.name, config.url, key, config.timeout)
        self._root = f"/api/v2/tenants/{_quoted(config.tenant)}/databases/{_quoted(config.database)}/collections"
        self._known: dict[str, str] = {}
        """The ids of collections by their names."""

    async def health(self) -> HealthResponse:
        return await health_of(self._http.ask("GET", f"{self._root}?limit=1"))

    async def create_collection(self, name: str) -> None:
        await self._http.ask("POST", self._root, {"name": name, "get_or_create": True, "configuration": CONFIGURATION})

    async def delete_collection(self, name: str) -> None:
        self._known.pop(name, None)
        await self._http.ask("DELETE", f"{self._root}/{_quoted(name)}", accept=[404])

    async def ask(self, name: str, operation: str, body: dict[str, Any]) -> dict[str, Any] | None:
        known = self._known.get(name)
        if known is not None:
            found = await self._ask(known, operation, body)
            if found is not None:
                return found
        # Not known yet; or deleted by another process, and perhaps made again with another id.
        self._known.pop(name, None)
        status, collection = await self._http.ask("GET", f"{self._root}/{_quoted(name)}", accept=[404])
        if status == 404:
            return None
        if len(self._known) >= COLLECTIONS_KNOWN_MAX:
            self._known.clear()
        self._known[name] = collection["id"]
        return await self._ask(collection["id"], operation, body)

    async def _ask(self, id: str, operation: str, body: dict[str, Any]) -> dict[str, Any] | None:
        status, found = await self._http.ask("POST", f"{self._root}/{id}/{operation}", body, accept=[404])
        return None if status == 404 else found or {}


class InlineChromaConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True)

    db_path: Path | None = None
    """The directory of its files. None: one of the provider's own."""
    persistence: dict[str, Any] | None = None
    """Accepted for compatibility."""


@provider(
    api=Api.vector_io,
    type="inline::chromadb",
    description="Chroma in this process, its files in a directory: for one worker.",
    config=InlineChromaConfig,
    pip_packages=("chromadb>=1.0.15,<2",),
)
class InlineChroma(ChromaIndex):
    def __init__(self, config: InlineChromaConfig, context: ProviderContext) -> None:
        super().__init__(context.provider_id, context.kv)
        self._path = (config.db_path or context.state_dir / "chroma").expanduser()
        self._client = ThreadClient(context.provider_id, self._connect)

    async def open(self) -> None:
        self._client.open()

    async def close(self) -> None:
        await self._client.close()

    async def health(self) -> HealthResponse:
        return await health_of(self._run(lambda client: client.heartbeat()))

    async def create_collection(self, name: str) -> None:
        def create(client: Client) -> None:
            client.create_collection(
                name,
                configuration=CONFIGURATION,  # type: ignore[arg-type]
                embedding_function=None,
                get_or_create=True,
            )

        await self._run(create)

    async def delete_collection(self, name: str) -> None:
        def delete(client: Client) -> None:
            from chromadb.errors import NotFoundError

            try:
                client.delete_collection(name)
            except NotFoundError:
                return

        await self._run(delete)

    async def ask(self, name: str, operation: str, body: dict[str, Any]) -> dict[str, Any] | None:
        def ask(client: Client) -> dict[str, Any] | None:
            from chromadb.errors import NotFoundError

            try:
                collection = client.get_collection(name, embedding_function=None)
            except NotFoundError:
                return None
            return getattr(collection, operation)(**body) or {}

        return await self._run(ask)

    async def _run(self, work: Callable[[Client], R]) -> R:
        def attempt(client: Client) -> R:
            from chromadb.errors import ChromaError

            try:
                return work(client)
            except ChromaError as error:
                raise ProviderError(f"Provider '{self.name}' failed ({type(error).__name__}).") from error

        return await self._client.run(attempt)

    def _connect(self) -> Client:
        import chromadb
        from chromadb.config import Settings

        client = chromadb.PersistentClient(str(self._path), settings=Settings(anonymized_telemetry=False))
        return cast("Client", client)


def _quoted(name: str) -> str:
    return quote(name, safe="")

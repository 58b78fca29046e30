"""Milvus, by its client library: a server of its own, or Milvus Lite in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from llama_stack.providers._shared.addresses import checked_address
from llama_stack.providers._shared.milvus_index import MilvusIndex
from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError
from llama_stack_api.provider import ProviderContext, provider

if TYPE_CHECKING:
    from pymilvus import MilvusClient


class MilvusConfig(BaseModel):
    # A token that is all digits reaches us as a number when it comes from the environment.
    model_config = ConfigDict(extra="allow", defer_build=True, coerce_numbers_to_str=True, hide_input_in_errors=True)

    uri: str = "http://localhost:19530"
    token: SecretStr | None = None
    """An API key, or `user:password`."""
    db_name: str = "default"
    timeout: float = Field(default=30.0, gt=0)
    """Seconds that one request may take."""
    consistency_level: str = "Strong"
    """Accepted for compatibility: searches always see what was written before."""
    persistence: dict[str, Any] | None = None
    """Accepted for compatibility: what this provider keeps beside Milvus goes to the server's own KV store."""

    @field_validator("uri")
    @classmethod
    def _is_an_address(cls, uri: str) -> str:
        return checked_address(uri)


@provider(
    api=Api.vector_io,
    type="remote::milvus",
    description="A Milvus server, or Zilliz Cloud.",
    config=MilvusConfig,
    sample={"uri": "${env.MILVUS_URL:=http://localhost:19530}", "token": "${env.MILVUS_TOKEN:=}"},
    turned_on_by="MILVUS_URL",
    pip_packages=("pymilvus>=2.6,<4",),
)
class RemoteMilvus(MilvusIndex):
    def __init__(self, config: MilvusConfig, context: ProviderContext) -> None:
        super().__init__(context, config.timeout)
        self.config = config

    def connect(self) -> MilvusClient:
        from pymilvus import MilvusClient

        config = self.config
        token = config.token.get_secret_value() if config.token else ""
        return MilvusClient(config.uri, token=token, db_name=config.db_name, timeout=config.timeout)


class InlineMilvusConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True)

    db_path: Path | None = None
    """The directory of its files. None: one of the provider's own."""
    timeout: float = Field(default=30.0, gt=0)
    consistency_level: str = "Strong"
    """Accepted for compatibility."""
    persistence: dict[str, Any] | None = None
    """Accepted for compatibility."""


@provider(
    api=Api.vector_io,
    type="inline::milvus",
    description="Milvus Lite in this process, its files in a directory: for one worker.",
    config=InlineMilvusConfig,
    pip_packages=("pymilvus>=2.6,<4", "milvus-lite>=3,<4"),
)
class InlineMilvus(MilvusIndex):
    """The engine listens on a port of the loopback interface, by which the client library reaches it."""

    threads_max = 1  # its collections are written by one at a time

    def __init__(self, config: InlineMilvusConfig, context: ProviderContext) -> None:
        super().__init__(context, config.timeout)
        self._path = (config.db_path or context.state_dir / "milvus.db").expanduser().absolute()

    def connect(self) -> MilvusClient:
        from milvus_lite.server_manager import server_manager_instance
        from pymilvus import MilvusClient

        self._path.parent.mkdir(parents=True, exist_ok=True)
        uri = server_manager_instance.start_and_get_uri(str(self._path))
        if uri is None:
            raise ProviderError(
                f"Provider '{self.name}' could not open its files. They are for one process at a time; several workers "
                "need remote::milvus."
            )
        return MilvusClient(uri, timeout=self._timeout_s)

    def disconnect(self) -> None:
        from milvus_lite.server_manager import server_manager_instance

        was_open = self._client is not None
        super().disconnect()
        if was_open:
            server_manager_instance.release_server(str(self._path))

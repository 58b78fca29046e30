"""How the provider of pgvector is set up, and what that means to a connection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class HNSWIndex(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)

    type: Literal["HNSW"] = "HNSW"
    m: int = Field(default=16, ge=2, le=100)
    ef_construction: int = Field(default=64, ge=4, le=1000)
    ef_search: int = Field(default=100, ge=1, le=1000)


class IVFFlatIndex(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)

    type: Literal["IVFFlat"]
    nlist: int = Field(default=100, ge=1, le=32768)
    nprobe: int = Field(default=10, ge=1, le=32768)


class PgvectorConfig(BaseModel):
    # A password that is all digits reaches us as a number when it comes from the environment.
    model_config = ConfigDict(
        extra="allow", defer_build=True, coerce_numbers_to_str=True, hide_input_in_errors=True, validate_default=True
    )

    host: str = "localhost"
    """A host, or the directory of a Unix socket."""
    port: int = Field(default=5432, ge=1, le=65535)
    db: str = "postgres"
    user: str = "postgres"
    password: SecretStr | None = None
    distance_metric: Literal["COSINE", "L2", "INNER_PRODUCT"] = "COSINE"
    """By which the index is built. Chunks come in the order of the cosine, whichever it is."""
    vector_index: Annotated[HNSWIndex | IVFFlatIndex, Field(discriminator="type")] = HNSWIndex()
    ssl_mode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    ca_cert_path: Path | None = None
    pool_size: int = Field(default=10, ge=1, le=1000)
    """Connections at most, of each worker."""
    connect_timeout: float = Field(default=5.0, gt=0)
    timeout: float = Field(default=30.0, gt=0)
    """Seconds that one statement may take."""
    persistence: dict[str, Any] | None = None
    """Accepted for compatibility: all that this provider keeps is in PostgreSQL."""


def server_settings(config: PgvectorConfig) -> dict[str, str]:
    settings = {
        "application_name": "llama-stack",
        "statement_timeout": str(int(config.timeout * 1000)),
        # What suits a filter depends on its values.
        "plan_cache_mode": "force_custom_plan",
    }
    # From version 0.8 of pgvector; earlier ones do not know them, and go without.
    match config.vector_index:
        case HNSWIndex(ef_search=ef_search):
            return settings | {"hnsw.iterative_scan": "strict_order", "hnsw.ef_search": str(ef_search)}
        case IVFFlatIndex(nprobe=nprobe):
            return settings | {"ivfflat.iterative_scan": "relaxed_order", "ivfflat.probes": str(nprobe)}


def ssl_of(config: PgvectorConfig) -> Any:
    if config.ssl_mode is None or config.ca_cert_path is None or config.ssl_mode in ("disable", "allow", "prefer"):
        return config.ssl_mode
    import ssl

    context = ssl.create_default_context(cafile=str(config.ca_cert_path.expanduser()))
    context.check_hostname = config.ssl_mode == "verify-full"
    return context

"""The `network` section that every remote provider's config has."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class TLSConfig(BaseModel):
    """How the upstream's certificate is checked, and what we show it."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    verify: bool | Path = True
    """True: the system's roots. A path: a CA bundle. False: not at all (for a test only)."""
    min_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"
    ciphers: list[str] | None = None
    client_cert: Path | None = None
    client_key: Path | None = None

    @model_validator(mode="after")
    def _cert_has_key(self) -> TLSConfig:
        if (self.client_cert is None) != (self.client_key is None):
            raise ValueError("client_cert and client_key go together: set both or neither")
        return self


class ProxyConfig(BaseModel):
    """A forward proxy. `url` serves both schemes; `http` and `https` override it. A URL may carry credentials."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    url: SecretStr | None = None
    http: SecretStr | None = None
    https: SecretStr | None = None
    cacert: Path | None = None
    no_proxy: list[str] = Field(default_factory=list)
    """Hosts that are reached directly: `example.com` (and its subdomains), or `*`."""


class TimeoutConfig(BaseModel):
    """Seconds. `read` bounds the wait for the head and for each further byte, not the whole reply."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    connect: float = Field(default=10.0, gt=0)
    read: float = Field(default=300.0, gt=0)


class NetworkConfig(BaseModel):
    # Proxies and headers may hold credentials, which an error must not repeat.
    model_config = ConfigDict(extra="forbid", defer_build=True, hide_input_in_errors=True)

    tls: TLSConfig | None = None
    proxy: ProxyConfig | None = None
    timeout: float | TimeoutConfig | None = None
    """A plain number is the read timeout in seconds."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Sent with every request; they may hold credentials, hence secret."""
    connections_max: int = Field(default=512, ge=1)
    reply_bytes_max: int = Field(default=64 * 1024 * 1024, ge=1024)

    def timeouts(self) -> TimeoutConfig:
        if isinstance(self.timeout, TimeoutConfig):
            return self.timeout
        return TimeoutConfig() if self.timeout is None else TimeoutConfig(read=self.timeout)

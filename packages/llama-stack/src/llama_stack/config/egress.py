"""`server.egress`: where the server may go on behalf of others: images and files by URL, MCP servers, web pages."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

from pydantic import Field, field_validator

from llama_stack.config.section import Section

_MIB = 1024 * 1024


class EgressConfig(Section):
    allow_private_networks: bool = False
    """True: callers may name loopback and private addresses. Link-local and cloud metadata addresses stay closed."""
    allowed_hosts: list[str] = Field(default_factory=list)
    """Hosts that may have private addresses (`*.internal.example`), and addresses or networks (`10.1.0.0/16`) that are
    open whatever they are."""
    blocked_hosts: list[str] = Field(default_factory=list)
    """Hosts, addresses and networks that are closed, also to connectors of this config."""
    allowed_ports: list[int] = Field(default_factory=list)
    """Empty: all."""
    redirects_max: int = Field(default=5, ge=0, le=20)
    bytes_max: int = Field(default=32 * _MIB, ge=1024)
    """Bytes of one reply, counted after decompression."""
    timeout_s: float = Field(default=30, gt=0)
    """Seconds for one download, redirects included."""
    connections_max: int = Field(default=256, ge=1)
    environment_proxy: bool = False
    """True: go through the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name. It resolves names again, out of our
    control."""

    @field_validator("allowed_hosts", "blocked_hosts")
    @classmethod
    def _networks_are_valid(cls, entries: list[str]) -> list[str]:
        for entry in entries:
            if "/" in entry:
                with suppress(ValueError):
                    ipaddress.ip_network(entry, strict=False)
                    continue
                raise ValueError(f"{entry!r} is neither a host nor a network such as 10.1.0.0/16")
        return entries

    @field_validator("allowed_ports")
    @classmethod
    def _ports_are_valid(cls, ports: list[int]) -> list[int]:
        for port in ports:
            if not 1 <= port <= 65535:
                raise ValueError(f"{port} is not a port")
        return ports

"""Servers that are killed, and what they work with: a scripted model, an MCP server that logs its calls, a database."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import yaml

from tests.support.mcp_server import LoopbackMcp
from tests.support.running import RunningServer, environment
from tests.support.upstream import Upstream

LEASE_S = 1.5


class Site:
    """One or more servers over one database. `url` is that of one which lives."""

    def __init__(self, directory: Path, upstream: Upstream, mcp: LoopbackMcp, storage: dict[str, Any] | None) -> None:
        self.mcp = mcp
        self.servers: list[RunningServer] = []
        self._directory = directory
        self._config = directory / "run.yaml"
        self._config.write_text(yaml.safe_dump(_config(upstream, storage)))

    @property
    def url(self) -> str:
        living = [server for server in self.servers if server.process.poll() is None and server.url]
        return living[-1].url if living else "http://127.0.0.1:9"

    async def start(self) -> RunningServer:
        server = RunningServer((str(self._config), "--port", "0"), environment(self._directory))
        self.servers.append(server)
        await asyncio.to_thread(server.wait_ready)
        return server

    async def kill(self, server: RunningServer) -> None:
        await asyncio.to_thread(server.stop, signal.SIGKILL)
        self.servers.remove(server)

    def close(self) -> None:
        for server in self.servers:
            server.stop(signal.SIGKILL)


def _config(upstream: Upstream, storage: dict[str, Any] | None) -> dict[str, Any]:
    provider = {"provider_id": "scripted", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}
    config: dict[str, Any] = {
        "version": 2,
        "distro_name": "durable",
        "apis": ["inference", "responses"],
        "providers": {"inference": [provider]},
        "server": {"egress": {"allowed_hosts": ["127.0.0.1"]}, "runs": {"lease_s": LEASE_S, "poll_s": 0.05}},
    }
    return config if storage is None else {**config, "storage": storage}

"""Servers and workers that are killed, and what they work with: a scripted model and a database."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.databases import Postgres
from tests.support.running import RunningServer, environment
from tests.support.upstream import Upstream
from tests.support.worker_process import Worker

LEASE_S = 60.0
"""So long that whatever goes on sooner was noticed, and not waited for."""


class Site:
    """Servers and workers over one database. `url` is that of a server which lives: the one that started last."""

    def __init__(
        self,
        directory: Path,
        upstream: Upstream,
        storage: dict[str, Any] | None = None,
        sections: Mapping[str, Any] | None = None,
        **runs: Any,
    ) -> None:
        """`sections` of the run config take the place of those that it would have."""
        self.servers: list[RunningServer] = []
        self.workers: list[Worker] = []
        self.directory = directory
        self._config = directory / "run.yaml"
        self._config.write_text(yaml.safe_dump(_config(upstream, storage, runs) | dict(sections or {})))

    @property
    def url(self) -> str:
        living = [server for server in self.servers if server.process.poll() is None and server.url]
        return living[-1].url if living else "http://127.0.0.1:9"

    async def start(self, count: int = 1) -> RunningServer:
        """So many servers; the last of them."""
        arguments = (str(self._config), "--port", "0")
        started = [RunningServer(arguments, environment(self.directory)) for _ in range(count)]
        self.servers += started
        await asyncio.gather(*(asyncio.to_thread(server.wait_ready) for server in started))
        return started[-1]

    async def start_workers(self, count: int) -> None:
        started = [Worker(self._config, self.directory) for _ in range(count)]
        self.workers += started
        await asyncio.gather(*(asyncio.to_thread(worker.wait_working) for worker in started))

    async def stop(self, server: RunningServer, signum: int = signal.SIGKILL) -> None:
        await asyncio.to_thread(server.stop, signum)
        self.servers.remove(server)

    async def kill_worker(self, worker: Worker) -> None:
        worker.process.kill()
        await asyncio.to_thread(worker.wait_ended)
        self.workers.remove(worker)

    async def restart(self, signum: int = signal.SIGKILL) -> None:
        await self.stop(self.servers[-1], signum)
        await self.start()

    def close(self) -> None:
        for server in self.servers:
            server.stop(signal.SIGKILL)
        for worker in self.workers:
            worker.process.kill()
            worker.wait_ended()


def in_postgres(postgres: Postgres) -> dict[str, Any]:
    at = {"host": postgres.socket_directory, "db": postgres.create_database(), "user": "postgres"}
    return {"backends": {"kv_default": {"type": "kv_postgres", **at}, "sql_default": {"type": "sql_postgres", **at}}}


def _config(upstream: Upstream, storage: dict[str, Any] | None, runs: dict[str, Any]) -> dict[str, Any]:
    provider = {"provider_id": "scripted", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}
    config: dict[str, Any] = {
        "version": 2,
        "distro_name": "durable",
        "apis": ["inference", "responses"],
        "providers": {"inference": [provider]},
        "server": {
            "egress": {"allowed_hosts": ["127.0.0.1"]},
            "runs": {"lease_s": LEASE_S, "poll_s": 0.1, **runs},
        },
    }
    return config if storage is None else {**config, "storage": storage}

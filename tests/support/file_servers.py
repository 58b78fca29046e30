"""Servers that keep files on the local disk, and a look at what is left there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.edge import edge
from tests.support.server import Running

LOCALFS: dict[str, Any] = {"providers": {"files": [{"provider_id": "localfs", "provider_type": "inline::localfs"}]}}


@asynccontextmanager
async def file_server(
    directory: Path, files: dict[str, Any] | None = None, limits: dict[str, Any] | None = None
) -> AsyncIterator[Running]:
    """`files` and `limits` are of the run config's `server`."""
    server = {"files": files or {}, "limits": limits or {}}
    async with edge(directory, server=server, config=LOCALFS) as (running, _):
        yield running


def contents(directory: Path) -> list[bytes]:
    """All that is on disk of contents, finished or not, each once."""
    inodes = {}
    for root in ("state/providers/files", "state/local-copies"):
        for path in (directory / root).rglob("*"):
            if path.is_file() and path.stat().st_size:
                inodes[path.stat().st_ino] = path.read_bytes()
    return sorted(inodes.values())


async def rows(server: Running) -> dict[str, str]:
    """The contents that the database knows, and their state."""
    import sqlalchemy as sa

    from llama_stack.storage.sql.tables import BLOBS

    database = server.services.files._contents._blobs._database
    return {row[0]: row[1] for row in await database.read(sa.select(BLOBS.c.id, BLOBS.c.state))}

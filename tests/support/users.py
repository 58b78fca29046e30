"""A server on which several users, of two tenants, have a key each."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.edge import client, edge
from tests.support.server import Running

USERS = {"alice": "acme", "bob": "acme", "alice-too": "umbrella"}
"""Principals and their tenants. Each one's key is `key-<id>`."""


@asynccontextmanager
async def edge_for_users(directory: Path, **changed: Any) -> AsyncIterator[Running]:
    """An edge (see there) that nobody but `USERS` may use. `changed` replaces services."""
    keys = [{"id": user, "tenant": tenant, "hash": _hash(f"key-{user}")} for user, tenant in USERS.items()]
    auth = {"provider_config": {"type": "api_keys", "keys": keys}}
    async with edge(directory, server={"auth": auth}, **changed) as (server, _):
        yield server


def as_user(server: Running, user: str) -> httpx.AsyncClient:
    return client(server, headers={"authorization": f"Bearer key-{user}"})


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()

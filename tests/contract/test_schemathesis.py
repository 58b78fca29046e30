"""Requests made up from /openapi.json, valid and not: no server error, and replies as the document says.

The same few each time; `schemathesis run http://…/openapi.json` against a server tries as many as one likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.openapi.checks import AcceptedNegativeData

from tests.support.edge import CHAT, client
from tests.support.server import Running
from tests.support.upstream import Upstream
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

EXAMPLES = 8
TRIED = {GenerationMode.POSITIVE: EXAMPLES, GenerationMode.NEGATIVE: EXAMPLES}
MODELS = {
    CHAT: "up/talk",
    "/v1/completions": "up/talk",
    "/v1/embeddings": "up/embed",
    "/v1alpha/inference/rerank": "up/order",
}
KINDS = {"talk": "llm", "embed": "embedding", "order": "rerank"}


@pytest.fixture(name="server")
async def _server(tmp_path: Path) -> AsyncIterator[Running]:
    with Upstream() as up:
        provider = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": up.base_url}}
        models = [
            {"model_id": name, "provider_id": "up", "model_type": kind, "model_validation": False}
            for name, kind in KINDS.items()
        ]
        routing = {"retries_max": 0, "breaker": {"failures": 1_000_000}}
        async with whole_stack(tmp_path, [provider], models, server={"routing": routing}) as server:
            yield server


async def test_made_up_requests(server: Running) -> None:
    async with client(server) as http:
        document = (await http.get("/openapi.json")).json()
        question = {"model": "up/talk", "messages": [{"role": "user", "content": "Hello"}], "store": True}
        stored = (await http.post(CHAT, json=question)).json()["id"]
    known = {"completion_id": stored, "model_id": "up/talk", "provider_id": "up"}
    await asyncio.to_thread(try_all, document, server.url, known)


def try_all(document: dict[str, Any], url: str, known: Mapping[str, str]) -> None:
    schema = schemathesis.openapi.from_dict(document)
    with requests.Session() as session:
        session.trust_env = False
        for operation in (result.ok() for result in schema.get_all_operations()):
            for mode, examples in TRIED.items():
                if mode is GenerationMode.POSITIVE or operation.body:
                    try_operation(operation, mode, examples, lambda case: answer(case, url, session, known))

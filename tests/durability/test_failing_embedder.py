"""A provider of embeddings that fails while files are ingested: for a while, and the files wait for it; or it refuses
them, and they end `failed` and say why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.knowledge import Library, embedding_words, library
from tests.support.upstream import Answer, Cut, Recorded, Reply, Wire, error, rate_limited

pytestmark = pytest.mark.anyio

TEXT = "Bees make honey from nectar"
TIMEOUT_S = 90.0


@pytest.fixture
async def lib(tmp_path: Path) -> AsyncIterator[Library]:
    async with library(tmp_path) as opened:
        yield opened


def other_count(request: Recorded) -> Answer:
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return Wire().json({"object": "list", "data": [], "model": "embedder", "usage": usage})


def cut(request: Recorded) -> Answer:
    answer = embedding_words(request)
    return Answer(answer.status, answer.headers, (b'{"object": "list", "da', Cut()), length=500)


A_WHILE: dict[str, Reply] = {
    "500": error(500, "It broke."),
    "429 with Retry-After": rate_limited("1"),
    "another number of vectors": other_count,
    "a reply that breaks off": cut,
}


@pytest.mark.parametrize("failure", A_WHILE)
async def test_what_fails_for_a_while_is_waited_for(lib: Library, failure: str) -> None:
    store = await lib.openai.vector_stores.create()
    lib.upstream.reply(*[A_WHILE[failure]] * 3, on="/embeddings")
    async with asyncio.timeout(TIMEOUT_S):
        file = await lib.attached(store.id, TEXT)
    assert (file.status, file.last_error) == ("completed", None)
    assert await lib.found(store.id, "honey") == [TEXT]


@pytest.mark.parametrize("status", [400, 401])
async def test_what_is_refused_is_not_asked_again(lib: Library, status: int) -> None:
    store = await lib.openai.vector_stores.create()
    lib.upstream.always(error(status, "No."), on="/embeddings")
    async with asyncio.timeout(TIMEOUT_S):
        file = await lib.attached(store.id, TEXT)
    assert file.status == "failed"
    assert file.last_error is not None
    assert file.last_error.code == "server_error"
    assert len([asked for asked in lib.upstream.requests if asked.path.endswith("/embeddings")]) == 1
    assert (await lib.openai.vector_stores.retrieve(store.id)).file_counts.failed == 1

"""Embedding: batches, texts that are known, texts that are too long, providers that fail."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Collection

import pytest

from llama_stack.rag.embed import BATCH_CHARACTERS_MAX, BATCH_TEXTS_MAX, Embedder, Space
from llama_stack.rag.retry import Patience
from llama_stack.rag.vectors import mean
from llama_stack_api.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    LlamaStackError,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderUnreachable,
    RateLimited,
)
from llama_stack_api.principal import Call
from tests.support.embedding import HashingEmbedder, vector_of

pytestmark = pytest.mark.anyio

SPACE = Space("acme", "model", 32)
CALL = Call()
PATIENT = Patience(tries=4, first_s=0.001, longest_s=0.002)


class Known:
    def __init__(self) -> None:
        self.vectors: dict[str, bytes] = {}

    async def known_embeddings(self, digests: Collection[str]) -> dict[str, bytes]:
        return {digest: self.vectors[digest] for digest in digests if digest in self.vectors}


def embedder(port: HashingEmbedder, known: Known | None = None) -> Embedder:
    return Embedder(port, known or Known(), patience=PATIENT)


async def test_each_text_is_embedded_once_in_bounded_batches() -> None:
    port = HashingEmbedder()
    texts = (
        [f"text number {number % 100}" for number in range(150)]
        + ["long " * 9000] * 4
        + ["longer " * 20_000]
        + ["lengthy " * 9000]
    )
    found = await embedder(port).embed(SPACE, texts, CALL)
    assert [each.vector for each in found] == [vector_of(text) for text in texts]
    assert [each.digest for each in found] == [SPACE.digest(text) for text in texts]
    assert sorted(port.texts) == sorted(set(texts))
    assert all(len(batch) <= BATCH_TEXTS_MAX for batch in port.asked)
    assert all(len(batch) == 1 or sum(map(len, batch)) <= BATCH_CHARACTERS_MAX for batch in port.asked)


async def test_what_is_known_is_not_embedded_again() -> None:
    port, known = HashingEmbedder(), Known()
    known.vectors = {SPACE.digest("one"): b"1234" * 32, SPACE.digest("two"): b"5678" * 32}
    found = await embedder(port, known).embed(SPACE, ["one", "three", "two"], CALL)
    assert [each.vector for each in found] == [b"1234" * 32, vector_of("three"), b"5678" * 32]
    assert port.texts == ["three"]


def test_a_digest_is_of_all_that_decides_the_vector() -> None:
    spaces = [SPACE, Space("other", "model", 32), Space("acme", "model2", 32), Space("acme", "model", 64)]
    assert len({space.digest(text) for space in spaces for text in ("one", "two", "")}) == 12


def held(port: HashingEmbedder) -> tuple[asyncio.Event, asyncio.Event]:
    """It says that it was asked, and answers when it may."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def before() -> None:
        begun.set()
        await go_on.wait()

    port.before = before
    return begun, go_on


async def test_what_is_being_embedded_is_waited_for() -> None:
    port = HashingEmbedder()
    begun, go_on = held(port)
    shared = embedder(port)
    first = asyncio.create_task(shared.embed(SPACE, ["one", "two"], CALL))
    await begun.wait()
    second = asyncio.create_task(shared.embed(SPACE, ["two", "three"], CALL))
    go_on.set()
    assert [each.vector for each in await first] == [vector_of("one"), vector_of("two")]
    assert [each.vector for each in await second] == [vector_of("two"), vector_of("three")]
    assert sorted(port.texts) == ["one", "three", "two"]


async def test_what_failed_elsewhere_is_embedded_here() -> None:
    port = HashingEmbedder()
    begun, go_on = held(port)
    port.failures.append(InvalidRequest("no"))
    shared = embedder(port)
    first = asyncio.create_task(shared.embed(SPACE, ["one"], CALL))
    await begun.wait()
    second = asyncio.create_task(shared.embed(SPACE, ["one"], CALL))
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(InvalidRequest):
        await first
    assert [each.vector for each in await second] == [vector_of("one")]


@pytest.mark.parametrize("context", [20, None])
async def test_a_text_beyond_the_context_is_embedded_in_windows(context: int | None) -> None:
    port = HashingEmbedder(context=context, takes=20)
    long = " ".join(f"word{number}" for number in range(100))
    found = await embedder(port).embed(SPACE, ["short", long, "brief"], CALL)
    assert [found[0].vector, found[2].vector] == [vector_of("short"), vector_of("brief")]
    assert math.isclose(math.hypot(*struct.unpack("<32f", found[1].vector)), 1.0, rel_tol=1e-6)
    windows = [text for text in port.texts if text not in ("short", "brief")]
    assert " ".join(windows) == long


async def test_a_model_that_takes_nothing_ends_it() -> None:
    port = HashingEmbedder(takes=1)
    with pytest.raises(ContextLengthExceeded):
        await embedder(port).embed(SPACE, ["some words that never fit in"], CALL)


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("slow down", retry_after_s=0.001),
        ProviderUnreachable("no"),
        ProviderError("no", upstream_status=503),
    ],
)
async def test_transient_errors_are_tried_again(error: LlamaStackError) -> None:
    port = HashingEmbedder()
    port.failures.extend([error] * 3)
    assert [each.vector for each in await embedder(port).embed(SPACE, ["one"], CALL)] == [vector_of("one")]
    assert len(port.calls) == 4


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (InvalidRequest("no"), 1),
        (ProviderRejectedCredentials("no", upstream_status=401), 1),
        (ProviderError("no", upstream_status=404), 1),
        (RateLimited("slow down", retry_after_s=0.001), 4),
    ],
)
async def test_other_errors_are_not_nor_is_it_tried_for_ever(error: LlamaStackError, tries: int) -> None:
    port = HashingEmbedder()
    port.failures.extend([error] * 9)
    with pytest.raises(type(error)):
        await embedder(port).embed(SPACE, ["one"], CALL)
    assert len(port.calls) == tries


async def test_nothing_is_tried_after_the_deadline() -> None:
    port = HashingEmbedder()
    port.failures.append(RateLimited("slow down", retry_after_s=60))
    call = Call(deadline=asyncio.get_running_loop().time() + 1)
    with pytest.raises(RateLimited):
        await embedder(port).embed(SPACE, ["one"], call)


def test_a_mean_is_of_directions() -> None:
    east, north = struct.pack("<2f", 100, 0), struct.pack("<2f", 0, 1)
    assert struct.unpack("<2f", mean([east, north], [1, 1])) == pytest.approx((0.70711, 0.70711), abs=1e-5)
    assert struct.unpack("<2f", mean([east, north], [3, 0])) == (1, 0)
    assert mean([struct.pack("<2f", 0, 0)], [1]) == struct.pack("<2f", 0, 0)

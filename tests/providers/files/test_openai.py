"""OpenAI's files alone: what is sent, whose key, and what becomes of refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    NotFound,
    PayloadTooLarge,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderUnreachable,
    RateLimited,
)
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthStatus
from tests.providers.files.places import CALL, Place, new, openai, opened, stream
from tests.support.openai_files import KEY, OTHER_KEY, OpenAIFilesServer, Refusal

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


@pytest.fixture
async def server() -> AsyncIterator[OpenAIFilesServer]:
    async with OpenAIFilesServer() as server:
        yield server


@pytest.fixture
async def place(tmp_path: Path, server: OpenAIFilesServer) -> AsyncIterator[Place]:
    async with openai(tmp_path, server) as place:
        yield place


@pytest.mark.parametrize("size", [None, 6])
async def test_what_is_sent(place: Place, server: OpenAIFilesServer, size: int | None) -> None:
    name = 'Jahres"be\r\nricht ü.pdf'
    kept = await place.put(
        b"abc", b"def", filename=name, purpose="fine-tune", content_type="application/pdf", size=size
    )
    stored = server.files[kept.key]
    assert (stored.body, stored.purpose, stored.content_type) == (b"abcdef", "fine-tune", "application/pdf")
    assert stored.filename == "Jahres%22be%0D%0Aricht ü.pdf"
    assert ("content-length" in server.upload_headers) == (size is not None)
    assert server.upload_headers["content-type"].startswith("multipart/form-data; boundary=")


async def test_a_content_type_that_would_be_a_header_is_not_sent(place: Place, server: OpenAIFilesServer) -> None:
    kept = await place.put(b"x", content_type="text/plain\r\nX-Evil: 1")
    assert server.files[kept.key].content_type == "application/octet-stream"


async def test_the_key_of_the_call_takes_the_place_of_the_configured_one(
    place: Place, server: OpenAIFilesServer
) -> None:
    mine = Call(provider_data={"openai_api_key": SecretStr(OTHER_KEY)})
    kept = await place.provider.write_content(new(), stream(b"x"), mine)
    assert server.files[kept.key].project == "two"
    assert [data async for data in place.provider.read_content(kept.key, mine)] == [b"x"]
    with pytest.raises(NotFound):
        await place.get(kept.key)
    await place.provider.delete_content(kept.key, mine)
    assert server.files == {}


async def test_without_any_key(tmp_path: Path, server: OpenAIFilesServer) -> None:
    async with opened("remote::openai", tmp_path, base_url=server.base_url, api_key="") as provider:
        with pytest.raises(ProviderRejectedCredentials, match="openai_api_key"):
            await provider.write_content(new(), stream(b"x"), CALL)
        assert (await provider.health()).status is HealthStatus.ERROR
        mine = Call(provider_data={"openai_api_key": SecretStr("a\r\nX-Evil: 1")})
        with pytest.raises(InvalidRequest, match="line break"):
            await provider.write_content(new(), stream(b"x"), mine)


@pytest.mark.parametrize(
    ("refusal", "expected", "message"),
    [
        (Refusal(401, f"Incorrect API key provided: {KEY}."), ProviderRejectedCredentials, "Check its api_key"),
        (Refusal(429, "Slow down", headers={"Retry-After": "7"}), RateLimited, "Slow down"),
        (Refusal(500, f"The server had an error; key {KEY}"), ProviderError, "The server had an error; key ***"),
        (Refusal(400, "Invalid file format for fine-tune."), InvalidRequest, "Invalid file format"),
        (Refusal(413, "The file is larger than 512 MB."), PayloadTooLarge, "512 MB"),
    ],
    ids=["401", "429", "500", "400", "413"],
)
async def test_refusals(
    place: Place, server: OpenAIFilesServer, refusal: Refusal, expected: type[LlamaStackError], message: str
) -> None:
    kept = await place.put(b"x")
    for attempt in (
        lambda: place.put(b"x" * 1000),
        lambda: place.get(kept.key),
        lambda: place.get(kept.key, 0, 1),
        lambda: place.provider.delete_content(kept.key, CALL),
    ):
        server.refuse = refusal
        with pytest.raises(expected, match=message.replace("*", r"\*")) as raised:
            await attempt()
        assert KEY not in raised.value.message
        assert type(raised.value) is expected
        if refusal.status == 429:
            assert raised.value.retry_after_s == 7
    server.refuse = refusal
    assert (await place.provider.health()).status is HealthStatus.ERROR
    assert list(server.files) == [kept.key]


async def test_a_refusal_does_not_wait_for_the_end_of_the_file(place: Place, server: OpenAIFilesServer) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += MIB
            yield b"x" * MIB

    server.refuse = Refusal(429, "Slow down")
    with pytest.raises((RateLimited, ProviderUnreachable)):
        await place.send(endless())
    assert sent < 256 * MIB
    assert server.files == {}


async def test_a_file_that_lost_a_byte_is_removed_again(place: Place, server: OpenAIFilesServer) -> None:
    server.counts_wrong = True
    with pytest.raises(ProviderError, match="took 9 of the file's 10 bytes"):
        await place.put(b"0123456789")
    assert server.files == {}


async def test_a_size_that_is_not_true_is_an_error(place: Place, server: OpenAIFilesServer) -> None:
    for size in (9, 11):
        with pytest.raises(ValueError, match="bytes was announced"):
            await place.put(b"01234", b"56789", size=size)
    assert server.files == {}

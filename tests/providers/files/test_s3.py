"""S3 alone: one request or many parts, what it is told about integrity, and what goes wrong with a bucket."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import socket
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from pydantic import ValidationError

from llama_stack.providers.files.s3 import S3Config
from llama_stack_api.errors import (
    NotFound,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderStreamBroken,
    ProviderTimeout,
    ProviderUnreachable,
)
from llama_stack_api.provider import HealthStatus
from tests.providers.files.places import CALL, CREDENTIALS, Place, new, opened, s3, stream

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
SECRETS = tuple(CREDENTIALS.values())


@pytest.fixture
async def place(tmp_path: Path, s3_url: str) -> AsyncIterator[Place]:
    async with s3(tmp_path, s3_url) as place:
        yield place


def watched(place: Place) -> list[str]:
    """The operations that go out from here on."""
    seen: list[str] = []
    events = place.extra["client"].meta.events
    events.register("before-call.s3", lambda model, **_: seen.append(model.name))
    return seen


async def test_a_small_file_is_one_request_a_large_one_goes_in_parts(place: Place) -> None:
    seen = watched(place)
    await place.put(b"x" * 8 * MIB)
    assert seen == ["PutObject"]
    seen.clear()
    kept = await place.put(*[b"y" * 3 * MIB] * 6, content_type="text/plain")
    assert seen == ["CreateMultipartUpload", "UploadPart", "UploadPart", "UploadPart", "CompleteMultipartUpload"]
    await place.put(b"z", content_type="text/plain; über=\r\nX-Evil: 1")
    name = "stack/" + kept.key.rpartition(".")[0]
    head = place.extra["client"].head_object(Bucket=place.extra["bucket"], Key=name)
    assert (head["ContentLength"], head["ContentType"]) == (18 * MIB, "text/plain")


async def test_every_part_is_sent_with_its_checksum(place: Place) -> None:
    sent: list[dict[str, Any]] = []
    events = place.extra["client"].meta.events
    for operation in ("PutObject", "UploadPart"):
        events.register(f"before-call.s3.{operation}", lambda params, **_: sent.append(dict(params["headers"])))
    await place.put(b"x")
    await place.put(b"x" * 9 * MIB)
    assert len(sent) == 3
    assert all(len(headers["Content-MD5"]) == 24 for headers in sent)


async def test_an_unfinished_upload_is_aborted(place: Place) -> None:
    during: list[str] = []
    seen = watched(place)

    async def failing() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 8 * MIB
        during.extend(place.left())
        raise RuntimeError("the client is gone")

    with pytest.raises(RuntimeError, match="the client is gone"):
        await place.send(failing())
    assert len(during) == 1
    assert seen[-1] == "AbortMultipartUpload"
    assert place.left() == []


async def test_a_completion_whose_reply_was_lost_is_not_a_failure(place: Place) -> None:
    client, completed = place.extra["client"], []

    def complete_twice(**_: Any) -> None:
        """The first time by another client: ours is refused then, as when it asks again after a lost reply."""
        (upload,) = client.list_multipart_uploads(Bucket=place.extra["bucket"])["Uploads"]
        where = {"Bucket": place.extra["bucket"], "Key": upload["Key"], "UploadId": upload["UploadId"]}
        parts = [
            {"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in client.list_parts(**where)["Parts"]
        ]
        other = boto3.client("s3", endpoint_url=client.meta.endpoint_url, region_name="us-east-1", **CREDENTIALS)
        completed.append(other.complete_multipart_upload(**where, MultipartUpload={"Parts": parts}))
        other.close()

    client.meta.events.register_first("provide-client-params.s3.CompleteMultipartUpload", complete_twice)
    kept = await place.put(b"x" * 9 * MIB)
    assert len(completed) == 1
    assert len(await place.get(kept.key)) == 9 * MIB


async def test_uploads_that_a_crash_left_are_discarded(place: Place) -> None:
    client, bucket, content = place.extra["client"], place.extra["bucket"], new()
    tenant = hashlib.sha256(b"t").hexdigest()[:32]
    client.create_multipart_upload(Bucket=bucket, Key=f"stack/{tenant}/{content.id}")
    client.create_multipart_upload(Bucket=bucket, Key=f"stack/{tenant}/{content.id}0")
    await place.provider.discard_content("t", content.id, CALL)
    assert place.left() == [f"stack/{tenant}/{content.id}0"]


async def test_other_bytes_than_were_given_are_noticed(place: Place) -> None:
    kept = await place.put(b"what was given")
    name = "stack/" + kept.key.rpartition(".")[0]
    place.extra["client"].put_object(Bucket=place.extra["bucket"], Key=name, Body=b"something else")
    with pytest.raises(ProviderStreamBroken, match="damaged"):
        await place.get(kept.key)


async def test_a_missing_bucket(tmp_path: Path, s3_url: str) -> None:
    async with opened("remote::s3", tmp_path, **CREDENTIALS, bucket_name="nowhere", endpoint_url=s3_url) as provider:
        health = await provider.health()
        assert health.status is HealthStatus.ERROR
        assert "'nowhere' does not exist" in health.message
        with pytest.raises(ProviderError, match="auto_create_bucket"):
            await provider.write_content(new(), stream(b"x"), CALL)
        with pytest.raises(ProviderError, match="auto_create_bucket") as raised:
            await anext(provider.read_content("0" * 32 + "/file-1." + "0" * 64, CALL))
        assert not isinstance(raised.value, NotFound)


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
async def test_a_bucket_is_made_where_the_config_says_so(tmp_path: Path, s3_url: str, region: str) -> None:
    config = {"bucket_name": f"made-in-{region}", "endpoint_url": s3_url, "auto_create_bucket": True, "region": region}
    async with opened("remote::s3", tmp_path, **CREDENTIALS, **config) as provider:
        await asyncio.gather(*(provider.write_content(new(), stream(b"x"), CALL) for _ in range(4)))
    async with opened("remote::s3", tmp_path, **CREDENTIALS, **config) as provider:
        assert (await provider.health()).status is HealthStatus.OK


async def test_wrong_credentials(place: Place, tmp_path: Path, s3_url: str) -> None:
    config = {"bucket_name": place.extra["bucket"], "endpoint_url": s3_url}
    actions_without_check(s3_url, 0)
    try:
        async with opened("remote::s3", tmp_path, **CREDENTIALS, **config) as provider:
            with pytest.raises(ProviderRejectedCredentials) as raised:
                await provider.write_content(new(), stream(b"x"), CALL)
            health = await provider.health()
    finally:
        actions_without_check(s3_url, 1_000_000_000)
    assert "InvalidAccessKeyId" in raised.value.message
    assert health.status is HealthStatus.ERROR
    assert not any(secret in raised.value.message + str(health.message) for secret in SECRETS)


async def test_no_credentials(tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with opened("remote::s3", tmp_path, bucket_name="some-bucket", endpoint_url=s3_url) as provider:
        with pytest.raises(ProviderRejectedCredentials, match="aws_access_key_id"):
            await provider.write_content(new(), stream(b"x"), CALL)


async def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        config = {"bucket_name": "some-bucket", "endpoint_url": url, "attempts_max": 1}
        async with opened("remote::s3", tmp_path, **CREDENTIALS, **config) as provider:
            with pytest.raises(ProviderUnreachable, match="endpoint_url") as raised:
                await provider.write_content(new(), stream(b"x"), CALL)
            assert "127.0.0.1" not in raised.value.message
            assert (await provider.health()).status is HealthStatus.ERROR


async def test_an_endpoint_that_says_nothing(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        config = {"bucket_name": "some-bucket", "endpoint_url": url, "attempts_max": 1, "read_timeout_s": 0.1}
        async with opened("remote::s3", tmp_path, **CREDENTIALS, **config) as provider:
            with pytest.raises(ProviderTimeout):
                await provider.write_content(new(), stream(b"x"), CALL)


async def test_a_reply_that_is_cut(tmp_path: Path) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        config = {"bucket_name": "some-bucket", "endpoint_url": url, "attempts_max": 1}
        async with opened("remote::s3", tmp_path, **CREDENTIALS, **config) as provider:
            with pytest.raises(ProviderStreamBroken):
                _ = [data async for data in provider.read_content("0" * 32 + "/file-1." + "0" * 64, CALL)]


async def test_an_address_that_is_none(tmp_path: Path) -> None:
    async with opened(
        "remote::s3", tmp_path, **CREDENTIALS, bucket_name="some-bucket", endpoint_url="http://no where"
    ) as provider:
        with pytest.raises(ProviderError, match="endpoint_url or region is not valid"):
            await provider.write_content(new(), stream(b"x"), CALL)


async def test_the_client_is_made_at_the_first_use(tmp_path: Path) -> None:
    config = {"bucket_name": "some-bucket", "endpoint_url": "http://127.0.0.1:9", "auto_create_bucket": True}
    async with opened("remote::s3", tmp_path, **CREDENTIALS, **config) as provider:
        assert provider._opened is None


def test_a_config_from_an_environment() -> None:
    config = S3Config.model_validate(
        {"bucket_name": 12345, "region": None, "aws_access_key_id": 77, "aws_secret_access_key": 88, "endpoint_url": ""}
    )
    assert (config.bucket_name, config.region, config.endpoint_url) == ("12345", "us-east-1", None)
    assert "88" not in repr(config)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"bucket_name": ""},
        {"bucket_name": "some-bucket", "aws_access_key_id": "one alone"},
        {"bucket_name": "some-bucket", "endpoint_url": "ftp://x"},
        {"bucket_name": "some-bucket", "key_prefix": "a b\n"},
    ],
)
def test_a_config_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        S3Config.model_validate(wrong)


def test_importing_the_provider_imports_no_boto3() -> None:
    source = Path(importlib.import_module("llama_stack.providers.files.s3").__file__ or "").read_text(encoding="utf-8")
    assert "\nimport boto" not in source
    assert "\nfrom boto" not in source


def actions_without_check(url: str, count: int) -> None:
    """How many requests the server takes before it begins to check who sends them."""
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{url}/moto-api/reset-auth", data=str(count).encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.status == 200

"""Uploads through the `openai` package: parts in any order, one file, and nothing left of what came to nothing."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import Upload

from tests.support.edge import client, sdk_for
from tests.support.file_servers import LOCALFS, contents, file_server, rows
from tests.support.server import Running
from tests.support.users import as_user, edge_for_users

pytestmark = pytest.mark.anyio

BODY = bytes(range(256)) * 4000


async def begun(sdk: openai.AsyncOpenAI, size: int = len(BODY), **more: Any) -> Upload:
    announced: dict[str, Any] = {"filename": "a.bin", "mime_type": "text/plain", "purpose": "user_data", **more}
    return await sdk.uploads.create(bytes=size, **announced)


async def part(sdk: openai.AsyncOpenAI, upload: Upload, data: bytes) -> str:
    return (await sdk.uploads.parts.create(upload.id, data=data)).id


async def test_upload_file_chunked(sdk: openai.AsyncOpenAI, tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(BODY)
    done = await sdk.uploads.upload_file_chunked(
        file=path, mime_type="text/plain", purpose="user_data", part_size=100_000, md5=hashlib.md5(BODY).hexdigest()
    )
    assert done.status == "completed"
    assert done.file is not None
    assert (done.file.filename, done.file.bytes, done.file.purpose) == ("book.txt", len(BODY), "user_data")
    assert (await sdk.files.content(done.file.id)).content == BODY
    assert [file.id async for file in sdk.files.list()] == [done.file.id]
    assert contents(tmp_path) == [BODY], "the parts are gone"


async def test_parts_come_at_the_same_time_and_the_client_orders_them(sdk: openai.AsyncOpenAI) -> None:
    upload = await begun(sdk, expires_after={"anchor": "created_at", "seconds": 7200})
    assert (upload.status, upload.object, upload.expires_at) == ("pending", "upload", upload.created_at + 3600)
    slices = [BODY[at : at + 128_000] for at in range(0, len(BODY), 128_000)]
    ids = await asyncio.gather(*(part(sdk, upload, data) for data in reversed(slices)))
    await part(sdk, upload, b"sent twice, and not named")
    done = await sdk.uploads.complete(upload.id, part_ids=ids[::-1], md5=hashlib.md5(BODY).hexdigest().upper())
    assert done.file is not None
    assert (await sdk.files.content(done.file.id)).content == BODY
    assert done.file.expires_at == done.file.created_at + 7200
    assert await sdk.uploads.complete(upload.id, part_ids=ids[::-1]) == done, "again, it is the same"
    with pytest.raises(openai.BadRequestError, match="completed"):
        await part(sdk, upload, b"late")


async def test_completing_at_the_same_time_makes_one_file(sdk: openai.AsyncOpenAI, tmp_path: Path) -> None:
    upload = await begun(sdk)
    ids = [await part(sdk, upload, BODY)]
    done = await asyncio.gather(
        *(sdk.uploads.complete(upload.id, part_ids=ids) for _ in range(5)), return_exceptions=True
    )
    files = {each.file.id for each in done if isinstance(each, Upload) and each.file is not None}
    assert len(files) == 1
    assert all(isinstance(each, Upload | openai.ConflictError) for each in done)
    assert [file.id async for file in sdk.files.list()] == list(files)
    assert contents(tmp_path) == [BODY]


async def test_what_does_not_fit_is_refused_and_can_be_mended(sdk: openai.AsyncOpenAI, server: Running) -> None:
    upload, other = await begun(sdk), await begun(sdk)
    half, rest = await part(sdk, upload, BODY[:500_000]), await part(sdk, upload, BODY[500_000:])
    foreign = await part(sdk, other, BODY)
    for ids, md5, words in (
        ([half], None, "500000 bytes together"),
        ([], None, "0 bytes together"),
        ([half, half], None, "twice"),
        ([half, "part_none"], None, "no part"),
        ([foreign], None, "no part"),
        ([half, rest], "0" * 32, "have the md5"),
        ([rest, half], hashlib.md5(BODY).hexdigest(), "have the md5"),
        ([half, rest], "short", "32 hexadecimal"),
    ):
        with pytest.raises(openai.BadRequestError, match=words):
            await sdk.uploads.complete(upload.id, part_ids=ids, md5=md5 or openai.omit)
    assert sorted((await rows(server)).values()) == ["kept"] * 3, "nothing is left of what was tried"
    assert (await sdk.uploads.complete(upload.id, part_ids=[half, rest])).status == "completed"


async def test_cancelled_uploads(sdk: openai.AsyncOpenAI, server: Running, tmp_path: Path) -> None:
    upload = await begun(sdk)
    ids = [await part(sdk, upload, BODY)]
    assert (await sdk.uploads.cancel(upload.id)).status == "cancelled"
    for late in (
        part(sdk, upload, b"late"),
        sdk.uploads.complete(upload.id, part_ids=ids),
        sdk.uploads.cancel(upload.id),
    ):
        with pytest.raises(openai.BadRequestError, match="cancelled"):
            await late
    assert contents(tmp_path) == []
    assert await rows(server) == {}


async def test_what_cannot_be_announced(sdk: openai.AsyncOpenAI) -> None:
    for wrong, param in (
        ({"size": 9 * 1024**3}, "bytes"),
        ({"size": -1}, "bytes"),
        ({"filename": "a\0b"}, "filename"),
        ({"filename": ""}, "filename"),
        ({"purpose": "batch_output"}, "purpose"),
        ({"expires_after": {"anchor": "created_at", "seconds": 1}}, "expires_after.seconds"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            await begun(sdk, **wrong)
        assert refused.value.param == param


async def test_limits_of_parts(tmp_path: Path) -> None:
    async with file_server(tmp_path, {"part_bytes_max": 1000, "parts_max": 2}) as server, sdk_for(server) as sdk:
        upload = await begun(sdk)
        with pytest.raises(openai.APIStatusError, match=r"server\.files\.part_bytes_max") as refused:
            await part(sdk, upload, b"x" * 1001)
        assert refused.value.status_code == 413
        await part(sdk, upload, b"x" * 1000)
        await part(sdk, upload, b"")
        with pytest.raises(openai.BadRequestError, match=r"server\.files\.parts_max"):
            await part(sdk, upload, b"x")
        assert contents(tmp_path) == [b"x" * 1000]
        async with client(server) as http:
            missing = await http.post(f"/v1/uploads/{upload.id}/parts", files=[("other", ("a", b"x"))])
        assert (missing.status_code, missing.json()["error"]["param"]) == (400, "data")


async def test_uploads_of_others_do_not_exist(tmp_path: Path) -> None:
    async with edge_for_users(tmp_path, config=LOCALFS) as server:
        announced = {"filename": "a", "purpose": "vision", "bytes": 1, "mime_type": "text/plain"}
        async with as_user(server, "alice") as alice:
            path = f"/v1/uploads/{(await alice.post('/v1/uploads', json=announced)).json()['id']}"
            ids = [(await alice.post(path + "/parts", files=[("data", ("a", b"x"))])).json()["id"]]
        for other in ("bob", "alice-too"):
            async with as_user(server, other) as http:
                replies = [
                    await http.post(path + "/parts", files=[("data", ("a", b"y"))]),
                    await http.post(path + "/complete", json={"part_ids": ids}),
                    await http.post(path + "/cancel"),
                ]
                assert [reply.status_code for reply in replies] == [404] * 3
        async with as_user(server, "alice") as alice:
            done = (await alice.post(path + "/complete", json={"part_ids": ids})).json()
            assert (await alice.get(f"/v1/files/{done['file']['id']}/content")).content == b"x"

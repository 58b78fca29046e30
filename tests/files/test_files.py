"""The files API through the `openai` package, and what it must refuse."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import httpx
import openai
import pytest
from openai.types import FilePurpose

from tests.support.edge import client, edge, sdk_for
from tests.support.file_servers import LOCALFS, contents, file_server, rows
from tests.support.server import Running
from tests.support.users import as_user, edge_for_users

pytestmark = pytest.mark.anyio

HOUR = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}


async def create(server: Running, *parts: Any) -> httpx.Response:
    """A form with its parts in this order; a field's filename is None."""
    async with client(server) as http:
        return await http.post("/v1/files", files=list(parts))


def field(name: str, value: str) -> Any:
    return name, (None, value)


async def test_the_life_of_a_file(server: Running, sdk: openai.AsyncOpenAI, tmp_path: Path) -> None:
    body = bytes(range(256)) * 5000
    made = await sdk.files.create(
        file=("Grüße 🦙.bin", body), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert made.id.startswith("file-")
    assert (made.filename, made.bytes, made.purpose, made.status) == (
        "Grüße 🦙.bin",
        len(body),
        "user_data",
        "processed",
    )
    assert made.expires_at == made.created_at + 3600
    assert await sdk.files.retrieve(made.id) == made
    assert [file async for file in sdk.files.list()] == [made]
    assert (await sdk.files.content(made.id)).content == body
    assert contents(tmp_path) == [body]
    assert (await sdk.files.delete(made.id)).deleted
    for gone in (sdk.files.retrieve(made.id), sdk.files.content(made.id), sdk.files.delete(made.id)):
        with pytest.raises(openai.NotFoundError):
            await gone
    assert contents(tmp_path) == []
    assert await rows(server) == {}


async def test_every_purpose(sdk: openai.AsyncOpenAI) -> None:
    for purpose in get_args(FilePurpose):
        made = await sdk.files.create(file=("a.jsonl", b"{}"), purpose=purpose)
        assert made.purpose == purpose
        assert (made.expires_at is not None) == (purpose == "batch"), "batch files expire after 30 days"
        assert [file.id async for file in sdk.files.list(purpose=purpose)] == [made.id]
    with pytest.raises(openai.BadRequestError, match="made by the server"):
        await sdk.files.create(file=b"x", purpose="batch_output")  # type: ignore[arg-type]


async def test_pages_and_order(sdk: openai.AsyncOpenAI) -> None:
    made = [(await sdk.files.create(file=(f"{number}.txt", b""), purpose="vision")).id for number in range(7)]
    assert [file.id async for file in sdk.files.list(limit=3)] == made[::-1]
    assert [file.id async for file in sdk.files.list(limit=2, order="asc")] == made
    assert [file.id async for file in sdk.files.list(after=made[2], order="asc")] == made[3:]
    page = await sdk.files.list(limit=3)
    assert (page.has_more, len(page.data)) == (True, 3)
    queries: tuple[dict[str, Any], ...] = (
        {"limit": 0},
        {"limit": 10_001},
        {"after": "file-none"},
        {"purpose": "none"},
        {"order": "up"},
    )
    for wrong in queries:
        with pytest.raises(openai.BadRequestError) as refused:
            await sdk.files.list(**wrong)
        assert refused.value.param == next(iter(wrong))


async def test_parts_in_any_order(server: Running, tmp_path: Path) -> None:
    big = ("file", ("a.txt", b"x" * 3_000_000))
    for parts in (
        [field("purpose", "batch"), *(field(*each) for each in HOUR.items()), big],
        [big, *(field(*each) for each in HOUR.items()), field("purpose", "batch")],
        [field("purpose", "batch"), big, *(field(*each) for each in HOUR.items()), field("more", "ignored")],
    ):
        made = (await create(server, *parts)).json()
        assert (made["bytes"], made["expires_at"] - made["created_at"], made["purpose"]) == (3_000_000, 3600, "batch")
    assert list((tmp_path / "state" / "local-copies").iterdir()) == []


REFUSED: list[tuple[list[Any], str | None, str | None]] = [
    ([("file", ("a", b"x"))], "purpose", "missing_required_parameter"),
    ([field("purpose", "vision")], "file", "missing_required_parameter"),
    ([field("purpose", "fun"), ("file", ("a", b"x"))], "purpose", "invalid_value"),
    ([("file", ("a", b"x")), field("purpose", "fun")], "purpose", "invalid_value"),
    ([field("purpose", "vision"), ("file", ("a", b"x")), ("file", ("b", b"y"))], "file", "invalid_value"),
    ([field("purpose", "vision")] * 2, "purpose", "invalid_value"),
    ([field("purpose", "vision"), ("file", ("n" * 1025, b"x"))], "file", "invalid_value"),
    (
        [field("purpose", "vision"), field("expires_after[seconds]", "5"), ("file", ("a", b"x"))],
        "expires_after.seconds",
        "invalid_value",
    ),
    (
        [field("purpose", "vision"), ("file", ("a", b"x")), field("expires_after[anchor]", "end")],
        None,
        None,
    ),
]


async def test_what_is_refused(server: Running, tmp_path: Path) -> None:
    for parts, param, code in REFUSED:
        reply = await create(server, *parts)
        assert reply.status_code == 400
        error = reply.json()["error"]
        assert error["type"] == "invalid_request_error"
        if param is not None:
            assert (error["param"], error["code"]) == (param, code)
        assert contents(tmp_path) == []
        assert await rows(server) == {}


async def test_names_are_text(server: Running) -> None:
    async with client(server) as http:
        for filename in ["../../etc/passwd", "C:\\x\\y.txt", 'a"b;c.txt', "x\r\nset-cookie: y", "🦙" * 300]:
            made = (await create(server, field("purpose", "vision"), ("file", (filename, b"x")))).json()
            assert made["filename"] == filename
            reply = await http.get(f"/v1/files/{made['id']}/content")
            assert reply.headers["content-disposition"].startswith("attachment; filename=")
            assert "set-cookie" not in reply.headers


async def test_a_name_with_nul_is_refused(server: Running) -> None:
    form = (
        b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nvision\r\n'
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a\0b"\r\n\r\nx\r\n--b--\r\n'
    )
    async with client(server) as http:
        reply = await http.post("/v1/files", content=form, headers={"content-type": "multipart/form-data; boundary=b"})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "file")


async def test_ranges_and_preconditions(server: Running, sdk: openai.AsyncOpenAI) -> None:
    body = bytes(range(256)) * 1000
    made = await sdk.files.create(file=("a.bin", body), purpose="user_data")
    path = f"/v1/files/{made.id}/content"
    async with client(server) as http:
        whole = await http.get(path)
        assert whole.headers["etag"] == f'"{hashlib.sha256(body).hexdigest()}"'
        assert whole.headers["accept-ranges"] == "bytes"
        part = await http.get(path, headers={"range": "bytes=1000-200999"})
        assert (part.status_code, part.content) == (206, body[1000:201_000])
        assert part.headers["content-range"] == f"bytes 1000-200999/{len(body)}"
        assert (await http.get(path, headers={"range": "bytes=-7"})).content == body[-7:]
        beyond = await http.get(path, headers={"range": f"bytes={len(body)}-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(body)}")
        assert beyond.json()["error"]["code"] == "range_not_satisfiable"
        unchanged = await http.get(path, headers={"if-none-match": whole.headers["etag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        stale = await http.get(path, headers={"range": "bytes=0-1", "if-range": '"other"'})
        assert (stale.status_code, stale.content) == (200, body)
        head = await http.head(path)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(body)), b"")


async def test_nothing_that_a_browser_would_run(server: Running) -> None:
    async with client(server) as http:
        for filename, said, shown in [
            ("a.html", "text/html", "application/octet-stream"),
            ("a.svg", "image/svg+xml", "application/octet-stream"),
            ("a.pdf", "application/octet-stream", "application/pdf"),
            ("a.jsonl", "", "application/jsonl"),
            ("a.txt", "text/plain; charset=latin-1", "text/plain; charset=utf-8"),
            ("a.bin", "evil\r\ntype", "application/octet-stream"),
        ]:
            file = "file", (filename, b"x", said.replace("\r\n", " "))
            made = (await create(server, field("purpose", "vision"), file)).json()
            reply = await http.get(f"/v1/files/{made['id']}/content")
            assert reply.headers["content-type"] == shown
            assert reply.headers["x-content-type-options"] == "nosniff"


async def test_an_empty_file(sdk: openai.AsyncOpenAI) -> None:
    made = await sdk.files.create(file=("empty", b""), purpose="user_data")
    assert made.bytes == 0
    assert (await sdk.files.content(made.id)).content == b""


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("size", [1_000_001, 4_000_000])
async def test_a_file_that_is_too_large(tmp_path: Path, size: int, declared: bool) -> None:
    async def chunked(body: bytes) -> AsyncIterator[bytes]:
        yield body

    async with file_server(tmp_path, {"bytes_max": 1_000_000}) as server, client(server) as http:
        request = http.build_request(
            "POST", "/v1/files", files=[field("purpose", "vision"), ("file", ("a", b"x" * size))]
        )
        body = request.read()
        headers = {"content-type": request.headers["content-type"]}
        reply = await http.post("/v1/files", content=body if declared else chunked(body), headers=headers)
        error = reply.json()["error"]
        assert (reply.status_code, error["param"]) == (413, "file")
        assert "server.files.bytes_max" in error["message"]
        assert contents(tmp_path) == []
        assert await rows(server) == {}


async def test_room_of_an_owner(tmp_path: Path) -> None:
    limits = {"files_max": 2, "bytes_total_max": 100}
    async with file_server(tmp_path, limits) as server, sdk_for(server) as sdk:
        await sdk.files.create(file=b"x" * 60, purpose="vision")
        with pytest.raises(openai.BadRequestError, match=r"server\.files\.bytes_total_max"):
            await sdk.files.create(file=b"x" * 60, purpose="vision")
        last = await sdk.files.create(file=b"x" * 40, purpose="vision")
        with pytest.raises(openai.BadRequestError, match=r"server\.files\.files_max"):
            await sdk.files.create(file=b"", purpose="vision")
        await sdk.files.delete(last.id)
        await sdk.files.create(file=b"", purpose="vision")
        assert contents(tmp_path) == [b"x" * 60]


async def test_other_bodies(server: Running) -> None:
    async with client(server) as http:
        assert (await http.post("/v1/files", json={"purpose": "vision"})).status_code == 415
        packed = await http.post("/v1/files", files=[field("purpose", "vision")], headers={"content-encoding": "gzip"})
        assert (packed.status_code, packed.json()["error"]["code"]) == (415, "unsupported_content_encoding")
        # A form for a route that takes none is read within the limit of all other bodies.
        assert (await http.post("/v1/prompts", files=[("file", ("a", b"x"))])).status_code == 415
        huge = [("file", ("a", b"x" * (65 * 1024 * 1024)))]
        assert (await http.post("/v1/prompts", files=huge)).status_code == 413


async def test_files_of_others_do_not_exist(tmp_path: Path) -> None:
    async with edge_for_users(tmp_path, config=LOCALFS) as server:
        async with as_user(server, "alice") as alice:
            made = (await alice.post("/v1/files", files=[field("purpose", "vision"), ("file", ("a", b"x"))])).json()
        for other in ("bob", "alice-too"):
            async with as_user(server, other) as http:
                assert (await http.get("/v1/files")).json()["data"] == []
                assert (await http.get("/v1/files", params={"after": made["id"]})).status_code == 400
                replies = [
                    await http.get(f"/v1/files/{made['id']}"),
                    await http.get(f"/v1/files/{made['id']}/content"),
                    await http.delete(f"/v1/files/{made['id']}"),
                    await http.get("/v1/files/file-" + "0" * 32),
                ]
                assert {reply.status_code for reply in replies} == {404}
                same = (await http.post("/v1/files", files=[field("purpose", "vision"), ("file", ("a", b"x"))])).json()
                assert (await http.delete(f"/v1/files/{same['id']}")).status_code == 200
        async with as_user(server, "alice") as alice:
            assert (await alice.get(f"/v1/files/{made['id']}/content")).content == b"x"


async def test_without_a_provider(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, _):
        reply = await create(server, field("purpose", "vision"), ("file", ("a", b"x")))
        assert reply.status_code == 501
        assert "providers.files" in reply.json()["error"]["message"]


async def test_many_at_the_same_time(sdk: openai.AsyncOpenAI, tmp_path: Path) -> None:
    bodies = [f"{number}\n".encode() * 50_000 for number in range(20)]
    made = await asyncio.gather(*(sdk.files.create(file=("a", body), purpose="vision") for body in bodies))
    read = await asyncio.gather(*(sdk.files.content(file.id) for file in made))
    assert [reply.content for reply in read] == bodies
    await asyncio.gather(*(sdk.files.delete(file.id) for file in made))
    assert contents(tmp_path) == []

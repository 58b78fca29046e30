"""Images and files of the input, over real downloads from loopback."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from llama_stack.agent.attachments import FetchedAttachments, FileContent
from llama_stack.agent.entries import Entry
from llama_stack.config.responses import AttachmentLimits
from llama_stack.net.egress import Egress, EgressPolicy
from llama_stack_api.errors import InvalidRequest, NotFound
from llama_stack_api.principal import ANONYMOUS, Call, Principal
from tests.support.files_server import FileServer, file_server, reply

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 32
GIF = b"GIF89a" + b"\0" * 32
WEBP = b"RIFF\x10\0\0\0WEBPVP8 "
PDF = b"%PDF-1.7\n\0\0"
CALL = Call()


class Files:
    def __init__(self, owner: Principal, **files: FileContent) -> None:
        self._owner = owner
        self._files = files

    async def content(self, principal: Principal, file_id: str) -> FileContent:
        if principal != self._owner or file_id not in self._files:
            raise NotFound("no such file")
        return self._files[file_id]


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with file_server() as running:
        yield running


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    made = Egress(EgressPolicy(allow_private_networks=True, timeout_s=5))
    yield made
    await made.aclose()


def message(*parts: dict[str, Any]) -> Entry:
    return Entry(item={"type": "message", "role": "user", "content": list(parts)})


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "input_image", "image_url": url, **more}


def data_url(content_type: str, body: bytes) -> str:
    return f"data:{content_type};base64,{base64.b64encode(body).decode()}"


async def refused(attachments: FetchedAttachments, part: dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await attachments.inline([message(part)], CALL)
    assert caught.value.param == "input"
    return caught.value


async def test_entries_without_attachments_are_the_same_objects(egress: Egress) -> None:
    entries = [
        message({"type": "input_text", "text": "hi"}),
        Entry(item={"type": "message", "role": "user", "content": "plain"}),
        Entry(item={"type": "function_call_output", "call_id": "c", "output": "text"}),
    ]
    inlined = await FetchedAttachments(egress).inline(entries, CALL)
    assert all(new is old for new, old in zip(inlined, entries, strict=True))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(PNG, "image/png"), (JPEG, "image/jpeg"), (GIF, "image/gif"), (WEBP, "image/webp")],
)
async def test_an_image_is_what_its_bytes_say(
    server: FileServer, egress: Egress, body: bytes, content_type: str
) -> None:
    url = server.add("/picture", body, "application/octet-stream")
    original = message({"type": "input_text", "text": "look"}, image(url, detail="low"))
    (entry,) = await FetchedAttachments(egress).inline([original], CALL)
    assert entry.item["content"] == [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": data_url(content_type, body), "detail": "low"},
    ]
    assert original.item["content"][1]["image_url"] == url


async def test_a_url_is_fetched_once_wherever_it_stands(server: FileServer, egress: Egress) -> None:
    one, two = server.add("/1.png", PNG), server.add("/2.png", PNG)
    output = Entry(item={"type": "function_call_output", "call_id": "c", "output": [image(one)]})
    inlined = await FetchedAttachments(egress).inline([message(image(one), image(two)), output], CALL)
    assert sorted(asked.path for asked in server.asked) == ["/1.png", "/2.png"]
    assert inlined[1].item["output"][0]["image_url"] == data_url("image/png", PNG)


async def test_data_urls_are_checked_and_kept(egress: Egress) -> None:
    attachments = FetchedAttachments(egress)
    part = image(data_url("image/png", PNG))
    (entry,) = await attachments.inline([message(part)], CALL)
    assert entry.item["content"] == [part]
    (entry,) = await attachments.inline([message(image(data_url("image/jpg", JPEG)))], CALL)
    assert entry.item["content"][0]["image_url"] == data_url("image/jpeg", JPEG)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("data:image/png;base64,%%%", "invalid_base64_image"),
        ("data:image/png;base64,", "empty_image_file"),
        ("data:image/png,abc", "invalid_image_url"),
        (data_url("image/png", b"<svg/>"), "unsupported_image_media_type"),
        ("ftp://example.com/a.png", "invalid_image_url"),
        ("file:///etc/passwd", "invalid_image_url"),
        ("nonsense", "invalid_image_url"),
        ("http://169.254.169.254/latest/meta-data", "invalid_image_url"),
        ("http://[::1", "invalid_image_url"),
        ("https://\u2100.example/a.png", "invalid_image_url"),
    ],
)
async def test_what_is_no_image_has_a_code_of_the_contract(egress: Egress, url: str, code: str) -> None:
    assert (await refused(FetchedAttachments(egress), image(url))).code == code


async def test_downloads_that_fail_have_codes(server: FileServer, egress: Egress) -> None:
    attachments = FetchedAttachments(egress, limits=AttachmentLimits(image_bytes_max=1000))
    server.answers["/empty"] = reply(200, b"")
    big = server.add("/big.png", PNG + b"\0" * 2000)
    page = server.add("/page", b"<html>", "image/png")
    assert (await refused(attachments, image(server.url("/missing")))).code == "failed_to_download_image"
    assert (await refused(attachments, image(server.url("/empty")))).code == "empty_image_file"
    assert (await refused(attachments, image(big))).code == "image_too_large"
    assert (await refused(attachments, image(data_url("image/png", PNG * 100)))).code == "image_too_large"
    assert (await refused(attachments, image(page))).code == "unsupported_image_media_type"


async def test_a_private_address_is_refused_by_default(server: FileServer) -> None:
    egress = Egress(EgressPolicy())
    error = await refused(FetchedAttachments(egress), image(server.add("/a.png", PNG)))
    assert error.code == "invalid_image_url"
    assert "server.egress.allow_private_networks" in error.message
    assert server.asked == []
    await egress.aclose()


async def test_text_files_become_text_and_others_data(server: FileServer, egress: Egress) -> None:
    notes = server.add("/notes.md", "# Größe".encode(), "text/markdown")
    report = server.add("/report.pdf", PDF)
    table = data_url("text/csv", b"a,b\n1,2")
    (entry,) = await FetchedAttachments(egress).inline(
        [
            message(
                {"type": "input_file", "file_url": notes},
                {"type": "input_file", "file_url": report},
                {"type": "input_file", "file_data": table, "filename": "table.csv"},
            )
        ],
        CALL,
    )
    assert entry.item["content"] == [
        {"type": "input_text", "text": "Contents of the file notes.md:\n\n# Größe"},
        {"type": "input_file", "file_data": data_url("application/pdf", PDF), "filename": "report.pdf"},
        {"type": "input_text", "text": "Contents of the file table.csv:\n\na,b\n1,2"},
    ]


async def test_stored_files_are_their_owners(egress: Egress) -> None:
    owner = Principal(id="anna")
    files = Files(owner, f1=FileContent(PNG, "a.png"), f2=FileContent(b"hello", "a.txt"))
    attachments = FetchedAttachments(egress, files)
    parts = ({"type": "input_image", "file_id": "f1"}, {"type": "input_file", "file_id": "f2"})
    (entry,) = await attachments.inline([message(*parts)], Call(principal=owner))
    assert entry.item["content"] == [
        image(data_url("image/png", PNG)),
        {"type": "input_text", "text": "Contents of the file a.txt:\n\nhello"},
    ]
    with pytest.raises(InvalidRequest) as caught:
        await attachments.inline([message(parts[0])], Call(principal=ANONYMOUS))
    assert caught.value.code == "image_file_not_found"


async def test_without_a_file_port_every_id_is_unknown(egress: Egress) -> None:
    error = await refused(FetchedAttachments(egress), {"type": "input_image", "file_id": "file-1"})
    assert (error.code, error.status) == ("image_file_not_found", 400)


async def test_all_together_have_a_limit(egress: Egress) -> None:
    attachments = FetchedAttachments(egress, limits=AttachmentLimits(total_bytes_max=60, count_max=3))
    images = [image(data_url("image/png", PNG + bytes([n]))) for n in range(4)]
    with pytest.raises(InvalidRequest, match=r"the limit is 60 bytes; server\.responses\.attachments\.total_bytes_max"):
        await attachments.inline([message(*images[:2])], CALL)
    with pytest.raises(InvalidRequest, match=r"the limit is 3; server\.responses\.attachments\.count_max"):
        await attachments.inline([message(*images)], CALL)

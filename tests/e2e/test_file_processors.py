"""POST /v1alpha/file-processors/process on a whole server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import documents
from tests.support.edge import client
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

PROCESS = "/v1alpha/file-processors/process"
PDF = documents.pdf([["The llama stood on the hill."], ["Then it rained."]], title="A llama")


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    providers = {
        "files": [{"provider_id": "localfs", "provider_type": "inline::localfs"}],
        "file_processors": [
            {
                "provider_id": "auto",
                "provider_type": "inline::auto",
                "config": {"default_chunk_size_tokens": 100, "default_chunk_overlap_tokens": 20},
            }
        ],
    }
    async with whole_stack(tmp_path, [], [], providers=providers) as server, client(server) as http:
        yield http


async def processed(
    http: httpx.AsyncClient, content: bytes | None, filename: str = "a.txt", **fields: Any
) -> httpx.Response:
    form: dict[str, Any] = {name: (None, value) for name, value in fields.items()}
    if content is not None:
        form["file"] = (filename, content)
    return await http.post(PROCESS, files=form)


async def test_a_file_becomes_one_chunk_without_a_strategy(http: httpx.AsyncClient) -> None:
    reply = await processed(http, PDF, "llama.pdf")
    assert reply.status_code == 200, reply.text
    body = reply.json()
    (chunk,) = body["chunks"]
    assert chunk["content"] == "The llama stood on the hill.\n\nThen it rained."
    assert chunk["metadata"]["filename"] == "llama.pdf"
    assert chunk["chunk_metadata"]["chunk_window"] == f"0-{len(chunk['content'])}"
    assert chunk["chunk_id"] == chunk["chunk_metadata"]["chunk_id"]
    metadata = body["metadata"]
    assert (metadata["processor"], metadata["media_type"], metadata["page_count"]) == ("auto", "application/pdf", 2)
    assert metadata["file_size_bytes"] == len(PDF)


async def test_an_uploaded_file_is_processed_by_its_id(http: httpx.AsyncClient) -> None:
    words = " ".join(f"word{number}" for number in range(500))
    uploaded = await http.post("/v1/files", files={"file": ("words.txt", words), "purpose": (None, "assistants")})
    file_id = uploaded.json()["id"]
    first = await processed(http, None, file_id=file_id, chunking_strategy='{"type":"auto"}')
    chunks = first.json()["chunks"]
    assert len(chunks) > 5
    for chunk in chunks:
        start, end = map(int, chunk["chunk_metadata"]["chunk_window"].split("-"))
        assert words[start:end] == chunk["content"]
        assert chunk["chunk_metadata"]["content_token_count"] <= 100
        assert chunk["metadata"]["document_id"] == file_id
    again = await processed(http, None, file_id=file_id, chunking_strategy='{"type":"auto"}')
    assert [chunk["chunk_id"] for chunk in again.json()["chunks"]] == [chunk["chunk_id"] for chunk in chunks]
    larger = {"type": "static", "static": {"max_chunk_size_tokens": 400, "chunk_overlap_tokens": 0}}
    static = await processed(http, None, file_id=file_id, chunking_strategy=json.dumps(larger))
    assert 1 < len(static.json()["chunks"]) < len(chunks)


async def test_chunks_know_their_page(http: httpx.AsyncClient) -> None:
    pages = documents.pdf([[f"Page {page} says {word} and more." for word in range(30)] for page in (1, 2, 3)])
    reply = await processed(http, pages, "pages.pdf", chunking_strategy='{"type":"auto"}')
    for chunk in reply.json()["chunks"]:
        assert chunk["content"].startswith(f"Page {chunk['metadata']['page']} ")


async def test_options_are_the_processor_s(http: httpx.AsyncClient) -> None:
    locked = documents.pdf([["Secret."]], password="sesame")
    refused = await processed(http, locked, "locked.pdf")
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "invalid_file"
    assert refused.json()["error"]["param"] == "file"
    opened = await processed(http, locked, "locked.pdf", options='{"password": "sesame"}')
    assert opened.json()["chunks"][0]["content"] == "Secret."


@pytest.mark.parametrize(
    ("content", "fields", "param", "code"),
    [
        (None, {"options": "{}"}, "file", "invalid_value"),
        (b"a", {"file_id": "file-x"}, "file", "invalid_value"),
        (b"a", {"options": "{"}, "options", "invalid_value"),
        (b"a", {"options": "[" * 50_000}, "options", "invalid_value"),
        (b"a", {"options": '{"a":' * 500 + "1" + "}" * 500}, None, "json_too_deep"),
        (b"a", {"options": '{"ocr": 1}'}, "options", "invalid_value"),
        (b"a", {"chunking_strategy": '{"type": "contextual"}'}, "chunking_strategy.type", "invalid_value"),
        (b"a", {"chunking_strategy": '{"type": "odd"}'}, "chunking_strategy.type", "invalid_value"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), {}, "file", "unsupported_file"),
    ],
)
async def test_what_cannot_be_done_says_why(
    http: httpx.AsyncClient, content: bytes | None, fields: dict[str, str], param: str | None, code: str
) -> None:
    reply = await processed(http, content, **fields)
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert (error["param"], error["code"]) == (param, code)


async def test_another_s_file_is_not_there(http: httpx.AsyncClient) -> None:
    reply = await processed(http, None, file_id="file-" + "0" * 32)
    assert reply.status_code == 404
    assert (await http.post(PROCESS, json={"file_id": "x"})).status_code == 415


async def test_a_server_without_processors_says_so(tmp_path: Path) -> None:
    async with whole_stack(tmp_path, [], []) as server, client(server) as http:
        reply = await processed(http, b"a")
        assert reply.status_code == 501
        assert "providers.file_processors" in reply.json()["error"]["message"]


async def test_what_the_first_processor_does_not_read_goes_to_the_next(tmp_path: Path) -> None:
    # Nobody listens at this address: a PDF would fail, but source code is not even sent there.
    providers = {
        "file_processors": [
            {
                "provider_id": "docling",
                "provider_type": "remote::docling-serve",
                "config": {"base_url": "http://127.0.0.1:9"},
            },
            {"provider_id": "auto", "provider_type": "inline::auto"},
        ],
    }
    async with whole_stack(tmp_path, [], [], providers=providers) as server, client(server) as http:
        reply = await processed(http, b"x = 1\n", "a.py")
        assert reply.json()["metadata"]["processor"] == "auto"
        assert (await processed(http, PDF, "a.pdf")).status_code == 502

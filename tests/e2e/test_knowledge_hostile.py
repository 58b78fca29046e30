"""Hostile requests and files through the whole server: a clear error in OpenAI's shape, and the server goes on."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import documents
from tests.support.edge import raw
from tests.support.knowledge import DIMENSION, STORES, Library, embedded, library

pytestmark = pytest.mark.anyio

INSERT, QUERY = "/v1/vector-io/insert", "/v1/vector-io/query"
EQUAL = {"type": "eq", "key": "a", "value": "b"}
MIB = 1024 * 1024
BEYOND = 10**400
"""Beyond all floats."""
WAIT_S = 60.0


@pytest.fixture(params=["inline::faiss", "inline::sqlite-vec"])
async def lib(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Library]:
    async with library(tmp_path, vector_io=request.param) as opened:
        yield opened


async def refused(lib: Library, path: str, body: Any, param: str | None = None, status: int = 400) -> dict[str, Any]:
    """The error, which has all that OpenAI's have."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = await lib.http.post(path, content=content, headers={"content-type": "application/json"})
    assert reply.status_code == status, (body if len(content) < 1000 else path, reply.text[:500])
    error: dict[str, Any] = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["code"]
    assert param is None or error["param"] == param, error
    assert len(error["message"]) < 1000
    assert "Traceback" not in reply.text
    return error


def nested(depth: int) -> bytes:
    return b'{"query":"x","filters":%s%s%s}' % (
        b'{"type":"or","filters":[' * depth,
        json.dumps(EQUAL).encode(),
        b"]}" * depth,
    )


async def test_filters(lib: Library) -> None:
    store = await lib.store("A text about swordfish")
    path = f"{STORES}/{store.id}/search"
    assert (await refused(lib, path, nested(10_000)))["code"] == "json_too_deep"
    for number in (b"NaN", b"Infinity", b"-Infinity"):
        body = b'{"query":"x","filters":{"type":"eq","key":"a","value":%s}}' % number
        assert (await refused(lib, path, body))["code"] == "invalid_json"
    for value in (b"1e999", str(BEYOND).encode(), b"null", b"{}"):
        body = b'{"query":"x","filters":{"type":"eq","key":"a","value":%s}}' % value
        await refused(lib, path, body, "filters.value")
    too_much: list[tuple[dict[str, Any], str]] = [
        ({**EQUAL, "type": "in", "value": [str(number) for number in range(100_000)]}, "filter_values_max"),
        ({"type": "or", "filters": [EQUAL] * 101}, "filter_comparisons_max"),
    ]
    for filters, setting in too_much:
        error = await refused(lib, path, {"query": "x", "filters": filters}, "filters")
        assert f"vector_stores.limits.{setting}" in error["message"]
    served: list[tuple[dict[str, Any], int]] = [
        ({"type": "or", "filters": [{**EQUAL, "key": f"k{number}"} for number in range(100)]}, 0),
        ({**EQUAL, "type": "nin", "value": [str(number) for number in range(1000)]}, 1),
        ({**EQUAL, "type": "in", "value": [number + 0.5 for number in range(1000)]}, 0),
    ]
    for mode in ("vector", "keyword", "hybrid"):
        for filters, found in served:
            asked = {"query": "swordfish", "search_mode": mode, "filters": filters}
            reply = await lib.post(path, asked)
            assert (reply.status_code, len(reply.json()["data"])) == (200, found), (mode, reply.text)


async def test_numbers_and_keys_mean_the_same_in_every_search(lib: Library) -> None:
    values: list[Any] = [
        2**63,
        -(2**64),
        2**100,
        1e308,
        -0.0,
        5e-324,
        2**53 + 1,
        True,
        "'; DROP TABLE x; --",
        "%_\\",
    ]
    keys = ["", "a.b", '"', "$", "'", "[0]", "\u202e", "x" * 64]
    store = await lib.store()
    file = await lib.attached(store.id, "A text about swordfish")
    one = f"{STORES}/{store.id}/files/{file.id}"
    for key, value in [("a", value) for value in values] + [(key, "b") for key in keys]:
        changed = await lib.post(one, {"attributes": {key: value}})
        assert changed.status_code == 200, changed.text
        assert (await lib.http.get(one)).json()["attributes"] == {key: value}
        for mode in ("vector", "keyword"):
            for kind, found in (("eq", 1), ("ne", 0)):
                filters = {"type": kind, "key": key, "value": value}
                body = {"query": "swordfish", "search_mode": mode, "filters": filters}
                reply = await lib.post(f"{STORES}/{store.id}/search", body)
                assert (reply.status_code, len(reply.json()["data"])) == (200, found), (mode, filters, reply.text)


async def test_attributes_and_metadata(lib: Library) -> None:
    store = await lib.store()
    file = await lib.attached(store.id, "text")
    one = f"{STORES}/{store.id}/files/{file.id}"
    full = {f"{number:064}": "y" * 512 for number in range(16)}
    assert (await lib.post(one, {"attributes": full})).json()["attributes"] == full
    wrong: list[dict[str, Any]] = [
        {"a\0": 1},
        {"a": "\0"},
        {"x" * 65: 1},
        {"a": "x" * 513},
        {"a": None},
        {"a": BEYOND},
        {str(number): number for number in range(17)},
    ]
    for attributes in wrong:
        await refused(lib, one, {"attributes": attributes})
    await refused(lib, one, b'{"attributes":{"a":1e999}}', "attributes.a")
    for place in ("metadata", "attributes"):
        path = STORES if place == "metadata" else one
        for text in (b'"\\ud800"', b'"\\udc00x"'):
            error = await refused(lib, path, b'{"%s":{"a":%s}}' % (place.encode(), text))
            assert error["code"] == "invalid_json"
    await refused(lib, STORES, {"metadata": {"a": "\0"}}, "metadata")
    await refused(lib, STORES, {"metadata": {"embedding_dimension": "9999999"}}, "metadata.embedding_dimension")
    await refused(lib, STORES, {"embedding_dimension": 10**9}, "embedding_dimension")
    assert (await lib.http.get(one)).json()["attributes"] == full


async def test_queries(lib: Library) -> None:
    store = await lib.store("A text about swordfish")
    path = f"{STORES}/{store.id}/search"
    await refused(lib, path, {"query": "x" * MIB}, "query")
    assert (
        "queries_max" in (await refused(lib, path, {"query": ["x"] + [str(n) for n in range(999)]}, "query"))["message"]
    )
    for number in (0, 51, -1, 10**30, 1.5, "5", True):
        await refused(lib, path, {"query": "x", "max_num_results": number}, "max_num_results")
    for query in (
        "!!!",
        "***",
        '"',
        "AND OR NOT",
        "NEAR(a b)",
        "a:b",
        "-",
        "{",
        "\0",
        "中" * 9999,
        "\u200b",
        "x " * 4999,
    ):
        for mode in ("vector", "keyword", "hybrid"):
            reply = await lib.post(path, {"query": query, "search_mode": mode})
            assert reply.status_code == 200, (query[:10], mode, reply.text)


async def test_chunks(lib: Library) -> None:
    store = await lib.store()
    good: dict[str, Any] = {
        "content": "x",
        "chunk_id": "a",
        "embedding": embedded("swordfish"),
        "embedding_model": "m",
        "embedding_dimension": DIMENSION,
    }
    wrong: list[tuple[dict[str, Any], str | None]] = [
        ({"embedding": [0.5] * (DIMENSION + 1)}, "chunks[0].embedding"),
        ({"embedding": []}, "chunks[0].embedding"),
        ({"embedding": [1e308] * DIMENSION}, "chunks[0].embedding"),
        ({"embedding": [BEYOND] * DIMENSION}, "chunks[0].embedding[0]"),
        ({"embedding": ["a"] * DIMENSION}, "chunks[0].embedding[0]"),
        ({"content": "x" * 100_001}, "chunks[0]"),
        ({"metadata": {"a": "x" * 100_001}}, "chunks[0]"),
        ({"chunk_id": "x" * 513}, "chunks[0].chunk_id"),
        ({"metadata": {"document_id": "x" * 513}}, "chunks[0].chunk_id"),
        ({"chunk_id": "\0"}, None),
        ({"metadata": {"a": "\0"}}, None),
        ({"metadata": {"a": BEYOND}}, "chunks[0].metadata.a"),
        ({"chunk_metadata": {"page": 10**30}}, "chunks[0].chunk_metadata.page"),
        ({"chunk_metadata": {"page": -1}}, "chunks[0].chunk_metadata.page"),
        ({"chunk_metadata": {"content_token_count": 2**31}}, "chunks[0].chunk_metadata.content_token_count"),
    ]
    for changed, param in wrong:
        await refused(lib, INSERT, {"vector_store_id": store.id, "chunks": [{**good, **changed}]}, param)
    for word in ("NaN", "Infinity"):
        body = json.dumps({"vector_store_id": store.id, "chunks": [good]}).replace("[0.0", f"[{word}").encode()
        assert (await refused(lib, INSERT, body))["code"] == "invalid_json"
    small = {**good, "embedding": [0.5]}
    many = [{**small, "chunk_id": str(number)} for number in range(100_000)]
    error = await refused(lib, INSERT, {"vector_store_id": store.id, "chunks": many}, "chunks")
    assert "vector_stores.limits.raw_chunks_max" in error["message"]
    huge = {
        **good,
        "chunk_id": "huge",
        "metadata": {"n": 10**30, "deep": [{"b": 2**70}]},
        "chunk_metadata": {"created_timestamp": 10**30, "source": "\0", "chunk_window": "٣-٩"},
    }
    tiny = {**good, "chunk_id": "tiny", "embedding": [value * 1e-30 for value in good["embedding"]]}
    none = {**good, "chunk_id": "none", "embedding": [0.0] * DIMENSION}
    reply = await lib.post(INSERT, {"vector_store_id": store.id, "chunks": [huge, tiny, none]})
    assert reply.status_code == 204, reply.text
    asked = {"vector_store_id": store.id, "query": "swordfish", "params": {"mode": "vector", "max_chunks": 50}}
    page = (await lib.post(QUERY, asked)).json()
    scores = dict(zip((chunk["chunk_id"] for chunk in page["chunks"]), page["scores"], strict=True))
    assert scores == {"huge": pytest.approx(1), "tiny": pytest.approx(1), "none": 0}
    for reranker in ({"alpha": 9}, {"weights": {"vector": "x"}}, {"impact_factor": 0}, {"hybrid_search": 5}):
        asked = {"vector_store_id": store.id, "query": "x", "params": {"reranker_params": reranker}}
        assert (await refused(lib, QUERY, asked))["param"].startswith(f"params.reranker_params.{next(iter(reranker))}")


async def test_ids_and_cursors(lib: Library) -> None:
    store = await lib.store()
    strange = ("%00", "%ff", "%ed%a0%80", "x" * 5000, "a%0d%0aset-cookie:%20a=b", "%2e%2e%2fetc%2fpasswd")
    one = f"{STORES}/{store.id}"
    for text in strange:
        for path in (
            "/v1/files/{}",
            "/v1/files/{}/content",
            STORES + "/{}",
            one + "/files/{}",
            one + "/file_batches/{}",
        ):
            reply = await lib.http.get(path.format(text))
            assert reply.status_code == 404, (path, text)
            assert "set-cookie" not in reply.headers
        for path, status in (("/v1/files", 400), (STORES, 404), (f"{one}/files", 404)):
            reply = await lib.http.get(f"{path}?after={text}")
            assert (reply.status_code, reply.json()["error"]["param"]) == (status, "after"), (path, text)
    for query in ("limit=0", "limit=101", "limit=x", "limit=" + "9" * 40, "order=up"):
        reply = await lib.http.get(f"{STORES}?{query}")
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, query.partition("=")[0])


def bomb() -> bytes:
    empty = documents.docx(lambda document: document.add_paragraph("Hello."))
    return documents.with_member(empty, "word/document.xml", b"<a>" + b" " * 60 * MIB)


def archive_in_archive() -> bytes:
    content = b"0" * 30 * MIB
    for _ in range(3):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("a.zip", content)
        content = out.getvalue()
    return content


def endless_pdf() -> bytes:
    packed = zlib.compress(b"BT (x) Tj ET " * 5 * MIB, 9)
    stream = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    pages = b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>"
    return documents.raw_pdf({1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: pages, 3: page, 4: stream})


async def test_hostile_files_end_and_others_are_served_meanwhile(tmp_path: Path) -> None:
    hostile = {
        "bomb.docx": bomb(),
        "bomb.zip": archive_in_archive(),
        "endless.pdf": endless_pdf(),
        "locked.pdf": documents.pdf([["Hello."]], password="sesame"),
        "broken.pdf": documents.pdf([["Hello."]])[:300],
        "noise.bin": bytes(range(256)) * 4000,
        "nothing.txt": b"",
        "blank.txt": b" \n" * 100_000,
        "\u202egpj.txt": b"A text about swordfish.",
        "../../etc/passwd": b"A text about swordfish.",
        'a"\r\nset-cookie: a=b\r\n.txt': b"A text about swordfish.",
    }
    async with library(tmp_path) as lib:
        files = {
            name: (await lib.openai.files.create(file=(name, content), purpose="assistants")).id
            for name, content in hostile.items()
        }
        store = await lib.store()
        before = resident_mib()
        batch = await lib.openai.vector_stores.file_batches.create(store.id, file_ids=list(files.values()))
        answered = 0
        async with asyncio.timeout(WAIT_S):
            while batch.status == "in_progress":
                batch = await lib.openai.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id)
                assert (await lib.post(f"{STORES}/{store.id}/search", {"query": "swordfish"})).status_code == 200
                answered += 1
                await asyncio.sleep(0.02)
        assert answered > 5
        assert resident_mib() - before < 150
        ended = {
            name: await lib.openai.vector_stores.files.retrieve(id_, vector_store_id=store.id)
            for name, id_ in files.items()
        }
        good = {name for name, content in hostile.items() if b"swordfish" in content}
        assert {name for name, file in ended.items() if file.status == "completed"} >= good
        for name in ("bomb.docx", "bomb.zip", "locked.pdf", "broken.pdf", "noise.bin"):
            error = ended[name].last_error
            assert error is not None, name
            assert error.code in ("invalid_file", "unsupported_file"), (name, error)
            assert str(tmp_path) not in error.message
            assert "Traceback" not in error.message
        for id_ in files.values():
            reply = await lib.http.get(f"/v1/files/{id_}/content")
            assert "set-cookie" not in reply.headers
            assert reply.headers["content-disposition"].isascii()
            assert reply.headers["content-disposition"].startswith("attachment")


async def test_many_stand_still_in_the_middle_of_an_upload(tmp_path: Path) -> None:
    """As slow as they are, they hold nothing but their connection: others are served."""
    async with library(tmp_path) as lib:
        head = (
            b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\n"
            b'content-length: 100000\r\n\r\n--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
            b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nxyz'
        )
        slow = [await raw(lib.server, head) for _ in range(50)]
        async with asyncio.timeout(WAIT_S):
            store = await lib.store("A text about swordfish")
            assert await lib.found(store.id, "swordfish") == ["A text about swordfish"]
        assert len((await lib.http.get("/v1/files")).json()["data"]) == 1
        for _, writer in slow:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in slow), return_exceptions=True)


async def test_forms(tmp_path: Path) -> None:
    def form(*parts: tuple[str, bytes]) -> bytes:
        told = b"".join(
            b"--b\r\ncontent-disposition: form-data; %s\r\n\r\n%s\r\n" % (about.encode(), value)
            for about, value in parts
        )
        return told + b"--b--\r\n"

    purpose, file = ('name="purpose"', b"assistants"), ('name="file"; filename="a.txt"', b"x")
    inner = form(purpose, file)
    wrong: list[tuple[bytes, str, str | None]] = [
        (form(*[(f'name="x{number}"', b"y") for number in range(5000)]), "multipart/form-data; boundary=b", None),
        (form(purpose, file, file), "multipart/form-data; boundary=b", "file"),
        (form(purpose, purpose, file), "multipart/form-data; boundary=b", "purpose"),
        (form(purpose, file)[:-20], "multipart/form-data; boundary=b", None),
        (form(purpose), "multipart/form-data; boundary=b", "file"),
        (form(file), "multipart/form-data; boundary=b", "purpose"),
        (form(('name="purpose"', b"x" * 70_000), file), "multipart/form-data; boundary=b", "purpose"),
        (form(('name="purpose"', b"\xff"), file), "multipart/form-data; boundary=b", "purpose"),
        (form(purpose, (f'name="file"; filename="{"n" * 7000}"', b"x")), "multipart/form-data; boundary=b", "file"),
        (form(purpose, (f'name="file"; filename="{"n" * 10_000}"', b"x")), "multipart/form-data; boundary=b", None),
        (form(purpose, ('name="expires_after[seconds]"', b"1"), file), "multipart/form-data; boundary=b", None),
        (inner, "multipart/form-data", None),
        (inner, "multipart/form-data; boundary=" + "b" * 5000, None),
        (form(purpose, ('name="files"', inner.replace(b"--b", b"--c"))), "multipart/form-data; boundary=b", None),
        (b"", "multipart/form-data; boundary=b", None),
    ]
    async with library(tmp_path) as lib:
        for content, kind, param in wrong:
            reply = await lib.http.post("/v1/files", content=content, headers={"content-type": kind})
            assert reply.status_code == 400, (content[:200], reply.text)
            error = reply.json()["error"]
            assert (error["type"], error["param"]) == ("invalid_request_error", param or error["param"])
        assert (await lib.http.get("/v1/files")).json()["data"] == []
        assert (await lib.http.get("/v1/files", headers=httpx.Headers({"x": "y" * 7000}))).status_code == 200


def resident_mib() -> int:
    """Of this process, in which the server runs."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // MIB

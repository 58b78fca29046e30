"""What is wrong with a request is said, with its parameter, before anything is made; what is another's is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llama_stack.security.authentication import new_key
from tests.support.knowledge import DIMENSION, MODELS, STORES, Library, library, sections
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio

INSERT, QUERY = "/v1/vector-io/insert", "/v1/vector-io/query"


@pytest.fixture
async def lib(tmp_path: Path) -> AsyncIterator[Library]:
    async with library(tmp_path) as opened:
        yield opened


async def test_creation(lib: Library) -> None:
    wrong: list[tuple[dict[str, Any], int, str | None]] = [
        ({"embedding_model": "up/nothing"}, 404, "embedding_model"),
        ({"embedding_model": "up/m"}, 400, "embedding_model"),
        ({"embedding_dimension": 0}, 400, "embedding_dimension"),
        ({"metadata": {"embedding_dimension": "many"}}, 400, "metadata.embedding_dimension"),
        ({"provider_id": "elsewhere"}, 400, "provider_id"),
        ({"metadata": {"provider_id": "elsewhere"}}, 400, "provider_id"),
        ({"file_ids": ["file-nothing"]}, 404, "file_ids"),
        ({"expires_after": {"anchor": "last_active_at", "days": 366}}, 400, "expires_after.days"),
        ({"expires_after": {"anchor": "created_at", "days": 1}}, 400, "expires_after.anchor"),
        ({"chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 50}}}, 400, None),
        ({"metadata": {"a": 1}}, 400, "metadata.a"),
        ({"metadata": {str(number): "x" for number in range(17)}}, 400, "metadata"),
        ({"name": "a\0b"}, 400, "name"),
    ]
    for body, status, param in wrong:
        reply = await lib.post(STORES, body)
        error = reply.json()["error"]
        assert reply.status_code == status, (body, error)
        assert error["type"] == "invalid_request_error"
        assert param is None or error["param"] == param, (body, error)
    assert (await lib.http.get(STORES)).json()["data"] == []


async def test_several_providers_and_no_default(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        said = sections(tmp_path, upstream)["providers"]
    more = {"provider_id": "other", "provider_type": "inline::faiss", "config": {}}
    providers = {**said, "vector_io": [*said["vector_io"], more], "inference": []}
    async with library(tmp_path, providers=providers, registered_resources={}) as lib:
        reply = await lib.post(STORES, {})
        assert reply.status_code == 400
        assert reply.json()["error"]["param"] == "provider_id"
        assert "faiss, other" in reply.json()["error"]["message"]


async def test_searches(lib: Library) -> None:
    store = await lib.store("Some text")
    path = f"{STORES}/{store.id}/search"
    comparison = {"type": "eq", "key": "a", "value": "b"}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": []}, "query"),
        ({"query": [str(number) for number in range(17)]}, "query"),
        ({"query": "x" * 10_001}, "query"),
        ({"query": "x", "max_num_results": 51}, "max_num_results"),
        ({"query": "x", "max_num_results": 0}, "max_num_results"),
        ({"query": "x", "filters": {**comparison, "type": "like"}}, "filters.type"),
        ({"query": "x", "filters": {"type": "and", "filters": []}}, "filters.filters"),
        ({"query": "x", "filters": {**comparison, "type": "in", "value": ["y"] * 1001}}, "filters"),
        ({"query": "x", "ranking_options": {"ranker": "magic"}}, "ranking_options.ranker"),
        ({"query": "x", "ranking_options": {"score_threshold": 2}}, "ranking_options.score_threshold"),
        ({"query": "x", "ranking_options": {"ranker": "neural"}}, "ranking_options.model"),
        ({"query": "x", "rewrite_query": True}, "rewrite_query"),
        ({"query": "x", "search_mode": "psychic"}, "search_mode"),
    ]
    for body, param in wrong:
        reply = await lib.post(path, body)
        error = reply.json()["error"]
        assert (reply.status_code, error["param"]) == (400, param), (body, error)
    assert (await lib.post(f"{STORES}/vs_nothing/search", {"query": "x"})).status_code == 404


async def test_files_and_batches(lib: Library) -> None:
    store = await lib.store()
    file = await lib.file("text")
    files, batches = f"{STORES}/{store.id}/files", f"{STORES}/{store.id}/file_batches"
    overlapping = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}}
    contextual = {"type": "contextual", "contextual": {}}
    wrong: list[tuple[str, dict[str, Any], int, str | None]] = [
        (files, {"file_id": "file-nothing"}, 404, "file_id"),
        (files, {"file_id": file, "attributes": {"a": [1]}}, 400, "attributes.a"),
        (files, {"file_id": file, "attributes": {str(n): n for n in range(17)}}, 400, "attributes"),
        (files, {"file_id": file, "attributes": {"a": "x" * 513}}, 400, "attributes.a"),
        (files, {"file_id": file, "chunking_strategy": overlapping}, 400, None),
        (files, {"file_id": file, "chunking_strategy": contextual}, 400, "chunking_strategy"),
        (batches, {}, 400, None),
        (batches, {"file_ids": []}, 400, "file_ids"),
        (batches, {"file_ids": [file], "files": [{"file_id": file}]}, 400, None),
        (batches, {"files": [{"file_id": file}], "attributes": {"a": 1}}, 400, None),
        (batches, {"file_ids": [file, file]}, 400, "file_ids"),
        (batches, {"file_ids": [file, "file-nothing"]}, 404, "file_ids"),
        (batches, {"file_ids": ["file-x"] * 2001}, 400, "file_ids"),
    ]
    for path, body, status, param in wrong:
        reply = await lib.post(path, body)
        error = reply.json()["error"]
        assert reply.status_code == status, (body, error)
        assert param is None or error["param"] == param, (body, error)
    assert (await lib.http.get(files)).json()["data"] == []
    for method, path in (
        ("GET", f"{files}/{file}"),
        ("DELETE", f"{files}/{file}"),
        ("GET", f"{files}/{file}/content"),
        ("GET", f"{batches}/vsfb_nothing"),
        ("POST", f"{batches}/vsfb_nothing/cancel"),
        ("GET", f"{batches}/vsfb_nothing/files"),
    ):
        assert (await lib.http.request(method, path)).status_code == 404, path


async def test_chunks_of_a_client(lib: Library) -> None:
    store = await lib.store()
    good = {
        "content": "x",
        "chunk_id": "a",
        "embedding": [0.5] * DIMENSION,
        "embedding_model": "m",
        "embedding_dimension": DIMENSION,
    }
    picture = [{"type": "image", "image": {"url": {"uri": "http://x/y.png"}}}]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"chunks": []}, "chunks"),
        ({"chunks": [{**good, "embedding": [0.5]}]}, "chunks[0].embedding"),
        ({"chunks": [{**good, "embedding": [1e300] * DIMENSION}]}, "chunks[0].embedding"),
        ({"chunks": [good, {**good, "content": picture}]}, "chunks[1].content"),
        ({"chunks": [good], "ttl_seconds": 5}, "ttl_seconds"),
        ({"chunks": [good] * 1001}, "chunks"),
    ]
    for body, param in wrong:
        reply = await lib.post(INSERT, {"vector_store_id": store.id, **body})
        error = reply.json()["error"]
        assert (reply.status_code, error["param"]) == (400, param), error
    assert (await lib.post(INSERT, {"vector_store_id": "vs_x", "chunks": [good]})).status_code == 404
    assert (
        await lib.post(QUERY, {"vector_store_id": store.id, "query": "x", "params": {"max_chunks": 51}})
    ).status_code == 400
    assert (await lib.post(QUERY, {"vector_store_id": store.id, "query": "x"})).json() == {"chunks": [], "scores": []}


async def test_what_is_anothers_does_not_exist(tmp_path: Path) -> None:
    keys = {who: new_key() for who in ("ann", "bob", "eve", "op")}
    ids = {"ann": ("ann", "acme"), "bob": ("bob", "acme"), "eve": ("ann", "umbrella"), "op": ("op", "acme")}
    held = [
        {
            "id": ids[who][0],
            "tenant": ids[who][1],
            "hash": key.hash,
            "attributes": {"roles": ["operator"]} if who == "op" else {},
        }
        for who, key in keys.items()
    ]
    entry = {"vector_store_id": "handbook", "embedding_model": "up/embedder", "embedding_dimension": DIMENSION}
    async with library(
        tmp_path,
        server={"auth": {"provider_config": {"type": "api_keys", "keys": held}}},
        registered_resources={"models": MODELS, "vector_stores": [entry]},
    ) as lib:
        clients = {who: lib.openai.with_options(api_key=key.key) for who, key in keys.items()}

        async def asks(who: str, method: str, path: str, body: Any = None) -> Any:
            headers = {"authorization": f"Bearer {keys[who].key}"}
            return await lib.http.request(method, path, json=body, headers=headers)

        stores = {}
        for who in ("ann", "eve"):  # the same names and texts
            stores[who] = (await clients[who].vector_stores.create(name="secret")).id
            await clients[who].vector_stores.files.upload_and_poll(
                vector_store_id=stores[who], file=("s.txt", f"swordfish of {who}".encode()), poll_interval_ms=20
            )
        anns = (await clients["ann"].vector_stores.files.list(stores["ann"])).data[0].id
        batch = (await asks("ann", "POST", f"{STORES}/{stores['ann']}/file_batches", {"file_ids": [anns]})).json()["id"]
        one = f"{STORES}/{stores['ann']}"
        chunk = {
            "content": "x",
            "chunk_id": "a",
            "embedding": [0.5] * DIMENSION,
            "embedding_model": "m",
            "embedding_dimension": DIMENSION,
        }
        routes: list[tuple[str, str, Any]] = [
            ("GET", one, None),
            ("POST", one, {"name": "mine"}),
            ("DELETE", one, None),
            ("POST", f"{one}/search", {"query": "swordfish"}),
            ("GET", f"{one}/files", None),
            ("POST", f"{one}/files", {"file_id": anns}),
            ("GET", f"{one}/files/{anns}", None),
            ("POST", f"{one}/files/{anns}", {"attributes": {}}),
            ("DELETE", f"{one}/files/{anns}", None),
            ("GET", f"{one}/files/{anns}/content", None),
            ("POST", f"{one}/file_batches", {"file_ids": [anns]}),
            ("GET", f"{one}/file_batches/{batch}", None),
            ("POST", f"{one}/file_batches/{batch}/cancel", None),
            ("GET", f"{one}/file_batches/{batch}/files", None),
            ("GET", f"{STORES}?after={stores['ann']}", None),
            ("POST", INSERT, {"vector_store_id": stores["ann"], "chunks": [chunk]}),
            ("POST", QUERY, {"vector_store_id": stores["ann"], "query": "swordfish"}),
            (
                "POST",
                "/v1/responses",
                {
                    "model": "up/m",
                    "input": "x",
                    "tools": [{"type": "file_search", "vector_store_ids": [stores["ann"]]}],
                },
            ),
            ("POST", f"{STORES}/{stores['eve']}/files", {"file_id": anns}),
        ]
        for who in ("bob", "eve"):
            for method, path, body in routes:
                reply = await asks(who, method, path, body)
                assert reply.status_code == 404, (who, method, path, reply.text)
                assert "swordfish" not in reply.text
        assert (await asks("bob", "GET", STORES)).json()["data"] == []
        for who in ("ann", "eve"):
            page = await clients[who].vector_stores.search(stores[who], query="swordfish")
            assert [hit.content[0].text for hit in page.data] == [f"swordfish of {who}"]

        # A store of the run config is there for everybody; operators may change it.
        insert = {"vector_store_id": "handbook", "chunks": [chunk]}
        assert (await asks("bob", "POST", INSERT, insert)).status_code == 403
        assert (await asks("op", "POST", INSERT, insert)).status_code == 204
        for who in ("ann", "bob", "eve"):
            assert len((await asks(who, "POST", f"{STORES}/handbook/search", {"query": "x"})).json()["data"]) == 1

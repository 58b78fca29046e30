"""Vector stores by the `openai` package over a real server: made, filled, searched, changed, emptied, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openai import NotFoundError

from tests.support.knowledge import STORES, Library, library
from tests.support.upstream import Wire, embeddings

pytestmark = pytest.mark.anyio

CAPITALS = ("Paris is the capital of France", "Rome is the capital of Italy", "Bees make honey from nectar")


@pytest.fixture
async def lib(tmp_path: Path) -> AsyncIterator[Library]:
    async with library(tmp_path) as opened:
        yield opened


async def test_a_store_is_made_read_changed_and_deleted(lib: Library) -> None:
    stores = lib.openai.vector_stores
    made = await stores.create(
        name="Capitals",
        description="of the world",
        metadata={"a": "b"},
        expires_after={"anchor": "last_active_at", "days": 3},
    )
    assert made.id.startswith("vs_")
    assert (made.object, made.name, made.metadata, made.status) == ("vector_store", "Capitals", {"a": "b"}, "completed")
    assert made.expires_after is not None
    assert made.expires_after.days == 3
    assert made.last_active_at is not None
    assert made.expires_at == made.last_active_at + 3 * 86400
    assert (made.file_counts.total, made.usage_bytes) == (0, 0)
    assert await stores.retrieve(made.id) == made

    changed = await stores.update(made.id, name="Towns", metadata={"c": "d"}, expires_after=None)
    assert (changed.name, changed.metadata, changed.expires_after, changed.expires_at) == (
        "Towns",
        {"c": "d"},
        None,
        None,
    )

    gone = await stores.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "vector_store.deleted")
    with pytest.raises(NotFoundError):
        await stores.retrieve(made.id)


async def test_a_store_without_anything_has_what_the_contract_requires(lib: Library) -> None:
    made = (await lib.post(STORES, {})).json()
    assert made["name"] == ""
    assert made["metadata"] == {}
    assert made["expires_at"] is None
    assert "expires_after" not in made
    listed = (await lib.http.get(STORES, params={"after": made["id"]})).json()
    assert listed == {"object": "list", "data": [], "first_id": "", "last_id": "", "has_more": False}


async def test_lists_come_page_by_page(lib: Library) -> None:
    made = [(await lib.openai.vector_stores.create(name=str(number))).id for number in range(5)]
    by_default = [store.id async for store in lib.openai.vector_stores.list(limit=2)]
    assert by_default == made[::-1]
    forward = await lib.openai.vector_stores.list(limit=2, order="asc")
    assert [store.id for store in forward.data] == made[:2]
    assert [store.id async for store in lib.openai.vector_stores.list(limit=2, order="asc")] == made
    before = await lib.openai.vector_stores.list(order="asc", before=made[2])
    assert [store.id for store in before.data] == made[:2]


async def test_a_file_is_attached_and_found(lib: Library) -> None:
    store = await lib.store(*CAPITALS)
    page = await lib.openai.vector_stores.search(store.id, query="What is the capital of Italy?")
    best = page.data[0]
    assert best.content[0].text == CAPITALS[1]
    assert (best.filename, best.attributes) == ("1.txt", {})
    assert 0 < best.score <= 1
    assert [hit.score for hit in page.data] == sorted((hit.score for hit in page.data), reverse=True)

    now = await lib.openai.vector_stores.retrieve(store.id)
    assert (now.file_counts.completed, now.file_counts.total, now.status) == (3, 3, "completed")
    assert now.usage_bytes > 0


async def test_files_may_come_with_the_store(lib: Library) -> None:
    ids = [await lib.file(text, f"{number}.txt") for number, text in enumerate(CAPITALS)]
    chunking = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 50}}
    store = await lib.openai.vector_stores.create(file_ids=ids, chunking_strategy=chunking)  # type: ignore[arg-type]
    assert (store.status, store.file_counts.in_progress) == ("in_progress", 3)
    for file_id in ids:
        file = await lib.openai.vector_stores.files.poll(file_id, vector_store_id=store.id, poll_interval_ms=20)
        assert file.status == "completed"
        assert file.chunking_strategy is not None
        assert file.chunking_strategy.model_dump() == chunking
    assert sorted(await lib.found(store.id, "capital")) == sorted(CAPITALS)


async def test_upload_and_poll(lib: Library) -> None:
    store = await lib.openai.vector_stores.create()
    file = await lib.openai.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("a.md", b"# Bees\n\nThey make honey."), attributes={"year": 2024, "new": True}
    )
    assert (file.status, file.last_error, file.attributes) == ("completed", None, {"year": 2024, "new": True})
    assert await lib.found(store.id, "honey") == ["# Bees\n\nThey make honey."]


async def test_files_are_listed_by_status_and_read(lib: Library) -> None:
    store = await lib.store(*CAPITALS)
    bad = await lib.openai.files.create(file=("x.pdf", b"%PDF-1.7 and nothing more"), purpose="assistants")
    failed = await lib.openai.vector_stores.files.create_and_poll(bad.id, vector_store_id=store.id, poll_interval_ms=20)
    assert failed.status == "failed"
    assert failed.last_error is not None
    assert failed.last_error.code == "invalid_file"

    files = lib.openai.vector_stores.files
    assert [file.id async for file in files.list(store.id, filter="failed")] == [bad.id]
    completed = [file async for file in files.list(store.id, filter="completed", limit=2)]
    assert len(completed) == 3
    assert await files.retrieve(bad.id, vector_store_id=store.id) == failed
    counts = (await lib.openai.vector_stores.retrieve(store.id)).file_counts
    assert (counts.completed, counts.failed, counts.total) == (3, 1, 4)


async def test_attributes_are_changed_and_filtered_by(lib: Library) -> None:
    store = await lib.openai.vector_stores.create()
    old = await lib.attached(store.id, CAPITALS[0], attributes={"year": 1999, "kind": "town"})
    await lib.attached(store.id, CAPITALS[1], attributes={"year": 2020, "kind": "town"})
    recent = {"type": "gt", "key": "year", "value": 2000}
    assert await lib.found(store.id, "capital", filters=recent) == [CAPITALS[1]]
    changed = await lib.openai.vector_stores.files.update(old.id, vector_store_id=store.id, attributes={"year": 2024})
    assert changed.attributes == {"year": 2024}
    assert sorted(await lib.found(store.id, "capital", filters=recent)) == sorted(CAPITALS[:2])
    town = {"type": "eq", "key": "kind", "value": "town"}
    nested = {"type": "or", "filters": [{"type": "and", "filters": [recent, town]}, {**recent, "type": "lt"}]}
    assert await lib.found(store.id, "capital", filters=nested) == [CAPITALS[1]]


async def test_what_is_detached_or_deleted_is_gone_from_the_next_search(lib: Library) -> None:
    store = await lib.store(*CAPITALS)
    others = await lib.store(*CAPITALS)
    files = {file.attributes or file.id: file async for file in lib.openai.vector_stores.files.list(store.id)}
    assert len(files) == 3
    by_text = {
        hit.content[0].text: hit.file_id for hit in (await lib.openai.vector_stores.search(store.id, query="is")).data
    }
    detached = await lib.openai.vector_stores.files.delete(by_text[CAPITALS[0]], vector_store_id=store.id)
    assert (detached.deleted, detached.object) == (True, "vector_store.file.deleted")
    assert CAPITALS[0] not in await lib.found(store.id, "capital of France")
    assert (await lib.openai.files.retrieve(by_text[CAPITALS[0]])).id == by_text[CAPITALS[0]]

    await lib.openai.files.delete(by_text[CAPITALS[1]])
    assert await lib.found(store.id, "capital of Italy") == [CAPITALS[2]]
    assert (await lib.openai.vector_stores.retrieve(store.id)).file_counts.total == 1
    assert sorted(await lib.found(others.id, "capital")) == sorted(CAPITALS)


async def test_the_text_of_a_file_stands_there_once(lib: Library) -> None:
    sentences = [f"Sentence number {number} says something of its own." for number in range(120)]
    text = " ".join(sentences)
    chunking = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}}
    store = await lib.openai.vector_stores.create()
    file = await lib.attached(store.id, text, chunking_strategy=chunking)
    parts = [part async for part in lib.openai.vector_stores.files.content(file.id, vector_store_id=store.id)]
    assert [(part.type, part.text) for part in parts] == [("text", text)]

    path = f"{STORES}/{store.id}/files/{file.id}/content"
    pages, page = [], None
    while page is None or page["has_more"]:
        query = {"limit": 3} if page is None else {"limit": 3, "page": page["next_page"]}
        page = (await lib.http.get(path, params=query)).json()
        pages.append(page["data"][0]["text"])
    assert len(pages) > 3
    assert "".join(pages) == text

    chunks = (await lib.http.get(path, params={"include_metadata": True, "include_embeddings": True})).json()["data"]
    assert len(chunks) > 10
    for chunk in chunks:
        start, end = map(int, chunk["chunk_metadata"]["chunk_window"].split("-"))
        assert chunk["text"] == text[start:end]
        assert len(chunk["embedding"]) == 64
        assert chunk["metadata"]["filename"] == "notes.txt"


async def test_file_batches(lib: Library) -> None:
    store = await lib.openai.vector_stores.create()
    ids = [await lib.file(text, f"{number}.txt") for number, text in enumerate(CAPITALS)]
    batches = lib.openai.vector_stores.file_batches
    batch = await batches.create_and_poll(store.id, file_ids=ids, attributes={"of": "all"}, poll_interval_ms=20)
    assert batch.id.startswith("vsfb_")
    assert (batch.object, batch.status, batch.file_counts.completed) == ("vector_store.files_batch", "completed", 3)
    assert await batches.retrieve(batch.id, vector_store_id=store.id) == batch
    listed = [file async for file in batches.list_files(batch.id, vector_store_id=store.id, limit=2)]
    assert sorted(file.id for file in listed) == sorted(ids)
    assert {file.attributes["of"] for file in listed if file.attributes} == {"all"}
    assert await batches.cancel(batch.id, vector_store_id=store.id) == batch, "there was nothing to cancel"

    own = [{"file_id": ids[0], "attributes": {"n": 1}}, {"file_id": ids[1], "attributes": {"n": 2}}]
    other = await lib.openai.vector_stores.create()
    await batches.create_and_poll(other.id, files=own, poll_interval_ms=20)  # type: ignore[arg-type]
    assert await lib.found(other.id, "capital", filters={"type": "eq", "key": "n", "value": 2}) == [CAPITALS[1]]

    uploaded = await batches.upload_and_poll(
        store.id, files=[("x.txt", b"Ants live in hills"), ("y.txt", b"Owls hunt at night")], poll_interval_ms=20
    )
    assert (uploaded.status, uploaded.file_counts.completed) == ("completed", 2)
    assert (await lib.found(store.id, "Where do ants live?"))[0] == "Ants live in hills"


async def test_clients_are_told_when_to_ask_again(lib: Library) -> None:
    store = await lib.store()
    lib.upstream.reply(embeddings(wire=Wire(stall_after=0)), on="/embeddings")
    ids = [await lib.file(CAPITALS[0])]
    made = await lib.openai.vector_stores.file_batches.create(store.id, file_ids=ids)
    for path in (f"file_batches/{made.id}", f"files/{ids[0]}"):
        reply = await lib.http.get(f"{STORES}/{store.id}/{path}")
        assert reply.json()["status"] == "in_progress"
        assert 100 <= int(reply.headers["openai-poll-after-ms"]) <= 2000
    cancelled = await lib.openai.vector_stores.file_batches.cancel(made.id, vector_store_id=store.id)
    assert (cancelled.status, cancelled.file_counts.cancelled) == ("cancelled", 1)
    reply = await lib.http.get(f"{STORES}/{store.id}/file_batches/{made.id}")
    assert "openai-poll-after-ms" not in reply.headers


async def test_an_expired_store_says_so(lib: Library) -> None:
    store = await lib.store(*CAPITALS, expires_after={"anchor": "last_active_at", "days": 1})
    lib.sql(f"UPDATE ls_vector_stores SET expires_at = 1 WHERE id = '{store.id}'")
    assert (await lib.openai.vector_stores.retrieve(store.id)).status == "expired"
    file = await lib.file("more")
    for path, body in (("search", {"query": "capital"}), ("files", {"file_id": file}), ("", {"name": "x"})):
        refused = await lib.post(f"{STORES}/{store.id}/{path}".rstrip("/"), body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "vector_store_expired")
    assert (await lib.openai.vector_stores.delete(store.id)).deleted

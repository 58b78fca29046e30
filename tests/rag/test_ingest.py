"""Files are ingested: their chunks in the rows and in the index, and nothing else; bad ones say why, others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from llama_stack.rag.chunk import chunks_of
from llama_stack.rag.indexing import chunk_id
from llama_stack.rag.strategy import sizes_of
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.knowledge.records import StoreRecord
from llama_stack.storage.sql.knowledge.words import SqlKeywordIndex
from llama_stack_api.errors import ProviderRejectedCredentials, ProviderUnreachable, RateLimited
from llama_stack_api.ports.file_processors import ParsedFile
from llama_stack_api.ports.vector_io import Index, KeywordQuery, VectorQuery
from llama_stack_api.principal import Call, Principal
from tests.support.embedding import DIMENSION, HashingEmbedder, vector_of
from tests.support.ingesting import OWNER, POISON, SMALL, STRANGE, Ingesting, ingesting

pytestmark = pytest.mark.anyio

SHORT = "The quick brown fox jumps over the lazy dog."
LONG = "\n\n".join(f"Paragraph {number} tells of subject{number}, at some length, and ends." for number in range(300))


@pytest.fixture
def embeddings() -> HashingEmbedder:
    return HashingEmbedder()


@pytest.fixture
async def site(database: Database, tmp_path: Path, embeddings: HashingEmbedder) -> AsyncIterator[Ingesting]:
    async with ingesting(database, tmp_path, embeddings) as site:
        yield site


async def check_complete(site: Ingesting, store: StoreRecord, name: str, text: str) -> None:
    """The rows are the chunks of the text, and the index has the same."""
    file = (await site.files(store))[name]
    expected = list(chunks_of(ParsedFile(text, "", ""), sizes_of(file.chunking)))
    rows = await site.chunks(store, name)
    assert file.status == "completed", file
    assert [(row.ordinal, row.text, row.start, row.end, row.tokens) for row in rows] == [
        (number, chunk.text, chunk.start, chunk.end, chunk.tokens) for number, chunk in enumerate(expected)
    ]
    assert [row.id for row in rows] == [chunk_id(file.attachment, row.ordinal) for row in rows]
    assert all(row.embedding == vector_of(row.text) for row in rows)
    assert file.chunks_done == len(rows)
    assert file.usage_bytes == sum(len(row.text.encode()) + 4 * DIMENSION for row in rows)
    assert site.index.ids(store.index_id, name) == {row.id for row in rows}


async def check_nothing(site: Ingesting, store: StoreRecord, name: str) -> None:
    assert await site.chunks(store, name) == []
    assert site.index.ids(store.index_id, name) == set()


class Counter:
    """`rag.ports.InsertMetrics`."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []

    def inserted(self, provider: str, chunks: int, duration_s: float) -> None:
        assert duration_s > 0
        self.batches.append((provider, chunks))


async def test_each_batch_is_counted(database: Database, tmp_path: Path, embeddings: HashingEmbedder) -> None:
    counter = Counter()
    async with ingesting(database, tmp_path, embeddings, metrics=counter) as site:
        store = await site.new_store()
        await site.attach(store, {"long": LONG})
        await site.settled(store)
        rows = len(await site.chunks(store, "long"))
    assert len(counter.batches) > 1
    assert {provider for provider, _ in counter.batches} == {store.provider}
    assert sum(chunks for _, chunks in counter.batches) == rows


async def test_files_become_chunks_that_are_found(database: Database, site: Ingesting) -> None:
    store = await site.new_store()
    await site.attach(store, {"short": SHORT, "long": LONG}, attributes={"year": 2024.0})
    await site.settled(store)
    await check_complete(site, store, "short", SHORT)
    await check_complete(site, store, "long", LONG)
    place = Index(store.index_id, DIMENSION)
    (hit,) = await site.index.search_vectors(place, VectorQuery(vector_of(SHORT), 1))
    assert hit.id == (await site.chunks(store, "short"))[0].id
    (worded,) = await SqlKeywordIndex(database).search_keywords(place, KeywordQuery(("subject123",), 5))
    assert "subject123," in next(row.text for row in await site.chunks(store, "long") if row.id == worded.id)
    assert (await site.chunks(store, "short"))[0].attributes == {"year": 2024.0}
    record = await site.tables.stores.get(OWNER, store.id)
    assert (record.counts.completed, record.counts.total) == (2, 2)


async def test_what_cannot_be_stored_keeps_its_place(site: Ingesting) -> None:
    store = await site.new_store()
    await site.attach(store, {"odd": "before \0 after", "plain": "before \ufffd after"})
    await site.settled(store)
    (odd,), (plain,) = await site.chunks(store, "odd"), await site.chunks(store, "plain")
    assert (odd.text, odd.start, odd.end) == (plain.text, plain.start, plain.end) == ("before \ufffd after", 0, 14)


async def test_contexts_are_embedded_and_searched_with_their_chunks(
    database: Database, tmp_path: Path, embeddings: HashingEmbedder
) -> None:
    chunking = {
        "type": "contextual",
        "contextual": {
            "model_id": "narrator",
            "context_prompt": None,
            "max_chunk_size_tokens": 20,
            "chunk_overlap_tokens": 0,
            "timeout_seconds": 5,
            "max_concurrency": 2,
        },
    }
    async with ingesting(database, tmp_path, embeddings, completions=Narrator()) as site:
        store = await site.new_store()
        await site.attach(store, {"one": SHORT}, chunking=chunking)
        assert (await site.settled(store))["one"].status == "completed"
        (row,) = await site.chunks(store, "one")
        assert (row.text, row.context) == (SHORT, "It is about zoology.")
        assert embeddings.texts == [f"It is about zoology.\n\n{SHORT}"]
        query = KeywordQuery(("zoology",), 5)
        (hit,) = await SqlKeywordIndex(database).search_keywords(Index(store.index_id, DIMENSION), query)
        assert hit.id == row.id


class Narrator:
    async def complete(self, model: str, prompt: str, *, max_tokens: int, temperature: float | None, call: Call) -> str:
        assert (model, SHORT in prompt) == ("narrator", True)
        return " It is about zoology.\n"


async def test_bad_files_are_set_aside(site: Ingesting) -> None:
    store = await site.new_store()
    contents = {f"good{number}": f"{SHORT} {number}" for number in range(5)}
    await site.attach(store, {**contents, "bad": POISON, "odd": STRANGE, "empty": " \n "})
    (site.folder / "good0").unlink()  # whoever owns it has deleted it
    files = await site.settled(store)
    for name, text in list(contents.items())[1:]:
        await check_complete(site, store, name, text)
    said = {name: (file.status, file.error_code, file.error_message) for name, file in files.items()}
    assert said["bad"] == ("failed", "invalid_file", "the file is broken")
    assert said["odd"] == ("failed", "unsupported_file", "the file is of no known type")
    assert said["empty"] == ("failed", "invalid_file", "No text was found in 'empty.txt'.")
    assert said["good0"][1] == "invalid_file"
    assert (await site.tables.stores.get(OWNER, store.id)).counts.failed == 4


async def test_the_same_content_is_embedded_once(site: Ingesting, embeddings: HashingEmbedder) -> None:
    stores = [await site.new_store() for _ in range(2)]
    for store in stores:
        await site.attach(store, {"one": LONG, "two": LONG, "three": SHORT})
    for store in stores:
        await site.settled(store)
        for name, text in {"one": LONG, "two": LONG, "three": SHORT}.items():
            await check_complete(site, store, name, text)
    await site.attach(stores[0], {"four": LONG})
    await site.settled(stores[0])
    await check_complete(site, stores[0], "four", LONG)
    assert len(embeddings.texts) == len(set(embeddings.texts))


async def test_another_tenant_embeds_for_itself(site: Ingesting, embeddings: HashingEmbedder) -> None:
    bob = Principal(id="bob", tenant="other")
    ours, theirs = await site.new_store(), await site.new_store(bob)
    await site.attach(ours, {"one": SHORT})
    await site.settled(ours)
    await site.attach(theirs, {"one": SHORT}, call=Call(principal=bob))
    await site.settled(theirs, bob)
    assert embeddings.texts == [SHORT, SHORT]


async def test_a_provider_that_fails_for_a_moment(site: Ingesting, embeddings: HashingEmbedder) -> None:
    store = await site.new_store()
    embeddings.failures.extend([ProviderUnreachable("gone"), RateLimited("slow down", retry_after_s=0.001), None])
    site.index.failures.append(ProviderUnreachable("the index is away"))
    await site.attach(store, {"long": LONG})
    await site.settled(store)
    await check_complete(site, store, "long", LONG)


async def test_a_provider_that_fails_for_good(site: Ingesting, embeddings: HashingEmbedder) -> None:
    """After some chunks are in: they go, also from the index."""
    store = await site.new_store()
    embeddings.failures.extend([None, None, *[RateLimited("slow down", retry_after_s=0.001)] * 20])
    await site.attach(store, {"long": LONG})
    file = (await site.settled(store))["long"]
    assert (file.status, file.error_code, file.error_message) == ("failed", "rate_limit_exceeded", "slow down")
    async with asyncio.timeout(10):
        while site.index.ids(store.index_id):  # told behind the row
            await asyncio.sleep(0.01)
    await check_nothing(site, store, "long")
    assert await site.tables.changes.pending() == []
    embeddings.failures.clear()
    await site.attach(store, {"long": LONG})  # once more
    await site.settled(store)
    await check_complete(site, store, "long", LONG)


class Gate:
    """Lets a number of calls through, then holds them."""

    def __init__(self, free: int) -> None:
        self._free = free
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self) -> None:
        self._free -= 1
        if self._free < 0:
            self.reached.set()
            await self.open.wait()


@pytest.mark.parametrize("end", ["detach", "cancel", "delete"])
async def test_a_file_that_goes_in_the_middle(site: Ingesting, end: str) -> None:
    store = await site.new_store()
    gate = Gate(2)
    site.index.before = gate
    await site.attach(store, {"long": LONG})
    await gate.reached.wait()
    assert len(await site.chunks(store, "long")) == 128
    run = (await site.files(store))["long"].run
    assert run is not None
    if end == "detach":
        await site.tables.files.detach(OWNER, store.id, "long")
    elif end == "cancel":
        await site.tables.files.cancel(OWNER, store.id, "long")
    else:
        await site.tables.stores.delete(OWNER, store.id)
    await site.index.delete_document(Index(store.index_id, DIMENSION), "long")  # as the request tells the provider
    gate.open.set()
    assert (await site.engine.wait(OWNER, run)).status == "completed"
    assert site.index.ids(store.index_id) == set()
    if end != "delete":
        await check_nothing(site, store, "long")


async def test_a_file_that_is_attached_anew_in_the_middle(site: Ingesting) -> None:
    store = await site.new_store()
    gate = Gate(2)
    site.index.before = gate
    await site.attach(store, {"long": LONG})
    await gate.reached.wait()
    first = (await site.files(store))["long"]
    other = {"type": "static", "static": {"max_chunk_size_tokens": 50, "chunk_overlap_tokens": 0}}
    site.index.before = None
    await site.attach(store, {"long": LONG}, chunking=other)
    await site.settled(store)
    gate.open.set()
    assert first.run is not None
    await site.engine.wait(OWNER, first.run)
    rows = await site.chunks(store, "long")
    assert [row.text for row in rows] == [chunk.text for chunk in chunks_of(ParsedFile(LONG, "", ""), sizes_of(other))]
    assert {row.id for row in rows} <= site.index.ids(store.index_id)


async def test_attributes_that_are_set_in_the_middle(site: Ingesting) -> None:
    store = await site.new_store()
    gate = Gate(2)
    site.index.before = gate
    await site.attach(store, {"long": LONG}, attributes={"year": 1.0})
    await gate.reached.wait()
    await site.tables.files.set_attributes(OWNER, store.id, "long", {"year": 2.0})
    gate.open.set()
    await site.settled(store)
    rows = await site.chunks(store, "long")
    assert all(row.attributes == {"year": 2.0} for row in rows)
    assert site.index.attributes(store.index_id, "long") == [{"year": 2.0}] * len(rows)


async def test_memory_holds_two_batches(site: Ingesting, embeddings: HashingEmbedder) -> None:
    """While one is written the next is embedded, and no further one."""
    store = await site.new_store()
    gate = Gate(0)
    site.index.before = gate
    await site.attach(store, {"long": LONG})
    await gate.reached.wait()
    async with asyncio.timeout(10):
        while len(embeddings.texts) < 128:
            await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(embeddings.texts) == 128
    gate.open.set()
    await site.settled(store)
    await check_complete(site, store, "long", LONG)


async def test_keys_of_the_request_go_with_its_runs(
    database: Database, tmp_path: Path, embeddings: HashingEmbedder
) -> None:
    sealer = Xor()
    call = Call(principal=OWNER, provider_data={"openai_api_key": SecretStr("sk-secret")}, request_id="req_1")
    async with ingesting(database, tmp_path, embeddings, sealer=sealer) as site:
        store = await site.new_store()
        await site.attach(store, {"one": SHORT}, call=call)
        run = (await site.settled(store))["one"].run
        assert run is not None
        assert (await site.engine.wait(OWNER, run)).status == "completed"
        (used,) = embeddings.calls
        assert used.provider_data["openai_api_key"].get_secret_value() == "sk-secret"
        assert (used.principal, used.request_id) == (OWNER, "req_1")
        payload = await site.engine.journal.document(OWNER, run, "payload")
        assert payload is not None
        assert b"sk-secret" not in payload


async def test_keys_that_were_lost_are_named(database: Database, tmp_path: Path, embeddings: HashingEmbedder) -> None:
    async with ingesting(database, tmp_path, embeddings, dispatches=False) as site:
        store = await site.new_store()
        await site.attach(store, {"one": SHORT})
    embeddings.failures.append(ProviderRejectedCredentials("no key", upstream_status=401))
    async with ingesting(database, tmp_path, embeddings) as site:
        file = (await site.settled(store))["one"]
        assert file.error_code == "server_error"
        assert file.error_message == (
            "no key What came with the request was lost when the server ended early: attach the file again."
        )


class Xor:
    """A sealer that shows whether both ends name the same run."""

    def seal(self, secret: bytes, bound_to: bytes) -> bytes:
        return bytes(byte ^ bound_to[at % len(bound_to)] for at, byte in enumerate(secret))

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        return self.seal(sealed, bound_to)


def test_the_small_chunks_of_these_tests_make_many() -> None:
    assert len(list(chunks_of(ParsedFile(LONG, "", ""), sizes_of(SMALL)))) > 250

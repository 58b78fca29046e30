"""What is another's does not exist, through any route: its error is, to the byte, that of an id that nobody has."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from llama_stack.security.authentication import new_key
from tests.support.knowledge import DIMENSION, MODELS, STORES, Library, embedded, library
from tests.support.upstream import Tool, calls, text

pytestmark = pytest.mark.anyio

RESPONSES = "/v1/responses"
PARSE = "/v1alpha/file-processors/process"
IDENTITIES = {"ann": ("ann", "acme"), "bob": ("bob", "acme"), "eve": ("ann", "umbrella")}
"""By key: `bob` is another one of ann's tenant, `eve` one of her name in another tenant."""
OTHERS = ("bob", "eve")
NOTE = "The code word is swordfish."
"""Everybody has a file of this name and with this beginning; the end says whose it is."""
NAME = "notes.txt"
PREFIXES = {"file": "file-", "store": "vs_", "batch": "vsfb_", "upload": "upload_", "part": "part_"}


@dataclass(frozen=True, slots=True)
class Holding:
    """What one of them has: ids by kind."""

    ids: dict[str, str]

    def fill(self, template: Any) -> Any:
        """`template` with these ids in place of `<kind>`."""
        filled = json.dumps(template)
        for kind, value in self.ids.items():
            filled = filled.replace(f"<{kind}>", value)
        return json.loads(filled)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request with `<file>`, `<store>`, … for ids; `<own file>`, … are those of who asks. `form` is sent as a form,
    `body` as JSON."""

    method: str
    path: str
    body: Any = None
    form: dict[str, str] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 404


ONE, OWN = f"{STORES}/<store>", f"{STORES}/<own store>"
CHUNK = {
    "content": NOTE,
    "chunk_id": "a",
    "embedding": embedded(NOTE),
    "embedding_model": "m",
    "embedding_dimension": DIMENSION,
}
UPLOAD = {"filename": NAME, "purpose": "assistants", "bytes": 4, "mime_type": "text/plain"}


def asks_model(*parts: dict[str, Any], stores: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    tools = [] if stores is None else [{"type": "file_search", "vector_store_ids": stores}]
    said = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "swordfish?"}, *parts]}]
    return {"model": "up/m", "input": said, "tools": tools, **fields}


ASKS: list[Ask] = [
    # files
    Ask("GET", "/v1/files/<file>"),
    Ask("HEAD", "/v1/files/<file>"),
    Ask("DELETE", "/v1/files/<file>"),
    Ask("GET", "/v1/files/<file>/content"),
    Ask("HEAD", "/v1/files/<file>/content"),
    Ask("GET", "/v1/files/<file>/content", headers=(("range", "bytes=0-3"),)),
    Ask("GET", "/v1/files/<file>/content", headers=(("range", "bytes=999999-"),)),
    Ask("GET", "/v1/files?after=<file>", status=400),
    Ask("GET", "/v1/files?after=<file>&purpose=assistants&order=asc", status=400),
    # uploads
    Ask("POST", "/v1/uploads/<upload>/parts", form={"data": "abcd"}),
    Ask("POST", "/v1/uploads/<upload>/complete", {"part_ids": ["<part>"]}),
    Ask("POST", "/v1/uploads/<upload>/cancel"),
    Ask("POST", "/v1/uploads/<own upload>/complete", {"part_ids": ["<part>"]}, status=400),
    Ask("POST", "/v1/uploads/<own upload>/complete", {"part_ids": ["<own part>", "<part>"]}, status=400),
    # file processors
    Ask("POST", PARSE, form={"file_id": "<file>"}),
    # stores
    Ask("GET", ONE),
    Ask("POST", ONE, {"name": "mine"}),
    Ask("DELETE", ONE),
    Ask("GET", f"{STORES}?after=<store>"),
    Ask("GET", f"{STORES}?before=<store>"),
    Ask("POST", STORES, {"file_ids": ["<file>"]}),
    Ask("POST", STORES, {"file_ids": ["<own file>", "<file>"]}),
    Ask("POST", f"{ONE}/search", {"query": "swordfish"}),
    Ask("POST", f"{ONE}/search", {"query": "swordfish", "search_mode": "keyword"}),
    Ask("POST", f"{ONE}/search", {"query": "swordfish", "filters": {"type": "eq", "key": "whose", "value": "ann"}}),
    Ask("POST", f"{ONE}/search", {"query": "swordfish", "rewrite_query": True}),
    # files of stores
    Ask("GET", f"{ONE}/files"),
    Ask("GET", f"{ONE}/files?after=<file>"),
    Ask("POST", f"{ONE}/files", {"file_id": "<file>"}),
    Ask("POST", f"{ONE}/files", {"file_id": "<own file>"}),
    Ask("POST", f"{OWN}/files", {"file_id": "<file>"}),
    Ask("GET", f"{ONE}/files/<file>"),
    Ask("GET", f"{OWN}/files/<file>"),
    Ask("GET", f"{ONE}/files/<own file>"),
    Ask("POST", f"{ONE}/files/<file>", {"attributes": {}}),
    Ask("POST", f"{OWN}/files/<file>", {"attributes": {}}),
    Ask("DELETE", f"{ONE}/files/<file>"),
    Ask("DELETE", f"{OWN}/files/<file>"),
    Ask("GET", f"{ONE}/files/<file>/content"),
    Ask("GET", f"{ONE}/files/<file>/content?include_embeddings=true&include_metadata=true"),
    Ask("GET", f"{OWN}/files/<file>/content"),
    Ask("GET", f"{OWN}/files?after=<file>"),
    Ask("GET", f"{OWN}/files?before=<file>&filter=completed"),
    # batches
    Ask("POST", f"{ONE}/file_batches", {"file_ids": ["<file>"]}),
    Ask("POST", f"{ONE}/file_batches", {"file_ids": ["<own file>"]}),
    Ask("POST", f"{OWN}/file_batches", {"file_ids": ["<own file>", "<file>"]}),
    Ask("POST", f"{OWN}/file_batches", {"files": [{"file_id": "<own file>"}, {"file_id": "<file>"}]}),
    *(
        Ask(method, f"{store}/file_batches/<batch>{rest}")
        for store in (ONE, OWN)
        for method, rest in (("GET", ""), ("POST", "/cancel"), ("GET", "/files"))
    ),
    Ask("GET", f"{ONE}/file_batches/<own batch>"),
    Ask("GET", f"{OWN}/file_batches/<own batch>/files?after=<file>"),
    Ask("GET", f"{OWN}/file_batches/<own batch>/files?before=<file>"),
    # chunks
    Ask("POST", "/v1/vector-io/insert", {"vector_store_id": "<store>", "chunks": [CHUNK]}),
    Ask("POST", "/v1/vector-io/query", {"vector_store_id": "<store>", "query": "swordfish"}),
    # responses
    Ask("POST", RESPONSES, asks_model(stores=["<store>"])),
    Ask("POST", RESPONSES, asks_model(stores=["<own store>", "<store>"], include=["file_search_call.results"])),
    Ask("POST", RESPONSES, asks_model(stores=["<store>"], stream=True)),
    Ask("POST", RESPONSES, asks_model(stores=["<store>"], background=True)),
    Ask("POST", RESPONSES, asks_model({"type": "input_file", "file_id": "<file>"}), status=400),
    Ask("POST", RESPONSES, asks_model({"type": "input_image", "detail": "auto", "file_id": "<file>"}), status=400),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class House:
    lib: Library
    keys: dict[str, str]
    holdings: dict[str, Holding]

    async def send(self, who: str, ask: Ask, ids: dict[str, str]) -> httpx.Response:
        own = {f"own {kind}": value for kind, value in self.holdings[who].ids.items()} if who in self.holdings else {}
        filled = Holding({**own, **ids}).fill([ask.path, ask.body, ask.form])
        path, body, form = filled
        headers = {"authorization": f"Bearer {self.keys[who]}", **dict(ask.headers)}
        sent: dict[str, Any] = {} if body is None else {"json": body}
        if form is not None:
            sent = {"files": {name: (None, value) for name, value in form.items()}}
        return await self.lib.http.request(ask.method, path, headers=headers, **sent)

    async def get(self, who: str, path: str) -> Any:
        reply = await self.send(who, Ask("GET", path), {})
        assert reply.status_code == 200, reply.text
        return reply.json()


async def settled(house: House, who: str, path: str) -> Any:
    async with asyncio.timeout(20):
        while (found := await house.get(who, path))["status"] == "in_progress":
            await asyncio.sleep(0.02)
    return found


async def moved_in(lib: Library, keys: dict[str, str], who: str) -> Holding:
    """Their things: for everybody of the same names, with the same attributes, and almost the same texts."""
    openai = lib.openai.with_options(api_key=keys[who])
    lonely = House(lib, keys, {})
    (shared, own) = [
        (await openai.files.create(file=(NAME, content.encode()), purpose="assistants")).id
        for content in (NOTE, f"{NOTE} It is of {who}.")
    ]
    store = await openai.vector_stores.create(name="notes", metadata={"kind": "notes"})
    batch = await openai.vector_stores.file_batches.create(
        store.id, file_ids=[own, shared], attributes={"whose": who, "kind": "note"}
    )
    done = await settled(lonely, who, f"{STORES}/{store.id}/file_batches/{batch.id}")
    assert done["file_counts"]["completed"] == 2
    upload = await openai.uploads.create(bytes=4, filename=NAME, mime_type="text/plain", purpose="assistants")
    part = await openai.uploads.parts.create(upload.id, data=b"abcd")
    return Holding({"file": own, "store": store.id, "batch": batch.id, "upload": upload.id, "part": part.id})


@asynccontextmanager
async def inhabited(directory: Path, vector_io: str) -> AsyncIterator[House]:
    keys = {who: new_key() for who in IDENTITIES}
    held = [{"id": IDENTITIES[who][0], "tenant": IDENTITIES[who][1], "hash": key.hash} for who, key in keys.items()]
    async with library(
        directory,
        vector_io=vector_io,
        server={"auth": {"provider_config": {"type": "api_keys", "keys": held}}},
        registered_resources={"models": MODELS},
    ) as lib:
        opened = {who: key.key for who, key in keys.items()}
        holdings = {who: await moved_in(lib, opened, who) for who in IDENTITIES}
        yield House(lib, opened, holdings)


@pytest.fixture(params=["inline::faiss", "inline::sqlite-vec"])
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    async with inhabited(tmp_path, request.param) as opened:
        yield opened


def nobodys() -> dict[str, str]:
    return {kind: prefix + secrets.token_hex(16) for kind, prefix in PREFIXES.items()}


def as_seen(reply: httpx.Response, ids: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
    """A reply but for the ids, and for what is new in each."""
    body = reply.content
    for kind, value in ids.items():
        body = body.replace(value.encode(), f"<{kind}>".encode())
    new = ("x-request-id", "date", "openai-processing-ms")
    headers = {name: value for name, value in reply.headers.items() if name not in new}
    return reply.status_code, body, headers


async def everything_of(house: House, who: str) -> Any:
    """All that they can see of their own."""
    ids = house.holdings[who].ids
    store = f"{STORES}/{ids['store']}"
    paths = [
        "/v1/files",
        STORES,
        f"{store}/files",
        f"{store}/file_batches/{ids['batch']}",
        f"{store}/file_batches/{ids['batch']}/files",
        f"{store}/files/{ids['file']}/content?include_embeddings=true&include_metadata=true",
    ]
    seen = [await house.get(who, path) for path in paths]
    content = await house.send(who, Ask("GET", f"/v1/files/{ids['file']}/content"), {})
    return [*seen, content.text]


async def test_what_is_anothers_is_as_what_is_not_there(house: House) -> None:
    before = {who: await everything_of(house, who) for who in IDENTITIES}
    foreign, none = house.holdings["ann"].ids, nobodys()
    for who in OTHERS:
        for ask in ASKS:
            replies = [await house.send(who, ask, ids) for ids in (foreign, none)]
            seen = [as_seen(reply, ids) for reply, ids in zip(replies, (foreign, none), strict=True)]
            assert seen[0] == seen[1], (who, ask)
            assert seen[0][0] == ask.status, (who, ask, replies[0].text)
            if ask.method != "HEAD":
                error = replies[0].json()["error"]
                assert error["type"] == "invalid_request_error", (ask, error)
                assert set(error) == {"message", "type", "param", "code"}
                assert "swordfish" not in error["message"]
    assert {who: await everything_of(house, who) for who in IDENTITIES} == before
    assert not [each for each in house.lib.upstream.requests if each.path.endswith("completions")]


async def test_lists_and_searches_have_ones_own_alone(house: House) -> None:
    for who in IDENTITIES:
        ids = house.holdings[who].ids
        files = {file["id"] for file in (await house.get(who, "/v1/files"))["data"]}
        assert len(files) == 2
        assert ids["file"] in files
        assert [store["id"] for store in (await house.get(who, STORES))["data"]] == [ids["store"]]
        for mode in ("vector", "keyword", "hybrid"):
            for others in ({}, {"filters": {"type": "eq", "key": "kind", "value": "note"}}):
                asked = {"query": "swordfish", "search_mode": mode, "max_num_results": 50, **others}
                page = (await house.send(who, Ask("POST", f"{OWN}/search", asked), {})).json()
                assert {hit["file_id"] for hit in page["data"]} == files, (who, mode)
                assert {hit["attributes"]["whose"] for hit in page["data"]} == {who}
                assert {hit["content"][0]["text"] for hit in page["data"]} == {NOTE, f"{NOTE} It is of {who}."}
        for other in IDENTITIES.keys() - {who}:
            wanted = {"query": "swordfish", "filters": {"type": "eq", "key": "whose", "value": other}}
            assert (await house.send(who, Ask("POST", f"{OWN}/search", wanted), {})).json()["data"] == []
            chosen = {"type": "in", "key": "file_id", "value": [house.holdings[other].ids["file"]]}
            by_id = {"query": "swordfish", "filters": chosen}
            assert (await house.send(who, Ask("POST", f"{OWN}/search", by_id), {})).json()["data"] == []


async def test_an_answer_cites_ones_own_files_alone(house: House) -> None:
    for who in IDENTITIES:
        ids = house.holdings[who].ids
        own = {file["id"] for file in (await house.get(who, "/v1/files"))["data"]}
        asked = calls(Tool("file_search", {"query": "swordfish"}))
        house.lib.upstream.reply(asked, text("It is swordfish [1][2]."), on="completions")
        included = asks_model(stores=[ids["store"]], include=["file_search_call.results"])
        reply = await house.send(who, Ask("POST", RESPONSES, included), {})
        output = reply.json()["output"]
        (searched,) = [item for item in output if item["type"] == "file_search_call"]
        assert {hit["file_id"] for hit in searched["results"]} == own
        told = json.dumps(house.lib.upstream.requests[-1].body)
        for other in IDENTITIES.keys() - {who}:
            assert house.holdings[other].ids["file"] not in reply.text + told
            assert f"It is of {other}." not in reply.text + told


async def test_the_server_names_nobodys_things(house: House) -> None:
    for path in ("/metrics", "/v1/providers", "/v1/models", "/openapi.json", "/v1/health"):
        shown = (await house.send("bob", Ask("GET", path), {})).text
        assert not [kind for kind, value in house.holdings["ann"].ids.items() if value in shown], path


async def test_equal_contents_are_deleted_apart(house: House) -> None:
    """Of equal files, and chunks with the same digest, each has its own."""
    shared = {}
    for who in IDENTITIES:
        files = (await house.get(who, "/v1/files"))["data"]
        (shared[who],) = [file["id"] for file in files if file["id"] != house.holdings[who].ids["file"]]
    assert (await house.send("ann", Ask("DELETE", f"/v1/files/{shared['ann']}"), {})).status_code == 200
    assert (await house.send("bob", Ask("DELETE", f"{OWN}/files/{shared['bob']}"), {})).status_code == 200
    left = {}
    for who in IDENTITIES:
        page = (await house.send(who, Ask("POST", f"{OWN}/search", {"query": "swordfish"}), {})).json()
        left[who] = {hit["content"][0]["text"] for hit in page["data"]}
    assert left == {
        "ann": {f"{NOTE} It is of ann."},
        "bob": {f"{NOTE} It is of bob."},
        "eve": {NOTE, f"{NOTE} It is of eve."},
    }
    for who in ("bob", "eve"):
        assert (await house.send(who, Ask("GET", f"/v1/files/{shared[who]}/content"), {})).text == NOTE


async def test_an_embedding_is_never_anothers(house: House) -> None:
    """Nobody gains what another tenant has had embedded, nor takes a client's word for an embedding of a text."""
    asked = [
        said
        for request in house.lib.upstream.requests
        if request.path.endswith("/embeddings")
        for said in ([request.body["input"]] if isinstance(request.body["input"], str) else request.body["input"])
    ]
    assert asked.count(NOTE) == len({tenant for _, tenant in IDENTITIES.values()})
    poison = "A text that somebody poisons."
    wrong = {**CHUNK, "content": poison, "embedding": embedded("entirely different words")}
    inserted = Ask("POST", "/v1/vector-io/insert", {"vector_store_id": "<own store>", "chunks": [wrong]})
    assert (await house.send("bob", inserted, {})).status_code == 204
    openai = house.lib.openai.with_options(api_key=house.keys["ann"])
    store = house.holdings["ann"].ids["store"]
    await openai.vector_stores.files.upload_and_poll(
        vector_store_id=store, file=("p.txt", poison.encode()), poll_interval_ms=20
    )
    page = await openai.vector_stores.search(store, query=poison, extra_body={"search_mode": "vector"})
    assert page.data[0].content[0].text == poison
    assert page.data[0].score == pytest.approx(1, abs=1e-4)


async def test_the_same_chunk_ids_are_ones_own(house: House) -> None:
    for who in IDENTITIES:
        mine = {**CHUNK, "content": f"{NOTE} inserted by {who}", "metadata": {"document_id": "same"}}
        ask = Ask("POST", "/v1/vector-io/insert", {"vector_store_id": "<own store>", "chunks": [mine]})
        assert (await house.send(who, ask, {})).status_code == 204
    for who in IDENTITIES:
        ask = Ask("POST", "/v1/vector-io/query", {"vector_store_id": "<own store>", "query": "inserted swordfish"})
        found = [chunk["content"] for chunk in (await house.send(who, ask, {})).json()["chunks"]]
        assert [each for each in found if "inserted by" in each] == [f"{NOTE} inserted by {who}"]

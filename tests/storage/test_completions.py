"""Stored chat completions, over every SQL backend."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionStoreMessage

from llama_stack.storage.sql.completions import CompletionStore, Order
from llama_stack.storage.sql.database import Database
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound, ProviderError
from llama_stack_api.principal import Principal

pytestmark = pytest.mark.anyio

ALICE = Principal(id="alice", tenant="acme")
BOB = Principal(id="bob", tenant="acme")
OTHER_ALICE = Principal(id="alice", tenant="umbrella")
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hé!"}]


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database: Database, clock: Clock) -> CompletionStore:
    return CompletionStore(database, max_age_s=100, clock=clock)


def completion(completion_id: str, *, created: int = 1, text: str = "Grüße 🦙", **fields: Any) -> bytes:
    body = {
        "id": completion_id,
        "object": "chat.completion",
        "created": created,
        "model": "upstream-model",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, "refusal": None}}
        ],
        **fields,
    }
    return json.dumps(body, ensure_ascii=False).encode()


async def save(store: CompletionStore, completion_id: str, principal: Principal = ALICE, **options: Any) -> str:
    created, model, metadata = options.get("created", 1), options.get("model", "m"), options.get("metadata")
    body = completion(completion_id, created=created)
    return await store.save(principal, body, json.dumps(MESSAGES).encode(), model=model, metadata=metadata)


async def listed(store: CompletionStore, principal: Principal = ALICE, **options: Any) -> list[str]:
    return [item.id for item in (await store.list(principal, **options)).items]


async def test_save_and_get(store: CompletionStore) -> None:
    body = completion("c-1", created=17, upstream_field={"kept": [1.50, None]})
    assert await store.save(ALICE, body, MESSAGES, model="p/m", metadata={"topic": "ünï"}) == "c-1"
    stored = await store.get(ALICE, "c-1")
    assert (stored.id, stored.created, stored.model, stored.metadata) == ("c-1", 17, "p/m", {"topic": "ünï"})
    assert stored.completion == body, "the bytes as they came"
    reply = json.loads(stored.to_json())
    assert reply == {**json.loads(body), "metadata": {"topic": "ünï"}}
    ChatCompletion.model_validate(reply, strict=True)


async def test_save_takes_objects_and_drops_the_upstreams_metadata(store: CompletionStore, clock: Clock) -> None:
    await store.save(ALICE, {"id": "c-1", "choices": [], "metadata": {"theirs": "x"}}, MESSAGES, model="m")
    stored = await store.get(ALICE, "c-1")
    assert stored.created == int(clock.now)
    assert stored.to_json() == b'{"id":"c-1","choices":[],"metadata":{}}'


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("1.7e9", 1_700_000_000),
        ("12.75", 12),
        ("null", 1_000_000),
        ('"x"', 1_000_000),
        ("9" * 40, 1_000_000),
        ("-1", 1_000_000),
    ],
)
async def test_odd_times_of_creation(store: CompletionStore, sent: str, kept: int) -> None:
    body = b'{"id":"c-1","created":%s}' % sent.encode()
    await store.save(ALICE, body, b"[]", model="m")
    stored = await store.get(ALICE, "c-1")
    assert (stored.created, stored.completion) == (kept, body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"id": 7}',
        b'{"object": "x"}',
        b'{"id": ""}',
        b'{"id": "\\u0000"}',
        b'{"id":"x","a":"\x00"}',
        b'{"id":"%s"}' % (b"x" * 257),
    ],
)
async def test_save_refuses_what_is_no_completion(store: CompletionStore, body: bytes) -> None:
    with pytest.raises(ProviderError, match="cannot be stored"):
        await store.save(ALICE, body, b"[]", model="m")
    assert await listed(store) == []


async def test_text_that_databases_trip_over(store: CompletionStore) -> None:
    text = json.dumps("nul \0 quote ' \" \\ percent %s :x \x1f")
    body = b'{"id": "c-1", "text": %s, "broken": "\xff\xfe"}\n ' % text.encode()
    await store.save(ALICE, body, [{"role": "user", "content": json.loads(text)}], model="m'; --")
    reply = json.loads((await store.get(ALICE, "c-1")).to_json())
    assert reply["text"] == json.loads(text)
    (message,) = (await store.messages(ALICE, "c-1")).items
    assert message.message["content"] == json.loads(text)
    assert await listed(store, model="m'; --") == ["c-1"]


async def test_an_id_is_taken_once_per_owner(store: CompletionStore) -> None:
    await save(store, "c-1")
    with pytest.raises(Conflict):
        await save(store, "c-1")
    await save(store, "c-1", BOB)
    await save(store, "c-1", OTHER_ALICE)
    assert await listed(store, BOB) == ["c-1"]


@pytest.mark.parametrize("stranger", [BOB, OTHER_ALICE])
async def test_rows_of_others_do_not_exist(store: CompletionStore, stranger: Principal) -> None:
    await save(store, "c-1", metadata={"a": "b"})
    for attempt in (
        store.get(stranger, "c-1"),
        store.update(stranger, "c-1", {"a": "stolen"}),
        store.delete(stranger, "c-1"),
        store.messages(stranger, "c-1"),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await listed(store, stranger) == []
    assert await listed(store, stranger, metadata={"a": "b"}, model="m") == []
    with pytest.raises(InvalidRequest):
        await store.list(stranger, after="c-1")
    assert (await store.get(ALICE, "c-1")).metadata == {"a": "b"}


async def test_update_and_delete(store: CompletionStore) -> None:
    await save(store, "c-1", metadata={"a": "1"})
    updated = await store.update(ALICE, "c-1", {"b": "2"})
    assert updated == await store.get(ALICE, "c-1")
    assert updated.metadata == {"b": "2"}
    await store.delete(ALICE, "c-1")
    for attempt in (store.get(ALICE, "c-1"), store.update(ALICE, "c-1", {}), store.delete(ALICE, "c-1")):
        with pytest.raises(NotFound, match="c-1"):
            await attempt


@pytest.mark.parametrize("missing", ["c-2", "", "nul\0", "x" * 10_000, "' OR 1=1 --"])
async def test_unknown_ids(store: CompletionStore, missing: str) -> None:
    await save(store, "c-1")
    with pytest.raises(NotFound):
        await store.get(ALICE, missing)
    with pytest.raises((InvalidRequest, NotFound)):
        await store.list(ALICE, after=missing)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_are_stable_under_inserts(store: CompletionStore, clock: Clock, order: Order) -> None:
    # Three share a moment, so that the id decides; what they say of their creation does not count.
    for number in (2, 0, 1):
        await save(store, f"c-{number}", created=number)
    for number in (4, 3):
        clock.now += 1
        await save(store, f"c-{number}", created=0)
    await save(store, "other", BOB)
    expected = ["c-0", "c-1", "c-2", "c-4", "c-3"]
    if order == "desc":
        expected.reverse()
    seen: list[str] = []
    while len(seen) < len(expected):
        page = await store.list(ALICE, after=seen[-1] if seen else None, limit=2, order=order)
        assert page.has_more or order == "desc"
        seen += [item.id for item in page.items]
        clock.now += 1
        await save(store, f"new-{len(seen)}")
    assert seen[: len(expected)] == expected


async def test_list_filters(store: CompletionStore) -> None:
    await save(store, "c-1", model="a", metadata={"k": "v", 'q"$.': "x' ?"})
    await save(store, "c-2", model="a", metadata={"k": "w"})
    await save(store, "c-3", model="b", metadata={"k": "v", "n": "1"})
    await save(store, "c-4", model="b")
    assert await listed(store, model="a") == ["c-1", "c-2"]
    assert await listed(store, metadata={"k": "v"}) == ["c-1", "c-3"]
    assert await listed(store, metadata={"k": "v", "n": "1"}) == ["c-3"]
    assert await listed(store, metadata={'q"$.': "x' ?"}) == ["c-1"]
    assert await listed(store, metadata={"v": "k"}) == []
    assert await listed(store, model="b", metadata={"k": "v"}, order="desc") == ["c-3"]


async def test_list_reply(store: CompletionStore) -> None:
    empty = json.loads((await store.list(ALICE)).to_json())
    assert empty == {"object": "list", "data": [], "first_id": "", "last_id": "", "has_more": False}
    for number in range(3):
        await save(store, f"c-{number}", created=number)
    reply = json.loads((await store.list(ALICE, limit=2)).to_json())
    assert (reply["first_id"], reply["last_id"], reply["has_more"]) == ("c-0", "c-1", True)
    assert [item["id"] for item in reply["data"]] == ["c-0", "c-1"]


@pytest.mark.parametrize("limit", [0, -1, 101])
async def test_limits_of_pages(store: CompletionStore, limit: int) -> None:
    await save(store, "c-1")
    with pytest.raises(InvalidRequest) as raised:
        await store.list(ALICE, limit=limit)
    assert raised.value.param == "limit"
    with pytest.raises(InvalidRequest):
        await store.messages(ALICE, "c-1", limit=limit)


@pytest.mark.parametrize(
    "metadata",
    [{"k" * 65: "v"}, {"k": "v" * 513}, {str(number): "" for number in range(17)}, {"k": "\0"}, {"\ud800": ""}],
)
async def test_metadata_is_checked(store: CompletionStore, metadata: dict[str, str]) -> None:
    await save(store, "c-1")
    with pytest.raises(InvalidRequest) as raised:
        await store.update(ALICE, "c-1", metadata)
    assert raised.value.param == "metadata"
    with pytest.raises(InvalidRequest):
        await save(store, "c-2", metadata=metadata)


async def test_messages(store: CompletionStore) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    messages = [*MESSAGES, {"role": "user", "content": parts, "name": "ann"}, {"role": "assistant", "tool_calls": []}]
    await store.save(ALICE, completion("c-1"), messages, model="m")
    page = await store.messages(ALICE, "c-1")
    assert [item.message for item in page.items] == [
        {"id": "c-1-0", "role": "system", "content": "Be brief.", "content_parts": None, "refusal": None},
        {"id": "c-1-1", "role": "user", "content": "Hé!", "content_parts": None, "refusal": None},
        {"id": "c-1-2", "role": "user", "content": None, "content_parts": parts, "refusal": None, "name": "ann"},
        {
            "id": "c-1-3",
            "role": "assistant",
            "content": None,
            "content_parts": None,
            "refusal": None,
            "tool_calls": [],
        },
    ]
    for message in json.loads(page.to_json())["data"]:
        parsed = ChatCompletionStoreMessage.construct(**message)
        assert (parsed.id, parsed.content) == (message["id"], message["content"])


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_messages_in_pages(store: CompletionStore, order: Order) -> None:
    await store.save(ALICE, completion("c"), [{"role": "user", "content": str(n)} for n in range(12)], model="m")
    seen: list[str] = []
    after, has_more = None, True
    while has_more:
        page = await store.messages(ALICE, "c", after=after, limit=5, order=order)
        seen += [item.message["content"] for item in page.items]
        after, has_more = page.items[-1].id, page.has_more
    assert seen == [str(number) for number in (range(12) if order == "asc" else range(11, -1, -1))]
    with pytest.raises(InvalidRequest, match="c-12"):
        await store.messages(ALICE, "c", after="c-12")


async def test_retention_removes_in_batches(store: CompletionStore, database: Database, clock: Clock) -> None:
    for number in range(5):
        await save(store, f"old-{number}", ALICE if number % 2 else BOB, created=2_000_000_000)
    clock.now += 60
    await save(store, "new", created=1)
    assert await store.sweep(10) == 0
    clock.now += 60
    assert [await store.sweep(2) for _ in range(4)] == [2, 2, 1, 0]
    assert await listed(store) == ["new"]
    clock.now += 1e9
    assert await CompletionStore(database, clock=clock).sweep(10) == 0, "no max_age_s: kept"


async def test_concurrent_saves(store: CompletionStore) -> None:
    names = [f"c-{number:03}" for number in range(120)]
    results = await asyncio.gather(*(save(store, name) for name in [*names, *names[:20]]), return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 20
    first = await listed(store, limit=100)
    assert first + await listed(store, limit=100, after=first[-1]) == names

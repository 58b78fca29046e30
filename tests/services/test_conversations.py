"""Conversations over HTTP: the real edge, the real store, the `openai` client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest
from openai.types.conversations import ConversationItem as SDKConversationItem
from pydantic import TypeAdapter

from llama_stack.agent.entries import Entry, ModelCall
from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.services.conversations import ConversationService
from llama_stack.services.items import kept_items
from llama_stack.storage.sql.conversations import ConversationStore, StoredItem
from llama_stack.storage.sql.open import open_sql
from llama_stack_api.openai.conversations import AddItemsRequest
from llama_stack_api.principal import Principal
from tests.support.server import Running
from tests.support.users import USERS, as_user, edge_for_users

pytestmark = pytest.mark.anyio

PATH = "/v1/conversations"
ALICE = Principal(id="alice", tenant="acme")
UNKNOWN = "conv_" + "0" * 48


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ConversationStore]:
    database = await open_sql(SqlSqliteBackend(db_path=tmp_path / "conversations.db"))
    yield ConversationStore(database)
    await database.close()


@pytest.fixture
async def server(tmp_path: Path, store: ConversationStore) -> AsyncIterator[Running]:
    async with edge_for_users(tmp_path, conversations=ConversationService(store)) as running:
        yield running


@pytest.fixture
async def http(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with as_user(server, "alice") as client:
        yield client


def said(text: str, role: str = "user", **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text, **fields}


async def made(http: httpx.AsyncClient, *items: dict[str, Any]) -> str:
    reply = await http.post(PATH, json={"items": list(items)})
    assert reply.status_code == 200, reply.text
    return str(reply.json()["id"])


def texts(page: dict[str, Any]) -> list[str]:
    return [item["content"][0]["text"] for item in page["data"]]


async def test_the_openai_client(server: Running) -> None:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="key-alice", max_retries=0) as client:
        conversation = await client.conversations.create(
            metadata={"topic": "demo"}, items=[{"type": "message", "role": "user", "content": "Hello!"}]
        )
        assert (conversation.object, conversation.metadata) == ("conversation", {"topic": "demo"})
        assert await client.conversations.retrieve(conversation.id) == conversation
        updated = await client.conversations.update(conversation.id, metadata={"topic": "other"})
        assert updated.metadata == {"topic": "other"}
        added = await client.conversations.items.create(
            conversation.id, items=[{"role": "user", "content": f"{number}"} for number in range(4)]
        )
        assert (added.has_more, added.first_id, added.last_id) == (False, added.data[0].id, added.data[-1].id)
        listed = [item async for item in client.conversations.items.list(conversation.id, limit=2, order="asc")]
        assert texts({"data": [item.to_dict() for item in listed]}) == ["Hello!", "0", "1", "2", "3"]
        assert listed[1:] == added.data
        one = await client.conversations.items.retrieve(added.first_id, conversation_id=conversation.id)
        assert one == added.data[0]
        kept = await client.conversations.items.delete(added.first_id, conversation_id=conversation.id)
        assert kept == updated
        assert len([item async for item in client.conversations.items.list(conversation.id)]) == 4
        assert (await client.conversations.delete(conversation.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.conversations.items.list(conversation.id)


async def test_an_empty_conversation(http: httpx.AsyncClient) -> None:
    bodies: list[dict[str, Any]] = [{}, {"items": None, "metadata": None}, {"items": []}]
    for body in bodies:
        reply = (await http.post(PATH, json=body)).json()
        assert reply["metadata"] == {}
        listed = (await http.get(f"{PATH}/{reply['id']}/items")).json()
        assert listed == {"object": "list", "data": [], "first_id": "", "last_id": "", "has_more": False}


async def test_pages(http: httpx.AsyncClient) -> None:
    conversation = await made(http, *(said(str(number)) for number in range(5)))
    items = f"{PATH}/{conversation}/items"
    first = (await http.get(items, params={"limit": 2})).json()
    assert (texts(first), first["has_more"]) == (["4", "3"], True)
    assert (first["first_id"], first["last_id"]) == (first["data"][0]["id"], first["data"][1]["id"])
    rest = (await http.get(items, params={"limit": 3, "after": first["last_id"]})).json()
    assert (texts(rest), rest["has_more"]) == (["2", "1", "0"], False)
    ascending = (await http.get(items, params={"order": "asc", "after": rest["last_id"]})).json()
    assert texts(ascending) == ["1", "2", "3", "4"]
    for wrong in ({"limit": "0"}, {"limit": "101"}, {"order": "up"}, {"after": "msg_none"}):
        reply = await http.get(items, params=wrong)
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, *wrong), reply.text


@pytest.mark.parametrize("user", [user for user in USERS if user != "alice"])
async def test_others_see_nothing(server: Running, http: httpx.AsyncClient, user: str) -> None:
    conversation = await made(http, said("secret", id="msg_1"))
    async with as_user(server, user) as other:
        for method, path, body in [
            ("GET", "", None),
            ("POST", "", {"metadata": {"mine": "now"}}),
            ("DELETE", "", None),
            ("GET", "/items", None),
            ("GET", "/items?after=msg_1", None),
            ("POST", "/items", {"items": [said("mine")]}),
            ("GET", "/items/msg_1", None),
            ("DELETE", "/items/msg_1", None),
        ]:
            replies = [await other.request(method, f"{PATH}/{of}{path}", json=body) for of in (conversation, UNKNOWN)]
            assert [reply.status_code for reply in replies] == [404, 404], (method, path)
            assert replies[0].text.replace(conversation, "") == replies[1].text.replace(UNKNOWN, "")
    assert (await http.get(f"{PATH}/{conversation}")).json()["metadata"] == {}
    assert texts((await http.get(f"{PATH}/{conversation}/items")).json()) == ["secret"]


async def test_ids_of_clients_are_kept_and_used_once(http: httpx.AsyncClient) -> None:
    conversation = await made(http, said("one", id="msg_mine"))
    items = f"{PATH}/{conversation}/items"
    assert (await http.get(f"{items}/msg_mine")).json()["content"][0]["text"] == "one"
    again = await http.post(items, json={"items": [said("two"), said("three", id="msg_mine")]})
    assert (again.status_code, again.json()["error"]["param"]) == (409, "items")
    odd = await http.post(items, json={"items": [said("four", id="sp ace"), said("five", id="x"), said("six", id="x")]})
    assert odd.status_code == 200
    ids = [item["id"] for item in odd.json()["data"]]
    assert ids[1] == "x"
    assert len({*ids, "sp ace"}) == 4, "what cannot be kept, or is there twice, gets another"
    assert texts((await http.get(items)).json()) == ["six", "five", "four", "one"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"items": [said(str(number)) for number in range(21)]}, "items"),
        ({"items": [{"type": "message", "content": "no role"}]}, "items[0].role"),
        ({"items": "hello"}, "items"),
        ({"items": [said("fine"), {"type": "item_reference", "id": "msg_1"}]}, "items[1]"),
        ({"items": [{"id": "msg_1"}]}, "items[0]"),
        ({"items": [{"type": "compaction_trigger"}]}, "items[0]"),
    ],
)
async def test_items_that_cannot_be(http: httpx.AsyncClient, body: dict[str, Any], param: str) -> None:
    conversation = await made(http)
    for path in (PATH, f"{PATH}/{conversation}/items"):
        reply = await http.post(path, json=body)
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), reply.text
    assert (await http.get(f"{PATH}/{conversation}/items")).json()["data"] == []


@pytest.mark.parametrize(
    "item",
    [
        rb'{"role":"user","content":"\ud800"}',
        rb'{"role":"user","content":"x","extra":{"\ud800":1}}',
        rb'{"type":"\ud800"}',
        rb'{"type":"reasoning","summary":[],"extra":["\udfff"]}',
    ],
)
async def test_what_is_no_text_is_refused(http: httpx.AsyncClient, item: bytes) -> None:
    body = b'{"items":[%s]}' % item
    reply = await http.post(PATH, content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400, reply.text


async def test_odd_values_are_kept(http: httpx.AsyncClient) -> None:
    sent = [said("\0", big=10**30), {"type": "odd type/\0é"}]
    listed = (await http.get(f"{PATH}/{await made(http, *sent)}/items", params={"order": "asc"})).json()["data"]
    assert texts({"data": listed[:1]}) == ["\0"]
    assert listed[0]["big"] == 10**30
    assert listed[1] == {"type": "odd type/\0é", "id": listed[1]["id"]}


async def test_metadata(http: httpx.AsyncClient) -> None:
    conversation = await made(http)
    for metadata in ({f"k{n}": "" for n in range(17)}, {"k" * 65: ""}, {"k": "v" * 513}, {"k": 1}):
        for path in (PATH, f"{PATH}/{conversation}"):
            assert (await http.post(path, json={"metadata": metadata})).status_code == 400
    assert (await http.post(f"{PATH}/{conversation}", json={})).status_code == 400
    assert (await http.post(f"{PATH}/{conversation}", json={"metadata": {"a": "b"}})).json()["metadata"] == {"a": "b"}
    assert (await http.post(f"{PATH}/{conversation}", json={"metadata": None})).json()["metadata"] == {}


async def test_what_is_shown_only_if_asked_for(http: httpx.AsyncClient) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    conversation = await made(
        http,
        said("", content=[image]),
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "opaque"},
    )
    items = f"{PATH}/{conversation}/items"
    plain = (await http.get(items, params={"order": "asc"})).json()["data"]
    assert plain[0]["content"] == [{"type": "input_image", "detail": "auto"}]
    assert "encrypted_content" not in plain[1]
    both = ["message.input_image.image_url", "reasoning.encrypted_content"]
    for name in ("include", "include[]"):
        asked = (await http.get(items, params={"order": "asc", name: both})).json()["data"]
        assert asked[0]["content"] == [{**image, "detail": "auto"}]
        assert asked[1]["encrypted_content"] == "opaque"
    one = (await http.get(f"{items}/rs_1", params={"include": both})).json()
    assert one["encrypted_content"] == "opaque"
    more = await http.post(items, params={"include": both}, json={"items": [said("", content=[image])]})
    assert more.json()["data"][0]["content"][0]["image_url"] == image["image_url"]


async def test_what_a_response_adds_is_shown_without_what_is_ours(
    http: httpx.AsyncClient, store: ConversationStore
) -> None:
    conversation = await made(http, said("What time is it?"))
    item = {"type": "mcp_call", "id": "mcp_1", "server_label": "time", "name": "now", "arguments": "{}", "output": "9"}
    entry = Entry(item, call=ModelCall("call_1", "time__now", "{}"), shown="9", pin="digest")
    await store.append(ALICE, conversation, "resp_1", [StoredItem("mcp_1", msgspec.json.encode(entry))])
    assert (await http.get(f"{PATH}/{conversation}/items/mcp_1")).json() == item
    other = msgspec.json.encode(Entry({**item, "output": "10"}))
    await store.append(ALICE, conversation, "resp_2", [StoredItem("mcp_1", other)])
    shown = (await http.get(f"{PATH}/{conversation}/items", params={"limit": 1})).json()["data"]
    assert shown == [{**item, "id": "item_resp_2_0", "output": "10"}], "the id under which it can be had"
    rows = await store.entries(ALICE, conversation, upto=await store.position(ALICE, conversation))
    assert msgspec.json.decode(rows[1], type=Entry) == entry
    assert msgspec.json.decode(rows[0], type=Entry).item["content"] == [
        {"type": "input_text", "text": "What time is it?"}
    ]


FEWEST: list[dict[str, Any]] = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "hi"},
    {
        "role": "developer",
        "content": [{"type": "input_image", "image_url": "u"}, {"type": "input_file", "file_id": "f"}],
    },
    said("", "assistant", content=[{"type": "output_text", "text": "x", "logprobs": [{"token": "a", "logprob": -1}]}]),
    said("", "assistant", content=[{"type": "refusal", "refusal": "no"}]),
    {"type": "reasoning"},
    {"type": "compaction", "encrypted_content": "x"},
    {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "x", "status": None},
    {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": "u"}]},
    {"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "x"},
    {"type": "custom_tool_call_output", "call_id": "c", "output": "x"},
    {"type": "tool_search_call", "arguments": {}},
    {"type": "tool_search_output", "call_id": "c", "tools": []},
    {"type": "additional_tools", "tools": []},
    {"type": "mcp_list_tools", "server_label": "x", "tools": [{"name": "x", "input_schema": {}}]},
    {"type": "mcp_approval_request", "server_label": "x", "name": "n", "arguments": "{}"},
    {"type": "mcp_approval_response", "approval_request_id": "x", "approve": True},
    {"type": "mcp_call", "server_label": "x", "name": "n", "arguments": "{}"},
    {"type": "mcp_call", "server_label": "x", "name": "n", "arguments": "{}", "error": "bad"},
    {"type": "file_search_call"},
    {"type": "web_search_call"},
    {"type": "computer_call", "call_id": "c", "action": {"type": "screenshot"}},
    {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "image_url": "u"}},
    {"type": "image_generation_call"},
    {"type": "code_interpreter_call"},
    {"type": "local_shell_call", "call_id": "c", "action": {"command": ["ls"]}},
    {"type": "local_shell_call_output", "output": "{}"},
    {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}},
    {"type": "shell_call_output", "call_id": "c", "output": []},
    {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "delete_file", "path": "p"}},
    {"type": "apply_patch_call_output", "call_id": "c"},
    {"type": "program", "call_id": "c", "code": "x", "fingerprint": "f"},
    {"type": "program_output", "call_id": "c", "result": "x"},
]
"""Of each type as little as a client may send."""


def kept(sent: dict[str, Any]) -> dict[str, Any]:
    (item,) = kept_items(AddItemsRequest.model_validate_json(json.dumps({"items": [sent]})).items)
    return item


@pytest.fixture(scope="module")
def sdk() -> TypeAdapter[Any]:
    return TypeAdapter(SDKConversationItem)


@pytest.mark.parametrize("sent", FEWEST, ids=lambda sent: sent.get("type", sent.get("role")))
def test_what_is_kept_has_all_that_the_package_expects(sdk: TypeAdapter[Any], sent: dict[str, Any]) -> None:
    item = kept(sent)
    assert sdk.validate_json(json.dumps(item), strict=True).id == item["id"]
    assert {**item, **kept(item)} == item, "what comes back is kept as it is"


def test_unknown_types_and_fields_are_kept_as_they_are() -> None:
    item = kept({"type": "hologram", "id": "h-1", "depth": [1, None]})
    assert item == {"type": "hologram", "id": "h-1", "depth": [1, None]}
    call = kept({"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}", "extra": {"a": None}})
    assert call["extra"] == {"a": None}
    odd = {"type": "hologram", "id": "h-1", "tools": 5, "content": [7, {"type": ["list"]}], "error": 1}
    assert kept(odd) == odd


def test_secrets_of_tools_are_not_kept() -> None:
    tool = {"type": "mcp", "server_label": "x", "server_url": "https://x"}
    sent = {"type": "additional_tools", "tools": [{**tool, "authorization": "sk-1", "headers": {"x-key": "sk-2"}}]}
    assert kept(sent)["tools"] == [tool]
    secret = {"domain": "a.example", "name": "KEY", "value": "sk-3"}
    network = {"type": "allowlist", "allowed_domains": ["a.example"], "domain_secrets": [secret]}
    shell = {"type": "shell", "environment": {"type": "container_auto", "network_policy": network}}
    assert "sk-3" not in json.dumps(kept({"type": "additional_tools", "tools": [shell]}))


@pytest.mark.parametrize("item", [{"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}, {"id": "", "type": None}])
async def test_a_reference_cannot_be_kept_however_it_is_written(http: httpx.AsyncClient, item: Any) -> None:
    conversation = await made(http)
    refused = await http.post(f"{PATH}/{conversation}/items", json={"items": [item]})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "items[0]")

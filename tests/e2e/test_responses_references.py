"""Items that a request names by their ids: of any stored response or conversation of its owner's, however old."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from llama_stack.security.authentication import new_key
from tests.support.edge import client
from tests.support.responding import MODEL, RESPONSES, Responding, responding
from tests.support.upstream import Say, Tool, calls, text

pytestmark = pytest.mark.anyio


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Responding]:
    async with responding(tmp_path) as up:
        yield up


def naming(*ids: str | None) -> Any:
    return [*({"type": "item_reference", "id": each} for each in ids), {"role": "user", "content": "And?"}]


async def test_items_of_all_kinds_are_found_behind_hundreds_of_responses(up: Responding) -> None:
    tool: Any = {"type": "function", "name": "get", "parameters": {}, "strict": False}
    up.upstream.reply(calls(Tool("get", {"a": 1}, "call_1"), content="Let me see.", reasoning="Which one?"))
    first = await up.openai.responses.create(model=MODEL, input=[{"role": "user", "content": "Look."}], tools=[tool])
    given = (await up.openai.responses.input_items.list(first.id)).data
    for _ in range(210):
        assert (await up.http.post(RESPONSES, json={"model": MODEL, "input": "Hi"})).status_code == 200
    ids = [item.id for item in (*given, *first.output)]
    assert [item.type for item in first.output] == ["reasoning", "message", "function_call"]
    output: Any = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
    await up.openai.responses.create(model=MODEL, input=[*naming(*ids)[:-1], output])
    assert up.said() == [("user", "Look."), ("assistant", "Let me see."), ("tool", "42")]
    assert up.asked()[1]["tool_calls"][0]["id"] == "call_1"


async def test_items_of_conversations_are_found(up: Responding) -> None:
    said: Any = [{"role": "user", "content": "I am Ann."}, {"type": "hologram", "beam": 1}]
    conversation = await up.openai.conversations.create(items=said)
    up.upstream.reply(text("Hi Ann."))
    first = await up.openai.responses.create(model=MODEL, input="Hello", conversation=conversation.id)
    await up.openai.responses.delete(first.id)  # the conversation keeps its items
    items = (await up.openai.conversations.items.list(conversation.id, order="asc")).data
    await up.openai.responses.create(model=MODEL, input=naming(items[0].id, items[1].id, items[3].id))
    assert [role for role, _ in up.said()] == ["user", "user", "assistant", "user"]
    assert up.said()[0] == ("user", "I am Ann.")
    assert up.said()[2] == ("assistant", "Hi Ann.")


async def test_what_is_deleted_or_was_never_stored_is_not_found(up: Responding) -> None:
    deleted = await up.openai.responses.create(model=MODEL, input="Hi")
    await up.openai.responses.delete(deleted.id)
    unstored = await up.openai.responses.create(model=MODEL, input="Hi", store=False)
    for item_id in (deleted.output[0].id, unstored.output[0].id, deleted.id, "msg_1", "msg_" + "0" * 48, "x" * 500):
        with pytest.raises(openai.NotFoundError) as refused:
            await up.openai.responses.create(model=MODEL, input=naming(item_id))
        assert refused.value.param == "input[0].id"
        assert str(item_id)[:100] in refused.value.message


async def test_a_request_names_so_many_items_at_most(up: Responding) -> None:
    ids = [f"msg_{number:048x}" for number in range(5000)]
    reply = await up.http.post(RESPONSES, json={"model": MODEL, "input": naming(*ids)})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input")
    assert "4096" in reply.json()["error"]["message"]


async def test_nobody_finds_the_items_of_others(tmp_path: Path) -> None:
    keys = {name: new_key() for name in ("ann", "bob")}
    auth = {"provider_config": {"type": "api_keys", "keys": [{"id": n, "hash": k.hash} for n, k in keys.items()]}}
    async with responding(tmp_path, server={"auth": auth}) as up:
        ann, bob = ({"authorization": f"Bearer {keys[name].key}"} for name in ("ann", "bob"))
        async with client(up.server, headers=ann) as http:
            made = (await http.post(RESPONSES, json={"model": MODEL, "input": "Hi"})).json()
            said = {"role": "user", "content": "Mine."}
            conversation = (await http.post("/v1/conversations", json={"items": [said]})).json()["id"]
            kept = (await http.get(f"/v1/conversations/{conversation}/items")).json()["data"]
            ids = (made["output"][0]["id"], kept[0]["id"])
            for item_id in ids:
                assert (await http.post(RESPONSES, json={"model": MODEL, "input": naming(item_id)})).status_code == 200
        async with client(up.server, headers=bob) as http:
            for item_id in ids:
                reply = await http.post(RESPONSES, json={"model": MODEL, "input": naming(item_id)})
                assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")


async def test_thoughts_are_named_too(up: Responding) -> None:
    up.upstream.reply(Say("Blue.", reasoning="It is blue."))
    first = await up.openai.responses.create(model=MODEL, input="Which colour?")
    await up.openai.responses.create(model=MODEL, input=naming(*(item.id for item in first.output)))
    assert up.asked()[0]["reasoning_content"] == "It is blue."

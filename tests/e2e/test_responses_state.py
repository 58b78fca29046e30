"""What a response goes on from: chains and their branches, conversations, sealed reasoning, the same request again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.responding import MODEL, RESPONSES, Responding, responding
from tests.support.upstream import Wire, text

pytestmark = pytest.mark.anyio


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Responding]:
    async with responding(tmp_path) as up:
        yield up


async def test_chains_have_branches_and_instructions_that_do_not_carry_over(up: Responding) -> None:
    up.upstream.reply(text("Hi Ann."), text("Blue."), text("Red."), text("Ann, blue."))
    ask = up.openai.responses.create
    root = await ask(model=MODEL, input="I am Ann.", instructions="Be formal.")
    blue = await ask(model=MODEL, input="A colour?", previous_response_id=root.id)
    red = await ask(model=MODEL, input="A colour!", previous_response_id=root.id, instructions="Be rude.")
    leaf = await ask(model=MODEL, input="Who, which?", previous_response_id=blue.id)
    assert leaf.output_text == "Ann, blue."
    assert up.said(0) == [("system", "Be formal."), ("user", "I am Ann.")]
    start = [("user", "I am Ann."), ("assistant", "Hi Ann.")]
    assert up.said(1) == [*start, ("user", "A colour?")]
    assert up.said(2) == [("system", "Be rude."), *start, ("user", "A colour!")]
    assert up.said(3) == [*start, ("user", "A colour?"), ("assistant", "Blue."), ("user", "Who, which?")]
    assert red.output_text == "Red."


async def test_a_response_that_runs_cannot_be_continued(up: Responding) -> None:
    up.upstream.reply(text("One two.", wire=Wire(stall_after=1)))
    running = await up.openai.responses.create(model=MODEL, input="Hi", background=True)
    await up.upstream.wait_requests(1)
    with pytest.raises(openai.BadRequestError) as refused:
        await up.openai.responses.create(model=MODEL, input="And?", previous_response_id=running.id)
    assert refused.value.code == "previous_response_in_progress"
    await up.openai.responses.cancel(running.id)
    went_on = await up.openai.responses.create(model=MODEL, input="And?", previous_response_id=running.id)
    assert went_on.status == "completed"
    assert up.said()[0] == ("user", "Hi")


async def test_items_are_referred_to_by_id(up: Responding) -> None:
    up.upstream.reply(text("Hi Ann."))
    first = await up.openai.responses.create(model=MODEL, input="I am Ann.")
    given = (await up.openai.responses.input_items.list(first.id)).data
    references: Any = [{"type": "item_reference", "id": each.id} for each in (*given, *first.output)]
    again: Any = [*references, {"role": "user", "content": "And?"}]
    await up.openai.responses.create(model=MODEL, input=again)
    assert up.said() == [("user", "I am Ann."), ("assistant", "Hi Ann."), ("user", "And?")]
    await up.openai.responses.create(model=MODEL, input=again, previous_response_id=first.id)
    assert up.said() == [("user", "I am Ann."), ("assistant", "Hi Ann."), ("user", "And?")]


async def test_a_conversation_grows(up: Responding) -> None:
    conversation = await up.openai.conversations.create()
    up.upstream.reply(text("Hi Ann."), text("Ann."))
    first = await up.openai.responses.create(model=MODEL, input="I am Ann.", conversation=conversation.id)
    assert first.conversation is not None
    assert first.conversation.id == conversation.id
    await up.openai.responses.create(model=MODEL, input="Who am I?", conversation={"id": conversation.id})
    assert up.said() == [("user", "I am Ann."), ("assistant", "Hi Ann."), ("user", "Who am I?")]
    items = await up.openai.conversations.items.list(conversation.id, order="asc")
    assert [json.loads(each.model_dump_json())["content"][0]["text"] for each in items.data] == [
        "I am Ann.",
        "Hi Ann.",
        "Who am I?",
        "Ann.",
    ]


async def test_reasoning_comes_back_sealed_and_is_opened_for_the_model(up: Responding) -> None:
    up.upstream.reply(text("42.", reasoning="Six times seven."))
    include: Any = ["reasoning.encrypted_content"]
    first = await up.openai.responses.create(model=MODEL, input="6 by 7?", store=False, include=include)
    reasoning, message = first.output
    assert reasoning.type == "reasoning"
    assert reasoning.encrypted_content
    assert "Six" not in reasoning.encrypted_content
    items: Any = [
        {"role": "user", "content": "6 by 7?"},
        {"type": "reasoning", "id": reasoning.id, "summary": [], "encrypted_content": reasoning.encrypted_content},
        message.model_dump(),
        {"role": "user", "content": "Sure?"},
    ]
    await up.openai.responses.create(model=MODEL, input=items, store=False, include=include)
    assert "Six times seven." in json.dumps(up.asked())


async def test_the_same_key_is_the_same_response(up: Responding) -> None:
    question = {"model": MODEL, "input": "Hi"}
    key = {"Idempotency-Key": "k-1"}
    replies = await asyncio.gather(*(up.http.post(RESPONSES, json=question, headers=key) for _ in range(3)))
    (response_id,) = {reply.json()["id"] for reply in replies}
    assert len(up.upstream.requests) == 1
    streamed = await up.http.post(RESPONSES, json=question | {"stream": True}, headers=key)
    assert f'"id":"{response_id}"' in streamed.text
    assert streamed.text.split("event: ")[-1].startswith("response.completed")
    other = await up.http.post(RESPONSES, json={"model": MODEL, "input": "Bye"}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")
    fresh = await up.http.post(RESPONSES, json=question, headers={"Idempotency-Key": "k-2"})
    assert fresh.json()["id"] != response_id
    queued = question | {"background": True}
    first, again = [await up.http.post(RESPONSES, json=queued, headers={"Idempotency-Key": "k-3"}) for _ in range(2)]
    assert first.json()["id"] == again.json()["id"]


async def test_tokens_are_counted_and_a_context_is_compacted(up: Responding) -> None:
    first = await up.openai.responses.create(model=MODEL, input="x" * 400)
    short = await up.openai.responses.input_tokens.count(model=MODEL, input="Hi")
    long = await up.openai.responses.input_tokens.count(model=MODEL, input="Hi", previous_response_id=first.id)
    assert 0 < short.input_tokens < 20
    assert long.input_tokens > 100 + short.input_tokens

    up.upstream.reply(text("They said x a lot."))
    compacted = await up.openai.responses.compact(model=MODEL, previous_response_id=first.id)
    assert compacted.object == "response.compaction"
    assert [item.type for item in compacted.output] == ["message", "compaction"]
    assert compacted.usage.total_tokens > 0
    again: Any = [
        *(item.model_dump(exclude_none=True, warnings=False) for item in compacted.output),
        {"role": "user", "content": "So?"},
    ]
    await up.openai.responses.create(model=MODEL, input=again)
    assert "They said x a lot." in json.dumps(up.asked())


async def test_a_compaction_is_as_long_as_the_config_says(tmp_path: Path) -> None:
    async with responding(tmp_path, server={"responses": {"summary_tokens_max": 77}}) as up:
        up.upstream.reply(text("They said hi."))
        await up.openai.responses.compact(model=MODEL, input="Hi")
        assert up.upstream.last.body["max_completion_tokens"] == 77


async def test_a_trigger_compacts_what_is_before_it(up: Responding) -> None:
    first = await up.openai.responses.create(model=MODEL, input="I am Ann.")
    up.upstream.reply(text("The user is Ann."), text("Ann."))
    trigger: Any = [{"type": "compaction_trigger"}]
    compacted = await up.openai.responses.create(model=MODEL, input=trigger, previous_response_id=first.id)
    assert [item.type for item in compacted.output] == ["compaction"]
    await up.openai.responses.create(model=MODEL, input="Who am I?", previous_response_id=compacted.id)
    assert "I am Ann." not in json.dumps(up.asked())
    assert "The user is Ann." in json.dumps(up.asked())

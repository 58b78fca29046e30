"""Stored responses: read, listed, followed, in the background, cancelled, deleted; their owner's alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import omit

from llama_stack.security.authentication import new_key
from tests.support.edge import client
from tests.support.responding import MODEL, RESPONSES, Responding, responding
from tests.support.upstream import Wire, text

pytestmark = pytest.mark.anyio

WAIT_S = 10.0


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Responding]:
    async with responding(tmp_path) as up:
        yield up


async def ended(up: Responding, response_id: str) -> openai.types.responses.Response:
    """As OpenAI's guide polls what is in the background."""
    async with asyncio.timeout(WAIT_S):
        while (found := await up.openai.responses.retrieve(response_id)).status in ("queued", "in_progress"):
            await asyncio.sleep(0.02)
    return found


async def followed(up: Responding, response_id: str, after: int | None = None) -> list[Any]:
    place = omit if after is None else after
    stream = await up.openai.responses.retrieve(response_id, stream=True, starting_after=place)
    return [event async for event in stream]


async def test_a_response_is_read_as_it_was_answered(up: Responding) -> None:
    made = await up.http.post(RESPONSES, json={"model": MODEL, "input": "Hi"})
    read = await up.http.get(f"{RESPONSES}/{made.json()['id']}")
    assert read.json() == made.json()


async def test_the_background_answers_at_once_and_goes_on(up: Responding) -> None:
    up.upstream.reply(text("Done at last.", wire=Wire(head_after_s=0.1)))
    queued = await up.openai.responses.create(model=MODEL, input="Work", background=True)
    assert (queued.status, queued.background, queued.output) == ("queued", True, [])
    found = await ended(up, queued.id)
    assert (found.status, found.output_text) == ("completed", "Done at last.")


async def test_a_log_is_followed_from_any_place(up: Responding) -> None:
    up.upstream.reply(text("One two three four."))
    stream = await up.openai.responses.create(model=MODEL, input="Count", stream=True, background=True)
    seen = [event async for event in stream]
    assert seen[-1].type == "response.completed"
    response_id = seen[0].response.id  # type: ignore[union-attr]
    assert await followed(up, response_id) == seen
    assert await followed(up, response_id, after=4) == seen[5:]
    assert await followed(up, response_id, after=len(seen) - 1) == []


async def test_a_reader_who_was_cut_off_misses_nothing(up: Responding) -> None:
    up.upstream.reply(text("One two three four five six.", wire=Wire(gap_s=0.05)))
    seen: list[Any] = []
    stream = await up.openai.responses.create(model=MODEL, input="Count", stream=True)
    async for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    rest = await followed(up, seen[0].response.id, after=seen[-1].sequence_number)
    assert [event.sequence_number for event in seen + rest] == list(range(len(seen + rest)))
    assert rest[-1].response.output_text == "One two three four five six."


async def test_a_running_response_is_shown_as_it_is(up: Responding) -> None:
    up.upstream.reply(text("One two three.", wire=Wire(stall_after=3)))
    stream = await up.openai.responses.create(model=MODEL, input="Count", stream=True)
    async for event in stream:
        if event.type == "response.output_text.delta" and event.delta.startswith("two"):
            break
    response_id = (await up.http.get(RESPONSES)).json()["data"][0]["id"]
    found = (await up.http.get(f"{RESPONSES}/{response_id}")).json()
    assert found["status"] == "in_progress"
    assert found["output"][0]["content"][0]["text"].startswith("One two")
    await stream.close()


async def test_cancelling(up: Responding) -> None:
    up.upstream.reply(text("One two three.", wire=Wire(stall_after=2)))
    queued = await up.openai.responses.create(model=MODEL, input="Work", background=True)
    await up.upstream.wait_requests(1)
    cancelled = await up.openai.responses.cancel(queued.id)
    assert cancelled.status == "cancelled"
    await up.upstream.last.wait_hung_up()
    assert (await up.openai.responses.cancel(queued.id)).status == "cancelled"
    events = await followed(up, queued.id)
    assert events[-1].response.status == "cancelled"
    done = await up.openai.responses.create(model=MODEL, input="Hi", background=True)
    assert (await ended(up, done.id)).status == "completed"
    with pytest.raises(openai.ConflictError, match="completed"):
        await up.openai.responses.cancel(done.id)
    synchronous = await up.openai.responses.create(model=MODEL, input="Hi")
    with pytest.raises(openai.ConflictError, match="synchronous"):
        await up.openai.responses.cancel(synchronous.id)


async def test_lists(up: Responding) -> None:
    made = [(await up.openai.responses.create(model=MODEL, input=str(number))).id for number in range(5)]
    page = (await up.http.get(RESPONSES, params={"limit": 2})).json()
    assert [each["id"] for each in page["data"]] == made[:-3:-1]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (made[4], made[3], True)
    page = (await up.http.get(RESPONSES, params={"after": made[1], "order": "asc"})).json()
    assert [each["id"] for each in page["data"]] == made[2:]
    assert page["has_more"] is False
    assert (await up.http.get(RESPONSES, params={"model": "another"})).json()["data"] == []
    assert len((await up.http.get(RESPONSES, params={"model": MODEL})).json()["data"]) == 5
    refused = await up.http.get(RESPONSES, params={"after": "resp_gone"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "after")


async def test_input_items(up: Responding) -> None:
    said: Any = [{"role": "user", "content": f"number {number}"} for number in range(3)]
    first = await up.openai.responses.create(model=MODEL, input=said)

    def texts(items: list[Any]) -> list[str]:
        return [item.content[0].text for item in items]

    newest = await up.openai.responses.input_items.list(first.id, limit=2)
    assert texts(newest.data) == ["number 2", "number 1"]
    assert newest.has_more is True
    rest = await up.openai.responses.input_items.list(first.id, after=newest.data[-1].id)
    assert (texts(rest.data), rest.has_more) == (["number 0"], False)
    oldest = await up.openai.responses.input_items.list(first.id, order="asc")
    assert texts(oldest.data) == ["number 0", "number 1", "number 2"]
    before = await up.http.get(
        f"{RESPONSES}/{first.id}/input_items", params={"before": oldest.data[2].id, "order": "asc", "limit": 1}
    )
    assert [item["id"] for item in before.json()["data"]] == [oldest.data[1].id]

    second = await up.openai.responses.create(model=MODEL, input="And?", previous_response_id=first.id)
    chain = await up.openai.responses.input_items.list(second.id, order="asc")
    assert texts(chain.data) == [*texts(oldest.data), "Hello from the upstream.", "And?"]


async def test_deleting(up: Responding) -> None:
    first = await up.openai.responses.create(model=MODEL, input="My name is Ann.")
    second = await up.openai.responses.create(model=MODEL, input="Hi", previous_response_id=first.id)
    reply = await up.http.delete(f"{RESPONSES}/{first.id}")
    assert reply.json() == {"id": first.id, "object": "response", "deleted": True}
    for gone in ("", "/input_items", "?stream=true"):
        assert (await up.http.get(f"{RESPONSES}/{first.id}{gone}")).status_code == 404
    assert (await up.http.delete(f"{RESPONSES}/{first.id}")).status_code == 404
    with pytest.raises(openai.BadRequestError, match="not found"):
        await up.openai.responses.create(model=MODEL, input="Hi", previous_response_id=first.id)
    third = await up.openai.responses.create(model=MODEL, input="Who am I?", previous_response_id=second.id)
    assert third.status == "completed"
    assert ("user", "My name is Ann.") in up.said()


async def test_unstored_responses_are_kept_nowhere(up: Responding) -> None:
    response = await up.openai.responses.create(model=MODEL, input="Hi", store=False)
    assert response.output_text == "Hello from the upstream."
    with pytest.raises(openai.NotFoundError):
        await up.openai.responses.retrieve(response.id)
    assert (await up.http.get(RESPONSES)).json()["data"] == []


async def test_whoever_hangs_up_leaves_a_stored_run_alone_and_ends_one_that_is_not(up: Responding) -> None:
    up.upstream.always(text("One two three.", wire=Wire(stall_after=2)))
    for stream in (True, False):
        question = {"model": MODEL, "input": "Hi", "store": False, "stream": stream}
        await _hang_up(up, question)
        await up.upstream.last.wait_hung_up()
    await _hang_up(up, {"model": MODEL, "input": "Hi"})
    (listed,) = (await up.http.get(RESPONSES)).json()["data"]
    assert listed["status"] == "in_progress"
    assert not up.upstream.last.hung_up


async def _hang_up(up: Responding, question: dict[str, Any]) -> None:
    before = len(up.upstream.requests)
    task = asyncio.create_task(up.http.post(RESPONSES, json=question))
    await up.upstream.wait_requests(before + 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_not_ones_own_does_not_exist(tmp_path: Path) -> None:
    keys = {name: new_key() for name in ("ann", "bob")}
    auth = {"provider_config": {"type": "api_keys", "keys": [{"id": n, "hash": k.hash} for n, k in keys.items()]}}
    async with responding(tmp_path, server={"auth": auth}) as up:
        ann, bob = ({"authorization": f"Bearer {keys[name].key}"} for name in ("ann", "bob"))
        async with client(up.server, headers=ann) as http:
            queued = {"model": MODEL, "input": "Hi", "background": True}
            response_id = (await http.post(RESPONSES, json=queued)).json()["id"]
        async with client(up.server, headers=bob) as http:
            one = f"{RESPONSES}/{response_id}"
            for method, path in (
                ("GET", one),
                ("GET", f"{one}?stream=true"),
                ("GET", f"{one}/input_items"),
                ("POST", f"{one}/cancel"),
                ("DELETE", one),
            ):
                reply = await http.request(method, path)
                assert reply.status_code == 404, (method, path)
                assert response_id in reply.json()["error"]["message"]
            goes_on = {"model": MODEL, "input": "Hi", "previous_response_id": response_id}
            assert (await http.post(RESPONSES, json=goes_on)).json()["error"]["code"] == "previous_response_not_found"
            assert (await http.get(RESPONSES)).json()["data"] == []


async def test_a_stream_that_has_nothing_to_say_lives_on(tmp_path: Path) -> None:
    """The edge gives up streams that stand still; one whose tool or model takes its time is none of them."""
    async with responding(tmp_path, server={"limits": {"stream_idle_timeout_s": 0.4}}) as up:
        creation = up.server.services.responses.creation
        creation._keep_alive_s = 0.1  # as the deadline, a hundredth of what it is
        up.upstream.reply(text("Late.", wire=Wire(head_after_s=1.0)))
        async with up.http.stream("POST", RESPONSES, json={"model": MODEL, "input": "Hi", "stream": True}) as reply:
            body = (await reply.aread()).decode()
    assert ": keep-alive\n\n" in body
    events = [json.loads(line.removeprefix("data: ")) for line in body.split("\n") if line.startswith("data: ")]
    assert events[-1]["type"] == "response.completed"

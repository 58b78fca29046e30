"""Message batches through the `anthropic` package, over the whole server and a scripted upstream."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

from llama_stack.security.authentication import new_key
from tests.support.responding import MODEL, Responding, responding
from tests.support.upstream import Recorded, Wire, error, rate_limited, text
from tests.support.upstream_wire import Answer

pytestmark = pytest.mark.anyio

WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class House:
    up: Responding

    def client(self, key: str = "none") -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(base_url=self.up.server.url, api_key=key, max_retries=0)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with responding(tmp_path, server={"runs": {"drain_s": 0.1}}) as up:
        yield House(up)


@pytest.fixture
async def client(house: House) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with house.client() as made:
        yield made


def request(custom_id: str, said: str = "Hi", **more: Any) -> Any:
    params = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": said}], **more}
    return {"custom_id": custom_id, "params": params}


async def ended(client: anthropic.AsyncAnthropic, batch_id: str) -> MessageBatch:
    async with asyncio.timeout(WAIT_S):
        while (batch := await client.messages.batches.retrieve(batch_id)).processing_status != "ended":
            await asyncio.sleep(0.02)
    return batch


async def results(client: anthropic.AsyncAnthropic, batch_id: str) -> list[MessageBatchIndividualResponse]:
    return [result async for result in await client.messages.batches.results(batch_id)]


def echo(asked: Recorded) -> Answer:
    return text("You said " + asked.body["messages"][-1]["content"])(asked)


async def test_a_batch_from_its_creation_to_its_deletion(house: House, client: anthropic.AsyncAnthropic) -> None:
    house.up.upstream.always(echo, on="/chat/completions")
    batch = await client.messages.batches.create(requests=[request(f"r{number}", f"{number}") for number in range(20)])
    assert batch.type == "message_batch"
    assert batch.processing_status == "in_progress"
    assert batch.request_counts.processing == 20
    assert batch.expires_at - batch.created_at == timedelta(hours=24)

    done = await ended(client, batch.id)
    assert done.request_counts.model_dump() == {
        "processing": 0,
        "succeeded": 20,
        "errored": 0,
        "canceled": 0,
        "expired": 0,
    }
    assert done.ended_at is not None
    assert done.results_url == f"{house.up.server.url}/v1/messages/batches/{batch.id}/results"
    said = {}
    for result in await results(client, batch.id):
        assert result.result.type == "succeeded"
        message = result.result.message
        assert (message.type, message.model, message.stop_reason) == ("message", MODEL, "end_turn")
        assert message.content[0].type == "text"
        said[result.custom_id] = message.content[0].text
    assert said == {f"r{number}": f"You said {number}" for number in range(20)}

    assert [each.id async for each in client.messages.batches.list(limit=1)] == [batch.id]
    deleted = await client.messages.batches.delete(batch.id)
    assert (deleted.id, deleted.type) == (batch.id, "message_batch_deleted")
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.batches.retrieve(batch.id)


async def test_what_fails_is_in_the_results(house: House, client: anthropic.AsyncAnthropic) -> None:
    def judge(asked: Recorded) -> Answer:
        said = asked.body["messages"][-1]["content"]
        return error(400, "that is too much") if said == "bad" else text("fine")(asked)

    house.up.upstream.always(judge, on="/chat/completions")
    batch = await client.messages.batches.create(
        requests=[
            request("fine"),
            request("refused", "bad"),
            request("wrong", max_tokens=-1),
            request("streamed", stream=True),
            request("nobody", model="nobody/has-it"),
        ]
    )
    done = await ended(client, batch.id)
    assert (done.request_counts.succeeded, done.request_counts.errored) == (1, 4)
    found = {result.custom_id: result.result for result in await results(client, batch.id)}
    assert found["fine"].type == "succeeded"
    kinds = {}
    for custom_id in ("refused", "wrong", "streamed", "nobody"):
        result = found[custom_id]
        assert result.type == "errored"
        assert result.error.type == "error"
        assert result.error.request_id is not None
        kinds[custom_id] = result.error.error.type
    assert kinds == {
        "refused": "invalid_request_error",
        "wrong": "invalid_request_error",
        "streamed": "invalid_request_error",
        "nobody": "not_found_error",
    }


async def test_a_throttled_request_is_no_error(house: House, client: anthropic.AsyncAnthropic) -> None:
    seen: Counter[str] = Counter()

    def throttle(asked: Recorded) -> Answer:
        said = asked.body["messages"][-1]["content"]
        seen[said] += 1
        return rate_limited("0") if seen[said] <= 4 else text("at last")(asked)

    house.up.upstream.always(throttle, on="/chat/completions")
    batch = await client.messages.batches.create(requests=[request("a", "a"), request("b", "b")])
    done = await ended(client, batch.id)
    assert done.request_counts.succeeded == 2
    assert seen == {"a": 5, "b": 5}


async def test_a_cancelled_batch_keeps_what_is_done(house: House, client: anthropic.AsyncAnthropic) -> None:
    def answer(asked: Recorded) -> Answer:
        quick = asked.body["messages"][-1]["content"] == "quick"
        return text("done", wire=Wire(stall_head=not quick))(asked)

    house.up.upstream.always(answer, on="/chat/completions")
    many = [request(f"slow{number}", "slow") for number in range(30)]
    batch = await client.messages.batches.create(requests=[request("quick", "quick"), *many])
    await house.up.upstream.wait_requests(2)
    canceling = await client.messages.batches.cancel(batch.id)
    assert canceling.processing_status in ("canceling", "ended")
    assert canceling.cancel_initiated_at is not None
    done = await ended(client, batch.id)
    assert (done.request_counts.succeeded, done.request_counts.canceled) == (1, 30)
    kinds = Counter(result.result.type for result in await results(client, batch.id))
    assert kinds == {"succeeded": 1, "canceled": 30}


async def test_refusals_in_anthropic_s_shape(house: House, client: anthropic.AsyncAnthropic) -> None:
    batches = client.messages.batches
    with pytest.raises(anthropic.BadRequestError) as refused:
        await batches.create(requests=[request("same"), request("same")])
    body: Any = refused.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert "requests[1].custom_id" in body["error"]["message"]
    assert refused.value.request_id == body["request_id"]
    for missing in (batches.retrieve("none"), batches.cancel("none"), batches.delete("none"), batches.results("none")):
        with pytest.raises(anthropic.NotFoundError) as unknown:
            await missing
        assert unknown.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    with pytest.raises(anthropic.BadRequestError):
        await batches.list(after_id="none")
    with pytest.raises(anthropic.BadRequestError):
        await batches.list(limit=0)

    house.up.upstream.always(text("slow", wire=Wire(stall_head=True)), on="/chat/completions")
    batch = await batches.create(requests=[request("a")])
    with pytest.raises(anthropic.AnthropicError, match="results_url"):
        await batches.results(batch.id)
    with pytest.raises(anthropic.ConflictError):
        await batches.delete(batch.id)


async def test_bodies_that_are_none(house: House) -> None:
    http, path = house.up.http, "/v1/messages/batches"
    as_json = {"content-type": "application/json"}
    reply = await http.post(path, content=b'{"requests": [', headers=as_json)
    assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")
    reply = await http.post(path, content=b"{}", headers={"content-type": "text/plain"})
    assert reply.status_code == 415
    reply = await http.post(path, content=b"", headers=as_json)
    assert reply.status_code == 400


async def test_a_compressed_body(house: House, client: anthropic.AsyncAnthropic) -> None:
    import gzip
    import json

    house.up.upstream.always(text("Hi"), on="/chat/completions")
    packed = gzip.compress(json.dumps({"requests": [request(f"r{number}") for number in range(3)]}).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    reply = await house.up.http.post("/v1/messages/batches?beta=true", content=packed, headers=headers)
    assert reply.status_code == 200, reply.text
    assert reply.json()["request_counts"]["processing"] == 3
    assert (await ended(client, reply.json()["id"])).request_counts.succeeded == 3


async def test_a_body_beyond_the_edge_s_limit_and_one_beyond_the_batch_s(tmp_path: Path) -> None:
    server = {"limits": {"body_bytes_max": 2000}, "batches": {"bytes_max": 20_000, "line_bytes_max": 5000}}
    async with responding(tmp_path, server=server) as up, House(up).client() as client:
        up.upstream.always(text("Hi"), on="/chat/completions")
        batch = await client.messages.batches.create(
            requests=[request(f"r{number}", "x" * 900) for number in range(15)]
        )
        assert (await ended(client, batch.id)).request_counts.succeeded == 15
        with pytest.raises(anthropic.RequestTooLargeError, match=r"server\.batches\.bytes_max"):
            await client.messages.batches.create(requests=[request(f"r{number}", "x" * 900) for number in range(25)])
        with pytest.raises(anthropic.RequestTooLargeError, match=r"server\.batches\.line_bytes_max"):
            await client.messages.batches.create(requests=[request("r", "x" * 6000)])


async def test_two_tenants_never_see_each_other_s_batches(tmp_path: Path) -> None:
    keys = {who: new_key() for who in ("ann", "bob", "eve")}
    ids = {"ann": ("ann", "acme"), "bob": ("bob", "acme"), "eve": ("ann", "umbrella")}
    held = [{"id": ids[who][0], "tenant": ids[who][1], "hash": key.hash} for who, key in keys.items()]
    server = {"auth": {"provider_config": {"type": "api_keys", "keys": held}}}
    async with responding(tmp_path, server=server) as up:
        house = House(up)
        up.upstream.always(text("the code word is swordfish"), on="/chat/completions")
        async with house.client(keys["ann"].key) as ann:
            batch = await ann.messages.batches.create(requests=[request("a")])
            done = await ended(ann, batch.id)
            assert len(await results(ann, batch.id)) == 1
        for other in ("bob", "eve"):
            async with house.client(keys[other].key) as theirs:
                batches = theirs.messages.batches
                for ask in (batches.retrieve(batch.id), batches.cancel(batch.id), batches.delete(batch.id)):
                    with pytest.raises(anthropic.NotFoundError):
                        await ask
                assert [each.id async for each in batches.list()] == []
                headers = {"x-api-key": keys[other].key}
                reply = await up.http.get(str(httpx.URL(str(done.results_url)).path), headers=headers)
                assert reply.status_code == 404
                assert "swordfish" not in reply.text
        async with house.client(keys["ann"].key) as ann:
            assert (await ann.messages.batches.retrieve(batch.id)).processing_status == "ended"

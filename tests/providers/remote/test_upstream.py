"""The loopback upstream itself, seen through the openai package: what the other tests lean on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest

from tests.support.upstream import Tool, Upstream, Wire, calls, rate_limited, text

pytestmark = pytest.mark.anyio
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture
async def client(up: Upstream) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=up.base_url, api_key="k", max_retries=0) as client:
        yield client


async def test_script_then_standing_reply_then_default(up: Upstream, client: openai.AsyncOpenAI) -> None:
    up.reply(text("first"), text("second"))
    up.reply(rate_limited("3"), on="/models")
    up.always(text("standing"), on="/chat/completions")

    async def said() -> Any:
        return (await client.chat.completions.create(**ASK)).choices[0].message.content

    assert [await said() for _ in range(3)] == ["first", "second", "standing"]
    with pytest.raises(openai.RateLimitError) as limited:
        await client.models.list()
    assert limited.value.response.headers["retry-after"] == "3"
    assert [model.id for model in (await client.models.list()).data] == ["upstream-model"]
    up.reset()
    assert await said() == "Hello from the upstream."
    assert [(request.method, request.path) for request in up.requests] == [("POST", "/v1/chat/completions")]
    assert up.last.headers["authorization"] == "Bearer k"


async def test_stream_with_choices_logprobs_and_usage(up: Upstream, client: openai.AsyncOpenAI) -> None:
    up.reply(text("Hello wörld", wire=Wire(split_bytes=1, newline="\r\n", comment="still here")))
    stream = await client.chat.completions.create(
        **ASK, stream=True, n=2, logprobs=True, top_logprobs=2, stream_options={"include_usage": True}
    )
    said, usage, tops = ["", ""], None, set()
    async for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            said[choice.index] += choice.delta.content or ""
            tops |= {len(token.top_logprobs) for token in (choice.logprobs.content if choice.logprobs else ())}
    assert said == ["Hello wörld"] * 2
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (9, 4)
    assert tops == {2}


async def test_tool_calls_come_in_fragments(up: Upstream, client: openai.AsyncOpenAI) -> None:
    up.reply(calls(Tool("get", {"city": "Paris"})))
    fragments = []
    async for chunk in await client.chat.completions.create(**ASK, stream=True):
        fragments += [call.function.arguments for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert len(fragments) > 3
    assert "".join(fragments) == '{"city": "Paris"}'


async def test_it_knows_who_hung_up_and_who_was_cut_off(up: Upstream) -> None:
    async with httpx.AsyncClient(base_url=up.base_url) as http:
        up.reply(
            text("a b c", wire=Wire(cut_after=2)),
            text("a b c", wire=Wire(refuse=True)),
            text("a b c", wire=Wire(stall_after=1)),
        )
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post("/chat/completions", json={"stream": True, "messages": []})
        assert up.last.finished
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post("/chat/completions", json={"stream": True, "messages": []})
        async with http.stream("POST", "/chat/completions", json={"stream": True, "messages": []}) as reply:
            async for _ in reply.aiter_raw():
                break
            assert not up.last.hung_up
    assert await up.last.wait_hung_up() < 5
    assert up.last.hung_up


async def test_killed_and_back_on_the_same_port() -> None:
    async with Upstream() as up:
        url = up.base_url
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{url}/models")).status_code == 200
            up.stop()
            with pytest.raises(httpx.TransportError):
                await http.get(f"{url}/models")
            up.start()
            assert up.base_url == url
            assert (await http.get(f"{url}/models")).status_code == 200

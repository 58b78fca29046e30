"""Guards by config: nothing unchecked reaches a model or a client, on any route, streamed or not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import openai
import pytest

from llama_stack.services.inference import InferenceRouter
from tests.support.guarding import guarding, guards
from tests.support.responding import MODEL, Responding
from tests.support.upstream import Say, Tool, Wire, calls, text

pytestmark = pytest.mark.anyio

NO = "There is no talk of 1 things here."
HELLO: Any = [{"role": "user", "content": "Hello"}]
LONG = "All is well in the garden of the house. " * 40
WEATHER: Any = {"type": "function", "function": {"name": "ask", "parameters": {"type": "object"}}}
CALL: Any = {"id": "c", "type": "function", "function": {"name": "ask", "arguments": "{}"}}
POISONED: Any = [
    {"role": "user", "content": "Look it up"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "Here is a bomb"},
]


async def streamed(up: Responding, path: str = "/v1/chat/completions", **body: Any) -> tuple[str, list[Any]]:
    """All bytes of a stream, and its chunks."""
    asked = {"model": MODEL, "stream": True, **body}
    reply = await up.http.post(path, json=asked)
    assert reply.status_code == 200, reply.text
    events = [line.removeprefix("data: ") for line in reply.text.split("\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    return reply.text, [json.loads(event) for event in events[:-1]]


def deltas(chunks: list[Any], member: str, index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get(member) or "" for choice in choices)


def reasons(chunks: list[Any]) -> dict[int, str]:
    return {
        choice["index"]: choice["finish_reason"]
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["finish_reason"]
    }


async def test_without_a_guard_it_is_the_inference_service_itself(tmp_path: Path) -> None:
    async with guarding(tmp_path) as up:
        assert isinstance(up.server.services.inference, InferenceRouter)
    async with guarding(tmp_path / "other", safety=guards("responses", "messages")) as up:
        assert isinstance(up.server.services.inference, InferenceRouter)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "Build a bomb"}],
        [{"role": "system", "content": "You like poison"}, {"role": "user", "content": "Hi"}],
        [{"role": "user", "content": [{"type": "text", "text": "A bomb?"}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,bomb"}}]}],
        POISONED,
    ],
)
async def test_what_is_blocked_never_reaches_the_model(tmp_path: Path, messages: Any) -> None:
    async with guarding(tmp_path, safety=guards("chat")) as up:
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as raised:
                await up.openai.chat.completions.create(model=MODEL, messages=messages, stream=stream)
            assert (raised.value.code, raised.value.param) == ("content_filter", "messages")
            assert NO in raised.value.message
        assert up.upstream.requests == []


async def test_what_is_fine_passes(tmp_path: Path) -> None:
    async with guarding(tmp_path, safety=guards("chat")) as up:
        up.upstream.always(Say(LONG, reasoning="Let me think. "))
        whole = await up.openai.chat.completions.create(model=MODEL, messages=HELLO)
        assert whole.choices[0].message.content == LONG
        assert whole.choices[0].finish_reason == "stop"
        _, chunks = await streamed(up, messages=HELLO, stream_options={"include_usage": True}, logprobs=True, n=2)
        for index in (0, 1):
            assert deltas(chunks, "content", index) == LONG
            assert deltas(chunks, "reasoning_content", index) == "Let me think. "
        assert reasons(chunks) == {0: "stop", 1: "stop"}
        assert [chunk["usage"]["total_tokens"] for chunk in chunks if chunk.get("usage")] == [
            chunks[-1]["usage"]["total_tokens"]
        ]
        tokens = [
            token["token"]
            for chunk in chunks
            for choice in chunk["choices"]
            if choice["index"] == 1 and choice["logprobs"]
            for token in choice["logprobs"]["content"]
        ]
        assert "".join(tokens) == LONG


async def test_a_blocked_answer_is_not_sent(tmp_path: Path) -> None:
    async with guarding(tmp_path, safety=guards("chat")) as up:
        up.upstream.always(Say("Take a bomb", finish_reason="stop"))
        reply = await up.http.post(
            "/v1/chat/completions", json={"model": MODEL, "messages": HELLO, "logprobs": True, "n": 2}
        )
        assert "bomb" not in reply.text
        completion = reply.json()
        for choice in completion["choices"]:
            assert choice["finish_reason"] == "content_filter"
            assert choice["message"] == {"role": "assistant", "content": None, "refusal": NO}
            assert choice["logprobs"] is None
        assert completion["usage"]["completion_tokens"] == 6
        raw, chunks = await streamed(up, messages=HELLO, logprobs=True, n=2, stream_options={"include_usage": True})
        assert "bomb" not in raw
        assert "Take" not in raw
        assert deltas(chunks, "refusal", 0) == deltas(chunks, "refusal", 1) == NO
        assert reasons(chunks) == {0: "content_filter", 1: "content_filter"}
        assert chunks[-1]["usage"]["completion_tokens"] == 6
        metered = (await up.http.get("/metrics")).text
        [counted] = re.findall(r'tokens_total\{[^}]*kind="output"[^}]*\} ([\d.]+)', metered)
        assert float(counted) == 12


async def test_a_long_answer_goes_out_in_windows_until_it_is_blocked(tmp_path: Path) -> None:
    async with guarding(tmp_path, safety=guards("chat")) as up:
        pieces = [*(f"{word} " for word in LONG.split(" ")), "bo", "mb", " and go"]
        up.upstream.always(Say(f"{LONG} Now take the bomb and go.", pieces=pieces))
        raw, chunks = await streamed(up, messages=HELLO)
        said = deltas(chunks, "content")
        assert "bo" not in said.split()
        assert "bomb" not in raw
        assert len(said) >= 256
        assert reasons(chunks) == {0: "content_filter"}


@pytest.mark.parametrize(
    "say",
    [
        Say("fine", reasoning="I think of a bomb"),
        Say("fine", reasoning="a bomb", reasoning_field="reasoning"),
        Say(refusal="I do not build a bomb"),
        calls(Tool("ask", {"q": "how to bomb"})),
        calls(Tool("ask", '{"q": "b\\u006fmb"}')),
        Say("fine", tools=(Tool("build_bomb", {}),)),
    ],
)
async def test_thoughts_and_calls_are_output_too(tmp_path: Path, say: Say) -> None:
    async with guarding(tmp_path, safety=guards("chat")) as up:
        up.upstream.always(say)
        asked: Any = {"messages": HELLO, "tools": [WEATHER]}
        whole = await up.http.post("/v1/chat/completions", json={"model": MODEL, **asked})
        raw, chunks = await streamed(up, **asked)
        for sent in (whole.text, raw):
            assert "omb" not in sent
            assert NO in sent
        assert reasons(chunks) == {0: "content_filter"}


async def test_calls_that_are_fine_are_put_together_by_the_client(tmp_path: Path) -> None:
    async with guarding(tmp_path, safety=guards("chat")) as up:
        up.upstream.always(
            Say("Wait.", tools=(Tool("ask", {"city": "Bern"}), Tool("ask", {"city": "Rom"}, id="call_2")))
        )
        async with up.openai.chat.completions.stream(model=MODEL, messages=HELLO, tools=[WEATHER]) as stream:
            async for _ in stream:
                pass
            final = await stream.get_final_completion()
        [choice] = final.choices
        assert (choice.message.content, choice.finish_reason) == ("Wait.", "tool_calls")
        assert [call.function.arguments for call in choice.message.tool_calls or ()] == [
            '{"city": "Bern"}',
            '{"city": "Rom"}',
        ]


async def test_what_is_stored_is_what_was_sent(tmp_path: Path) -> None:
    async with guarding(tmp_path, safety=guards("chat")) as up:
        up.upstream.always(text("Take a bomb"))
        whole = await up.openai.chat.completions.create(model=MODEL, messages=HELLO, store=True, metadata={"k": "v"})
        _, chunks = await streamed(up, messages=HELLO, store=True)
        assert "store" not in up.upstream.last.body
        for completion_id in (whole.id, chunks[0]["id"]):
            stored = await up.openai.chat.completions.retrieve(completion_id)
            assert stored.choices[0].message.refusal == NO
            assert not stored.choices[0].message.content
            assert "bomb" not in stored.model_dump_json()
        assert len({chunk["id"] for chunk in chunks}) == 1
        assert (await up.openai.chat.completions.retrieve(whole.id)).metadata == {"k": "v"}


async def test_a_shield_that_cannot_answer_lets_nothing_pass(tmp_path: Path) -> None:
    async with guarding(tmp_path, safety=guards("chat")) as up:
        up.upstream.always(text("An outage it is"))
        with pytest.raises(openai.APIStatusError) as raised:
            await up.openai.chat.completions.create(model=MODEL, messages=HELLO)
        assert raised.value.status_code == 502
        reply = await up.http.post("/v1/chat/completions", json={"model": MODEL, "messages": HELLO, "stream": True})
        assert "outage it is" not in reply.text
        assert "The words are away." in reply.text


async def test_one_side_alone(tmp_path: Path) -> None:
    async with guarding(tmp_path, safety=guards("chat", check=("input",))) as up:
        up.upstream.always(text("Take a bomb"))
        assert (await up.openai.chat.completions.create(model=MODEL, messages=HELLO)).choices[0].message.content
        with pytest.raises(openai.BadRequestError):
            await up.openai.chat.completions.create(model=MODEL, messages=POISONED)
    async with guarding(tmp_path / "other", safety=guards("chat", check=("output",))) as up:
        up.upstream.always(text("Take a bomb"))
        made = await up.openai.chat.completions.create(model=MODEL, messages=POISONED)
        assert made.choices[0].finish_reason == "content_filter"


async def test_completions(tmp_path: Path) -> None:
    async with guarding(tmp_path, safety=guards("completions")) as up:
        for prompt in ("a bomb", ["fine", "a bomb"]):
            with pytest.raises(openai.BadRequestError, match="no talk"):
                await up.openai.completions.create(model=MODEL, prompt=prompt)
        with pytest.raises(openai.BadRequestError, match="token ids"):
            await up.openai.completions.create(model=MODEL, prompt=[1, 2])
        assert up.upstream.requests == []
        up.upstream.always(text("Take a bomb"))
        whole = await up.openai.completions.create(model=MODEL, prompt="Hi")
        assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("", "content_filter")
        raw, chunks = await streamed(up, "/v1/completions", prompt=["Hi", "Ho"])
        assert "bomb" not in raw
        assert reasons(chunks) == {0: "content_filter", 1: "content_filter"}
        up.upstream.always(text(LONG))
        _, chunks = await streamed(up, "/v1/completions", prompt="Hi")
        assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == LONG
        assert (await up.openai.chat.completions.create(model=MODEL, messages=POISONED)).choices[0].message.content


async def test_embeddings(tmp_path: Path) -> None:
    async with guarding(tmp_path, safety=guards("embeddings")) as up:
        with pytest.raises(openai.BadRequestError) as raised:
            await up.openai.embeddings.create(model="e", input=["fine", "a bomb"])
        assert (raised.value.code, raised.value.param) == ("content_filter", "input")
        with pytest.raises(openai.BadRequestError, match="token ids"):
            await up.openai.embeddings.create(model="e", input=[[1], [2]])
        assert up.upstream.requests == []
        assert len((await up.openai.embeddings.create(model="e", input=["fine", "good"])).data) == 2


async def test_a_shield_that_asks_a_model_is_not_guarded_itself(tmp_path: Path) -> None:
    async with guarding(tmp_path, safety=guards("chat", shield="asking")) as up:
        up.upstream.reply(text("yes"), text("Hi there"), text("yes"))
        made = await up.openai.chat.completions.create(model=MODEL, messages=HELLO)
        assert made.choices[0].message.content == "Hi there"
        assert [up.said(number)[0][1] for number in range(3)] == ["Fine? Hello", "Hello", "Fine? Hi there"]


async def test_responses_pass_the_guard_whatever_they_name(tmp_path: Path) -> None:
    async with guarding(tmp_path, safety=guards("responses")) as up:
        blocked = await up.openai.responses.create(model=MODEL, input="Build a bomb")
        assert up.upstream.requests == []
        assert blocked.output[0].to_dict()["content"] == [{"type": "refusal", "refusal": NO}]
        up.upstream.always(text("Take a bomb"))
        reply = await up.http.post("/v1/responses", json={"model": MODEL, "input": "Hi", "stream": True})
        assert "bomb" not in reply.text
        assert NO in reply.text
        poisoned: Any = [
            {"type": "message", "role": "user", "content": "Look it up"},
            {"type": "function_call", "call_id": "c", "name": "ask", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "Here is a bomb"},
        ]
        up.upstream.requests.clear()
        caught = await up.openai.responses.create(model=MODEL, input=poisoned)
        assert caught.output[0].to_dict()["content"] == [{"type": "refusal", "refusal": NO}]
        assert up.upstream.requests == []


async def test_a_client_that_hangs_up_ends_the_call_of_the_model(tmp_path: Path) -> None:
    async with guarding(tmp_path, safety=guards("chat")) as up:
        up.upstream.always(Say(LONG * 4, wire=Wire(stall_after=60)))
        body = {"model": MODEL, "messages": HELLO, "stream": True}
        async with up.http.stream("POST", "/v1/chat/completions", json=body) as reply:
            async for line in reply.aiter_lines():
                if "garden" in line:
                    break
        await up.upstream.last.wait_hung_up()

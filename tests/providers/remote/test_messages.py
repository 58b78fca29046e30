"""Providers whose upstream speaks the Messages API: requests and replies go through untouched, or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from llama_stack_api.anthropic.messages import CountTokensRequest, CreateMessageRequest
from llama_stack_api.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    LlamaStackError,
    ModelNotFound,
    NotImplementedByProvider,
    PayloadTooLarge,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderStreamBroken,
    RateLimited,
)
from llama_stack_api.ports.inference import CountsMessageTokens, CreatesMessages
from llama_stack_api.principal import Call
from llama_stack_api.wire import EncodedReply, EncodedStream
from tests.providers.remote.bench import Bench
from tests.providers.remote.case import KEY
from tests.providers.remote.cases import CASES
from tests.support.anthropic_upstream import MessagesWire, counts, failure, says, thought, tool_use
from tests.support.upstream import error

pytestmark = pytest.mark.anyio

QUESTION = [{"role": "user", "content": "Wie heißt du?"}]
PATHS = {"chat": "/v1/messages", "stream": "/v1/messages"}
SPEAKERS = [
    case if case.name == "anthropic" else replace(case, tongue="anthropic", paths=PATHS)
    for case in CASES
    if case.name in ("anthropic", "ollama", "vllm", "llama-cpp-server")
]
LOCAL = [case for case in SPEAKERS if case.name != "anthropic"]
BETA = Call(forward_headers={"anthropic-beta": "context-management-2025-06-27,x-1", "anthropic-version": "2024-01-01"})
every = pytest.mark.parametrize("case", SPEAKERS, ids=lambda case: case.name)
every_local = pytest.mark.parametrize("case", LOCAL, ids=lambda case: case.name)


def request(**members: Any) -> CreateMessageRequest:
    return CreateMessageRequest.model_validate({"model": "m-1", "max_tokens": 64, "messages": QUESTION, **members})


def counting(**members: Any) -> CountTokensRequest:
    return CountTokensRequest.model_validate({"model": "m-1", "messages": QUESTION, **members})


async def read(stream: Any) -> bytes:
    assert isinstance(stream, EncodedStream)
    try:
        return b"".join([data async for data in stream])
    finally:
        await stream.aclose()


@every
async def test_a_request_and_its_reply_go_through_as_they_are(bench: Bench) -> None:
    said = says("Ich heiße Ada.", tool_use("f", {"a": [1, None]}), usage={"x_counted": {"deep": 1}})
    bench.up.always(said, on="/messages")
    sent = {
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "?", "x_unknown": [1]}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "x_eager": True}],
        "temperature": 0,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
    }
    reply = await bench.open().anthropic_messages(request(**sent), BETA)
    assert isinstance(reply, EncodedReply)
    assert json.loads(reply.body) == said.message("m-1")
    assert reply.decode().usage.input_tokens == 9
    assert bench.sent.body == {"model": "m-1", "max_tokens": 64, **sent}
    assert bench.sent.path == "/v1/messages"
    assert bench.sent.headers[bench.case.key_header] == bench.case.key_prefix + KEY


@every
async def test_version_and_betas_of_the_client_are_forwarded(bench: Bench) -> None:
    provider = bench.open()
    await provider.anthropic_messages(request(), BETA)
    assert bench.sent.headers["anthropic-version"] == "2024-01-01"
    assert bench.sent.headers["anthropic-beta"] == "context-management-2025-06-27,x-1"
    await provider.anthropic_messages(request(), Call())
    assert bench.sent.headers["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in bench.sent.headers


@every
@pytest.mark.parametrize("habit", [{}, {"split_bytes": 5}, {"newline": "\r\n"}], ids=str)
async def test_a_stream_goes_through_as_it_is(bench: Bench, habit: Mapping[str, Any]) -> None:
    said = says("Ich heiße Ada.", tool_use("f", {"city": "Łódź"}), wire=MessagesWire(**habit))
    bench.up.always(said, on="/messages")
    provider = bench.open()
    assert isinstance(provider, CreatesMessages)
    assert isinstance(provider, CountsMessageTokens)
    body = await read(await provider.anthropic_messages(request(stream=True), Call()))
    ends = habit.get("newline", "\n") * 2
    events = [event for event in body.decode().split(ends) if event]
    assert [json.loads(event.partition("data: ")[2]) for event in events] == list(said.events("m-1"))
    assert events[0].startswith("event: message_start")
    assert bench.sent.body["stream"] is True


@every
async def test_tokens_are_counted_by_the_upstream(bench: Bench) -> None:
    bench.up.always(counts(1234), on="/count_tokens")
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    assert await bench.open().anthropic_count_tokens(counting(tools=tools), Call()) == 1234
    assert bench.sent.path == "/v1/messages/count_tokens"
    assert bench.sent.body == {"model": "m-1", "messages": QUESTION, "tools": tools}
    bench.up.always(counts("many"), on="/count_tokens")  # type: ignore[arg-type]
    with pytest.raises(ProviderError, match="not a count"):
        await bench.open().anthropic_count_tokens(counting(), Call())


REFUSALS: list[tuple[int, type[LlamaStackError]]] = [
    (400, InvalidRequest),
    (401, ProviderRejectedCredentials),
    (403, ProviderRejectedCredentials),
    (404, ModelNotFound),
    (413, PayloadTooLarge),
    (500, ProviderError),
    (529, ProviderError),
]


@every
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("status", "kind"), REFUSALS, ids=lambda value: str(value) if isinstance(value, int) else "")
async def test_status_decides_the_error(bench: Bench, status: int, kind: type[LlamaStackError], stream: bool) -> None:
    bench.up.always(failure(status, "The llama is asleep."), on="/messages")
    with pytest.raises(kind) as raised:
        await bench.open().anthropic_messages(request(stream=stream), Call())
    assert type(raised.value) is kind
    if kind is not ProviderRejectedCredentials:
        assert raised.value.message == "Provider 'mine': The llama is asleep."


@every
async def test_limits_and_too_long_prompts_are_told_apart(bench: Bench) -> None:
    provider = bench.open()
    bench.up.always(failure(429, retry_after="7"), on="/messages")
    with pytest.raises(RateLimited) as limited:
        await provider.anthropic_messages(request(), Call())
    assert limited.value.retry_after_s == 7.0
    bench.up.always(failure(400, "prompt is too long: 250000 tokens > 200000 maximum"), on="/messages")
    with pytest.raises(ContextLengthExceeded):
        await provider.anthropic_messages(request(), Call())


@every
async def test_a_key_never_shows_and_a_beta_does(bench: Bench) -> None:
    said = f"The key {KEY} has no beta context-management-2025-06-27,x-1 in 2024-01-01."
    for reply in (failure(400, said), failure(200, said)):
        for stream in (False, True):
            bench.up.always(reply, on="/messages")
            try:
                answer = await bench.open().anthropic_messages(request(stream=stream), BETA)
                shown = answer.body.decode()
            except LlamaStackError as refused:
                shown = refused.message
            assert KEY not in shown
            assert "The key *** has no beta context-management-2025-06-27,x-1 in 2024-01-01." in shown


@every
async def test_a_cut_stream_is_an_error(bench: Bench) -> None:
    bench.up.always(says("one two three", wire=MessagesWire(cut_after=3)), on="/messages")
    with pytest.raises(ProviderStreamBroken):
        await read(await bench.open().anthropic_messages(request(stream=True), Call()))


@every
async def test_hanging_up_reaches_the_upstream_at_once(bench: Bench) -> None:
    bench.up.always(says("one two three", wire=MessagesWire(stall_after=3)), on="/messages")
    stream = await bench.open().anthropic_messages(request(stream=True), Call())
    async for _ in stream:
        break
    await stream.aclose()
    assert await bench.sent.wait_hung_up() < 5


# What local engines lack


@every_local
@pytest.mark.parametrize(
    "missing",
    [error(404, shape="text"), error(405, shape="detail"), error(404, "Not Found", shape="openai")],
    ids=["text", "405", "openai"],
)
async def test_an_engine_without_the_route_is_asked_once(bench: Bench, missing: Any) -> None:
    bench.up.always(missing, on="/messages")
    provider = bench.open()
    for stream in (False, True):
        with pytest.raises(NotImplementedByProvider):
            await provider.anthropic_messages(request(stream=stream), Call())
    assert len(bench.asked) == 1
    assert await provider.anthropic_count_tokens(counting(), Call()) == 17


@every_local
async def test_an_engine_that_counts_no_tokens_still_speaks(bench: Bench) -> None:
    bench.up.always(error(404, "404 page not found", shape="text"), on="/count_tokens")
    provider = bench.open()
    for _ in range(2):
        with pytest.raises(NotImplementedByProvider):
            await provider.anthropic_count_tokens(counting(), Call())
    assert len(bench.asked) == 1
    await provider.anthropic_messages(request(), Call())


@every_local
async def test_a_model_that_is_not_found_is_not_a_route(bench: Bench) -> None:
    bench.up.reply(failure(404, "model 'm-1' not found"), on="/messages")
    provider = bench.open()
    with pytest.raises(ModelNotFound):
        await provider.anthropic_messages(request(), Call())
    await provider.anthropic_messages(request(), Call())


PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}}
BY_URL = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
TOOLS = [{"name": "f", "input_schema": {"type": "object"}}]
BEYOND: dict[str, dict[str, Any]] = {
    "server tool": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "mcp": {"mcp_servers": [{"type": "url", "name": "m", "url": "https://example.org/mcp"}]},
    "structured output": {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
    "document": {"messages": [{"role": "user", "content": [PDF]}]},
    "image by address": {"messages": [{"role": "user", "content": [BY_URL]}]},
    "system in between": {"messages": [*QUESTION, {"role": "system", "content": "Be brief."}]},
    "no tools": {"tools": TOOLS, "tool_choice": {"type": "none"}},
    "one call": {"tools": TOOLS, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    "document in a result": {
        "messages": [
            *QUESTION,
            {"role": "assistant", "content": [tool_use("f", {})]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [PDF]}]},
        ]
    },
}


@every_local
@pytest.mark.parametrize("members", BEYOND.values(), ids=BEYOND)
async def test_what_an_engine_would_read_over_is_left_to_translation(bench: Bench, members: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedByProvider):
        await bench.open().anthropic_messages(request(**members), Call())
    assert bench.up.requests == []


@every_local
async def test_an_engine_takes_images_results_and_choices(bench: Bench) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "sun"}, image]}
    messages = [
        {"role": "user", "content": [image]},
        {"role": "assistant", "content": [tool_use("f", {})]},
        {"role": "user", "content": [result]},
    ]
    await bench.open().anthropic_messages(request(messages=messages, tools=TOOLS), Call())
    assert bench.sent.body["messages"] == messages


@every_local
async def test_thinking_and_choices_go_where_they_are_understood(bench: Bench) -> None:
    ollama = bench.case.name == "ollama"
    thinking = request(max_tokens=2048, thinking={"type": "enabled", "budget_tokens": 1024})
    said = request(
        messages=[*QUESTION, {"role": "assistant", "content": [thought("Hm."), {"type": "text", "text": "A"}]}]
    )
    choice = request(tools=TOOLS, tool_choice={"type": "any"})
    for params, taken in ((thinking, ollama), (said, ollama), (choice, not ollama)):
        if taken:
            await bench.open().anthropic_messages(params, Call())
            continue
        with pytest.raises(NotImplementedByProvider):
            await bench.open().anthropic_messages(params, Call())


@pytest.mark.parametrize("case", [case for case in SPEAKERS if case.name == "anthropic"], ids=lambda case: case.name)
async def test_anthropic_gets_all_of_it(bench: Bench) -> None:
    provider = bench.open()
    assert provider.runs_server_tools
    for name, members in BEYOND.items():
        if name != "system in between":
            await provider.anthropic_messages(request(**members), BETA)
            assert {**bench.sent.body} == {"model": "m-1", "max_tokens": 64, "messages": QUESTION, **members}

"""Every remote provider: what it asks of its upstream and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import openai.types as oai
import pytest
from openai.types.chat import ChatCompletion

from llama_stack_api.errors import UnsupportedParameter
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.completions import Completion, CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.ports.inference import (
    INFERENCE_PORTS,
    ChatCompletions,
    Completions,
    Embeddings,
    ModelListing,
    Rerank,
)
from llama_stack_api.principal import SYSTEM_CALL, Call
from llama_stack_api.wire import EncodedReply
from tests.providers.remote.bench import Bench, chat, chunks_of, relayed, with_port
from tests.providers.remote.case import KEY, UNKNOWN, Body, Case
from tests.providers.remote.cases import CASES
from tests.support.upstream import Say, Tool, calls, text

pytestmark = pytest.mark.anyio
every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
WEATHER = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def holds(body: Mapping[str, Any], expected: Body) -> None:
    """Each member is there with this value; None: it is not there."""
    for name, value in expected.items():
        assert body.get(name) == value, f"{name} arrived as {body.get(name)!r}"
        assert value is not None or name not in body


@every
async def test_ports_are_those_that_the_upstream_has(bench: Bench) -> None:
    provider = bench.open()
    ports = {"chat": ChatCompletions, "completion": Completions, "embeddings": Embeddings, "rerank": Rerank}
    assert set(ports.values()) == set(INFERENCE_PORTS)
    for kind, port in ports.items():
        assert isinstance(provider, port) == (kind in bench.case.paths), kind
    assert isinstance(provider, ModelListing)


@with_port("chat")
async def test_chat(bench: Bench) -> None:
    bench.says(text("Ich heiße Ada."))
    reply = await bench.open().openai_chat_completion(chat(temperature=0.5, **bench.case.unknown), Call())
    answer = ChatCompletion.model_validate_json(reply.body)
    assert answer.choices[0].message.content == "Ich heiße Ada."
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3
    assert reply.decode().choices[0].finish_reason == "stop"

    sent = bench.sent
    assert (sent.method, sent.path) == ("POST", bench.case.paths["chat"])
    assert sent.headers["content-type"] == "application/json"
    assert bench.sent_chat["messages"] == [{"role": "user", "content": "Wie heißt du?"}]
    called = bench.sent_members
    assert "/m-1" in sent.path or called.get("model", called.get("model_id")) == "m-1"
    holds({**bench.sent_chat, **sent.body}, {"temperature": 0.5, **bench.case.unknown})
    assert not sent.body.get("stream")


@with_port("chat")
@pytest.mark.parametrize(
    "habit", [{}, {"split_bytes": 7}, {"newline": "\r\n", "space": False}, {"gzip": True}], ids=str
)
async def test_streamed_chat(bench: Bench, habit: dict[str, Any]) -> None:
    bench.says(text("Ich heiße Ada. 👋🏽"), **habit)
    chunks = await chunks_of(bench.open())
    spoken = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(spoken) == "Ich heiße Ada. 👋🏽"
    assert [c.finish_reason for chunk in chunks for c in chunk.choices][-1] == "stop"
    assert {chunk.model for chunk in chunks if chunk.choices} == {"mine/m-1"}
    counted = [chunk.usage.completion_tokens for chunk in chunks if chunk.usage]
    assert counted[-1] == 4
    assert bench.sent.path == bench.case.paths["stream"]


@with_port("chat")
async def test_tool_calls_whole_and_streamed(bench: Bench) -> None:
    tools = (Tool("weather", {"city": "Łódź"}, "call_a"), Tool("weather", {"city": "Graz"}, "call_b"))
    bench.says(calls(*tools))
    provider = bench.open()
    reply = await provider.openai_chat_completion(chat(tools=WEATHER), Call())
    choice = ChatCompletion.model_validate_json(reply.body).choices[0]
    assert choice.finish_reason == "tool_calls"
    made = [call for call in choice.message.tool_calls or () if call.type == "function"]
    assert [json.loads(call.function.arguments) for call in made] == [tool.arguments for tool in tools]
    assert not bench.case.names_calls or [call.id for call in made] == [tool.id for tool in tools]
    assert len({call.id for call in made}) == 2
    assert bench.sent_chat["tools"] == WEATHER

    fragments: dict[int, str] = {}
    names: dict[int, str] = {}
    for chunk in await chunks_of(provider, tools=WEATHER):
        for call in (call for choice in chunk.choices for call in choice.delta.tool_calls or ()):
            assert call.function is not None
            fragments[call.index] = fragments.get(call.index, "") + (call.function.arguments or "")
            names[call.index] = call.function.name or names[call.index]
    assert {at: json.loads(text) for at, text in fragments.items()} == {0: tools[0].arguments, 1: tools[1].arguments}
    assert names == {0: "weather", 1: "weather"}


@with_port("chat")
async def test_tool_results_and_reasoning_go_both_ways(bench: Bench) -> None:
    bench.says(Say("Sunny.", reasoning="The tool says so."))
    history: list[dict[str, Any]] = [
        {"role": "user", "content": "?"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Ask it.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sun"},
    ]
    provider = bench.open()
    reply = await provider.openai_chat_completion(chat(messages=history, tools=WEATHER), Call())
    message = ChatCompletion.model_validate_json(reply.body).choices[0].message
    name = bench.case.say.get("reasoning_field", "reasoning_content")
    assert (message.model_extra or {}).get(name) == ("The tool says so." if bench.case.thinks else None)
    thought = history[1].pop("reasoning_content")
    if (member := _thoughts_member(bench.case, provider)) is not None:
        history[1][member] = thought
    assert bench.sent_chat["messages"] == history


def _thoughts_member(case: Case, provider: Any) -> str | None:
    """Where a provider takes thoughts of before. Where they are signed, those without a signature are left out."""
    if case.tongue == "openai" or case.paths["chat"].endswith("/chat/completions"):
        member: str | None = "reasoning_content" if provider.takes_any_history else provider.thoughts_member
        return member
    return "reasoning_content" if case.thinks_aloud and case.thinks else None


@with_port("completion")
async def test_completions(bench: Bench) -> None:
    bench.says(text("and they lived."))
    provider = bench.open()
    params = CompletionRequest.model_validate({"model": "m-1", "prompt": "Once", "max_tokens": 5, **UNKNOWN})
    reply = await provider.openai_completion(params, Call())
    assert oai.Completion.model_validate_json(reply.body).choices[0].text == "and they lived."
    assert bench.sent.path == bench.case.paths["completion"]
    holds(bench.sent.body, {"prompt": "Once", "max_tokens": 5, **UNKNOWN})

    params = CompletionRequest.model_validate({"model": "m-1", "prompt": "Once", "stream": True})
    sent = await relayed(await provider.openai_completion(params, Call()), keep_usage=False)
    events = [Completion.model_validate_json(event[6:]) for event in sent.split(b"\n\n")[:-2]]
    assert "".join(event.choices[0].text for event in events) == "and they lived."


@with_port("embeddings")
@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_embeddings(bench: Bench, encoding: str) -> None:
    bench.up.always(bench.case.embed, on=bench.case.paths["embeddings"])
    fields = {"model": bench.case.embedder, "input": ["a", "b", "a"], "encoding_format": encoding}
    reply = await bench.open().openai_embeddings(EmbeddingsRequest.model_validate(fields), Call())
    if isinstance(reply, EncodedReply):
        reply = reply.decode()
    assert isinstance(reply, EmbeddingsResponse)
    assert [item.index for item in reply.data] == [0, 1, 2]
    assert reply.data[0].embedding == reply.data[2].embedding != reply.data[1].embedding
    assert isinstance(reply.data[0].embedding, str if encoding == "base64" else list)
    assert reply.usage.prompt_tokens == 9
    assert bench.sent.path == bench.case.paths["embeddings"]
    sent = bench.sent.body
    sent = sent if {"input", "inputs", "texts"} & set(sent) else bench.sent_chat
    assert sent.get("input", sent.get("inputs", sent.get("texts"))) == ["a", "b", "a"]


@with_port("rerank")
async def test_rerank(bench: Bench) -> None:
    bench.up.always(bench.case.rank([0.1, 0.9, -2.5]), on=bench.case.paths["rerank"])
    items = ["far", {"type": "text", "text": "near"}, "off"]
    fields = {"model": bench.case.ranker, "query": "what?", "items": items, "max_num_results": 2, "truncate": True}
    reply = await bench.open().rerank(RerankRequest.model_validate(fields), Call())
    assert [(item.index, item.relevance_score) for item in reply.data] == [(1, 0.9), (0, 0.1)]
    assert bench.sent.path == bench.case.paths["rerank"]
    assert bench.sent.body["truncate"] is True
    for word in ("what?", "far", "near", "off"):
        assert word in bench.sent.raw.decode()

    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(UnsupportedParameter) as refused:
        await bench.open().rerank(RerankRequest.model_validate({**fields, "items": [image]}), Call())
    assert refused.value.param == "items"


@every
async def test_listing(bench: Bench) -> None:
    for path, reply in bench.case.listing.replies.items():
        bench.up.always(reply, on=path)
    provider = bench.open()
    assert await provider.list_models(SYSTEM_CALL) == bench.case.listing.models
    one = bench.case.listing.models[0]
    assert await bench.open(allowed_models=[one.id]).list_models(SYSTEM_CALL) == [one]
    health = await provider.health()
    assert (health.status, health.message) == ("OK", None)


def each(kind: str) -> pytest.MarkDecorator:
    """Once for each rewrite or refusal of each case."""
    found = [(case, *pair) for case in CASES for pair in getattr(case, kind)]
    names = [f"{case.name}-{','.join(fields)}" for case, fields, _ in found]
    return pytest.mark.parametrize(("case", "fields", "expected"), found, ids=names)


@each("rewritten")
async def test_parameters_are_put_in_the_upstreams_words(bench: Bench, fields: Body, expected: Body) -> None:
    bench.says(text("ok"))
    reply = await bench.open().openai_chat_completion(chat(**fields), Call())
    if fields.get("stream"):
        await reply.aclose()
    holds(bench.sent_members, expected)


@each("refused")
async def test_what_cannot_be_honoured_is_refused_by_name(bench: Bench, fields: Body, expected: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        await bench.open().openai_chat_completion(chat(**fields), Call())
    assert (refused.value.status, refused.value.param) == (400, expected)
    assert expected.split("[")[0].split(".")[0] in refused.value.message.replace("names of ", "")
    assert bench.up.requests == []


@each("embed_refused")
async def test_what_embeddings_cannot_honour_is_refused_by_name(bench: Bench, fields: Body, expected: str) -> None:
    params = EmbeddingsRequest.model_validate({"model": "e-1", "input": "a", **fields})
    with pytest.raises(UnsupportedParameter) as refused:
        await bench.open().openai_embeddings(params, Call())
    assert refused.value.param == expected
    assert bench.asked == []


@with_port("chat")
async def test_null_is_as_good_as_absent_for_what_is_refused(bench: Bench, case: Case) -> None:
    bench.says(text("ok"))
    fields = {name: None for said, _ in case.refused for name in said if name != "messages"}
    await bench.open().openai_chat_completion(chat(**fields), Call())
    assert all(bench.sent_members.get(name) is None for name in fields)


@every
async def test_key_is_sent_where_the_upstream_looks_for_it(bench: Bench) -> None:
    case = bench.case
    if case.name == "watsonx" or case.signs:
        return  # its key is exchanged for a token: see test_watsonx.py
    for path, reply in case.listing.replies.items():
        bench.up.always(reply, on=path)
    await bench.open().list_models(SYSTEM_CALL)
    assert bench.sent.headers[case.key_header] == case.key_prefix + KEY
    data = bench.descriptor.data_keys
    assert data[case.data_key] == "api_key"

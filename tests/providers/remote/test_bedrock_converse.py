"""Amazon Bedrock by Converse: what the shared suite does not ask of requests and answers."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llama_stack_api.errors import (
    InvalidRequest,
    ProviderError,
    ProviderRejectedCredentials,
    UnsupportedParameter,
)
from llama_stack_api.provider import Descriptor
from tests.providers.remote.bedrock_bench import (
    BY_SCHEMA,
    CALLED,
    CASE,
    CLAUDE,
    LLAMA,
    MISTRAL,
    NOVA,
    PLACE,
    completed,
    opened,
    violations,
)
from tests.providers.remote.bench import Bench, chunks_of, on_bench
from tests.providers.remote.case import TOOLS
from tests.support.anthropic_upstream_bedrock import (
    BedrockUpstream,
)
from tests.support.converse_upstream import REQUEST_ID, conversed, reasoned, redacted, use

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(
    bedrock: BedrockUpstream, descriptors: dict[str, Descriptor], tmp_path: Path, nobody_at_aws: None
) -> AsyncIterator[Bench]:
    async with on_bench(CASE, bedrock, descriptors, tmp_path) as bench:
        yield bench


# --- requests


@pytest.mark.parametrize("name", [NOVA, LLAMA, "arn:aws:bedrock:us-east-1:123456789012:imported-model/a1b2c3d4e5f6"])
async def test_requests_are_signed_as_they_are_sent(bench: Bench, name: str) -> None:
    provider = opened(bench)
    answer = await completed(provider, model=name, messages=[{"role": "user", "content": "wörld"}])
    assert answer["choices"][0]["message"]["content"] == "Hello from Bedrock."
    assert answer["id"] == f"chatcmpl-{REQUEST_ID}"
    assert bench.sent.headers[":path"] == f"/model/{name.replace('/', '%2F')}/converse"
    assert bench.sent.body == {"messages": [{"role": "user", "content": [{"text": "wörld"}]}]}
    chunks = await chunks_of(provider, model=name)
    assert "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices) == "Hello from Bedrock."


async def test_a_wrong_secret_is_refused_credentials(bench: Bench) -> None:
    with pytest.raises(ProviderRejectedCredentials):
        await completed(opened(bench, aws_secret_access_key="wrong"), model=NOVA)


async def test_a_conversation_is_what_bedrock_takes(bench: Bench) -> None:
    """Everything at once; the loopback refuses what Bedrock would."""
    pdf = base64.b64encode(b"%PDF-1.7").decode()
    messages = [
        {"role": "assistant", "content": "Welcome. "},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "  "},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,/9j/4AAQ"}},
                {"type": "image_url", "image_url": {"url": "s3://pictures/a.webp"}},
                {
                    "type": "file",
                    "file": {"filename": "a_b  (1).v2.pdf", "file_data": f"data:application/pdf;base64,{pdf}"},
                },
                {
                    "type": "file",
                    "file": {"filename": "a b (1) v2.pdf", "file_data": f"data:application/pdf;base64,{pdf}"},
                },
                {"type": "file", "file": {"filename": "x.json", "file_data": "data:application/json;base64,e30="}},
                {"type": "file", "file": {"file_data": "s3://papers/all.docx"}},
                {"type": "input_audio", "input_audio": {"format": "wav", "data": "UklGRg=="}},
            ],
        },
        *CALLED[1:],
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "It is "},
    ]
    await completed(opened(bench, allow_cloud_files=True), model=NOVA, messages=messages, tools=TOOLS)
    assert violations(bench) == []
    sent = bench.sent.body
    assert sent["system"] == [{"text": "Be brief."}]
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant"] * 3
    documents = [block["document"] for block in sent["messages"][2]["content"] if "document" in block]
    assert [(each["name"], each["format"]) for each in documents] == [
        ("a b (1) v2", "pdf"),
        ("a b (1) v2 2", "pdf"),
        ("x", "txt"),
        ("all", "docx"),
    ]
    assert sent["messages"][2]["content"][-1] == {"text": "(See the document.)"}
    results = [block["toolResult"] for block in sent["messages"][4]["content"] if "toolResult" in block]
    assert results == [
        {"toolUseId": "c1", "content": [{"text": "one"}]},
        {"toolUseId": "c2", "content": [{"text": '{"is": 2}'}]},
    ]
    assert sent["messages"][4]["content"][-1] == {"text": "And?"}
    assert sent["messages"][5]["content"] == [{"text": "It is"}]


@pytest.mark.parametrize("name", [LLAMA, MISTRAL])
async def test_results_stand_apart_where_models_want_it(bench: Bench, name: str) -> None:
    await completed(opened(bench), model=name, messages=[*CALLED, {"role": "user", "content": "And?"}], tools=TOOLS)
    assert violations(bench) == []
    assert [message["role"] for message in bench.sent.body["messages"]][-3:] == ["user", "assistant", "user"]


@pytest.mark.parametrize("fields", [{}, {"tools": TOOLS, "tool_choice": "none"}])
async def test_without_tools_calls_and_results_are_told(bench: Bench, fields: dict[str, Any]) -> None:
    await completed(opened(bench), model=NOVA, messages=CALLED, **fields)
    assert violations(bench) == []
    assert "toolConfig" not in bench.sent.body
    assert bench.sent.body["messages"][1:] == [
        {"role": "assistant", "content": [{"text": '[called f with {"a":1}]'}, {"text": '[called f with {"a":2}]'}]},
        {"role": "user", "content": [{"text": "[f answered: one]"}, {"text": '[f answered: {"is": 2}]'}]},
    ]


@pytest.mark.parametrize(
    ("name", "choice", "sent"),
    [
        (NOVA, "required", {"any": {}}),
        (NOVA, {"type": "function", "function": {"name": "f"}}, {"tool": {"name": "f"}}),
        (MISTRAL, {"type": "function", "function": {"name": "f"}}, {"any": {}}),
        (LLAMA, "auto", None),
    ],
)
async def test_a_choice_of_tools(bench: Bench, name: str, choice: Any, sent: Any) -> None:
    other = {"type": "function", "function": {"name": "g", "description": " ", "strict": True}}
    await completed(opened(bench), model=name, tools=[*TOOLS, other], tool_choice=choice)
    assert violations(bench) == []
    assert bench.sent.body["toolConfig"].get("toolChoice") == sent
    offered = [tool["toolSpec"]["name"] for tool in bench.sent.body["toolConfig"]["tools"]]
    assert offered == (["f"] if name == MISTRAL else ["f", "g"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": LLAMA, "tools": TOOLS, "tool_choice": "required"}, "tool_choice"),
        ({"model": LLAMA, "response_format": BY_SCHEMA}, "response_format"),
        ({"model": LLAMA, "top_k": 3}, "top_k"),
        ({"model": LLAMA, "reasoning_effort": "high"}, "reasoning_effort"),
        ({"model": "deepseek.r1-v1:0", "tools": TOOLS}, "tools"),
        ({"model": "openai.gpt-oss-20b-1:0", "reasoning_effort": "none"}, "reasoning_effort"),
        ({"model": "us.deepseek.r1-v1:0", "reasoning_effort": "none"}, "reasoning_effort"),
    ],
)
async def test_what_a_model_lacks_is_refused_by_name(bench: Bench, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        await completed(opened(bench), **fields)
    assert refused.value.param == param
    assert bench.up.requests == []


async def test_what_bedrock_says_a_model_lacks_is_refused_by_name(bench: Bench) -> None:
    system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}]
    with pytest.raises(UnsupportedParameter, match="system") as refused:
        await completed(opened(bench), model="amazon.titan-text-express-v1", messages=system)
    assert refused.value.param == "messages"
    with pytest.raises(InvalidRequest, match=r"extraneous key \[colour\]"):
        await completed(opened(bench), model=LLAMA, colour="blue")


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        (
            {"model": NOVA, "reasoning_effort": "xhigh", "top_k": 5},
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}, "inferenceConfig": {"topK": 5}},
        ),
        ({"model": NOVA, "reasoning_effort": "none"}, {"reasoningConfig": {"type": "disabled"}}),
        ({"model": "openai.gpt-oss-120b-1:0", "reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
        ({"model": "cohere.command-r-v1:0", "top_k": 5}, {"k": 5}),
        (
            {"model": CLAUDE, "reasoning_effort": "low"},
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
        ),
    ],
)
async def test_reasoning_and_top_k_are_put_in_the_familys_words(
    bench: Bench, fields: dict[str, Any], sent: dict[str, Any]
) -> None:
    await completed(opened(bench, converse_models=["anthropic.*"]), **fields)
    assert violations(bench) == []
    assert bench.sent.body["additionalModelRequestFields"] == sent


async def test_models_that_do_not_reason_need_not_be_told(bench: Bench) -> None:
    await completed(opened(bench), model=LLAMA, reasoning_effort="none")
    assert "additionalModelRequestFields" not in bench.sent.body


async def test_cache_points_go_to_those_who_cache(bench: Bench) -> None:
    part = {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    for name, points in ((NOVA, [{"cachePoint": {"type": "default", "ttl": "1h"}}]), (LLAMA, [])):
        await completed(opened(bench), model=name, messages=[{"role": "user", "content": [part]}])
        assert bench.sent.body["messages"][0]["content"] == [{"text": "Long."}, *points]


# --- answers


async def test_reasoning_is_kept_over_a_tool_turn(bench: Bench) -> None:
    data = base64.b64encode(b"hidden").decode()
    said = conversed(reasoned("Hm, well.", "c2ln"), redacted(data), use("f", {"a": 1}, "t1"))
    provider = opened(bench, converse_models=["*"])
    for name, prefix in ((CLAUDE, ""), (NOVA, "amazon:")):
        bench.up.always(said)
        whole = (await completed(provider, model=name, tools=TOOLS))["choices"][0]["message"]
        assert whole["reasoning_content"] == "Hm, well."
        assert whole["thinking_blocks"][0] == {
            "type": "thinking",
            "thinking": "Hm, well.",
            "signature": f"{prefix}c2ln",
        }
        result = {"role": "tool", "tool_call_id": "t1", "content": "1"}
        history = [{"role": "user", "content": "?"}, whole, result]
        await completed(provider, model=name, messages=history, tools=TOOLS)
        blocks = bench.sent.body["messages"][1]["content"]
        assert blocks[0] == reasoned("Hm, well.", "c2ln")
        assert blocks[-1] == use("f", {"a": 1}, "t1")
        other = LLAMA if name == NOVA else NOVA
        await completed(provider, model=other, messages=history, tools=TOOLS)
        assert not [block for block in bench.sent.body["messages"][1]["content"] if "reasoningContent" in block]
    assert violations(bench) == []


async def test_an_answer_by_a_schema(bench: Bench) -> None:
    """A call that is forced, turned into the answer; beside it, calls of the request's own tools."""
    bench.up.always(conversed("Let me see.", use("answer", {"city": "Łódź"})))
    provider = opened(bench)
    whole = (await completed(provider, model=NOVA, response_format=BY_SCHEMA))["choices"][0]
    assert (json.loads(whole["message"]["content"]), whole["finish_reason"]) == ({"city": "Łódź"}, "stop")
    assert whole["message"]["reasoning_content"] == "Let me see."
    assert bench.sent.body["toolConfig"]["toolChoice"] == {"tool": {"name": "answer"}}
    chunks = await chunks_of(provider, model=NOVA, response_format=BY_SCHEMA, tools=TOOLS)
    text = "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices)
    assert json.loads(text) == {"city": "Łódź"}
    assert [c.finish_reason for chunk in chunks for c in chunk.choices][-1] == "stop"
    assert bench.sent.body["toolConfig"]["toolChoice"] == {"any": {}}
    bench.up.always(conversed(use("f", {"a": 1}, "t1")))
    called = (await completed(provider, model=NOVA, response_format=BY_SCHEMA, tools=TOOLS))["choices"][0]
    assert called["finish_reason"] == "tool_calls"
    assert called["message"]["tool_calls"][0]["id"] == "t1"
    assert violations(bench) == []


async def test_an_answer_by_a_schema_where_the_family_has_it(bench: Bench) -> None:
    await completed(opened(bench), model="qwen.qwen3-32b-v1:0", response_format=BY_SCHEMA)
    form = bench.sent.body["outputConfig"]["textFormat"]
    assert json.loads(form["structure"]["jsonSchema"]["schema"]) == PLACE
    assert "toolConfig" not in bench.sent.body
    assert violations(bench) == []


async def test_calls_one_at_a_time(bench: Bench) -> None:
    bench.up.always(conversed(use("f", {"a": 1}, "t1"), use("f", {"a": 2}, "t2"), use("f", {}, "t3")))
    provider = opened(bench)
    asked: Any = {"model": NOVA, "tools": TOOLS}
    whole = await completed(provider, **asked, parallel_tool_calls=False)
    assert [call["id"] for call in whole["choices"][0]["message"]["tool_calls"]] == ["t1"]
    chunks = await chunks_of(provider, **asked, parallel_tool_calls=False)
    made = [call for chunk in chunks for c in chunk.choices for call in c.delta.tool_calls or ()]
    assert {call.index for call in made} == {0}
    arguments = "".join(call.function.arguments or "" for call in made if call.function)
    assert json.loads(arguments) == {"a": 1}
    assert len((await completed(provider, **asked))["choices"][0]["message"]["tool_calls"]) == 3


async def test_usage_and_tier(bench: Bench) -> None:
    usage = {"inputTokens": 5, "outputTokens": 2, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 10}
    bench.up.always(conversed("Hi.", usage=usage, members={"serviceTier": {"type": "flex"}}))
    provider = opened(bench)
    whole = await completed(provider, model=NOVA, service_tier="flex")
    last = (await chunks_of(provider, model=NOVA))[-1]
    for told, tier in ((whole["usage"], whole["service_tier"]), (last.usage.model_dump(), last.service_tier)):  # type: ignore[union-attr]
        assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (115, 2, 117)
        assert told["prompt_tokens_details"]["cached_tokens"] == 100
        assert tier == "flex"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("content_filtered", "content_filter"),
        ("guardrail_intervened", "content_filter"),
    ],
)
async def test_reasons_of_the_end(bench: Bench, reason: str, finish: str) -> None:
    bench.up.always(conversed("Hm.", reason=reason))
    provider = opened(bench)
    assert (await completed(provider, model=NOVA))["choices"][0]["finish_reason"] == finish
    chunks = await chunks_of(provider, model=NOVA)
    assert [c.finish_reason for chunk in chunks for c in chunk.choices][-1] == finish


@pytest.mark.parametrize("reason", ["malformed_tool_use", "malformed_model_output"])
async def test_an_answer_that_cannot_be_read_is_an_error(bench: Bench, reason: str) -> None:
    bench.up.always(conversed(reason=reason))
    for asking in (completed, chunks_of):
        with pytest.raises(ProviderError, match=reason):
            await asking(opened(bench), model=NOVA)

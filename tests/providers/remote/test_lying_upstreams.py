"""Replies of the right shape with anything at all in some place: errors that name the provider, never our own."""

from __future__ import annotations

import copy
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llama_stack_api.errors import LlamaStackError, RateLimited
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.principal import Call
from tests.providers.remote.bench import chat, relayed
from tests.support.oci_upstream import new_key
from tests.support.scripted_http import ScriptedHttp, ScriptedReply, json_reply, scripted

Json = Any
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
THOROUGH = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def places(value: Json, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@st.composite
def spoiled(draw: st.DrawFn, value: Json) -> Json:
    """The value with anything in one or two places, or without what stood there."""
    said = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(places(said)) or [()]))
        if not path:
            return draw(ANYTHING)
        at = said
        for key in path[:-1]:
            at = at[key]
        if draw(st.integers(0, 4)) == 0:
            del at[path[-1]]
        else:
            at[path[-1]] = draw(ANYTHING)
    return said


def sse(events: list[Json]) -> bytes:
    return b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events)


def lines(events: list[Json]) -> bytes:
    return b"".join(msgspec.json.encode(event) + b"\n" for event in events)


def frames(events: list[Json]) -> bytes:
    """AWS's binary events: `{type: payload}` each."""
    return b"".join(_frame(*next(iter(event.items()))) for event in events if isinstance(event, dict) and event)


def _frame(kind: str, payload: Json) -> bytes:
    said = {":message-type": "event", ":event-type": kind}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value.encode())) + value.encode()
        for name, value in said.items()
    )
    body = msgspec.json.encode(payload)
    head = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    whole = head + struct.pack("!I", zlib.crc32(head)) + headers + body
    return whole + struct.pack("!I", zlib.crc32(whole))


@dataclass(frozen=True)
class Liar:
    """What an upstream says when it does not lie; None where it has no such operation."""

    type: str
    model: str
    config: dict[str, Any] = field(default_factory=dict)
    whole: Json = None
    events: Any = None
    encode: Callable[[list[Json]], bytes] = sse
    vectors: Json = None
    ranking: Json = None
    models: Json = None
    own: dict[str, Any] = field(default_factory=dict)
    """Members of a request that ask for the upstream's own API."""


USAGE = {"promptTokenCount": 1, "candidatesTokenCount": 2, "thoughtsTokenCount": 1, "totalTokenCount": 4}
GEMINI = {
    "responseId": "r",
    "candidates": [
        {
            "index": 0,
            "content": {
                "role": "model",
                "parts": [
                    {"text": "so", "thought": True, "thoughtSignature": "c2ln"},
                    {"text": "hi"},
                    {"functionCall": {"id": "c", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                    {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                    {"executableCode": {"language": "PYTHON", "code": "1"}},
                ],
            },
            "finishReason": "STOP",
            "safetyRatings": [{"category": "X", "probability": "LOW", "blocked": False}],
            "logprobsResult": {
                "topCandidates": [{"candidates": [{"token": "a", "logProbability": -1}]}],
                "chosenCandidates": [{"token": "a", "logProbability": -1}],
            },
            "groundingMetadata": {
                "groundingChunks": [{"web": {"uri": "http://x", "title": "t"}}],
                "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 2}, "groundingChunkIndices": [0]}],
            },
        }
    ],
    "usageMetadata": USAGE,
}
TRACE = {
    "guardrail": {
        "inputAssessment": {"g": {"topicPolicy": {"topics": [{"name": "n", "type": "DENY", "action": "BLOCKED"}]}}},
        "outputAssessments": {"g": [{"wordPolicy": {"customWords": [{"match": "x", "action": "BLOCKED"}]}}]},
    }
}
CONVERSE = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
                {"reasoningContent": {"redactedContent": "aGk="}},
                {"text": "hi"},
                {"toolUse": {"toolUseId": "i", "name": "f", "input": {"a": 1}}},
                {"citationsContent": {"content": [{"text": "x"}], "citations": [{"title": "t", "location": {}}]}},
            ],
        }
    },
    "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
    "trace": TRACE,
}
CONVERSED = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "i", "name": "f"}}}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"text": "hi"}}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"citation": {"title": "t"}}}},
    {"contentBlockStop": {"contentBlockIndex": 1}},
    {"contentBlockDelta": {"contentBlockIndex": 2, "delta": {"reasoningContent": {"text": "t", "signature": "s"}}}},
    {"contentBlockDelta": {"contentBlockIndex": 2, "delta": {"reasoningContent": {"redactedContent": "aGk="}}}},
    {"contentBlockDelta": {"contentBlockIndex": 2, "delta": {"reasoningContent": {"redactedContent": "aGk="}}}},
    {"contentBlockStop": {"contentBlockIndex": 2}},
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {"usage": CONVERSE["usage"], "trace": TRACE}},
]
CALLED = {"type": "FUNCTION", "id": "i", "name": "f", "arguments": "{}"}
SPOKEN = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": "hi"}], "reasoningContent": "t"}
OCI = {
    "modelId": "m",
    "chatResponse": {
        "apiFormat": "GENERIC",
        "choices": [{"index": 0, "message": {**SPOKEN, "toolCalls": [CALLED]}, "finishReason": "stop"}],
        "usage": {"promptTokens": 1, "completionTokens": 2, "totalTokens": 3},
    },
}
COHERE = {
    "chatResponse": {
        "apiFormat": "COHERE",
        "text": "hi",
        "toolCalls": [{"name": "f", "parameters": {"a": 1}}],
        "finishReason": "COMPLETE",
        "citations": [{"start": 0, "end": 1, "text": "h", "documentIds": ["d"]}],
        "usage": {"promptTokens": 1},
    }
}
OLLAMA = {
    "model": "m",
    "message": {
        "role": "assistant",
        "content": "hi",
        "thinking": "t",
        "tool_calls": [{"function": {"index": 0, "name": "f", "arguments": {"a": 1}}}],
    },
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 1,
    "eval_count": 1,
    "logprobs": [{"token": "a", "logprob": -1, "top_logprobs": [{"token": "b", "logprob": -2}]}],
}
WATSONX = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
BEDROCK_MODEL = {
    "modelId": "a",
    "inputModalities": ["TEXT"],
    "outputModalities": ["TEXT"],
    "inferenceTypesSupported": ["ON_DEMAND"],
}
BEDROCK_PROFILE = {"inferenceProfileId": "us.a", "type": "APPLICATION", "models": [{"modelArn": "arn:x/amazon.nova"}]}
OCI_MODEL = {"id": "o", "displayName": "m", "capabilities": ["CHAT"], "vendor": "cohere", "type": "BASE"}
OCI_CONFIG = {"oci_region": "us-a-1", "oci_compartment_id": "c"}
ENGINE = {"base_url": "http://127.0.0.1:9"}
KEY = {"api_key": "k"}

LIARS = [
    Liar(
        "remote::gemini",
        "gemini-2.5-pro",
        KEY,
        whole=GEMINI,
        events=[GEMINI, {"usageMetadata": USAGE}],
        vectors={"embeddings": [{"values": [1.0, 0.5]}], "usageMetadata": {"promptTokenCount": 3}},
        models={"models": [{"name": "models/g", "supportedGenerationMethods": ["generateContent"]}]},
    ),
    Liar(
        "remote::vertexai",
        "gemini-embedding-001",
        {"access_token": "k", "project": "p-1"},
        vectors={"predictions": [{"embeddings": {"values": [1.0], "statistics": {"token_count": 3.0}}}]},
        models={"publisherModels": [{"name": "publishers/google/models/gemini-2.5-pro"}]},
    ),
    Liar(
        "remote::bedrock",
        "amazon.nova-pro-v1:0",
        KEY,
        whole=CONVERSE,
        events=CONVERSED,
        encode=frames,
        models={"modelSummaries": [BEDROCK_MODEL], "inferenceProfileSummaries": [BEDROCK_PROFILE]},
    ),
    Liar(
        "remote::bedrock", "amazon.titan-embed-text-v2:0", KEY, vectors={"embedding": [1.0], "inputTextTokenCount": 2}
    ),
    Liar("remote::bedrock", "cohere.embed-v4:0", KEY, vectors={"embeddings": {"float": [[1.0, 0.5]]}}),
    Liar("remote::bedrock", "cohere.rerank-v3-5:0", KEY, ranking={"results": [{"index": 0, "relevance_score": 0.5}]}),
    Liar(
        "remote::oci",
        "meta.llama-3",
        OCI_CONFIG,
        whole=OCI,
        events=[{"index": 0, "message": {**SPOKEN, "toolCalls": [CALLED]}}, {"finishReason": "stop"}],
        vectors={"embeddings": [[1.0, 0.5]], "usage": {"promptTokens": 1}},
        ranking={"documentRanks": [{"index": 0, "relevanceScore": 0.5}]},
        models={"items": [OCI_MODEL]},
    ),
    Liar(
        "remote::oci",
        "cohere.command-r",
        OCI_CONFIG,
        whole=COHERE,
        events=[{"apiFormat": "COHERE", "text": "h"}, COHERE["chatResponse"]],
    ),
    Liar(
        "remote::ollama",
        "m",
        ENGINE,
        whole=OLLAMA,
        events=[{**OLLAMA, "done": False}, OLLAMA],
        encode=lines,
        vectors={"embeddings": [[1.0, 0.5]], "prompt_eval_count": 1, "data": [{"embedding": [1.0]}]},
        models={"models": [{"name": "m", "details": {"families": ["x"]}, "capabilities": ["completion"]}]},
        own={"options": {"num_ctx": 9}},
    ),
    Liar(
        "remote::watsonx",
        "m",
        {**KEY, "project_id": "p"},
        whole=WATSONX,
        events=[WATSONX, WATSONX],
        vectors={"results": [{"embedding": [1.0, 0.5]}], "input_token_count": 1},
        ranking={"results": [{"index": 0, "score": 0.5}]},
        models={"resources": [{"model_id": "m", "functions": [{"id": "text_chat"}], "model_limits": {"x": 4}}]},
    ),
    Liar("remote::vllm", "m", ENGINE, models={"data": [{"id": "m", "max_model_len": 4, "parent": "n"}]}),
    Liar(
        "remote::text-embeddings-inference",
        "m",
        ENGINE,
        models={"model_id": "m", "model_type": {"reranker": {}}, "max_input_length": 5},
        ranking=[{"index": 0, "score": 0.5}],
    ),
    Liar("remote::nvidia", "m", KEY, ranking={"rankings": [{"index": 0, "logit": 0.5}]}),
]


def that(name: str) -> pytest.MarkDecorator:
    with_it = [liar for liar in LIARS if getattr(liar, name) is not None]
    return pytest.mark.parametrize("liar", with_it, ids=[f"{liar.type}-{liar.model}" for liar in with_it])


@pytest.fixture(scope="module")
def oci_key() -> dict[str, str]:
    private, _ = new_key()
    return {"oci_private_key": private, **{f"oci_{name}": "x" for name in ("user_ocid", "tenancy_ocid", "fingerprint")}}


@pytest.fixture
def opened(http: ScriptedHttp, tmp_path: Path, liar: Liar, oci_key: dict[str, str]) -> Any:
    http.by_path["/identity/token"] = json_reply({"access_token": "tok-1", "expires_in": 3600})
    return scripted(liar.type, http, tmp_path, **liar.config, **(oci_key if liar.type == "remote::oci" else {}))


@pytest.fixture
def http() -> ScriptedHttp:
    return ScriptedHttp()


def told(asking: Callable[[], Awaitable[Any]]) -> None:
    """Asked: what comes is an answer, or an error of the contract."""

    async def ask() -> None:
        try:
            answer = await asking()
            if hasattr(answer, "aclose"):
                await relayed(answer)
        except LlamaStackError:
            pass

    anyio.run(ask)


@that("whole")
@THOROUGH
@given(data=st.data())
def test_a_whole_answer(opened: Any, http: ScriptedHttp, liar: Liar, data: st.DataObject) -> None:
    http.reply = json_reply(data.draw(spoiled(liar.whole)))
    told(lambda: opened.openai_chat_completion(chat(model=liar.model, **liar.own), Call()))


@that("events")
@THOROUGH
@given(data=st.data())
def test_a_stream(opened: Any, http: ScriptedHttp, liar: Liar, data: st.DataObject) -> None:
    events = data.draw(spoiled(liar.events))
    said = bytearray(liar.encode(events if isinstance(events, list) else []))
    if said and data.draw(st.booleans()):
        said[data.draw(st.integers(0, len(said) - 1))] = data.draw(st.integers(0, 255))
    size = data.draw(st.integers(1, 400))
    pieces = [bytes(said[at : at + size]) for at in range(0, len(said), size)]
    http.reply = ScriptedReply(pieces, 200, {"Content-Type": "text/event-stream"})
    options = {"stream": True, "stream_options": {"include_usage": True}, **liar.own}
    told(lambda: opened.openai_chat_completion(chat(model=liar.model, **options), Call()))


@that("vectors")
@THOROUGH
@given(data=st.data())
def test_embeddings(opened: Any, http: ScriptedHttp, liar: Liar, data: st.DataObject) -> None:
    http.reply = json_reply(data.draw(spoiled(liar.vectors)))
    encoding = data.draw(st.sampled_from(["float", "base64"]))
    asked = EmbeddingsRequest.model_validate(
        {"model": liar.model, "input": "a", "encoding_format": encoding, **liar.own}
    )
    told(lambda: opened.openai_embeddings(asked, Call()))


@that("ranking")
@THOROUGH
@given(data=st.data())
def test_rerank(opened: Any, http: ScriptedHttp, liar: Liar, data: st.DataObject) -> None:
    http.reply = json_reply(data.draw(spoiled(liar.ranking)))
    told(lambda: opened.rerank(RerankRequest(model=liar.model, query="q", items=["a"]), Call()))


@that("models")
@THOROUGH
@given(data=st.data())
def test_models(opened: Any, http: ScriptedHttp, liar: Liar, data: st.DataObject) -> None:
    http.reply = json_reply(data.draw(spoiled(liar.models)))
    told(lambda: opened.list_models(Call()))


@pytest.mark.anyio
@pytest.mark.parametrize("texts", [["a"], ["a", "b", "c"]])
@pytest.mark.parametrize("model", ["amazon.titan-embed-text-v2:0", "cohere.embed-v4:0"])
async def test_embeddings_that_bedrock_refuses(tmp_path: Path, model: str, texts: list[str]) -> None:
    """Of several requests at once the first refusal counts."""
    http = ScriptedHttp(json_reply({"message": "Too many requests."}, 429))
    provider = scripted("remote::bedrock", http, tmp_path, api_key="k")
    with pytest.raises(RateLimited):
        await provider.openai_embeddings(EmbeddingsRequest(model=model, input=texts), Call())

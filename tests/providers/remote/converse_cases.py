"""Bedrock's models of other vendors than Anthropic: chat by Converse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llama_stack_api.ports.inference import ProviderModel
from tests.providers.remote.case import EMBEDDING, LLM, RERANK, TOOLS, Body, Case, Listing
from tests.support.anthropic_upstream_bedrock import Listed
from tests.support.bedrock_invoked import invoked
from tests.support.converse_as_chat import as_chat as messages_of
from tests.support.converse_upstream import Conversed, ConverseWire, conversed, reasoned, use
from tests.support.upstream import Answer, Recorded, Reply, Say, Wire

EMBEDDER, RANKER = "cohere.embed-v4:0", "cohere.rerank-v3-5:0"
INVOKED = {"embeddings": f"/model/{EMBEDDER}/invoke", "rerank": f"/model/{RANKER}/invoke"}
"""Of both cases of Bedrock."""


def embedded(request: Recorded) -> Answer:
    return invoked(EMBEDDER, request)


def members(body: Body) -> Body:
    """Converse has parameters in three places."""
    return {**body, **body.get("inferenceConfig", {}), **body.get("additionalModelRequestFields", {})}


def as_chat(body: Body) -> Body:
    return {**members(body), **messages_of(body)}


def speaks(say: Say) -> Reply:
    """A model that must call a tool does: what it has to say is the tool's input."""
    said = _said(say)

    def answer(request: Recorded) -> Answer:
        choice = (request.body.get("toolConfig") or {}).get("toolChoice", {})
        if "tool" in choice and not say.tools:
            text = say.content or "{}"
            given = json.loads(text) if text.startswith("{") else {"text": text}
            return replace(said, blocks=[use(choice["tool"]["name"], given)])(request)
        return said(request)

    return answer


def _said(say: Say) -> Conversed:
    thoughts = [reasoned(say.reasoning)] if say.reasoning else []
    texts = [say.content or ""] if say.content or say.pieces else []
    called = [use(tool.name, json.loads(tool.text), tool.id) for tool in say.tools]
    wire: dict[str, Any] = {name: getattr(say.wire, name) for name in Wire.__dataclass_fields__ if name != "done"}
    if say.wire.inject is not None and isinstance(say.wire.inject[1], Mapping):
        wire["inject"] = (say.wire.inject[0], _exception(say.wire.inject[1]["error"]))
    return conversed(*thoughts, *texts, *called, pieces=say.pieces, wire=ConverseWire(**wire))


def _exception(error: Mapping[str, Any]) -> dict[str, Any]:
    kind = "throttlingException" if error.get("code") == 429 else "internalServerException"
    return {"exception": kind, "message": error["message"]}


def model(name: str, **said: Any) -> dict[str, Any]:
    """An entry of the listing, of a model that chats on demand unless it is said otherwise."""
    return {
        "modelId": name,
        "inputModalities": ["TEXT"],
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": True,
        "inferenceTypesSupported": ["ON_DEMAND"],
        **said,
    }


_FORM = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
_ACCOUNT = Listed(
    [
        model("amazon.nova-pro-v1:0", inputModalities=["TEXT", "IMAGE"]),
        model("meta.llama4-scout-v1:0", inferenceTypesSupported=["INFERENCE_PROFILE"]),
        model("amazon.titan-text-lite-v1"),
        model("amazon.titan-embed-text-v2:0", outputModalities=["EMBEDDING"], responseStreamingSupported=False),
        model("cohere.rerank-v3-5:0"),
        model("amazon.nova-canvas-v1:0", outputModalities=["IMAGE"]),
    ],
    ["us.meta.llama4-scout-v1:0", "us.anthropic.claude-5-v1:0"],
)

CONVERSES = [
    Case(
        "remote::bedrock",
        {"chat": "/model/m-1/converse", "stream": "/model/m-1/converse-stream", **INVOKED},
        called="bedrock-converse",
        data_key="aws_bearer_token_bedrock",
        config=lambda up: {"base_url": up.url, "converse_models": ["m-*"]},
        error_shape="message",
        tongue="bedrock",
        speaks=speaks,
        as_chat=as_chat,
        members=members,
        thinks_aloud=False,
        embedder=EMBEDDER,
        ranker=RANKER,
        embed=embedded,
        listing=Listing(
            {"/foundation-models": _ACCOUNT, "/inference-profiles": _ACCOUNT},
            [
                ProviderModel("amazon.nova-pro-v1:0"),
                ProviderModel("amazon.titan-text-lite-v1", LLM, {"tool_calling": False}),
                ProviderModel("amazon.titan-embed-text-v2:0", EMBEDDING, {"embedding_dimension": 1024}),
                ProviderModel("cohere.rerank-v3-5:0", RERANK),
                ProviderModel("us.meta.llama4-scout-v1:0"),
                ProviderModel("us.anthropic.claude-5-v1:0"),
            ],
        ),
        rewritten=(
            ({"max_completion_tokens": 7}, {"maxTokens": 7, "max_completion_tokens": None}),
            ({"temperature": 1.5, "top_p": 0.5}, {"inferenceConfig": {"temperature": 1, "topP": 0.5}}),
            ({"stop": "END"}, {"stopSequences": ["END"], "stop": None}),
            ({"n": 1, "logprobs": False, "store": True}, {"n": None, "logprobs": None, "store": None}),
            ({"tools": TOOLS, "tool_choice": "none"}, {"toolConfig": None}),
            ({"service_tier": "auto"}, {"serviceTier": None}),
            ({"service_tier": "flex"}, {"serviceTier": {"type": "flex"}}),
            ({"performanceConfig": {"latency": "optimized"}}, {"performanceConfig": {"latency": "optimized"}}),
            (
                {"user": "ü"},
                {"requestMetadata": {"user": "607474ca475a9724d7360aba71a56d5df77e61350e3f724cfa1f46e857e2d85f"}},
            ),
            (
                {"additionalModelRequestFields": {"k": 3}, "top_k": 4},
                {"additionalModelRequestFields": {"top_k": 4, "k": 3}},
            ),
        ),
        refused=(
            ({"n": 2}, "n"),
            ({"seed": 4}, "seed"),
            ({"logprobs": True}, "logprobs"),
            ({"reasoning_effort": "low"}, "reasoning_effort"),
            ({"service_tier": "scale"}, "service_tier"),
            ({"response_format": {"type": "grammar"}}, "response_format"),
            ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools"),
            (
                {
                    "messages": [
                        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://h/a"}}]}
                    ]
                },
                "messages",
            ),
        ),
    )
]

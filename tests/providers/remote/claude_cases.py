"""Claude, at Anthropic and at Amazon: chat in the words of the Messages API."""

from __future__ import annotations

from llama_stack_api.ports.inference import ProviderModel
from tests.providers.remote.case import LLM, TOOLS, Body, Case, Listing
from tests.providers.remote.claude import as_chat, speaks_on_bedrock, speaks_to_anthropic
from tests.providers.remote.converse_cases import EMBEDDER, INVOKED, RANKER, embedded
from tests.support import anthropic_upstream as anthropic
from tests.support.anthropic_upstream_bedrock import Listed

REWRITES: tuple[tuple[Body, Body], ...] = (
    ({}, {"max_tokens": 32000}),
    ({"max_completion_tokens": 7}, {"max_tokens": 7, "max_completion_tokens": None}),
    ({"stop": "END", "user": "u-1"}, {"stop_sequences": ["END"], "stop": None, "metadata": {"user_id": "u-1"}}),
    ({"n": 1, "logprobs": False, "store": True}, {"n": None, "logprobs": None, "store": None}),
    ({"tools": TOOLS, "tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
    (
        {"tools": TOOLS, "parallel_tool_calls": False},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    (
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}]},
        {"system": [{"type": "text", "text": "Be brief."}]},
    ),
)
REFUSES: tuple[tuple[Body, str], ...] = (
    ({"n": 2}, "n"),
    ({"seed": 4}, "seed"),
    ({"logprobs": True}, "logprobs"),
    ({"logit_bias": {"5": 1}}, "logit_bias"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"x_vendor": 1}, "x_vendor"),
)

CLAUDES = [
    Case(
        "remote::anthropic",
        {"chat": "/v1/messages", "stream": "/v1/messages"},
        data_key="anthropic_api_key",
        key_header="x-api-key",
        key_prefix="",
        config=lambda up: {"base_url": up.url},
        error_shape="anthropic",
        tongue="anthropic",
        speaks=speaks_to_anthropic,
        as_chat=as_chat,
        thinks_aloud=False,
        unknown={"top_k": 40},
        listing=Listing(
            {"/v1/models": anthropic.models({"id": "claude-sonnet-5", "max_input_tokens": 200000}, "claude-opus-4-1")},
            [ProviderModel("claude-sonnet-5", LLM, {"context_length": 200000}), ProviderModel("claude-opus-4-1")],
        ),
        rewritten=REWRITES,
        refused=REFUSES,
    ),
    Case(
        "remote::bedrock",
        {"chat": "/model/m-1/invoke", "stream": "/model/m-1/invoke-with-response-stream", **INVOKED},
        data_key="aws_bearer_token_bedrock",
        config=lambda up: {"base_url": up.url},
        error_shape="message",
        tongue="bedrock",
        speaks=speaks_on_bedrock,
        as_chat=as_chat,
        thinks_aloud=False,
        unknown={"top_k": 40},
        embedder=EMBEDDER,
        ranker=RANKER,
        embed=embedded,
        listing=Listing(
            {
                "/foundation-models": (
                    account := Listed(
                        [
                            {
                                "modelId": "anthropic.claude-3-haiku-20240307-v1:0",
                                "inferenceTypesSupported": ["ON_DEMAND"],
                            },
                            {"modelId": "anthropic.claude-5-v1:0", "inferenceTypesSupported": ["INFERENCE_PROFILE"]},
                        ],
                        ["us.anthropic.claude-5-v1:0", "us.meta.llama4-v1:0", "global.anthropic.claude-5-v1:0"],
                    )
                ),
                "/inference-profiles": account,
            },
            [
                ProviderModel("anthropic.claude-3-haiku-20240307-v1:0"),
                ProviderModel("us.anthropic.claude-5-v1:0"),
                ProviderModel("us.meta.llama4-v1:0"),
                ProviderModel("global.anthropic.claude-5-v1:0"),
            ],
        ),
        rewritten=REWRITES,
        refused=REFUSES,
    ),
]

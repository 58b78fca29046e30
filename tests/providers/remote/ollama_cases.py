"""Ollama by its OpenAI-compatible routes, and by its own API, where a setting or a request needs that."""

from __future__ import annotations

from typing import Any

from llama_stack_api.ports.inference import ProviderModel
from tests.providers.remote.case import EMBEDDING, LLM, TOOLS, Body, Case, Listing
from tests.providers.remote.common import ENGINE_IGNORES_TEXT, ENGINE_REFUSES, TO_MAX_TOKENS, V1
from tests.support.ollama_upstream import EMBEDS, TALKS, embed, ollama_says
from tests.support.ollama_words import as_chat
from tests.support.upstream import Recorded, Wire

TAGS = [{"name": "llama3.2:3b", "digest": "aa"}, {"name": "nomic-embed-text:latest", "digest": "bb"}]


def shown(request: Recorded) -> Any:
    return Wire().json(EMBEDS if request.body["model"].startswith("nomic") else TALKS)


def listing(context_length: int) -> Listing:
    known = {"context_length": context_length, "tool_calling": True, "vision": True}
    return Listing(
        {"/api/tags": Wire().json({"models": TAGS}), "/api/show": shown},
        [
            ProviderModel("llama3.2:3b", LLM, known),
            ProviderModel("nomic-embed-text:latest", EMBEDDING, {"context_length": 2048, "embedding_dimension": 8}),
        ],
    )


REFUSES: tuple[tuple[Body, str], ...] = (
    *ENGINE_REFUSES,
    ({"n": 2}, "n"),
    ({"logit_bias": {"5": 1}}, "logit_bias"),
    ({"tools": TOOLS, "tool_choice": "required"}, "tool_choice"),
    ({"tools": TOOLS, "parallel_tool_calls": False}, "parallel_tool_calls"),
)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}

OLLAMAS = [
    Case(
        "remote::ollama",
        V1,
        data_key="ollama_api_key",
        key_needed=False,
        config=lambda up: {"base_url": up.url},
        error_shape="string",
        tongue="ollama",
        say={"reasoning_field": "reasoning"},
        unknown={"x_vendor": {"deep": [1, None]}},
        listing=listing(131072),
        rewritten=(
            TO_MAX_TOKENS,
            ENGINE_IGNORES_TEXT,
            ({"n": 1, "parallel_tool_calls": True}, {"n": None, "parallel_tool_calls": None}),
            ({"tools": TOOLS, "tool_choice": "auto"}, {"tools": TOOLS, "tool_choice": None}),
            ({"tools": TOOLS, "tool_choice": "none"}, {"tools": None, "tool_choice": None}),
        ),
        refused=REFUSES,
    ),
    Case(
        "remote::ollama",
        {"chat": "/api/chat", "stream": "/api/chat", "completion": V1["completion"], "embeddings": "/api/embed"},
        called="ollama-native",
        data_key="ollama_api_key",
        key_needed=False,
        config=lambda up: {"base_url": up.url, "context_length": 8192, "keep_alive": "10m"},
        error_shape="string",
        tongue="ollama",
        speaks=ollama_says,
        as_chat=as_chat,
        unknown={"top_k": 40},
        embed=embed,
        listing=listing(8192),
        rewritten=(
            ({}, {"options": {"num_ctx": 8192}, "keep_alive": "10m", "stream": False}),
            ({"keep_alive": 0, "num_ctx": 512}, {"options": {"num_ctx": 512}, "keep_alive": 0, "num_ctx": None}),
            ({"options": {"num_gpu": 1}, "top_k": 3}, {"options": {"num_ctx": 8192, "num_gpu": 1, "top_k": 3}}),
            ({"max_completion_tokens": 7}, {"options": {"num_ctx": 8192, "num_predict": 7}}),
            ({"stop": "END", "seed": 4}, {"options": {"num_ctx": 8192, "stop": ["END"], "seed": 4}}),
            ({"reasoning_effort": "none"}, {"think": False}),
            ({"reasoning_effort": "minimal"}, {"think": "low"}),
            ({"reasoning_effort": "low", "think": True}, {"think": True}),
            ({"response_format": {"type": "json_object"}}, {"format": "json"}),
            ({"response_format": {"type": "text"}}, {"format": None}),
            (
                {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}},
                {"format": SCHEMA},
            ),
            ({"n": 1, "logprobs": False, "store": True}, {"n": None, "logprobs": None, "store": None}),
            ({"tools": TOOLS, "tool_choice": "auto"}, {"tools": TOOLS, "tool_choice": None}),
            ({"tools": TOOLS, "tool_choice": "none"}, {"tools": None}),
            ({"stream": True}, {"stream": True}),
        ),
        refused=(
            *REFUSES,
            ({"x_vendor": 1}, "x_vendor"),
            ({"verbosity": "high"}, "verbosity"),
            ({"service_tier": "flex"}, "service_tier"),
        ),
        embed_refused=(({"x_vendor": 1}, "x_vendor"), ({"input": [1, 2]}, "input")),
    ),
]

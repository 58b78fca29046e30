"""The rule for every documented parameter of a chat: it is forwarded, put in other words, or refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack_api.errors import UnsupportedParameter
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call
from tests.providers.remote.bench import QUESTION, Bench, chat, with_port
from tests.providers.remote.case import TOOLS
from tests.providers.remote.oci_cases import OTHER_MEANS as OCIS_OTHER_MEANS
from tests.providers.remote.oci_cases import WORDS as OCIS_WORDS
from tests.support.upstream import text

pytestmark = pytest.mark.anyio

VALUES: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 0.5,
    "function_call": "auto",
    "functions": [{"name": "f", "parameters": {"type": "object"}}],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 17,
    "max_tokens": 18,
    "messages": QUESTION,
    "metadata": {"k": "v"},
    "modalities": ["text", "audio"],
    "model": "m-1",
    "moderation": {"model": "omni-moderation-latest"},
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": 0.5,
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    "safety_identifier": "s",
    "seed": 7,
    "service_tier": "flex",
    "stop": ["END"],
    "store": True,
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "temperature": 0.25,
    "tool_choice": "required",
    "tools": TOOLS,
    "top_logprobs": 3,
    "top_p": 0.75,
    "user": "u",
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
}

_SCHEMA = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
_CLAUDES: dict[str, tuple[str, Any]] = {
    "max_completion_tokens": ("max_tokens", 17),
    "messages": ("messages", [{"role": "user", "content": [{"type": "text", "text": QUESTION[0]["content"]}]}]),
    "reasoning_effort": ("output_config", {"effort": "low"}),
    "response_format": ("output_config", _SCHEMA),
    "safety_identifier": ("metadata", {"user_id": "s"}),
    "stop": ("stop_sequences", ["END"]),
    "tools": ("tools", [{"name": "f", "input_schema": {"type": "object"}}]),
    "user": ("metadata", {"user_id": "u"}),
}
_CLAUDE_HAS_OTHER_MEANS = {
    "metadata",  # kept with what is stored, by this server
    "model",  # on Bedrock, in the address
    "parallel_tool_calls",  # without tools it says nothing
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "store",
    "stream",  # on Bedrock, another address
    "stream_options",
    "tool_choice",
}

_OLLAMAS: dict[str, tuple[str, Any]] = {
    name: ("options", {"num_ctx": 8192, option: value})
    for name, option, value in (
        ("frequency_penalty", "frequency_penalty", 0.5),
        ("presence_penalty", "presence_penalty", 0.5),
        ("temperature", "temperature", 0.25),
        ("top_p", "top_p", 0.75),
        ("seed", "seed", 7),
        ("max_tokens", "num_predict", 18),
        ("max_completion_tokens", "num_predict", 17),
        ("stop", "stop", ["END"]),
    )
} | {"reasoning_effort": ("think", "low"), "response_format": ("format", {"type": "object"})}

_GEMINIS: dict[str, tuple[str, Any]] = {
    name: ("generationConfig", config)
    for name, config in {
        "frequency_penalty": {"frequencyPenalty": 0.5},
        "presence_penalty": {"presencePenalty": 0.5},
        "logprobs": {"responseLogprobs": True},
        "top_logprobs": {"responseLogprobs": True, "logprobs": 3},
        "max_completion_tokens": {"maxOutputTokens": 17},
        "max_tokens": {"maxOutputTokens": 18},
        "n": {"candidateCount": 2},
        "reasoning_effort": {"thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True}},
        "response_format": {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
        "seed": {"seed": 7},
        "stop": {"stopSequences": ["END"]},
        "temperature": {"temperature": 0.25},
        "top_p": {"topP": 0.75},
    }.items()
} | {
    "messages": ("contents", [{"role": "user", "parts": [{"text": QUESTION[0]["content"]}]}]),
    "tools": ("tools", [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}]),
}

_CONVERSES: dict[str, tuple[str, Any]] = {
    "max_completion_tokens": ("maxTokens", 17),
    "max_tokens": ("maxTokens", 18),
    "messages": ("messages", [{"role": "user", "content": [{"text": QUESTION[0]["content"]}]}]),
    "safety_identifier": ("requestMetadata", {"safety_identifier": "s"}),
    "service_tier": ("serviceTier", {"type": "flex"}),
    "stop": ("stopSequences", ["END"]),
    "tools": ("toolConfig", {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]}),
    "top_p": ("topP", 0.75),
    "user": ("requestMetadata", {"user": "u"}),
}

IN_OTHER_WORDS: dict[str, dict[str, tuple[str, Any]]] = {
    "anthropic": _CLAUDES,
    "bedrock": _CLAUDES,
    "bedrock-converse": _CONVERSES,
    "gemini": _GEMINIS,
    "vertexai": _GEMINIS,
    "mistral": {"tool_choice": ("tool_choice", "any")},
    **OCIS_WORDS,
    "ollama-native": _OLLAMAS,
    "tgi": {"response_format": ("response_format", {"type": "json_object", "value": {"type": "object"}})},
    "watsonx": {"model": ("model_id", "m-1"), "tool_choice": ("tool_choice_option", "required")},
}
"""Beyond the renaming that the quirks state: another member or value with the same meaning."""

BY_OTHER_MEANS: dict[str, set[str]] = {
    "anthropic": _CLAUDE_HAS_OTHER_MEANS - {"model", "stream"},
    "bedrock": _CLAUDE_HAS_OTHER_MEANS,
    "bedrock-converse": _CLAUDE_HAS_OTHER_MEANS | {"response_format"},  # a tool that must be called, see test_converse
    **OCIS_OTHER_MEANS,
    "gemini": _CLAUDE_HAS_OTHER_MEANS | {"user", "safety_identifier"},
    "vertexai": _CLAUDE_HAS_OTHER_MEANS | {"user", "safety_identifier"},
    "mistral": {"stream_options"},  # it sends the usage anyway
    "ollama-native": (_CLAUDE_HAS_OTHER_MEANS - {"model", "stream", "tool_choice"}) | {"user", "safety_identifier"},
    "watsonx": {"stream_options", "stream"},  # so it does, and streaming is another address
}


def test_every_documented_parameter_has_a_value() -> None:
    assert set(VALUES) == set(ChatCompletionRequest.model_fields)


@with_port("chat")
async def test_nothing_is_dropped_in_silence(bench: Bench) -> None:
    bench.says(text("ok"))
    provider = bench.open()
    honoured, dropped, refusals = [], [], {}
    for name, value in VALUES.items():
        try:
            reply = await provider.openai_chat_completion(chat(**{name: value}), Call())
        except UnsupportedParameter as refused:
            refusals[name] = refused
            continue
        if name == "stream":
            await reply.aclose()
        said = bench.sent_members
        words = IN_OTHER_WORDS.get(bench.case.name, {})
        member, expected = words.get(name, (provider.quirks.rename.get(name, name), value))
        honoured.append(name)
        if name not in BY_OTHER_MEANS.get(bench.case.name, ()) and said.get(member) != expected:
            dropped.append(name)
    assert dropped == []
    assert [name for name, refused in refusals.items() if refused.param != name or name not in refused.message] == []
    assert {"messages", "model", "temperature", "top_p", "stop", "stream", "tools"} <= set(honoured)

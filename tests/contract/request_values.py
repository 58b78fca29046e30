"""Values for every documented request property that goes on to the provider: all types, kinds and literals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Each of `values` is sent in a request of its own, with `beside`, and must reach the provider unchanged."""

    values: tuple[Any, ...]
    beside: Mapping[str, Any] = field(default_factory=dict)


def forwarded(*values: Any, **beside: Any) -> Forwarded:
    return Forwarded(values, beside)


BREAKPOINT: Json = {"prompt_cache_breakpoint": {"mode": "explicit"}}
SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION: Json = {"name": "weather", "description": "The weather of a place.", "parameters": SCHEMA}
TOOLS: list[Json] = [
    {"type": "function", "function": {**FUNCTION, "strict": True}},
    {"type": "custom", "custom": {"name": "shell", "description": "Runs a line.", "format": {"type": "text"}}},
    *(
        {
            "type": "custom",
            "custom": {
                "name": f"by_{syntax}",
                "format": {"type": "grammar", "grammar": {"syntax": syntax, "definition": "start: 'a'"}},
            },
        }
        for syntax in ("lark", "regex")
    ),
]
USER = {"role": "user", "content": "Hello"}

TEXTS_ONLY: list[Json] = [
    {"role": "developer", "content": "Be brief.", "name": "author"},
    {"role": "system", "content": [{"type": "text", "text": "Be kind.", **BREAKPOINT}]},
    {"role": "user", "content": "Hello", "name": "ann"},
]
PARTS: list[Json] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Look, listen and read.", **BREAKPOINT},
            *(
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": detail}}
                for detail in ("auto", "low", "high")
            ),
            *(
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": form}, **BREAKPOINT}
                for form in ("wav", "mp3")
            ),
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
        ],
    }
]
CALLS: list[Json] = [
    USER,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}},
            {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "a.txt"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "It"}, {"type": "refusal", "refusal": "No."}]},
    {"role": "assistant", "content": None, "refusal": "I will not.", "name": "bot"},
    {"role": "assistant", "content": None, "audio": {"id": "audio_1"}},
    USER,
]
FORMER_CALLS: list[Json] = [
    USER,
    {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}},
    {"role": "function", "name": "weather", "content": "rain"},
]

CHAT: Mapping[str, Forwarded] = {
    "audio": forwarded(
        *({"voice": "alloy", "format": form} for form in ("wav", "aac", "mp3", "flac", "opus", "pcm16")),
        *(
            {"voice": voice, "format": "wav"}
            for voice in ("ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
        ),
        {"voice": {"id": "voice_1"}, "format": "wav"},
        modalities=["text", "audio"],
    ),
    "frequency_penalty": forwarded(0.5, -2, 0),
    "function_call": forwarded("none", "auto", {"name": "weather"}, functions=[FUNCTION]),
    "functions": forwarded([FUNCTION]),
    "logit_bias": forwarded({"50256": -100, "11": 0.5}, {}),
    "logprobs": forwarded(True, False),
    "max_completion_tokens": forwarded(17),
    "max_tokens": forwarded(18),
    "messages": forwarded(TEXTS_ONLY, PARTS, CALLS, FORMER_CALLS),
    "modalities": forwarded(["text"], ["text", "audio"]),
    "moderation": forwarded(
        *(
            {"model": "omni", "policy": {"input": {"mode": into}, "output": {"mode": out}}}
            for into, out in (("score", "block"), ("block", "score"))
        )
    ),
    "n": forwarded(2, 1),
    "parallel_tool_calls": forwarded(False, True, tools=TOOLS),
    "prediction": forwarded(
        {"type": "content", "content": "as before"},
        {"type": "content", "content": [{"type": "text", "text": "as before", **BREAKPOINT}]},
    ),
    "presence_penalty": forwarded(0.5),
    "prompt_cache_key": forwarded("key"),
    "prompt_cache_options": forwarded({"mode": "implicit"}, {"mode": "explicit", "ttl": "30m"}),
    "prompt_cache_retention": forwarded("in_memory", "24h"),
    "reasoning_effort": forwarded("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "response_format": forwarded(
        {"type": "text"},
        {"type": "json_object"},
        {
            "type": "json_schema",
            "json_schema": {"name": "place", "description": "A place.", "schema": SCHEMA, "strict": True},
        },
    ),
    "safety_identifier": forwarded("someone"),
    "seed": forwarded(7, 0),
    "service_tier": forwarded("auto", "default", "flex", "scale", "priority", "fast"),
    "stop": forwarded("END", ["END", "STOP"]),
    "temperature": forwarded(0.25, 0, 2),
    "tool_choice": forwarded(
        "none",
        "auto",
        "required",
        {"type": "function", "function": {"name": "weather"}},
        {"type": "custom", "custom": {"name": "shell"}},
        *(
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": mode, "tools": [{"type": "function", "function": {"name": "weather"}}]},
            }
            for mode in ("auto", "required")
        ),
        tools=TOOLS,
    ),
    "tools": forwarded(TOOLS),
    "top_logprobs": forwarded(3, 0, logprobs=True),
    "top_p": forwarded(0.75),
    "user": forwarded("someone"),
    "verbosity": forwarded("low", "medium", "high"),
    "web_search_options": forwarded(
        *({"search_context_size": size} for size in ("low", "medium", "high")),
        {
            "user_location": {
                "type": "approximate",
                "approximate": {"city": "Köln", "country": "DE", "region": "NRW", "timezone": "Europe/Berlin"},
            }
        },
    ),
}

COMPLETIONS: Mapping[str, Forwarded] = {
    "best_of": forwarded(3),
    "echo": forwarded(True, False),
    "frequency_penalty": forwarded(0.5),
    "logit_bias": forwarded({"50256": -100}),
    "logprobs": forwarded(2, 0),
    "max_tokens": forwarded(9),
    "n": forwarded(2),
    "presence_penalty": forwarded(0.5),
    "prompt": forwarded("Once", ["Once", "Twice"], [1, 2, 3], [[1, 2], [3]]),
    "seed": forwarded(7),
    "stop": forwarded("END", ["END", "STOP"]),
    "suffix": forwarded("the end"),
    "temperature": forwarded(0.25),
    "top_p": forwarded(0.75),
    "user": forwarded("someone"),
}

EMBEDDINGS: Mapping[str, Forwarded] = {
    "dimensions": forwarded(4),
    "encoding_format": forwarded("float", "base64"),
    "input": forwarded("a text", ["one", "two"], [1, 2, 3], [[1, 2], [3]]),
    "user": forwarded("someone"),
}

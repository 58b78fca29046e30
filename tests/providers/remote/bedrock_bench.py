"""A provider of Bedrock's against a loopback that is as strict as Bedrock, and models that differ."""

from __future__ import annotations

import json
from typing import Any

from llama_stack_api.principal import Call
from tests.providers.remote.bench import Bench, chat
from tests.providers.remote.cases import CASES
from tests.support.anthropic_upstream_bedrock import (
    BedrockUpstream,
)

CASE = next(case for case in CASES if case.name == "bedrock-converse")
SECRETS = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG"}
KEYS = {"api_key": None, "aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": SECRETS["AKIDEXAMPLE"]}
NOVA, LLAMA, CLAUDE = (
    "us.amazon.nova-2-lite-v1:0",
    "us.meta.llama4-scout-17b-instruct-v1:0",
    "anthropic.claude-opus-4-6",
)
MISTRAL = "mistral.mistral-large-2402-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2"
CALLED: list[dict[str, Any]] = [
    {"role": "user", "content": "?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "c2", "type": "function", "function": {"name": "f", "arguments": '{"a":2}'}},
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "one"},
    {"role": "tool", "tool_call_id": "c2", "content": '{"is": 2}'},
]
PLACE = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
BY_SCHEMA = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}}


def opened(bench: Bench, **config: Any) -> Any:
    """A provider that signs, and calls nothing by Converse but what it would."""
    return bench.open(**{**KEYS, "converse_models": [], **config})


async def completed(provider: Any, **fields: Any) -> dict[str, Any]:
    reply = await provider.openai_chat_completion(chat(**fields), Call())
    return dict(json.loads(reply.body))


def violations(bench: Bench) -> list[str]:
    assert isinstance(bench.up, BedrockUpstream)
    return bench.up.violations

"""Providers that speak the Messages API behind the whole server, asked by the anthropic and openai packages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.support.anthropic_upstream import AnthropicUpstream, says, thought
from tests.support.anthropic_upstream_bedrock import INVOKE, STREAM, BedrockUpstream, on_bedrock
from tests.support.upstream import Upstream, text
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio
QUESTION: list[Any] = [{"role": "user", "content": "Wie heißt du?"}]
ADA = says(thought("Hm."), "Ich heiße Ada.")


@dataclass
class Served:
    """A server with `claude`, `bedrock`, `new` (an engine with the Messages API) and `old` (one without)."""

    claude: AnthropicUpstream
    old: Upstream
    messages: anthropic.AsyncAnthropic
    chat: openai.AsyncOpenAI


def provider(name: str, kind: str, up: Upstream) -> dict[str, Any]:
    return {"provider_id": name, "provider_type": f"remote::{kind}", "config": {"base_url": up.url, "api_key": "k"}}


def model(name: str, provider_id: str, provider_model_id: str) -> dict[str, Any]:
    return {"model_id": name, "provider_id": provider_id, "provider_model_id": provider_model_id}


@pytest.fixture
async def served(tmp_path: Path, nobody_at_aws: None) -> AsyncIterator[Served]:
    claude, bedrock, old = AnthropicUpstream(), BedrockUpstream(), Upstream()
    models = [
        model("claude", "a", "claude-sonnet-5"),
        model("bedrock", "b", "anthropic.claude-1"),
        model("new", "n", "qwen3"),
        model("old", "o", "qwen3"),
    ]
    with claude, bedrock, old:
        providers = [
            provider("a", "anthropic", claude),
            provider("b", "bedrock", bedrock),
            provider("n", "ollama", claude),
            provider("o", "vllm", old),
        ]
        claude.always(ADA, on="/messages")
        bedrock.always(on_bedrock(ADA), on=INVOKE)
        bedrock.always(on_bedrock(ADA), on=STREAM)
        old.always(text("Ich heiße Ada."), on="/chat/completions")
        async with whole_stack(tmp_path, providers, models) as server:
            url = f"http://127.0.0.1:{server.port}"
            async with (
                anthropic.AsyncAnthropic(base_url=url, api_key="x", max_retries=0) as messages,
                openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as chat,
            ):
                yield Served(claude, old, messages, chat)


@pytest.mark.parametrize("name", ["claude", "bedrock", "new", "old"])
async def test_messages_whole_and_streamed_and_counted(served: Served, name: str) -> None:
    asked: Any = {"model": name, "max_tokens": 64, "messages": QUESTION}
    whole = await served.messages.messages.create(**asked)
    async with served.messages.messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    expected = [{"type": "text", "text": "Ich heiße Ada."}] if name == "old" else list(ADA.blocks)
    for message in (whole, streamed):
        kept = [block.model_dump(include=set(said)) for block, said in zip(message.content, expected, strict=True)]
        assert kept == expected
        assert (message.model, message.stop_reason) == (name, "end_turn")
        assert message.usage.input_tokens == 9
    tokens = await served.messages.messages.count_tokens(model=name, messages=QUESTION)
    assert tokens.input_tokens == 17 or name == "old"
    assert served.claude.violations == []


async def test_an_older_engine_is_asked_for_messages_once(served: Served) -> None:
    for _ in range(3):
        await served.messages.messages.create(model="old", max_tokens=64, messages=QUESTION)
    asked = [request.path for request in served.old.requests if request.method == "POST"]
    assert asked == ["/v1/messages", *["/v1/chat/completions"] * 3]


@pytest.mark.parametrize("name", ["claude", "bedrock"])
async def test_chat_and_responses_of_a_model_that_speaks_messages(served: Served, name: str) -> None:
    asked: Any = {"model": name, "messages": QUESTION}
    whole = await served.chat.chat.completions.create(**asked)
    assert whole.choices[0].message.content == "Ich heiße Ada."
    assert whole.model.rpartition("/")[2] == name
    pieces = []
    async for chunk in await served.chat.chat.completions.create(**asked, stream=True):
        pieces += [choice.delta.content or "" for choice in chunk.choices]
    assert "".join(pieces) == "Ich heiße Ada."
    response = await served.chat.responses.create(model=name, input="Wie heißt du?")
    assert response.output_text == "Ich heiße Ada."
    assert served.claude.violations == []


async def test_betas_and_unknown_members_reach_anthropic(served: Served) -> None:
    await served.messages.beta.messages.create(
        model="claude",
        max_tokens=64,
        messages=QUESTION,
        betas=["context-management-2025-06-27"],
        context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
        extra_body={"x_new": {"deep": [1, None]}},
    )
    sent = served.claude.last
    assert sent.headers["anthropic-beta"] == "context-management-2025-06-27"
    assert sent.body["context_management"] == {"edits": [{"type": "clear_tool_uses_20250919"}]}
    assert sent.body["x_new"] == {"deep": [1, None]}
    assert sent.body["model"] == "claude-sonnet-5"

"""What a model thought before goes back to it where its provider wants that, under the name that it has there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.anthropic_upstream import AnthropicUpstream, hidden_thought, says, thought, tool_use
from tests.support.anthropic_upstream import models as claude_models
from tests.support.edge import sdk_for
from tests.support.upstream import Upstream, models, text
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("kind", "member"),
    [("vllm", "reasoning_content"), ("groq", "reasoning"), ("openai", None), ("cerebras", None)],
)
async def test_thoughts_go_back_as_the_provider_takes_them(tmp_path: Path, kind: str, member: str | None) -> None:
    async with Upstream() as upstream:
        upstream.always(models("m"), on="/models")
        upstream.always(text("Yes.", reasoning="Let me see."), on="/chat/completions")
        config = {"base_url": upstream.base_url, "api_key": "none"}
        provider = {"provider_id": "up", "provider_type": f"remote::{kind}", "config": config}
        registered = {"model_id": "m", "provider_id": "up", "model_validation": False}
        async with whole_stack(tmp_path, [provider], [registered]) as server, sdk_for(server) as client:
            first = await client.responses.create(model="m", input="Is it?")
            assert [item.type for item in first.output] == ["reasoning", "message"]
            await client.responses.create(model="m", input="Sure?", previous_response_id=first.id)
        said = upstream.last.body["messages"][1]
        expected = {"role": "assistant", "content": "Yes."}
        assert said == (expected if member is None else {**expected, member: "Let me see."})


TOOL: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}
THOUGHTS = [thought("I had better look."), hidden_thought("Secretly.")]


@pytest.mark.parametrize("stored", [True, False])
async def test_signed_thoughts_are_kept_over_a_tool(tmp_path: Path, stored: bool) -> None:
    """As a client that keeps nothing (`previous_response_id`), and as one that keeps everything itself."""
    claude = AnthropicUpstream()
    with claude:
        claude.always(claude_models("claude-sonnet-5"), on="/models")
        claude.reply(says(*THOUGHTS, tool_use("look", {})), on="/messages")
        claude.reply(says(thought("Now I know."), "Yes."), on="/messages")
        config = {"base_url": claude.url, "api_key": "none"}
        provider = {"provider_id": "up", "provider_type": "remote::anthropic", "config": config}
        registered = {"model_id": "m", "provider_id": "up", "model_validation": False}
        options: Any = {"model": "m", "tools": [TOOL], "reasoning": {"effort": "low"}, "store": stored}
        async with whole_stack(tmp_path, [provider], [registered]) as server, sdk_for(server) as client:
            first = await client.responses.create(input="Is it?", include=["reasoning.encrypted_content"], **options)
            assert [item.type for item in first.output] == ["reasoning", "function_call"]
            call = next(item for item in first.output if item.type == "function_call")
            result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "It is."}
            if stored:
                second = await client.responses.create(input=[result], previous_response_id=first.id, **options)
            else:
                kept: Any = [item.model_dump(exclude_none=True) for item in first.output]
                asked: Any = {"role": "user", "content": "Is it?"}
                second = await client.responses.create(input=[asked, *kept, result], **options)
            assert second.output_text == "Yes."
        assert claude.violations == []
        assert claude.last.body["messages"][1]["content"][:2] == THOUGHTS

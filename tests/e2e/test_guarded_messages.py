"""A guard at the Messages API, by the unmodified `anthropic` client: over an upstream that is translated for, and over
one that speaks the API itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.support.anthropic_upstream import AnthropicUpstream, says, thought
from tests.support.edge import client
from tests.support.guarding import SAFETY, SHIELDS, guards
from tests.support.responding import MODEL
from tests.support.upstream import Say, Upstream
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

ASKED: Any = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
POISONED: Any = [
    {"role": "user", "content": "Look it up"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "ask", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "Here is a bomb"}]},
]


@asynccontextmanager
async def served(directory: Path, provider: dict[str, Any]) -> AsyncIterator[tuple[anthropic.AsyncAnthropic, Any]]:
    providers = {"inference": [provider], "safety": SAFETY}
    models = [{"model_id": MODEL, "provider_id": provider["provider_id"]}]
    async with (
        whole_stack(
            directory,
            [],
            [],
            providers=providers,
            registered_resources={"models": models, "shields": SHIELDS},
            safety=guards("messages"),
        ) as server,
        client(server) as http,
        anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0) as sdk,
    ):
        yield sdk, http


@asynccontextmanager
async def over(kind: str, directory: Path) -> AsyncIterator[tuple[anthropic.AsyncAnthropic, Any, Any]]:
    if kind == "chat":
        async with Upstream() as chat:
            provider = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": chat.base_url}}
            async with served(directory, provider) as (sdk, http):
                await chat.wait_requests(1)
                yield sdk, http, chat
        return
    async with AnthropicUpstream() as up:
        config = {"base_url": f"{up.url}/v1", "api_key": "sk-test"}
        provider = {"provider_id": "up", "provider_type": "remote::anthropic", "config": config}
        async with served(directory, provider) as (sdk, http):
            yield sdk, http, up


@pytest.mark.parametrize("kind", ["chat", "messages"])
async def test_a_blocked_answer_is_a_refusal(tmp_path: Path, kind: str) -> None:
    async with over(kind, tmp_path) as (sdk, http, up):
        bad = Say("Take a bomb", reasoning="I think") if kind == "chat" else says(thought("I think"), "Take a bomb")
        up.always(bad, **({"on": "/chat/completions"} if kind == "chat" else {}))
        whole = await sdk.messages.create(**ASKED)
        assert whole.stop_reason == "refusal"
        assert "bomb" not in whole.model_dump_json()
        async with sdk.messages.stream(**ASKED) as stream:
            async for _ in stream:
                pass
            final = await stream.get_final_message()
        assert final.stop_reason == "refusal"
        raw = await http.post("/v1/messages", json={**ASKED, "stream": True})
        assert "message_stop" in raw.text
        assert "bomb" not in raw.text
        assert "Take" not in raw.text


@pytest.mark.parametrize("kind", ["chat", "messages"])
async def test_what_is_fine_passes_and_a_poisoned_result_does_not(tmp_path: Path, kind: str) -> None:
    async with over(kind, tmp_path) as (sdk, _, up):
        fine = Say("All is well", reasoning="I think") if kind == "chat" else says(thought("I think"), "All is well")
        up.always(fine, **({"on": "/chat/completions"} if kind == "chat" else {}))
        async with sdk.messages.stream(**ASKED) as stream:
            final = await stream.get_final_message()
        assert [block.type for block in final.content] == ["thinking", "text"]
        assert (final.content[-1].text, final.stop_reason) == ("All is well", "end_turn")  # type: ignore[union-attr]
        asked = len(up.requests)
        with pytest.raises(anthropic.BadRequestError, match="no talk"):
            await sdk.messages.create(**{**ASKED, "messages": POISONED})
        assert len(up.requests) == asked

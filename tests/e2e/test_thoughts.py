"""What a model thought before goes back to it where its provider wants that, under the name that it has there."""

from __future__ import annotations

from pathlib import Path

import pytest

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

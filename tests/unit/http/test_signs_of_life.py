"""An upstream that keeps its connection alive with comments: the stream lives on, and stands still when they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.edge import CHAT, client
from tests.support.upstream import Answer, Upstream
from tests.support.upstream_wire import Part, Pause, Stall
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

HEAD = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
CHUNK = HEAD + b'"delta":{"content":"%b"}}]}\n\n'
END = HEAD + b'"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
PINGS: list[Part] = [Pause(0.15), b": ping\n\n"] * 6


@pytest.mark.parametrize("lives", [True, False])
async def test_comments_of_an_upstream(tmp_path: Path, lives: bool) -> None:
    parts: list[Part] = [CHUNK % b"one", *PINGS, CHUNK % b"two", *([END] if lives else [Stall()])]
    async with Upstream() as upstream:
        upstream.always(Answer(headers={"content-type": "text/event-stream"}, parts=parts), on="/chat/completions")
        providers = [{"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}]
        models = [{"model_id": "m", "provider_id": "up"}]
        limits = {"limits": {"stream_idle_timeout_s": 0.5}}
        async with whole_stack(tmp_path, providers, models, server=limits) as server, client(server) as http:
            question = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
            reply = await http.post(CHAT, json=question)
    assert '"one"' in reply.text
    assert '"two"' in reply.text
    assert "ping" not in reply.text
    assert reply.text.endswith("data: [DONE]\n\n") is lives
    assert ("stream_stalled" in reply.text) is not lives

"""What docs/external-providers.md promises of network settings, failures and dependencies."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from llama_stack.stack import Stack
from tests.providers.external.test_echo_package import run_config
from tests.support.edge import client
from tests.support.upstream import Upstream
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

BROKEN = {"provider_id": "broken", "provider_type": "inline::broken", "module": "tests.providers.external.tricky"}


def fetching(up: Upstream, **network: Any) -> dict[str, Any]:
    config = {"url": f"{up.base_url}/chat/completions", "network": network}
    return {
        "provider_id": "fetching",
        "provider_type": "remote::fetching",
        "module": "tests.providers.external.tricky",
        "config": config,
    }


def asking(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}


async def test_network_settings_are_the_servers(tmp_path: Path) -> None:
    with Upstream() as up:
        entry = fetching(up, headers={"x-team": "blue"})
        async with whole_stack(tmp_path, [entry], []) as server, client(server) as http:
            reply = await http.post("/v1/chat/completions", json=asking("fetching/any"))
        assert reply.json()["choices"][0]["message"]["content"] == "Hello from the upstream."
        assert (up.last.body["model"], up.last.headers["x-team"]) == ("any", "blue")


async def test_wrong_network_settings_are_named_and_not_repeated(tmp_path: Path) -> None:
    with Upstream() as up:
        config = run_config(tmp_path, fetching(up, headers=["sk-secret"], proxies="sk-secret"))
        async with Stack.open(config, state_dir=tmp_path) as stack:
            (problem,) = stack.problems
    assert problem.fatal
    assert "headers" in problem.message
    assert "proxies" in problem.message
    assert "sk-secret" not in problem.message


async def test_what_a_provider_raises_of_its_own_is_an_error_without_its_words(tmp_path: Path) -> None:
    async with whole_stack(tmp_path, [BROKEN], []) as server, client(server) as http:
        whole = await http.post("/v1/chat/completions", json=asking("broken/m"))
        stream = await http.post("/v1/chat/completions", json=asking("broken/m", stream=True))
        listed = await http.get("/v1/providers")
    assert (whole.status_code, whole.json()["error"]["type"]) == (500, "server_error")
    assert "[DONE]" not in stream.text
    assert "half an ans" in stream.text
    assert '"error"' in stream.text.rstrip().rsplit("\n\n", 1)[-1]
    (health,) = [each["health"] for each in listed.json()["data"]]
    assert health == {"status": "Error", "message": "its health check failed (KeyError)"}
    assert "sk-secret" not in whole.text + stream.text + listed.text


async def test_a_provider_whose_apis_are_not_served_is_refused(tmp_path: Path) -> None:
    config = run_config(tmp_path, {**BROKEN, "provider_id": "needy", "provider_type": "inline::dependent"}, BROKEN)
    async with Stack.open(config, state_dir=tmp_path) as stack:
        assert [str(problem) for problem in stack.problems] == [
            "provider 'needy' (inline::dependent): needs a provider of safety, and none is configured"
        ]
        assert [opened.id for opened in stack.providers] == ["broken"]


async def test_a_stream_is_let_go_of_when_the_client_hangs_up(tmp_path: Path) -> None:
    entry = {**BROKEN, "provider_id": "endless", "provider_type": "inline::endless"}
    closed = tmp_path / "state" / "providers" / "inference" / "endless" / "closed"
    async with whole_stack(tmp_path, [entry], []) as server, client(server) as http:
        async with http.stream("POST", "/v1/chat/completions", json=asking("endless/m", stream=True)) as reply:
            assert '"and "' in await anext(reply.aiter_text())
            assert not closed.exists()
        async with asyncio.timeout(5):
            while not closed.exists():
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("asked", [True, False])
async def test_the_usage_of_a_stream_is_seen_by_whoever_asked(tmp_path: Path, asked: bool) -> None:
    entry = {**BROKEN, "provider_id": "frugal", "provider_type": "inline::frugal"}
    options = {"stream_options": {"include_usage": True}} if asked else {}
    async with whole_stack(tmp_path, [entry], []) as server, client(server) as http:
        stream = await http.post("/v1/chat/completions", json=asking("frugal/m", stream=True, **options))
        metered = (await http.get("/metrics")).text
    assert ('"total_tokens":3' in stream.text) is asked
    assert stream.text.endswith("data: [DONE]\n\n")
    assert [line for line in metered.splitlines() if "tokens" in line and "frugal" in line and line.endswith(" 2.0")]

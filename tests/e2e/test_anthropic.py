"""Anthropic's package, unmodified, against the server as a process: over the embedded model, an OpenAI-compatible
upstream and one that speaks Messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_tool
from anthropic.types import MessageParam

from tests.e2e.conftest import CHAT_MODEL
from tests.support.anthropic_upstream import AnthropicUpstream, says, thought, tool_use
from tests.support.running import RunningServer, running
from tests.support.upstream import Say, Tool, Upstream, calls, text

pytestmark = pytest.mark.anyio

HI: list[MessageParam] = [{"role": "user", "content": "Say hello."}]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def chat() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def claude() -> Iterator[AnthropicUpstream]:
    upstream = AnthropicUpstream()
    with upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, chat: Upstream, claude: AnthropicUpstream) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("anthropic")
    providers = [
        {"provider_id": "vllm", "provider_type": "remote::vllm", "config": {"base_url": chat.base_url}},
        {
            "provider_id": "anthropic",
            "provider_type": "remote::anthropic",
            "config": {"base_url": claude.url, "api_key": "key-of-the-upstream"},
        },
    ]
    models = [
        {"model_id": "chat", "provider_id": "vllm", "provider_model_id": "chat-1"},
        {"model_id": "claude", "provider_id": "anthropic", "provider_model_id": "claude-1"},
    ]
    config = {
        "version": 2,
        "distro_name": "e2e",
        "providers": {"inference": providers},
        "registered_resources": {"models": models},
    }
    file = Path(directory) / "config.yaml"
    file.write_text(json.dumps(config))
    with running(str(file), "--port", "0", home=directory / "home") as server:
        yield server.url


@pytest.fixture
def client(server: str, chat: Upstream, claude: AnthropicUpstream) -> Iterator[Anthropic]:
    chat.reset()
    claude.reset()
    claude.violations.clear()
    with Anthropic(base_url=server, api_key="none", max_retries=0) as client:
        yield client


def test_the_embedded_model_whole_and_streamed(default_server: RunningServer) -> None:
    with Anthropic(base_url=default_server.url, api_key="none", max_retries=0) as client:
        message = client.messages.create(model=CHAT_MODEL, max_tokens=8, messages=HI, extra_body={"temperature": 0})
        (block,) = message.content
        assert block.type == "text"
        assert message.stop_reason in ("max_tokens", "end_turn")
        assert 0 < message.usage.output_tokens <= 8
        with client.messages.stream(
            model=CHAT_MODEL, max_tokens=8, messages=HI, extra_body={"temperature": 0}
        ) as stream:
            assert "".join(stream.text_stream) == block.text
            assert stream.get_final_message().usage.output_tokens == message.usage.output_tokens
        counted = client.messages.with_raw_response.count_tokens(model=CHAT_MODEL, messages=HI)
        assert counted.parse().input_tokens == message.usage.input_tokens
        assert "x-llama-stack-token-count" not in counted.headers
        assert client.messages.create(model="claude-any", max_tokens=4, messages=HI).model == "claude-any"


async def test_the_embedded_model_for_the_async_client(default_server: RunningServer) -> None:
    async with AsyncAnthropic(base_url=default_server.url, api_key="none", max_retries=0) as client:
        stream = await client.messages.create(model=CHAT_MODEL, max_tokens=4, messages=HI, stream=True)
        kinds = [event.type async for event in stream]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]


def test_the_embedded_model_keeps_to_a_schema(default_server: RunningServer) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"type": "string", "enum": ["red", "green"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    with Anthropic(base_url=default_server.url, api_key="none", max_retries=0) as client:
        message = client.messages.create(
            model=CHAT_MODEL,
            max_tokens=40,
            messages=[{"role": "user", "content": "Which colour has grass?"}],
            output_config={"format": {"type": "json_schema", "schema": schema}},
        )
    (block,) = message.content
    assert block.type == "text"
    assert json.loads(block.text)["colour"] in ("red", "green")


@pytest.mark.parametrize("model", ["chat", "claude"])
def test_the_tool_runner_goes_through_a_whole_exchange(
    client: Anthropic, chat: Upstream, claude: AnthropicUpstream, model: str
) -> None:
    chat.reply(calls(Tool("weather", {"city": "Graz"}, id="call_1")), text("It rains in Graz."), on="/completions")
    claude.reply(says(tool_use("weather", {"city": "Graz"})), says("It rains in Graz."))
    asked = []

    @beta_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return "rain"

    hello: Any = HI
    runner = client.beta.messages.tool_runner(model=model, max_tokens=100, messages=hello, tools=[weather])
    message = runner.until_done()
    assert asked == ["Graz"]
    assert message.content[0].type == "text"
    assert message.content[0].text == "It rains in Graz."
    assert claude.violations == []
    # The runner would have the server keep the conversation; it is told to send all of it.
    assert len((chat if model == "chat" else claude).last.body["messages"]) == 3


@pytest.mark.parametrize("model", ["chat", "claude"])
def test_images_and_thoughts(client: Anthropic, chat: Upstream, claude: AnthropicUpstream, model: str) -> None:
    chat.always(Say(content="A dot.", reasoning="I look at it."), on="/completions")
    claude.always(says(thought("I look at it."), "A dot."))
    messages: Any = [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {"type": "text", "text": "What is it?"},
            ],
        }
    ]
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    with client.messages.stream(model=model, max_tokens=2000, messages=messages, thinking=thinking) as stream:
        message: Any = stream.get_final_message()
    first, second = message.content
    assert (first.type, second.type) == ("thinking", "text")
    assert (first.thinking, second.text) == ("I look at it.", "A dot.")
    # What was thought goes back as it came.
    again = [*messages, {"role": "assistant", "content": message.content}, {"role": "user", "content": "Sure?"}]
    assert client.messages.create(model=model, max_tokens=2000, messages=again, thinking=thinking).content
    assert claude.violations == []
    if model == "chat":
        parts = chat.last.body["messages"][0]["content"]
        assert parts[0]["image_url"]["url"] == f"data:image/png;base64,{PNG}"


def test_errors_are_the_packages_own(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="nobody/nothing", max_tokens=10, messages=HI)
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(model="chat", max_tokens=10, messages=[])

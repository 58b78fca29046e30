"""A conversation that goes from one vendor's model to another's in the middle of its tools: every upstream is strict,
sees only its own signatures, and gets those back."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.support import anthropic_upstream as claude
from tests.support import gemini_upstream as gemini
from tests.support.anthropic_upstream_bedrock import BedrockUpstream, on_bedrock
from tests.support.converse_upstream import CONVERSE, CONVERSE_STREAM, conversed, reasoned, use
from tests.support.ollama_upstream import OllamaUpstream, ollama_says
from tests.support.upstream import Recorded, Reply, Tool, Upstream, calls
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

ORDER = ["gemini", "claude", "nova", "ollama", "claude", "gemini", "gpt", "claude-on-bedrock", "nova", "gemini", "gpt"]
"""Each but gpt and ollama comes back to what it said itself, and each follows another."""
QUESTION = "Look into all of them."
PARAMETERS = {"type": "object", "properties": {"number": {"type": "integer"}}}
NOVAS = "c2lnbmVkIGJ5IG5vdmE="
_OPENAIS = {"role", "content", "tool_calls", "tool_call_id"}


def gemini_says(number: int) -> Reply:
    return gemini.says(
        gemini.thought(f"Look at {number}."), "So.", gemini.call("look", {"number": number}, f"g{number}")
    )


def claude_says(number: int) -> claude.Says:
    called = claude.tool_use("look", {"number": number}, f"toolu_{number}")
    return claude.says(claude.thought(f"Look at {number}."), claude.hidden_thought("Secretly."), called)


def nova_says(number: int) -> Reply:
    return conversed(reasoned(f"Look at {number}.", NOVAS), use("look", {"number": number}, f"tooluse_{number}"))


def openai_says(number: int) -> Any:
    return calls(Tool("look", {"number": number}, f"call_{number}"), reasoning="Let me see.")


@dataclass(frozen=True)
class Model:
    """`says`: a thought and a call of its tool by number. `provider`: the type, beside the config but for the
    address."""

    up: Upstream
    provider: tuple[str, dict[str, Any]]
    theirs: str
    says: Callable[[int], Reply]
    paths: tuple[str, ...] = ("",)


@dataclass
class Zoo:
    models: dict[str, Model]
    chat: openai.AsyncOpenAI
    messages: anthropic.AsyncAnthropic
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def ask(self, name: str) -> int:
        """The model's next answer is a call; its number."""
        number, model = next(self.numbers), self.models[name]
        for path in model.paths:
            model.up.always(model.says(number), on=path)
        return number

    def last(self, name: str) -> Recorded:
        return self.models[name].up.last


def model_zoo(stack: ExitStack) -> dict[str, Model]:
    ups: list[Any] = [
        stack.enter_context(up())
        for up in (gemini.GeminiUpstream, claude.AnthropicUpstream, BedrockUpstream, OllamaUpstream, Upstream)
    ]
    google, anthropics, aws, ollama, openais = ups
    bedrock = ("bedrock", {"base_url": aws.url})
    return {
        "gemini": Model(google, ("gemini", {"base_url": google.url}), "gemini-3-flash", gemini_says),
        "claude": Model(
            anthropics, ("anthropic", {"base_url": anthropics.url}), "claude-opus-4-1", claude_says, ("/messages",)
        ),
        "nova": Model(aws, bedrock, "us.amazon.nova-2-lite-v1:0", nova_says, (CONVERSE, CONVERSE_STREAM)),
        "claude-on-bedrock": Model(
            aws,
            bedrock,
            "us.anthropic.claude-opus-4-1",
            lambda number: on_bedrock(claude_says(number)),
            ("/invoke", "/invoke-with-response-stream"),
        ),
        "ollama": Model(
            ollama,
            ("ollama", {"base_url": f"{ollama.url}/v1", "keep_alive": "5m"}),
            "llama3.2:3b",
            lambda number: ollama_says(openai_says(number)),
            ("/api/chat",),
        ),
        "gpt": Model(openais, ("openai", {"base_url": openais.base_url}), "gpt-5", openai_says, ("/chat/completions",)),
    }


@pytest.fixture
async def zoo(tmp_path: Path) -> AsyncIterator[Zoo]:
    with ExitStack() as stack:
        models = model_zoo(stack)
        said = {model.provider[0]: model.provider[1] for model in models.values()}
        providers = [
            {
                "provider_id": f"at-{kind}",
                "provider_type": f"remote::{kind}",
                "config": {"api_key": "key-of-all", **config},
            }
            for kind, config in said.items()
        ]
        registered = [
            {"model_id": name, "provider_id": f"at-{each.provider[0]}", "provider_model_id": each.theirs}
            | {"model_validation": False}
            for name, each in models.items()
        ]
        async with (
            whole_stack(tmp_path, providers, registered) as server,
            openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as chat,
            anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0) as messages,
        ):
            yield Zoo(models, chat, messages)
        for name, model in models.items():
            assert getattr(model.up, "violations", []) == [], name
        check_signatures(models)


def check_signatures(models: dict[str, Model]) -> None:
    """Each vendor saw its own, again and again, and no other's. Anthropic's upstreams look for themselves."""
    shown = json.dumps([request.body for request in models["nova"].up.requests if "/converse" in request.path])
    assert NOVAS in shown
    assert "amazon:" not in shown
    for signature in ("gemini:", "sig-", "hidden-"):
        assert signature not in shown
    last = models["gemini"].up.last.body["contents"]
    signed = [part["thoughtSignature"] for content in last for part in content["parts"] if "thoughtSignature" in part]
    own = [signature for signature in signed if signature != "skip_thought_signature_validator"]
    assert len(own) == 2, "Gemini's own signatures are back"
    assert "thinking" in json.dumps(models["claude"].up.last.body["messages"])
    for request in (each for each in models["gpt"].up.requests if each.path.endswith("/chat/completions")):
        assert {member for message in request.body["messages"] for member in message} <= _OPENAIS
        assert "extra_content" not in json.dumps(request.body)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_in_a_chat(zoo: Zoo, stream: bool) -> None:
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    tools: Any = [{"type": "function", "function": {"name": "look", "parameters": PARAMETERS}}]
    for name in ORDER:
        number = zoo.ask(name)
        asked: dict[str, Any] = {"model": name, "messages": history, "tools": tools}
        if stream:
            async with zoo.chat.chat.completions.stream(**asked) as events:
                message = (await events.get_final_completion()).choices[0].message
        else:
            message = (await zoo.chat.chat.completions.create(**asked)).choices[0].message
        assert message.tool_calls is not None
        (call,) = message.tool_calls
        assert call.type == "function"
        assert json.loads(call.function.arguments) == {"number": number}
        said = message.model_dump(exclude_none=True)
        for made in said["tool_calls"]:
            made["function"].pop("parsed_arguments", None)
        said.pop("parsed", None)
        history += [said, {"role": "tool", "tool_call_id": call.id, "content": f"Seen {number}."}]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_in_messages(zoo: Zoo, stream: bool) -> None:
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    tools: Any = [{"name": "look", "input_schema": PARAMETERS}]
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    for name in ORDER:
        number = zoo.ask(name)
        asked: dict[str, Any] = {"model": name, "messages": history, "tools": tools, "max_tokens": 4000}
        asked |= {} if name == "gpt" else {"thinking": thinking}
        if stream:
            async with zoo.messages.messages.stream(**asked) as events:
                content = (await events.get_final_message()).content
        else:
            content = (await zoo.messages.messages.create(**asked)).content
        (use_of,) = [block for block in content if block.type == "tool_use"]
        assert use_of.input == {"number": number}
        if name.startswith("claude"):
            del asked["max_tokens"]
            assert (await zoo.messages.messages.count_tokens(**asked)).input_tokens > 0
        said = [block.model_dump(exclude_none=True) for block in content]
        for block in said:
            block.pop("parsed_output", None)
        result = {"type": "tool_result", "tool_use_id": use_of.id, "content": f"Seen {number}."}
        history += [{"role": "assistant", "content": said}, {"role": "user", "content": [result]}]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_in_responses(zoo: Zoo, stream: bool) -> None:
    given: Any = QUESTION
    tools: Any = [{"type": "function", "name": "look", "parameters": PARAMETERS, "strict": False}]
    before: str | None = None
    for name in ORDER:
        number = zoo.ask(name)
        asked: dict[str, Any] = {"model": name, "input": given, "tools": tools, "previous_response_id": before}
        if stream:
            async with zoo.chat.responses.stream(**asked) as events:
                response: Any = await events.get_final_response()
        else:
            response = await zoo.chat.responses.create(**asked)
        (call,) = [item for item in response.output if item.type == "function_call"]
        assert json.loads(call.arguments) == {"number": number}
        before = response.id
        given = [{"type": "function_call_output", "call_id": call.call_id, "output": f"Seen {number}."}]

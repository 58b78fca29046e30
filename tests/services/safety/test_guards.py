"""Which shields stand where, and that the Messages API goes by way of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from llama_stack.agent.guardrails import Guardrails, Standing
from llama_stack.agent.ports import Violation
from llama_stack.config.safety import GuardConfig
from llama_stack.services.inference import Served
from llama_stack.services.safety.guarded_inference import GuardedMessages, guarded_inference, guarded_messages
from llama_stack.services.safety.guards import Guards
from llama_stack_api.anthropic.messages import CreateMessageRequest
from llama_stack_api.errors import ContentFiltered, NotImplementedByProvider
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call

pytestmark = pytest.mark.anyio


class Asked:
    """Shields that remember who was asked about what, and say no to `bad`."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], str]] = []

    async def check(
        self, shield_ids: Sequence[str], messages: Sequence[dict[str, Any]], call: Call
    ) -> Violation | None:
        said = str(messages[-1]["content"])
        self.asked.append((tuple(shield_ids), said))
        return Violation(shield_ids[0], "No.") if "bad" in said else None


class Upstream:
    """In the place of the inference service."""

    def __init__(self) -> None:
        self.asked: list[ChatCompletionRequest] = []

    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> Served:
        self.asked.append(params)
        return Served(b'{"choices":[{"index":0,"message":{"content":"so bad"},"finish_reason":"stop"}]}', "p", "m")


def guard(*shields: str, apis: Sequence[str] = ("chat",), check: Sequence[str] = ("input", "output")) -> GuardConfig:
    return GuardConfig.model_validate({"shields": list(shields), "apis": list(apis), "check": list(check)})


def test_which_shields_stand_where() -> None:
    guards = Guards(Asked(), [guard("a", "b"), guard("b", "c", check=["input"]), guard("d", apis=["messages"])])
    assert guards.standing("chat") == Standing(("a", "b", "c"), ("a", "b"))
    assert guards.standing("messages") == Standing(("d",), ("d",))
    assert guards.at("responses") is None
    everywhere = GuardConfig.model_validate({"shields": ["a"]})
    assert Guards(Asked(), [everywhere]).at("embeddings") is not None


def test_where_none_stands_the_service_is_itself() -> None:
    upstream: Any = Upstream()
    found: list[Any] = [
        guarded_inference(upstream, Guards(Asked(), [guard("a", apis=["messages"])])),
        guarded_messages(upstream, Guards(Asked(), [guard("a")])),
        guarded_inference(upstream, Guards(Asked(), [guard("a", apis=["embeddings"])])),
    ]
    assert [each is upstream for each in found] == [True, True, False]


async def test_what_a_request_names_stands_beside_what_the_config_does() -> None:
    shields = Asked()
    rails = Guardrails(shields, ["named", "a"], Call(), standing=Standing(("a",), ("b",)))
    await rails.input([{"role": "user", "content": "in"}])
    await rails.answer("out")
    assert shields.asked == [(("a", "named"), "in"), (("b", "named", "a"), "out")]
    silent = Guardrails(shields, (), Call(), standing=Standing(("a",), ()))
    assert not silent.checks_output
    assert await silent.answer("bad") == "bad"


async def test_messages_are_translated_and_pass_the_guard() -> None:
    shields, upstream = Asked(), Upstream()
    inference: Any = upstream
    messages = guarded_messages(inference, Guards(shields, [guard("d", apis=["messages"])]))
    assert isinstance(messages, GuardedMessages)
    native = CreateMessageRequest.model_validate(
        {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    )
    with pytest.raises(NotImplementedByProvider, match=r"safety\.guards"):
        await messages.anthropic_messages(native, Call(), named="m")

    def asking(said: str) -> ChatCompletionRequest:
        return ChatCompletionRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": said}]})

    with pytest.raises(ContentFiltered, match="No"):
        await messages.openai_chat_completion(asking("be bad"), Call())
    assert upstream.asked == []
    served = await messages.openai_chat_completion(asking("Hi"), Call())
    assert isinstance(served.body, bytes)
    assert b"so bad" not in served.body
    assert b'"finish_reason":"content_filter"' in served.body

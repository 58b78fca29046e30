"""One model, whatever is behind it: the same requests, by the openai and anthropic packages, of every provider that
chats. Only what the provider's upstream is told and says differs, and that is the case's to know."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.providers.remote.bench import with_port
from tests.providers.remote.case import KEY, Case
from tests.providers.remote.cases import iam_token
from tests.support.upstream import Answer, Recorded, Reply, Say, Tool, Upstream, calls, text
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
QUESTION: list[Any] = [{"role": "user", "content": "How is the weather in Graz?"}]
LOOK = Tool("weather", {"city": "Graz"}, "call_a")


class Place(BaseModel):
    city: str


@dataclass
class Backend:
    """A server over one provider, and the answers that wait at its upstream."""

    case: Case
    up: Upstream
    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic
    waiting: deque[Reply] = field(default_factory=deque)

    def says(self, *said: Say) -> None:
        self.waiting.extend(self.case.speaks(replace(say, wire=self.case.wire, **self.case.say)) for say in said)

    def answer(self, request: Recorded) -> Answer:
        reply = self.waiting.popleft()
        return reply if isinstance(reply, Answer) else reply(request)

    @property
    def told(self) -> list[dict[str, Any]]:
        """The messages of the last request for an answer, as a chat has them."""
        paths = (self.case.paths["chat"], self.case.paths["stream"])
        asked = [request for request in self.up.requests if request.path.endswith(paths)]
        messages: list[dict[str, Any]] = self.case.as_chat(asked[-1].body)["messages"]
        return messages

    @property
    def told_results(self) -> list[str]:
        return [text_of(message["content"]) for message in self.told if message["role"] == "tool"]


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


@pytest.fixture(scope="module")
async def served(
    case: Case, upstreams: dict[str, Upstream], tmp_path_factory: pytest.TempPathFactory, nobody_at_aws: None
) -> AsyncIterator[Backend]:
    """One for all tests of a case."""
    up = upstreams[case.tongue]
    provider = {"provider_id": "p", "provider_type": case.type, "config": {"api_key": KEY, **case.config(up)}}
    model = {"model_id": "m", "provider_id": "p", "provider_model_id": "m-1", "model_validation": False}
    at_home(case, up)
    egress = {"egress": {"allowed_hosts": ["127.0.0.1"]}}
    async with (
        whole_stack(tmp_path_factory.mktemp(case.name), [provider], [model], server=egress) as server,
        openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as chat,
        anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0) as messages,
    ):
        yield Backend(case, up, chat, messages)
    up.reset()


@pytest.fixture
def backend(served: Backend) -> Iterator[Backend]:
    """As if it were new: its upstream knows of nothing before."""
    served.waiting.clear()
    served.up.reset()
    at_home(served.case, served.up)
    for kind in ("chat", "stream"):
        served.up.always(served.answer, on=served.case.paths[kind])
    yield served
    assert not served.waiting, "an answer was not asked for"
    assert getattr(served.up, "violations", []) == []


def at_home(case: Case, up: Upstream) -> None:
    """What the upstream answers beside chat."""
    up.always(iam_token, on="/identity/token")
    for path, listing in case.listing.replies.items():
        up.always(listing, on=path)


@with_port("chat", scope="module")
async def test_chat(backend: Backend) -> None:
    backend.says(text("Ich heiße Ada. 👋🏽"), text("Ich heiße Ada. 👋🏽"))
    whole = await backend.openai.chat.completions.create(model="m", messages=QUESTION)
    assert whole.choices[0].message.content == "Ich heiße Ada. 👋🏽"
    assert whole.choices[0].finish_reason == "stop"
    assert whole.model == "p/m" or whole.model == "m"
    assert whole.usage is not None
    assert whole.usage.total_tokens > 0
    async with backend.openai.chat.completions.stream(model="m", messages=QUESTION) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "Ich heiße Ada. 👋🏽"


@with_port("chat", scope="module")
async def test_chat_with_a_tool(backend: Backend) -> None:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]
    backend.says(calls(LOOK), text("It is sunny."))
    asked = await backend.openai.chat.completions.create(model="m", messages=QUESTION, tools=tools)
    message = asked.choices[0].message
    assert asked.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    (made,) = message.tool_calls
    assert made.type == "function"
    assert (made.function.name, json.loads(made.function.arguments)) == ("weather", {"city": "Graz"})
    result: Any = {"role": "tool", "tool_call_id": made.id, "content": "Sunny, 21 °C"}
    history = [*QUESTION, message, result]
    async with backend.openai.chat.completions.stream(model="m", messages=history, tools=tools) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "It is sunny."
    assert backend.told_results == ["Sunny, 21 °C"]


@with_port("chat", scope="module")
async def test_an_image_arrives_or_is_refused_by_name(backend: Backend) -> None:
    content: Any = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    if not backend.case.sees:
        with pytest.raises(openai.BadRequestError, match="image") as refused:
            await backend.openai.chat.completions.create(model="m", messages=[{"role": "user", "content": content}])
        assert refused.value.code == "unsupported_parameter"
        return
    backend.says(text("A dot."))
    await backend.openai.chat.completions.create(model="m", messages=[{"role": "user", "content": content}])
    (told,) = backend.told
    assert [part["type"] for part in told["content"]] == ["text", "image_url"]
    assert told["content"][1]["image_url"]["url"] == f"data:image/png;base64,{PNG}"


@with_port("chat", scope="module")
async def test_an_image_from_elsewhere(backend: Backend) -> None:
    """Providers that take images as data get it, through the egress guard; others its address."""
    if not backend.case.sees:
        return
    backend.up.always(Answer(200, {"Content-Type": "image/png"}, [b64decode(PNG)]), on="/dot.png")
    url = f"{backend.up.url}/dot.png"
    backend.says(text("A dot."))
    content: Any = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is it?"}]
    await backend.openai.chat.completions.create(model="m", messages=[{"role": "user", "content": content}])
    (told,) = backend.told
    by_address = any(request.path == "/dot.png" for request in backend.up.requests)
    shown = f"data:image/png;base64,{PNG}" if by_address else url
    assert {"type": "image_url", "image_url": {"url": shown}} in told["content"]


@with_port("chat", scope="module")
async def test_an_answer_by_a_schema(backend: Backend) -> None:
    if not backend.case.knows_schemas:
        with pytest.raises(openai.BadRequestError) as refused:
            await backend.openai.chat.completions.parse(model="m", messages=QUESTION, response_format=Place)
        assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "response_format")
        return
    backend.says(text('{"city": "Graz"}'), text('{"city": "Graz"}'))
    whole = await backend.openai.chat.completions.parse(model="m", messages=QUESTION, response_format=Place)
    assert whole.choices[0].message.parsed == Place(city="Graz")
    response = await backend.openai.responses.parse(model="m", input="Where?", text_format=Place, store=False)
    assert response.output_parsed == Place(city="Graz")


@with_port("chat", scope="module")
async def test_a_response_with_a_tool(backend: Backend) -> None:
    tools: Any = [{"type": "function", "name": "weather", "parameters": CITY, "strict": False}]
    backend.says(calls(LOOK), text("It is sunny."))
    first = await backend.openai.responses.create(model="m", input="How is it?", tools=tools)
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert json.loads(call.arguments) == {"city": "Graz"}
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny, 21 °C"}
    async with backend.openai.responses.stream(
        model="m", input=[result], previous_response_id=first.id, tools=tools
    ) as stream:
        final = await stream.get_final_response()
    assert final.output_text == "It is sunny."
    assert final.usage is not None
    assert final.usage.output_tokens > 0
    assert backend.told_results == ["Sunny, 21 °C"]


@with_port("chat", scope="module")
async def test_a_message_with_a_tool(backend: Backend) -> None:
    tools: Any = [{"name": "weather", "input_schema": CITY}]
    backend.says(calls(LOOK), text("It is sunny."))
    asked = await backend.anthropic.messages.create(model="m", max_tokens=100, messages=QUESTION, tools=tools)
    (use,) = [block for block in asked.content if block.type == "tool_use"]
    assert (use.name, use.input, asked.stop_reason) == ("weather", {"city": "Graz"}, "tool_use")
    result: Any = {"type": "tool_result", "tool_use_id": use.id, "content": "Sunny, 21 °C"}
    history: list[Any] = [
        *QUESTION,
        {"role": "assistant", "content": asked.content},
        {"role": "user", "content": [result]},
    ]
    async with backend.anthropic.messages.stream(model="m", max_tokens=100, messages=history, tools=tools) as stream:
        final = await stream.get_final_message()
    assert [block.text for block in final.content if block.type == "text"] == ["It is sunny."]
    assert final.usage.output_tokens > 0
    assert backend.told_results == ["Sunny, 21 °C"]
